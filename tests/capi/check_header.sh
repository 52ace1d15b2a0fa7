#!/bin/sh
# The headers compile alone, as C99 and as C++17, without a warning; the function table and the version
# script are those of symbols.txt; lethe.h says of every function what a caller must know. Usage: check_header.sh SOURCE_ROOT
set -eu
include=$1/capi/include
header=$include/lethe/lethe.h
strict="-Wall -Wextra -Wpedantic -Werror -fsyntax-only -I$include"
for each in "$header" "$include/lethe/lethe_api.h"; do
  "${CC:-cc}" -x c -std=c99 $strict "$each"
  "${CXX:-c++}" -x c++ -std=c++17 $strict "$each"
done
python3 "$1/capi/api_table.py" --check
python3 "$1/bindings/abi.py" "$1"

awk '
  /^\/\*\*/ { comment = "" }
  { comment = comment $0 " " }
  /^LETHE_API/ {
    match($0, /lethe_[a-z0-9_]+\(/); name = substr($0, RSTART, RLENGTH - 1)
    if (name == "") { pending = 1; next }
  }
  pending && /lethe_[a-z0-9_]+\(/ { match($0, /lethe_[a-z0-9_]+\(/); name = substr($0, RSTART, RLENGTH - 1); pending = 0 }
  name != "" {
    if (comment !~ /\[(any-thread|per-object)\]/) { print name ": its comment has no thread tag"; bad = 1 }
    if (comment !~ /Example: `/) { print name ": its comment has no example"; bad = 1 }
    ++count; name = ""; comment = ""
  }
  END { print count " functions are documented"; exit bad || count < 80 }
' "$header"
