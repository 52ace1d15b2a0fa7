#!/bin/sh
# Builds the service with this build's Go module.
# Usage: build.sh GO FOLDER MODULE PROGRAM      (under with_go.sh)
#   FOLDER  of these sources   MODULE  the folder of the module lethe   PROGRAM  made
set -eu
go=$1 folder=$2 module=$(realpath "$3") program=$(realpath "$4")
sed "s|^replace .*|replace lethe => $module|" "$folder/go.mod" > "$program.mod"
cd "$folder"
exec "$go" build -modfile="$program.mod" -o "$program" .
