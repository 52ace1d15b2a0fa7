#!/usr/bin/env python3
"""Writes C#'s enumerations and option classes from lethe.h.

Usage: write_types.py ROOT OUTPUT_FOLDER      (makes Enums.cs and Options.cs there)
"""
import pathlib
import re
import sys
import textwrap
import xml.sax.saxutils

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import abi  # noqa: E402

HEADER = ("// Written by write_types.py from lethe.h.\nusing System;\n"
          "using System.Collections.Generic;\n\nnamespace Lethe\n{\n")
ENUMERATIONS = {  # prefix of the constants, what the type is
    "status": ("LETHE_", "How a call ended, or a job. Negative values are failures; treat those "
               "that have no name here, from a newer library, as failures too."),
    "log_level": ("LETHE_LOG_", "How grave a log line is."),
    "dtype": ("LETHE_", "The element type of exported weights."),
    "naming": ("LETHE_NAMES_", "The tensor names of exported weights."),
    "select": ("LETHE_", "What the values given to <see cref=\"Dataset.Select\"/> are."),
    "method": ("LETHE_", "A method of forgetting."),
    "head": ("LETHE_HEAD_", "The kind of a model's last layer."),
    "form": ("LETHE_FORM_", "Which form of a baseline, where the paper's code differs from it."),
    "lora_position": ("LETHE_LORA_", "Which linears carry LoRA."),
    "structure_search": ("LETHE_SEARCH_", "Whether a sparser adapter is looked for."),
    "grouping": ("LETHE_GROUP_", "Which LoRA matrices are kept or dropped together."),
    "sparsity": ("LETHE_", "How groups are driven towards zero."),
    "prototype_source": ("LETHE_PROTOTYPE_", "Whose embeddings the prototypes are."),
    "lora_init": ("LETHE_INIT_", "How the LoRA matrices begin."),
    "job_state": ("LETHE_JOB_", "Where a job stands."),
    "event_kind": ("LETHE_EVENT_", "What an event tells."),
    "fast": ("LETHE_FAST_", "Savings of the training step; all are exact up to float32 rounding."),
    "audits": ("LETHE_AUDIT_", "What is measured besides accuracy, before and after a task."),
}
FLAGS = {"FAST": "fast", "AUDIT": "audits"}  # without a type in C: what a constant begins with
OPTIONS = {  # filled by the library's init functions
    "limits": "Limits for reading files from outside; 0 keeps a default.",
    "export_options": "How weights and adapters are written.",
    "forget_config": None,
    "pretrain_config": None,
    "task_options": None,
}
SETTINGS = {  # whose pointers cross as arguments
    "engine_options": "How an engine works. What is null keeps the library's default.",
    "evaluate_options": "What an evaluation measures. What is null keeps the library's default.",
}
VALUES = {  # what the library reports
    "tensor_info": "The name and shape of a base tensor.",
    "progress": None,
    "event": "A change of a job's state, or figures of a running job.",
    "job_status_info": "Where a job stood when it was asked.",
}
CLASSES = {"job_status_info": "JobStatus"}
TYPES = {"int32_t": "int", "int64_t": "long", "double": "double"}
BOOLEANS = {"paused", "margin", "base", "flip", "augment"}
FIELDS = {  # type and name in C#, doc (None: lethe.h's); None: left out
    ("engine_options", "event_capacity"): ("int?", "EventCapacity", None),
    ("engine_options", "folder"): ("string", "Folder", None),
    ("engine_options", "checkpoint_seconds"): ("double?", "CheckpointSeconds", None),
    ("engine_options", "signing_seed"): ("byte[]", "SigningSeed", None),
    ("evaluate_options", "batch"): ("int?", "Batch", None),
    ("evaluate_options", "forget_classes"): ("long[]", "ForgetClasses", None),
    ("evaluate_options", "forget_class_count"): None,
    ("evaluate_options", "past_classes"): ("long[]", "PastClasses", None),
    ("evaluate_options", "past_class_count"): None,
    ("forget_config", "fast"):
        ("Fast", "Fast", "Sum of savings; default <see cref=\"Lethe.Fast.All\"/>."),
    ("forget_config", "audits"): ("Audits", "Audits", "Sum of what is measured besides accuracy; "
        "default <see cref=\"Lethe.Audits.Membership\"/>."),
    ("task_options", "deadline_ms"): ("DateTimeOffset?", "Deadline", "A task that has not ended by "
        "then fails with <see cref=\"Status.LimitExceeded\"/>. Null (default): none."),
    ("tensor_info", "ndim"): None,
    ("tensor_info", "shape"): ("IReadOnlyList<long>", "Shape", "Its dimensions; none of a scalar."),
    ("tensor_info", "name"): ("string", "Name", "Its name."),
    ("progress", "seconds"): ("double", "Seconds", "Seconds since the job started."),
    ("progress", "eta_seconds"): ("double", "EtaSeconds", "Estimated seconds left."),
    ("event", "progress"): ("Progress", "Progress", None),
    ("job_status_info", "progress"): ("Progress", "Progress", None),
}
MEMBERS = {  # what C# says where lethe.h names a function
    "lethe_engine_create": "Engine", "lethe_engine_pause": "Engine.Pause",
    "lethe_engine_bind_dataset": "Engine.BindDataset", "lethe_model_merge": "Model.Merge",
    "set_adapters": "Model.SetAdapters",
}


