#!/bin/sh
# Runs the tests under the virtual machine's checks of JNI, whose complaints are failures.
# Usage, in the root of the sources: run_tests.sh JAVA ARGUMENT...
set -u
java=$1
shift
output=$(mktemp)
trap 'rm -f "$output"' EXIT
{ "$java" -Xcheck:jni "$@" 2>&1; echo $? > "$output.code"; } | tee "$output"
code=$(cat "$output.code")
rm -f "$output.code"
if grep -qE '^(WARNING in native|WARNING: JNI|FATAL ERROR in native)' "$output"; then
  echo "[  FAILED  ] 1 test(s): JNI was used wrongly, see the warnings above"
  exit 1
fi
exit "$code"
