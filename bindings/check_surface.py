#!/usr/bin/env python3
"""Every function of the ABI is in a binding's generated floor, and the hand-written part uses it.

Usage: check_surface.py ROOT LANGUAGE GENERATED... -- WRITTEN...
LANGUAGE: java, csharp, go. GENERATED, WRITTEN: files or folders of sources.
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import abi  # noqa: E402

# A binding reads the first three inside the failing call; the fourth is for hosts that load the library
# themselves; buffers are copied, by element type; log lines are pulled; options are born with defaults.
NOT_BOUND = {"last_error", "last_error_code", "last_error_clear", "get_api", "buffer_data",
             "runtime_set_log"}
STAND_INS = {"dataset_from_tensors": "dataset_from_floats"}  # lethe.i's, under another name


def text_of(paths, suffixes):
    files = []
    for path in map(pathlib.Path, paths):
        files += sorted(path.rglob("*")) if path.is_dir() else [path]
    return "\n".join(f.read_text(encoding="utf-8") for f in files if f.suffix in suffixes)


def main():
    root, language, *rest = sys.argv[1:]
    split = rest.index("--")
    suffixes = {"java": {".java"}, "csharp": {".cs"}, "go": {".go"}}[language]
    generated = text_of(rest[:split], suffixes)
    written = text_of(rest[split + 1:], suffixes)
    missing = []
    for function in abi.load(root).functions:
        name = function.name[len("lethe_"):]
        name = STAND_INS.get(name, name)
        if name in NOT_BOUND or name.endswith("_init"):
            continue
        # Java also hands functions on as Native::name.
        called = re.compile(rf"\b{name}\(|::{name}\b", re.I if language == "go" else 0)
        if language == "go":  # which also hands functions on: native.Model_free
            used = re.compile(rf"\bnative\.{name}\b", re.I)
        else:
            used = called
        if not called.search(generated):
            missing.append(f"{name} is not in the generated floor")
        elif not used.search(written):
            missing.append(f"{name} is not used by the package")
    print("\n".join(missing) or "every function is bound and used")
    sys.exit(bool(missing))


main()
