#!/bin/sh
# The installed pom.xml makes the jar that Meson makes, offline with Debian's Maven (packages maven,
# libmaven-compiler-plugin-java, libmaven-resources-plugin-java, libmaven-jar-plugin-java, junit5).
# Usage: check_maven.sh JDK POM SRC JAR
set -eu
jdk=$1 pom=$2 src=$3 jar=$4
repository=/usr/share/maven-repo
for plugin in compiler resources jar; do
  [ -d "$repository/org/apache/maven/plugins/maven-$plugin-plugin" ] || exit 77
done
command -v mvn >/dev/null || exit 77
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -R "$pom" "$src" "$folder"
cd "$folder"
mvn -B -q -o -Dmaven.repo.local="$repository" package
# Maven alone makes a class of package-info.java.
classes() { "$jdk/jar" --list --file "$1" | grep '\.class$' | grep -v package-info | sort; }
classes "$jar" > wanted
classes target/lethe-*.jar | diff wanted -
