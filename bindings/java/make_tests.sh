#!/bin/sh
# Compiles the tests, the scenario's runner and the benchmark.
# Usage: make_tests.sh JDK WORK JAR PACKAGE_JAR SOURCE...
set -eu
jdk=$1 work=$2 jar=$3 package=$4
shift 4
rm -rf "$work"
"$jdk/javac" -Xlint:all -Werror --release 17 -encoding UTF-8 -cp "$package" -d "$work" "$@"
"$jdk/jar" --create --file "$jar" -C "$work" .
