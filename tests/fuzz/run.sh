#!/usr/bin/env bash
# Fuzzes the readers with libFuzzer under AddressSanitizer and UBSan.
# Usage: bash tests/fuzz/run.sh [--seconds N (60)] [--runs N] [TARGET...]
#
# New inputs stay in build-fuzz/corpus; an input that crashes is kept in tests/fuzz/crashes/TARGET, where
# the suite fuzz_regressions finds it for ever. Last line: "N targets, N inputs, N crashes".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=60 runs=-1 targets=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2; shift 2 ;;
    --runs) runs=$2; seconds=0; shift 2 ;;
    -*) echo "usage: bash tests/fuzz/run.sh [--seconds N] [--runs N] [TARGET...]" >&2; exit 2 ;;
    *) targets+=("$1"); shift ;;
  esac
done
all=(adapter_container manifest safetensors torch_pickle pickle idx image settings journal receipts coco voc)
[ ${#targets[@]} -gt 0 ] || targets=("${all[@]}")
for target in "${targets[@]}"; do
  [[ " ${all[*]} " == *" $target "* ]] || { echo "there is no target $target; known are: ${all[*]}" >&2; exit 2; }
done

bash subprojects/setup.sh --fuzz >&2

# ------------------------------------------------------------------------------------------ build
out=build-fuzz
mkdir -p "$out"
mapfile -t torch < <(subprojects/find-libtorch.sh "")
flags=(-std=c++20 -g -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
       -DLETHE_LIBFUZZER -DLETHE_VERSION='"fuzz"' "-D_GLIBCXX_USE_CXX11_ABI=${torch[3]}"
       -Isrc -Itests -isystem "${torch[0]}" -isystem "${torch[0]}/torch/csrc/api/include"
       $(pkg-config --cflags libpng) -Wno-everything)
# What the targets need of the library; no file of it needs OpenMP.
sources=(src/support/{code_name,json,random}.cpp
         src/storage/{digest,file,safetensors,zstd_frame,adapter_format,adapter_file,zip,pickle,torch_pickle,sqlite}.cpp
         src/data/{dataset,selection,transform,idx,decode,decode_jpeg,decode_png,decode_pnm}.cpp
         src/data/{detection_dataset,detection_records,coco,voc}.cpp
         src/models/{spec,heads,detector_spec,resnet}.cpp src/adapters/manifest.cpp
         src/forgetting/{config,method}.cpp tests/fuzz/named_methods.cpp
         src/engine/{journal,receipt}.cpp)
compile() {  # compile SOURCE
  object=$out/${1//\//_}.o
  # -MMD lists the headers, so that a change of one is noticed.
  if [ -f "$object" ] && [ -f "$object.d" ] &&
     ! find $(sed 's/^[^:]*://; s/\\$//' "$object.d") -newer "$object" -print -quit 2>/dev/null | grep -q .; then
    return
  fi
  ccache clang++ "${flags[@]}" -MMD -MF "$object.d" -c "$1" -o "$object"
}
export -f compile
files=("${sources[@]}")
for target in "${targets[@]}"; do files+=("tests/fuzz/$target.cpp"); done
for file in "${files[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
  compile "$file" &
done
wait
rpaths=(-Wl,-rpath,"${torch[1]}")
IFS=: read -ra extra <<< "${torch[4]:-}"
for path in "${extra[@]}"; do rpaths+=(-Wl,-rpath,"$path" -Wl,-rpath-link,"$path"); done
objects=()
for source in "${sources[@]}"; do objects+=("$out/${source//\//_}.o"); done
for target in "${targets[@]}"; do
  clang++ -fsanitize=fuzzer,address,undefined "$out/tests_fuzz_$target.cpp.o" "${objects[@]}" \
    -L"${torch[1]}" -ltorch_cpu -lc10 "${rpaths[@]}" -lzstd -lsodium -lsqlite3 -lz -ljpeg -lpng -ltinyxml2 \
    -o "$out/fuzz_$target"
done

# -------------------------------------------------------------------------------------------- run
# LibTorch is not instrumented: what it keeps until the process ends is not ours to report, and
# containers that cross into it look overflowed. Its odd virtual tables are no affair of UBSan's.
export ASAN_OPTIONS=detect_leaks=0:detect_container_overflow=0:detect_odr_violation=0
export UBSAN_OPTIONS=print_stacktrace=1
inputs=0 crashes=0
for target in "${targets[@]}"; do
  corpus=$out/corpus/$target crash_folder=$out/crashes/$target
  mkdir -p "$corpus" "$crash_folder" "tests/fuzz/crashes/$target"
  options=(-rss_limit_mb=2048 -malloc_limit_mb=512 -timeout=20 -max_len=65536 -print_final_stats=1
           -artifact_prefix="$crash_folder/" -max_total_time="$seconds" -runs="$runs" -verbosity=0)
  [ -f "tests/fuzz/$target.dict" ] && options+=(-dict="tests/fuzz/$target.dict")
  "$out/fuzz_$target" "${options[@]}" "$corpus" "tests/fuzz/corpus/$target" \
    "tests/fuzz/crashes/$target" > "$out/$target.log" 2>&1 || true
  executed=$(sed -n 's/stat::number_of_executed_units: *//p' "$out/$target.log")
  rate=$(sed -n 's/stat::average_exec_per_sec: *//p' "$out/$target.log")
  memory=$(sed -n 's/stat::peak_rss_mb: *//p' "$out/$target.log")
  found=$(find "$crash_folder" -type f | wc -l)
  if [ "$found" -gt 0 ]; then
    mv "$crash_folder"/* "tests/fuzz/crashes/$target/"
    grep -m3 -E "ERROR|runtime error|exception" "$out/$target.log" || true
  fi
  printf '%-18s %9s inputs  %7s/s  peak %4s MB  corpus %5s  %s crashes\n' "$target" \
    "${executed:-?}" "${rate:-?}" "${memory:-?}" "$(find "$corpus" -type f | wc -l)" "$found"
  inputs=$((inputs + ${executed:-0})) crashes=$((crashes + found))
  [ -n "$executed" ] || crashes=$((crashes + (found == 0)))
  rmdir "tests/fuzz/crashes/$target" 2>/dev/null || true
done
echo "${#targets[@]} targets, $inputs inputs, $crashes crashes"
[ "$crashes" = 0 ]
