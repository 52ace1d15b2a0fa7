#!/bin/sh
# The library exports exactly the functions that lethe.h declares, and the suites call each of them.
# Usage: check_symbols.sh SOURCE_ROOT LIBRARY
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Declarations may go over several lines: one statement a line first.
sed 's|/\*.*\*/||' "$1/capi/include/lethe/lethe.h" | tr '\n' ' ' | tr ';' '\n' |
  grep -o 'LETHE_API [^(]*(' | grep -o 'lethe_[a-z0-9_]*(' | tr -d '(' | sort > "$work/declared"
nm -D --defined-only "$2" | awk '$2 != "A" {sub(/@.*/, "", $3); print $3}' | sort > "$work/exported"
diff "$work/declared" "$work/exported" ||
  { echo "< declared but not exported, > exported but not declared" >&2; exit 1; }
for name in $(cat "$work/declared"); do
  grep -qw "$name" "$1"/tests/capi/*.c || { echo "$name is called by no suite" >&2; exit 1; }
done
echo "$(wc -l < "$work/declared") functions are declared, exported and called"
