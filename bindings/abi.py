"""What lethe.h and symbols.txt say, for the generators of the bindings: functions, structs, constants.

    abi = load(root)
    for function in abi.functions: print(function.name, function.since, function.doc)

Each binding writes its enumerations and option classes from this, so that a field, a constant or its
documentation is written once, in lethe.h.

Usage: abi.py ROOT      (names what lethe.h leaves without a comment, and then fails)
"""
import dataclasses
import pathlib
import re
import sys


@dataclasses.dataclass
class Argument:
    type: str  # as in C: "const char*"
    name: str


@dataclasses.dataclass
class Function:
    name: str  # with lethe_
    since: str  # "1.0"
    result: str
    arguments: list  # of Argument
    doc: str  # the comment, one line a paragraph; tags and example included


@dataclasses.dataclass
class Field:
    type: str
    name: str
    length: int  # of an array; 0: not one
    doc: str  # "" when lethe.h says nothing


@dataclasses.dataclass
class Struct:
    name: str  # without lethe_
    fields: list  # of Field, without struct_size and reserved ones
    doc: str


@dataclasses.dataclass
class Constant:
    name: str  # as in C: "LETHE_GROUP_BLOCK"
    value: int
    doc: str


@dataclasses.dataclass
class Enumeration:
    name: str  # of its type without lethe_, "" for flags without a type
    constants: list  # of Constant
    doc: str


@dataclasses.dataclass
class Abi:
    version: str  # of the library: "0.5.0"
    abi: int  # LETHE_ABI_VERSION
    functions: list
    structs: list
    enumerations: list

    def struct(self, name):
        return next(s for s in self.structs if s.name == name)

    def enumeration(self, name):
        return next(e for e in self.enumerations if e.name == name)


def words(comment):
    """The text of a C comment: one line a paragraph, list items apart."""
    comment = re.sub(r"^/\*+<?|\*/$", "", comment.strip())
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in comment.splitlines()]
    text = ""
    for line in lines:
        if not line.strip():
            text += "\n"
        elif line.startswith("  "):  # an item of a list, or a line that goes on with one
            text += ("" if text.endswith("\n") else "\n") + "  " + line.strip()
        else:
            text += ("" if text.endswith("\n") or not text else " ") + line.strip()
    return text.strip()


def short(comment):
    """A trailing comment: one line."""
    return " ".join(words(comment).split())


def parse_fields(body):
    fields = []
    for kind, pointer, name, length, comment in re.findall(
            r"((?:const\s+)?[\w]+)\s*([*\s]\s*)(\w+)(?:\[(\d+)\])?;\s*(/\*\*<.*?\*/)?", body, re.S):
        if name == "struct_size" or name.startswith("reserved"):
            continue
        fields.append(Field(kind + ("*" if "*" in pointer else ""), name, int(length or 0),
                            short(comment)))
    return fields


def parse_constants(body):
    return [Constant(name, int(value), short(comment)) for name, value, comment in re.findall(
        r"(LETHE_\w+)\s*=\s*(-?\d+),?\s*(/\*\*<.*?\*/)?", body, re.S)]


def comment_before(text, position):
    before = text[:position].rstrip()
    if not before.endswith("*/"):
        return ""
    start = before.rfind("/*")
    return words(before[start:]) if before.startswith("/**", start) else ""


def load(root):
    root = pathlib.Path(root)
    text = (root / "capi/include/lethe/lethe.h").read_text(encoding="utf-8")
    since = dict(line.split() for line in
                 (root / "capi/symbols.txt").read_text(encoding="utf-8").splitlines()
                 if line and not line.startswith("#"))
    # `int32_t a, b;` does not match a field below: say each on its own.
    several = re.compile(r"^(\s*)([\w ]+?) (\w+), (\w+);", re.M)
    text = several.sub(r"\1\2 \3;\n\1\2 \4;", text)

    functions = []
    for found in re.finditer(r"LETHE_API\s+([\w\s]+?[\s*]+)(lethe_\w+)\(([^;]*)\);", text):
        arguments = []
        for argument in " ".join(found[3].split()).split(", "):
            if argument != "void":
                name = re.search(r"(\w+)$", argument)[1]
                arguments.append(Argument(argument[:-len(name)].strip(), name))
        functions.append(Function(found[2], since[found[2]], " ".join(found[1].split()), arguments,
                                  comment_before(text, found.start())))
    structs = [Struct(found[1], parse_fields(found[2]), comment_before(text, found.start()))
               for found in re.finditer(r"typedef struct lethe_(\w+) \{(.*?)\n\} lethe_\1;", text, re.S)]
    enumerations = []
    for found in re.finditer(r"(?:typedef int32_t lethe_(\w+);\n)?enum \{(.*?)\};", text, re.S):
        enumerations.append(Enumeration(found[1] or "", parse_constants(found[2]),
                                        comment_before(text, found.start())))
    version = ".".join(re.findall(r"#define LETHE_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text))
    abi = int(re.search(r"#define LETHE_ABI_VERSION (0x[0-9a-f]+)", text)[1], 16)
    return Abi(version, abi, functions, structs, enumerations)


def undocumented(abi):
    named = [c for e in abi.enumerations for c in e.constants] + abi.structs + abi.functions
    names = [each.name for each in named if not each.doc]
    return names + [f"{s.name}.{f.name}" for s in abi.structs for f in s.fields if not f.doc]


if __name__ == "__main__":
    missing = undocumented(load(sys.argv[1]))
    sys.exit("\n".join(f"lethe.h says nothing of {name}" for name in missing) or 0)
