#!/bin/sh
# The library's ABI against the recorded one: additions are fine, everything else fails.
# Usage: check_abi.sh SOURCE_ROOT LIBRARY RECORDED
set -eu
now=$(mktemp)
trap 'rm -f "$now"' EXIT
"$1/capi/abi/dump.sh" "$2" "$now"
# "Harmless" to abidiff is also a renamed field, so two fields that changed places: show those too.
abidiff --harmless --no-added-syms "$3" "$now"
