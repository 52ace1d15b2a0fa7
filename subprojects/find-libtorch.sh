#!/bin/sh
# Finds LibTorch for the build. Usage: find-libtorch.sh [FOLDER]
#
# Looks in FOLDER (the Meson option), then in the virtual environment that subprojects/setup.sh
# makes, then in the system. Prints, one a line: include folder, library folder, version, value of
# _GLIBCXX_USE_CXX11_ABI, further library folders joined by ':'.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

use() {  # use INCLUDE LIB [EXTRA]
  header=$1/torch/headeronly/version.h
  [ -f "$header" ] || header=$1/torch/csrc/api/include/torch/version.h
  [ -f "$header" ] && [ -e "$2/libtorch_cpu.so" ] || return 1
  version=$(sed -n 's/^#define TORCH_VERSION "\(.*\)".*/\1/p' "$header")
  [ -n "$version" ] || version=$(awk '/define TORCH_VERSION_(MAJOR|MINOR|PATCH)/ {v = v s $3; s = "."} END {print v}' "$header")
  major=${version%%.*}
  minor=${version#*.}
  minor=${minor%%.*}
  if [ "$major" -lt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -lt 4 ]; }; then
    echo "LibTorch $version in $2 is too old: Lethe needs 2.4 or newer" >&2
    return 1
  fi
  # Wheels since 2.7 and all Debian builds use the C++11 ABI; ask the library itself.
  abi=0
  if nm -D --defined-only "$2/libc10.so" | grep -q 'ErrorC.*__cxx11'; then abi=1; fi
  printf '%s\n%s\n%s\n%s\n%s\n' "$1" "$2" "$version" "$abi" "${3:-}"
}

folder=${1:-}
if [ -n "$folder" ]; then
  use "$folder/include" "$folder/lib" && exit 0
  echo "The option libtorch=$folder holds no usable LibTorch (include/torch and lib/libtorch_cpu.so, version 2.4 or newer)" >&2
  exit 1
fi
for site in "$root"/.venv/lib/python3*/site-packages; do
  extra=
  for lib in "$site"/nvidia/*/lib; do
    [ -d "$lib" ] && extra=${extra:+$extra:}$lib
  done
  use "$site/torch/include" "$site/torch/lib" "$extra" && exit 0
done
for prefix in /usr/local /usr /opt/libtorch; do
  for lib in "$prefix"/lib/*-linux-gnu "$prefix/lib"; do
    [ -e "$lib/libtorch_cpu.so" ] && use "$prefix/include" "$lib" && exit 0
  done
done
echo "No LibTorch 2.4 or newer found. Run subprojects/setup.sh, or give -Dlibtorch=FOLDER" >&2
exit 1
