#!/bin/sh
# Checks and tests the module; prints a line a test and, at the end, how many passed.
# Usage: run_tests.sh SOURCE_ROOT TREE GO [--race]      (under with_go.sh)
#   --race  the package's own tests under the race detector and with cgo's strictest checks
set -u
export LETHE_ROOT=$1
cd "$2" || exit 1
go=$3
if [ "${4:-}" = --race ]; then
  GODEBUG=cgocheck=2 exec "$go" test -race -timeout 300s .
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
"$go" vet ./... || status=1
{ "$go" test -count=1 -v -timeout 300s ./... || echo "go test failed"; } 2>&1 |
  grep -v -e '^=== ' -e '^PASS$' -e 'no test files' | tee "$log"
passed=$(grep -c '^--- PASS' "$log")
failed=$(grep -c '^--- FAIL' "$log")
grep -q '^go test failed' "$log" && status=1
[ "$status" = 0 ] || [ "$failed" -gt 0 ] || failed=1 # vet, the compiler, a crash
echo "[  PASSED  ] $passed test(s)."
[ "$failed" = 0 ] || echo "[  FAILED  ] $failed test(s)."
exit $((failed > 0))
