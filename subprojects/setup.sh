#!/usr/bin/env bash
# Installs everything that Lethe's build, tests and examples need on a Debian 12 machine. Run as root.
# Safe to run again: what is there is left alone, and when nothing is missing it takes a second.
# Usage: setup.sh [--fuzz]      (--fuzz: also clang and its fuzzer, which only tests/fuzz/run.sh needs)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

packages=(
  g++ pkg-config meson ninja-build ccache          # build
  libzstd-dev libsodium-dev nlohmann-json3-dev     # storage, digests, settings
  libsqlite3-dev                                   # the engine's journal
  libcli11-dev                                     # the operator's tool
  zlib1g-dev libjpeg62-turbo-dev libpng-dev        # images
  libtinyxml2-dev                                  # Pascal VOC annotations
  libcmocka-dev abigail-tools zstd                 # tests
  python3-venv ca-certificates                     # to fetch LibTorch
  dataset-fashion-mnist                            # the quickstart's images
  swig golang-go                                   # bindings: Go
  openjdk-17-jdk-headless                          # Java
  maven junit5 libmaven-compiler-plugin-java libmaven-resources-plugin-java libmaven-jar-plugin-java
  mono-mcs mono-runtime                            # C#
  chromium-headless-shell                          # the test of erasure-desk's page
  python3-pil python3-fonttools                    # the experiments' images of letters
  python3-numpy                                    # composed scenes
)
# The fonts that those images are drawn from: 120 packages, 71 MB.
mapfile -t -O ${#packages[@]} packages < <(
  awk -F '\t' '!/^#/ { gsub(" ", "\n", $2); print $2 }' "$root/examples/data/typefaces.tsv" | sort -u)
[ "${1:-}" = --fuzz ] && packages+=(clang-14 clang libclang-rt-14-dev)
torch=2.11.0
# The default wheel's CPU library links these two CUDA libraries; they are small. The other packages
# of the wheel's CUDA part (several GB) are left out: a CPU host never loads them.
wheels=("torch==$torch" "nvidia-cuda-runtime==13.0.96" "nvidia-cuda-cupti==13.0.85")

mapfile -t missing < <(comm -23 <(printf '%s\n' "${packages[@]}" | sort -u) <(
  dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u))
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { echo "setup: run as root to install: ${missing[*]}" >&2; exit 1; }
  echo "setup: installing ${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

venv=$root/.venv
done_mark=$venv/lethe-setup
if [ "$(cat "$done_mark" 2>/dev/null)" != "${wheels[*]}" ]; then
  echo "setup: installing LibTorch $torch into .venv (530 MB)" >&2
  [ -x "$venv/bin/pip" ] || /usr/bin/python3 -m venv "$venv"
  # A wheel that is already here may have been linked from elsewhere; pip leaves it when it matches.
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-compile --only-binary=:all: "${wheels[@]}"
  printf '%s' "${wheels[*]}" > "$done_mark"
fi

# The experiments' data, in .data/.
"$root/examples/data/typefaces.py"
"$root/examples/data/orl.py"
"$root/examples/data/trees.py"
