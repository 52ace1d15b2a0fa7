#!/usr/bin/env bash
# Sets the machine up, builds everything and runs every suite.
# Usage: bash tests/run.sh [--sanitize | --threads]
#   --sanitize  all suites under AddressSanitizer and UBSan
#   --threads   the engine's suites under ThreadSanitizer, predictions under change for 60 s
#
# Prints a line a suite and the output of those that fail. Last line: "N passed, N failed".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=build
options=() targets=() suites=()
own_code=(-Dexamples=false -Djava=disabled -Dcsharp=disabled -Dgo=disabled)
case ${1:-} in
  '') ;;
  --sanitize)
    build=build-asan
    options=(-Db_sanitize=address,undefined "${own_code[@]}")
    # What libraries keep until the process ends is not ours to report.
    export ASAN_OPTIONS=detect_odr_violation=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    ;;
  --threads)
    build=build-tsan
    options=(-Db_sanitize=thread "${own_code[@]}")
    suites=(serving engine detectors jobs durable live_model adapter_life)
    targets=("${suites[@]/#/tests/test_}")
    export LETHE_SERVING_SECONDS=60 OMP_NUM_THREADS=1  # LibTorch's own threads are not instrumented
    ;;
  *)
    echo "usage: bash tests/run.sh [--sanitize | --threads]" >&2
    exit 2
    ;;
esac

give_up() {
  echo "$1" >&2
  echo "0 passed, 1 failed"
  exit 1
}

bash subprojects/setup.sh || give_up "the set-up failed"
if [ ! -f "$build/build.ninja" ]; then
  meson setup "$build" "${options[@]}" || give_up "meson could not configure $build"
fi
ninja -C "$build" -j2 "${targets[@]}" || give_up "the build failed"

rm -f "$build/meson-logs/testlog.json"
all_well=1
meson test -C "$build" --no-rebuild --num-processes 2 --timeout-multiplier 3 --quiet \
  "${suites[@]}" >/dev/null 2>&1 || all_well=0

# A cmocka program counts its own tests; anything else is one test.
python3 - "$build/meson-logs/testlog.json" "$all_well" <<'END'
import json, os, re, sys

def summed(pattern, text):
    return sum(int(n) for n in re.findall(pattern, text))

passed = failed = 0
if os.path.exists(sys.argv[1]):
    for line in open(sys.argv[1], encoding="utf-8"):
        test = json.loads(line)
        output = test.get("stdout", "") + test.get("stderr", "")
        good = summed(r"\[  PASSED  \] (\d+) test", output)
        bad = summed(r"\[  FAILED  \] (\d+) test", output)
        if test["result"] == "SKIP":
            print(f"{test['name']:24} skipped")
            continue
        if test["result"] == "OK":
            good = good or 1
        else:  # also a crash after, or in the middle of, good tests
            bad = bad or 1
            print(output)
        passed, failed = passed + good, failed + bad
        verdict = f"{good} passed" + (f", {bad} FAILED ({test['result']})" if bad else "")
        print(f"{test['name']:24} {verdict}, {test['duration']:.1f} s")
if failed == 0 and (passed == 0 or sys.argv[2] != "1"):
    print("the test runner itself failed")
    failed = 1
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
END
