#!/usr/bin/env bash
# From a fresh Debian 12 machine to a model that forgets: sets the machine up, builds, runs.
#   --task classification   (default) a vision transformer forgets classes of images
#   --task detection        a Deformable DETR forgets categories of objects in scenes, which are
#                           composed in .data/scenes first
# Every other argument goes to the program; --help explains them.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
scenes=$root/.data/scenes

task=classification needs_scenes=1 arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --task) task=${2:-} && shift ;;
    --task=*) task=${1#*=} ;;
    *)
      case $1 in --data | --data=* | --help | -h) needs_scenes=0 ;; esac
      arguments+=("$1")
      ;;
  esac
  [ $# -eq 0 ] || shift
done
case $task in
  classification) target=examples/quickstart needs_scenes=0 ;;
  detection) target=examples/quickstart-detection ;;
  *)
    echo "quickstart: INVALID_ARGUMENT: --task is \"$task\", must be classification or detection" >&2
    exit 2
    ;;
esac

bash "$root/subprojects/setup.sh"
if [ "$needs_scenes" = 1 ]; then
  counts=() # a folder with other numbers of scenes keeps them; the tasks draw from the first ones
  [ ! -f "$scenes/scenes.json" ] || mapfile -t counts < <(
    sed -n '/"scenes"/,/}/s/.*"\(train\|test\)": \([0-9]*\).*/--\1=\2/p' "$scenes/scenes.json")
  /usr/bin/python3 "$root/examples/data/scenes.py" "${counts[@]}" "$scenes"
fi

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

"$build/$target" "${arguments[@]}"
