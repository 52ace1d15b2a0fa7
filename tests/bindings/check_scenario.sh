#!/bin/sh
# Works the scenario off in C and in each language. C must see what it should, the others the same as C,
# byte by byte.
# Usage: check_scenario.sh SOURCE_ROOT C_RUNNER [LANGUAGE COMMAND]...
# Each COMMAND is one word for the shell; it gets the scenario and a work folder. Last lines: cmocka's.
set -u
root=$1 c_runner=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root" || exit 1
scenario=tests/bindings/scenario.txt
passed=0 failed=0

run() {  # run LANGUAGE COMMAND: what it saw, in $work/LANGUAGE.txt
  mkdir "$work/$1"
  sh -c "$2 \"\$@\"" sh "$scenario" "$work/$1" > "$work/$1.txt"
}

if ! run c "$c_runner" || ! python3 tests/bindings/expect_scenario.py "$work/c.txt"; then
  echo "[  FAILED  ] 1 test(s)."
  exit 1
fi
echo "c: $(wc -l < "$work/c.txt") commands"
while [ $# -ge 2 ]; do
  if run "$1" "$2" && cmp "$work/c.txt" "$work/$1.txt"; then
    echo "$1: the same report"
    passed=$((passed + 1))
  else
    diff "$work/c.txt" "$work/$1.txt" | cut -c1-400 | head -20
    failed=$((failed + 1))
  fi
  shift 2
done
echo "[  PASSED  ] $((passed + 1)) test(s)."
[ "$failed" = 0 ] || echo "[  FAILED  ] $failed test(s)."
[ "$failed" = 0 ]
