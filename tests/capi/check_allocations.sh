#!/bin/sh
# Makes allocations of a host's life fail, one after the other.
# Usage: check_allocations.sh TEST LIBRARY [EVERY [FROM]]
set -eu
test=$1 library=$2
shift 2
# Where nlohmann-json's destructor takes memory, in it and in the vector that it fills.
LETHE_JSON_DESTRUCTOR=$(nm -S --defined-only "$library" | awk '
  /basic_json/ && (/json_value7destroy/ || / _ZNSt6vectorIN8nlohmann/ || / _ZSt4moveI/) {
    printf "%s %s ", $1, $2
  }')
export LETHE_JSON_DESTRUCTOR
[ -n "$LETHE_JSON_DESTRUCTOR" ] || echo "no symbols in $library: a failure in a destructor of JSON will end the test" >&2
exec "$test" "$@"