def pascal(name):
    return "".join(word.capitalize() for word in name.lower().split("_"))


def enumeration_key(enumeration):
    return enumeration.name or FLAGS.get(enumeration.constants[0].name.split("_")[1])


def constant(key, name):
    prefix = ENUMERATIONS[key][0] + ("(E_)?" if key == "status" else "")
    return pascal(re.sub("^" + prefix, "", name))


class Docs:
    """lethe.h's comments, with C#'s names in them."""

    def __init__(self, header):
        self.names = {name: f'<see cref="{member}"/>' for name, member in MEMBERS.items()}
        for enumeration in header.enumerations:
            key = enumeration_key(enumeration)
            if key not in ENUMERATIONS:
                continue
            for value in enumeration.constants:
                member = f"Lethe.{pascal(key)}.{constant(key, value.name)}"
                self.names[value.name] = f'<see cref="{member}"/>'
        self.fields = {field.name for struct in header.structs for field in struct.fields
                       if "_" in field.name}

    def text(self, text):
        """One sentence of XML."""
        text = xml.sax.saxutils.escape(re.sub(r"^since \d+\.\d+: |`", "", text))
        text = re.sub(r" \(performance\.md[^)]*\)| Formulas:.*", "", text)
        text = text.replace("LETHE_FAST_*", "<see cref=\"Lethe.Fast\"/>").replace("NULL", "null")
        text = re.sub(r"\w+", lambda word: self.names.get(word[0]) or
                      (pascal(word[0]) if word[0] in self.fields else word[0]), text)
        if re.match("[a-z]{2,}[^_]", text):  # not a symbol
            text = text[0].upper() + text[1:]
        return text + ("" if text.endswith((".", "?")) else ".")


def summary(text, indent):
    lines = textwrap.wrap(f"<summary>{text}</summary>", 96 - indent, break_long_words=False)
    return "".join(" " * indent + "/// " + line + "\n" for line in lines)


def enumerations(header, docs):
    out = HEADER
    for enumeration in header.enumerations:
        key = enumeration_key(enumeration)
        if key not in ENUMERATIONS:
            continue
        out += summary(ENUMERATIONS[key][1], 4)
        flags = key in FLAGS.values()
        out += f"    {'[Flags] ' if flags else ''}public enum {pascal(key)}\n    {{\n"
        if flags:
            out += summary("None of them.", 8) + "        None = 0,\n"
        for value in enumeration.constants:
            out += summary(docs.text(value.doc), 8)
            out += f"        {constant(key, value.name)} = {value.value},\n"
        out += "    }\n\n"
    out += ("    internal static class Built\n    {\n"
            "        /* lethe.h's version when this was built. */\n"
            f"        internal const uint Abi = {header.abi:#x};\n    }}\n")
    return out + "}\n"


