#!/usr/bin/env bash
# Kills an engine (kill -9) and looks what is left. Usage: bash tests/crash/run.sh [KILLS] (1000)
# Last line: "N kills, N lost, N doubled, N corrupt, N differing".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash subprojects/setup.sh
[ -f build/build.ninja ] || meson setup build >&2
ninja --quiet -C build -j2 tests/crash_test >&2
OMP_NUM_THREADS=1 build/tests/crash_test "${1:-1000}" "${2:-1}"
