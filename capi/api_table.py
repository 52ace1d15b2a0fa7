#!/usr/bin/env python3
"""Writes what follows from symbols.txt, the one list of functions ("name since"), and lethe.h:

  include/lethe/lethe_api.h   the function table for hosts that load liblethe with dlopen
  lethe.map                   the exported symbols, a version node for each minor of the ABI

Usage: capi/api_table.py [--check]      (--check writes nothing and fails when something differs)

symbols.txt only ever grows at its end, and with it the table.
"""
import pathlib
import re
import sys

here = pathlib.Path(__file__).parent
HEADER = here / "include/lethe/lethe.h"
TABLE = here / "include/lethe/lethe_api.h"
MAP = here / "lethe.map"


def prototypes(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    found = re.findall(r"LETHE_API\s+([\w\s]+?[\s*]+)(lethe_\w+)\(([^;]*)\);", text)
    return {name: (" ".join(kind.split()), " ".join(arguments.split()))
            for kind, name, arguments in found}


def field(kind, name, arguments):
    """One member of the table, broken after commas at 100 columns."""
    lines, line = [], f"  {kind} (*{name})("
    for i, argument in enumerate(arguments.split(", ")):
        piece = argument + (")" + ";" if i == arguments.count(", ") else ",")
        if len(line) + len(piece) + 1 > 100:
            lines.append(line.rstrip())
            line = "      "
        line += piece if line.endswith(("(", " ")) else " " + piece
    return "\n".join(lines + [line])


def table_text(names, declared):
    fields = "\n".join(field(declared[n][0], n[6:], declared[n][1]) for n in names)
    entries = " \\\n".join(f"  X({n[6:]})" for n in names)
    return f"""/* The functions of lethe.h as a table, for hosts that load liblethe with dlopen:
 *
 *     get_api = (lethe_get_api_function)dlsym(library, "lethe_get_api");
 *     const lethe_api_v1* lethe = get_api(1);
 *     if (!lethe || lethe->abi < LETHE_ABI_VERSION) return too_old();
 *     puts(lethe->version_string());
 *
 * The table only grows at its end: a function may be used when `abi` is at least that of its "since".
 * Written by capi/api_table.py from capi/symbols.txt and lethe.h. */
#ifndef LETHE_LETHE_API_H_
#define LETHE_LETHE_API_H_

#include <lethe/lethe.h>

struct lethe_api_v1 {{
  size_t struct_size; /**< of this table in the loaded library */
  uint32_t abi;       /**< of the loaded library, as lethe_abi_version() */
  uint32_t reserved;
{fields}
}};

/** Every function of the table, in its order. */
#define LETHE_API_FUNCTIONS(X) \\
{entries}

#endif /* LETHE_LETHE_API_H_ */
"""


def map_text(rows):
    text, before = "", ""
    for version in dict.fromkeys(since for _, since in rows):
        functions = "".join(f"    {name};\n" for name, since in rows if since == version)
        local = "  local:\n    *;\n" if not before else ""
        text += f"LETHE_{version} {{\n  global:\n{functions}{local}}}{before};\n"
        before = f" LETHE_{version}"
    return text


def main():
    declared = prototypes(HEADER.read_text())
    rows = [line.split() for line in (here / "symbols.txt").read_text().splitlines()
            if line and not line.startswith("#")]
    names = [name for name, _ in rows]
    problems = [f"{n} is in lethe.h but not in symbols.txt" for n in declared if n not in names]
    problems += [f"{n} is in symbols.txt but not in lethe.h" for n in names if n not in declared]
    problems += [f"{n} is listed twice" for n in sorted(set(names)) if names.count(n) > 1]
    versions = [[int(n) for n in since.split(".")] for _, since in rows]
    if versions != sorted(versions):
        problems.append("symbols.txt is not in the order of versions: new functions go to its end")
    if problems:
        sys.exit("\n".join(problems))

    in_table = [name for name in names if name != "lethe_get_api"]  # which gives the table
    for path, text in ((TABLE, table_text(in_table, declared)), (MAP, map_text(rows))):
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path.name} is not what capi/api_table.py writes; run it")
    print(f"{len(in_table)} functions in the table")


main()
