#!/bin/sh
# Writes what hosts can see of a built library: exported symbols, and the types in lethe.h that their
# signatures use. Usage: dump.sh LIBRARY OUTPUT
#
# To record the ABI of a release:  capi/abi/dump.sh build/capi/liblethe.so capi/abi/liblethe-1.0.abi
# Do that for additions only; anything else that changes the recorded file breaks hosts.
set -eu
headers=$(cd "$(dirname "$0")/../include" && pwd)
exec abidw --headers-dir "$headers" --drop-private-types --exported-interfaces-only \
  --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed --out-file "$2" "$1"
