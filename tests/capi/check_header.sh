#!/bin/sh
# lethe.h compiles alone, as C99 and as C++17, without a warning, and says of every function what a
# caller must know. Usage: check_header.sh SOURCE_ROOT
set -eu
header=$1/capi/include/lethe/lethe.h
strict='-Wall -Wextra -Wpedantic -Werror -fsyntax-only'
"${CC:-cc}" -x c -std=c99 $strict "$header"
"${CXX:-c++}" -x c++ -std=c++17 $strict "$header"

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
