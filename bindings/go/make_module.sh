#!/bin/sh
# Lays the complete Go module out: the hand-written sources, the generated floor and types.
# Usage: make_module.sh SOURCE_ROOT FOLDER SWIG PYTHON GOFMT LIBRARY_FOLDER
#   LIBRARY_FOLDER  where the C library will be at run time
set -eu
root=$1 folder=$2 swig=$3 python=$4 gofmt=$5 library=$6
sources=$root/bindings/go
native=$folder/internal/native
rm -rf "$folder"
mkdir -p "$native"
cp "$sources"/go.mod "$sources"/*.go "$folder"
cp "$sources"/internal/native/*.go "$native"
find "$folder" -name '*_test.go' ! -name example_test.go -delete

# SWIG's own view of <stdint.h> must be this machine's: long is int64_t.
"$swig" -w302 -DSWIGWORDSIZE64 -c++ -go -cgo -intgosize 64 \
  -I"$root/bindings" -I"$root/capi/include" \
  -outdir "$native" -o "$native/native_wrap.cxx" "$root/bindings/lethe.i"
cat > "$native/rpath.go" <<END
package native

// #cgo LDFLAGS: -Wl,-rpath,$library
import "C"
END
"$python" "$sources/write_types.py" "$root" "$folder"
"$gofmt" -w "$folder" # what is generated
touch "$folder"       # the newest: Meson looks at the folder alone
