#!/bin/sh
# The library's ABI against every recorded one: additions are fine, everything else fails.
# Usage: check_abi.sh SOURCE_ROOT LIBRARY
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1/capi/abi/dump.sh" "$2" "$work/now.abi"
for recorded in "$1"/capi/abi/liblethe-*.abi; do
  echo "$(basename "$recorded"):"
  # "Harmless" to abidiff is also a renamed field, so two fields that changed places: show those too.
  # Structs that grew are left out here: abidiff would not see what else changed in them.
  abidiff --harmless --no-added-syms --suppressions "$1/capi/abi/appended.suppr" "$recorded" \
    "$work/now.abi"
done

# So every field that a recorded header knows has still its place, size and name.
for old in "$1"/tests/capi/abi-*; do
  python3 - "$old/lethe/lethe.h" > "$work/layout.c" <<'END_OF_PROGRAM'
import re, sys
text = re.sub(r"/\*.*?\*/", "", open(sys.argv[1]).read(), flags=re.S)
print("#include <lethe/lethe.h>\n#include <stdio.h>\nint main(void) {")
count = 0
for body, name in re.findall(r"typedef struct \w+ \{(.*?)\} (\w+);", text, flags=re.S):
    for field in re.findall(r"(\w+)(?:\[\w+\])?\s*;", body):
        count += 1
        print(f'  printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), '
              f"sizeof ((({name}*)0)->{field}));")
print("  return 0;\n}")
sys.exit(count < 100)
END_OF_PROGRAM
  for side in "$old" "$1/capi/include"; do
    "${CC:-cc}" -I"$side" "$work/layout.c" -o "$work/layout"
    "$work/layout" > "$work/layout.$([ "$side" = "$old" ] && echo old || echo new)"
  done
  diff "$work/layout.old" "$work/layout.new"
  echo "$(basename "$old"): $(wc -l < "$work/layout.old") fields in their places"
done