class Field:
    def __init__(self, struct, field, docs):
        special = FIELDS.get((struct.name, field.name), ())
        self.left_out = special is None
        if self.left_out:
            return
        kind, name, doc = special or (None, pascal(field.name), None)
        self.native = field.name + ("_" if field.name == "base" else "")
        self.is_enum = field.type.startswith("lethe_") and field.type[6:] in ENUMERATIONS
        self.is_bool = field.name in BOOLEANS
        plain = pascal(field.type[6:]) if self.is_enum else TYPES.get(field.type)
        self.type = kind or ("bool" if self.is_bool else plain)
        self.is_number = self.is_enum or self.type.lower() in FLAGS.values()  # in C
        self.name = name
        self.doc = doc or docs.text(field.doc)
        if self.is_bool:
            self.doc = re.sub(r"(^|\()1: ", r"\1", self.doc.replace("default 0", "default false"))
            self.doc = self.doc[0].upper() + self.doc[1:]

    def read(self, native):
        value = f"{native}.{self.native}"
        if self.type == "DateTimeOffset?":
            return f"Check.Time({value})"
        if self.type == "Progress":
            return f"new Progress({value})"
        if self.is_bool:
            return f"{value} != 0"
        return f"({self.type}){value}" if self.is_number else value

    def write(self):
        if self.type == "DateTimeOffset?":
            return f"Check.Milliseconds({self.name})"
        if self.is_bool:
            return f"{self.name} ? 1 : 0"
        return f"(int){self.name}" if self.is_number else self.name


def class_head(struct, text, docs, partial=False):
    name = CLASSES.get(struct.name, pascal(struct.name))
    kind = "sealed partial class" if partial else "sealed class"
    return name, summary(text or docs.text(struct.doc), 4) + f"    public {kind} {name}\n    {{\n"


def option_class(struct, fields, text, docs):
    name, out = class_head(struct, text, docs, partial=True)
    native = "Native" + name
    if struct.name != "forget_config":  # whose constructors take a method and a head
        out += summary("The library's defaults.", 8)
        out += (f"        public {name}()\n        {{\n            Library.Ensure();\n"
                f"            using (var native = new {native}()) Read(native);\n        }}\n\n")
    for field in fields:
        out += summary(field.doc, 8)
        out += f"        public {field.type} {field.name} {{ get; set; }}\n\n"
    out += f"        internal void Read({native} native)\n        {{\n"
    out += "".join(f"            {f.name} = {f.read('native')};\n" for f in fields)
    out += "        }\n\n"
    out += "        /* Native memory for one call: the caller disposes of it. */\n"
    out += f"        internal {native} ToNative()\n        {{\n"
    out += f"            return new {native}\n            {{\n"
    out += "".join(f"                {f.native} = {f.write()},\n" for f in fields)
    return out + "            };\n        }\n    }\n\n"


def settings_class(struct, fields, text, docs):
    _, out = class_head(struct, text, docs)
    for field in fields:
        out += summary(field.doc, 8)
        out += f"        public {field.type} {field.name} {{ get; set; }}\n\n"
    return out.rstrip("\n") + "\n    }\n\n"


def value_class(struct, fields, text, docs):
    name, out = class_head(struct, text, docs)
    for field in fields:
        out += summary(field.doc, 8) + f"        public {field.type} {field.name} {{ get; }}\n\n"
    if struct.name == "tensor_info":
        parameters = ", ".join(f"{f.type} {f.name.lower()}" for f in fields)
        values = [f.name.lower() for f in fields]
    else:
        parameters = f"Native{name} native"
        values = [f.read("native") for f in fields]
    out += f"        internal {name}({parameters})\n        {{\n"
    out += "".join(f"            {f.name} = {v};\n" for f, v in zip(fields, values))
    return out + "        }\n    }\n\n"


def options(header, docs):
    out = HEADER
    for group, write in (OPTIONS, option_class), (SETTINGS, settings_class), (VALUES, value_class):
        for name, text in group.items():
            struct = header.struct(name)
            fields = [Field(struct, field, docs) for field in struct.fields]
            out += write(struct, [f for f in fields if not f.left_out], text, docs)
    return out.rstrip("\n") + "\n}\n"


def main():
    root, folder = map(pathlib.Path, sys.argv[1:])
    header = abi.load(root)
    docs = Docs(header)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Enums.cs").write_text(enumerations(header, docs), encoding="utf-8")
    (folder / "Options.cs").write_text(options(header, docs), encoding="utf-8")


main()
