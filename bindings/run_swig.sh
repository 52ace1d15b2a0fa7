#!/bin/sh
# Runs SWIG into a folder of its own: its outputs depend on the interface, so Meson cannot list them.
# Usage: run_swig.sh SWIG FOLDER WRAPPER DEPFILE FLAGS... INTERFACE
set -eu
swig=$1 folder=$2 wrapper=$3 depfile=$4
shift 4
rm -rf "$folder"
mkdir -p "$folder"
"$swig" -outdir "$folder" -o "$wrapper" -MMD -MF "$depfile" "$@"
