#!/usr/bin/env bash
# What a call costs in each language beside C, in one run: rounds alternate, medians of the rounds count.
# Usage: bash tests/bench/bindings.sh [ROUNDS (5)]     (after a build; ratios are over C)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
rounds=${1:-5}
version=$(sed -n "s/^ *version: '\(.*\)',/\1/p" meson.build | head -1)
java_out=build/bindings/java
declare -A benches=(
  [c]="build/tests/bench_call"
  [java]="java -Dlethe.library.path=$java_out -cp $java_out/lethe-$version.jar:$java_out/lethe-tests.jar io.lethe.tests.Bench"
  [csharp]="mono build/bindings/csharp/bench.exe"
  [go]="build/bindings/go/bench"
)
results=$(mktemp)
trap 'rm -f "$results"' EXIT
for ((round = 0; round < rounds; ++round)); do
  for language in c java csharp go; do
    ${benches[$language]} | sed "s/^/$language /" >> "$results"
  done
done
python3 - "$results" <<'END'
import statistics, sys
figures = {}
for line in open(sys.argv[1]):
    language, what, value = line.split()
    figures.setdefault((language, what), []).append(float(value))
median = {key: statistics.median(values) for key, values in figures.items()}
for language in ("c", "java", "csharp", "go"):
    beyond = median[language, "empty_ns"] - median.get((language, "cgo_ns"), 0)
    of_cgo = " over cgo's own" if (language, "cgo_ns") in median else ""
    print(f"{language:7} empty call {beyond:8.1f} ns{of_cgo}, predict of 32 "
          f"{median[language, 'predict_ms']:7.2f} ms, ratio "
          f"{median[language, 'predict_ms'] / median['c', 'predict_ms']:.3f}")
END
