#!/bin/sh
# Builds the programs beside the module: the scenario's runner, the bench and the example.
# Usage: make_programs.sh SOURCE_ROOT MODULE TREE OUTPUT_FOLDER GO      (under with_go.sh)
#   TREE  made: the module with its tests and programs
set -eu
root=$1 module=$(realpath "$2") tree=$3 output=$(realpath "$4") go=$5
rm -rf "$tree"
cp -r "$module" "$tree"
cp "$root"/bindings/go/*_test.go "$root"/bindings/go/surface.txt "$tree"
cp -r "$root/bindings/go/scenario" "$root/bindings/go/bench" "$tree"
(cd "$tree" && "$go" build -o "$output/" ./scenario ./bench)

# The example as a user would build it, but with this build's module.
mod=$output/first_forget.mod
sed "s|^replace .*|replace lethe => $module|" "$root/examples/go/first_forget/go.mod" > "$mod"
(cd "$root/examples/go/first_forget" && "$go" build -modfile="$mod" -o "$output/first_forget" .)
