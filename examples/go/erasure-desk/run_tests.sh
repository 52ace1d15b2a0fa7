#!/bin/sh
# Checks and tests the service; prints a line a test and, at the end, how many passed.
# Usage: run_tests.sh SOURCE_ROOT MODULE GO [FLAG...]      (under with_go.sh)
#   MODULE  the folder of the module lethe   FLAG  of go test, such as -race
set -u
export LETHE_ROOT=$1
module=$(realpath "$2")
go=$3
shift 3
cd "$LETHE_ROOT/examples/go/erasure-desk" || exit 1
own=$(mktemp -d)
trap 'rm -rf "$own"' EXIT
sed "s|^replace .*|replace lethe => $module|" go.mod > "$own/desk.mod"
status=0
"$go" vet -modfile="$own/desk.mod" . || status=1
{ "$go" test -modfile="$own/desk.mod" -count=1 -v -timeout 300s "$@" . || echo "go test failed"; } \
  2>&1 | grep -v -e '^=== ' -e '^PASS$' | tee "$own/log"
passed=$(grep -c '^--- PASS' "$own/log")
failed=$(grep -c '^--- FAIL' "$own/log")
grep -q '^go test failed' "$own/log" && status=1
[ "$status" = 0 ] || [ "$failed" -gt 0 ] || failed=1 # vet, the compiler, a crash
echo "[  PASSED  ] $passed test(s)."
[ "$failed" = 0 ] || echo "[  FAILED  ] $failed test(s)."
exit $((failed > 0))
