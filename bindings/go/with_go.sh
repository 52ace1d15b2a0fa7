#!/bin/sh
# Runs a command, such as go, so that it builds offline and against this build's C library.
# Usage: with_go.sh BUILD_ROOT COMMAND...
set -eu
build=$(realpath "$1")
shift
export GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local GOCACHE="$build/bindings/go/cache"
export PKG_CONFIG_PATH="$build/meson-uninstalled" CGO_ENABLED=1
export CGO_LDFLAGS="-O2 -Wl,-rpath,$build/capi" # before that of the installed library
exec "$@"
