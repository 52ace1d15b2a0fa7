#!/usr/bin/env bash
# From a fresh Debian 12 machine to a model that forgets: sets the machine up, builds, runs. Every
# argument goes to the program; --help explains them.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
target=examples/quickstart

bash "$root/subprojects/setup.sh"

if [ ! -f "$build/build.ninja" ]; then
  echo "quickstart: configuring build/" >&2
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  meson setup "$build" "$root" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
fi

if [ -x "$build/$target" ]; then
  ninja --quiet -j2 -C "$build" "$target" >&2
else
  echo "quickstart: building (some minutes, the first time only)" >&2
  ninja -j2 -C "$build" "$target" >&2
fi

"$build/$target" "$@"
