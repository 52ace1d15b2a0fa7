#!/bin/sh
# Writes the sources of the package into one tree and makes its three jars of them.
# Usage: make_jars.sh JDK PYTHON ROOT SWIG_FOLDER WORK VERSION LIBRARY_FOLDER TREE
#                     JAR SOURCES_JAR JAVADOC_JAR
#   JDK             folder with javac, jar and javadoc
#   LIBRARY_FOLDER  where the native part is installed, seen from the installed jar
#   TREE            made: the sources as Maven has them, main/java
set -eu
jdk=$1 python=$2 root=$3 swig=$4 work=$5 version=$6 library=$7 tree=$8
jar=$9 sources=${10} javadoc=${11}
here=$root/bindings/java
java=$tree/main/java resources=$tree/main/resources
date=--date=2026-01-01T00:00:00Z  # equal sources give equal jars

rm -rf "$tree" "$work"
mkdir -p "$java" "$resources/io/lethe" "$work"
cp -R "$here/src/." "$java"
cp "$swig"/*.java "$java/io/lethe"
# SWIG has no word for this one.
sed -i 's/^public interface NativeConstants/interface NativeConstants/' \
  "$java/io/lethe/NativeConstants.java"
"$python" "$here/write_types.py" "$root" "$java/io/lethe"
echo "$library" > "$resources/io/lethe/library-folder"

find "$java" -name '*.java' | sort > "$work/files"
"$jdk/javac" -Xlint:all -Werror --release 17 -encoding UTF-8 -d "$work/classes" @"$work/files"
printf 'Implementation-Title: Lethe\nImplementation-Version: %s\n' "$version" > "$work/manifest"
"$jdk/jar" --create --file "$jar" --manifest "$work/manifest" --module-version "$version" "$date" \
  -C "$work/classes" . -C "$resources" .
"$jdk/jar" --create --file "$sources" "$date" -C "$java" .
"$jdk/javadoc" -quiet -Xdoclint:all -Werror --release 17 -encoding UTF-8 -notimestamp \
  -windowtitle "Lethe $version" -d "$work/javadoc" @"$work/files"
"$jdk/jar" --create --file "$javadoc" "$date" -C "$work/javadoc" .
