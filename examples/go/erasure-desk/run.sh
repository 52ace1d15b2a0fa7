#!/usr/bin/env bash
# Sets the machine up, builds what the service needs, and starts it on the quickstart's model. Every
# argument goes to it; -help explains them.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
target=examples/go/erasure-desk/erasure-desk

for tool in go swig; do
  command -v "$tool" >/dev/null || {
    echo "erasure-desk: there is no $tool: apt-get install golang-go swig" >&2
    exit 1
  }
done
bash "$root/subprojects/setup.sh"
cd "$root" # the flags' defaults are paths from here
if [ ! -f build/build.ninja ]; then
  echo "erasure-desk: configuring build/" >&2
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  meson setup build >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
  rm -f "$log"
fi
if [ ! -x "build/$target" ]; then
  echo "erasure-desk: building (some minutes, the first time only)" >&2
fi
ninja -j2 -C build "$target" >&2
exec "build/$target" "$@"
