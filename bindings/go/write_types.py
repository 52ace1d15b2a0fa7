#!/usr/bin/env python3
"""Writes the enumerations and option types of package lethe from lethe.h.

Usage: write_types.py ROOT OUTPUT_FOLDER      (makes enums.go and options.go there)
"""
import pathlib
import re
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import abi  # noqa: E402

HEADER = "// Written by write_types.py from lethe.h.\n\npackage lethe\n"
INITIALS = {"id": "ID", "lora": "LoRA", "gs": "GS", "pp": "PP", "eta": "ETA", "io": "IO",
            "ffn": "FFN", "ewc": "EWC", "mas": "MAS", "lwf": "LwF", "der": "DER", "fdr": "FDR",
            "lirf": "LIRF", "salun": "SalUn", "bf16": "BF16", "dtype": "DType", "cosface": "CosFace", "arcface": "ArcFace"}

# What Go says where lethe.h names a C function.
FUNCTIONS = {
    "lethe_limits_init": "DefaultLimits", "lethe_engine_create": "NewEngine",
    "lethe_engine_pause": "Engine.Pause", "lethe_engine_bind_dataset": "Engine.BindDataset",
    "lethe_model_merge": "Model.Merge", "set_adapters": "Model.SetAdapters",
}
ENUMERATIONS = {  # name in Go (None: from C), what it is
    "status": (None, "is a code of the C library; negative ones are failures"),
    "log_level": (None, "says how grave a log line is"),
    "dtype": (None, "is the element type of exported weights"),
    "naming": (None, "chooses the tensor names of exported weights"),
    "select": ("Selection", "says what the values given to Dataset.Select are"),
    "method": (None, "is a method of forgetting"),
    "head": (None, "is the kind of a model's last layer"),
    "form": (None, "is the form of a baseline, where the paper's code differs from it"),
    "lora_position": (None, "says which linears carry LoRA"),
    "structure_search": (None, "says whether a sparser adapter is looked for"),
    "grouping": (None, "says which LoRA matrices are kept or dropped together"),
    "sparsity": (None, "says how groups are driven towards zero"),
    "prototype_source": (None, "says whose embeddings the prototypes are"),
    "lora_init": (None, "says how the LoRA matrices begin"),
    "job_state": (None, "is where a job stands"),
    "event_kind": (None, "is what an event tells"),
    "FAST": ("Fast", "is a sum of savings of the training step, exact up to float32 rounding"),
    "AUDIT": ("Audits", "is a sum of what is measured besides accuracy, before and after a task"),
    "ALLOW": ("StackFlags", "relaxes what stacks of adapters are accepted; 0: nothing"),
}
# Words of the library's own JSON where they are not the constant's.
WORDS = {"LETHE_GS_LORA": "gs-lora", "LETHE_GS_LORA_PP": "gs-lora++", "LETHE_DER_PP": "der++"}
HYPHENED = {"method", "prototype_source"}
# Zero fields keep the default (config types are made by their Default function instead).
STRUCTS = {
    "limits": "bounds what is read from files; zero fields keep the default",
    "export_options": "says how weights and adapters are written; zero fields keep the default",
    "forget_config": "is all that a forget task can be told; begin with [DefaultForgetConfig]",
    "pretrain_config": "is all that pre-training can be told; begin with [DefaultPretrainConfig]",
    "task_options": "says when a task runs and how long it may; the zero value is the default",
    "engine_options": "says how an engine works; the zero value is the default",
    "evaluate_options": "says what an evaluation measures; the zero value is the default",
    "tensor_info": "is the name and shape of a base tensor",
    "progress": "is where a job stands; figures that do not exist (yet) are NaN",
    "event": "is a change of a job's state, or figures of a running job",
    "job_status_info": "is where a job stood when it was asked",
}
MADE = ["limits", "export_options", "forget_config", "pretrain_config", "task_options"]
ZERO_IS_DEFAULT = {"limits", "export_options", "task_options"}
READ = ["progress", "event", "job_status_info"]
TYPES = {"int32_t": "int32", "int64_t": "int64", "double": "float64", "size_t": "int"}
BOOLEANS = {"paused", "margin", "base", "flip", "augment"}
# Fields that Go says otherwise: type, comment (None: that of lethe.h).
SPECIAL = {
    ("task_options", "deadline_ms"): ("Deadline", "time.Time",
        "a task that has not ended by then fails with ErrLimitExceeded; zero: none"),
    ("engine_options", "event_capacity"): ("EventCapacity", "int32",
        "events kept for a slow reader, >= 16; 0: 1024. Old progress events give way; state "
        "changes are never lost"),
    ("engine_options", "folder"): ("Folder", "string",
        "where tasks, adapters and receipts are kept, created when it is missing; empty: in "
        "memory. See NewEngine"),
    ("engine_options", "checkpoint_seconds"): ("CheckpointSeconds", "float64",
        "a running task is saved this often; 0: every 30; as little as 1e-9: after every step. "
        "Only with a folder"),
    ("engine_options", "signing_seed"): ("SigningSeed", "[]byte",
        "32 secret bytes, the Ed25519 seed (crypto/ed25519's PrivateKey.Seed) that signs receipts; "
        "nil: made, and kept in the folder with mode 0600"),
    ("evaluate_options", "batch"): ("Batch", "int32", "0: 250"),
    ("evaluate_options", "forget_classes"): ("ForgetClasses", "[]int64",
        "of acc_f; nil: those of the last enabled adapter. An empty list is not nil"),
    ("evaluate_options", "past_classes"): ("PastClasses", "[]int64",
        "of acc_o; nil: those of the earlier enabled adapters, and those forgotten in the base "
        "(see Model.Merge). An empty list is not nil"),
    ("evaluate_options", "forget_class_count"): None,
    ("evaluate_options", "past_class_count"): None,
    ("tensor_info", "ndim"): None,
    ("tensor_info", "shape"): ("Shape", "[]int64", "its dimensions; none of a scalar"),
    ("tensor_info", "name"): ("Name", "string", "as Model.ReadTensor takes it"),
    ("forget_config", "fast"): ("Fast", "Fast", "sum of savings; default FastAll"),
    ("forget_config", "audits"): ("Audits", "Audits",
        "sum of what is measured besides accuracy; default AuditMembership"),
}


def camel(name):
    return "".join(INITIALS.get(word, word.capitalize()) for word in name.lower().split("_"))


def constant(name):
    if name.startswith("LETHE_E_") or name in ("LETHE_OK", "LETHE_TIMEOUT", "LETHE_END"):
        plain = re.sub(r"^LETHE_(E_)?", "", name)
        return "Status" + ("OK" if plain == "OK" else camel(plain))
    return camel(name[len("LETHE_"):])


def type_name(enumeration):
    key = enumeration.name or enumeration.constants[0].name.split("_")[1]
    name, doc = ENUMERATIONS[key]
    return name or camel(key), doc


class Words:
    """C's names in a comment, as Go says them."""

    def __init__(self, header):
        self.map = dict(FUNCTIONS)
        for enumeration in header.enumerations:
            for value in enumeration.constants:
                self.map[value.name] = constant(value.name)
                if value.name.startswith("LETHE_E_"):
                    self.map[value.name] = "Err" + constant(value.name)[len("Status"):]
            self.map["lethe_" + enumeration.name] = type_name(enumeration)[0]
        fields = {field.name for struct in header.structs for field in struct.fields}
        self.map.update((name, camel(name)) for name in fields if "_" in name)
        self.map["NULL"] = "nil"

    def __call__(self, text):
        text = re.sub(r"^since 1\.\d: ", "", text)
        text = re.sub(r"\b[A-Za-z]\w+\b", lambda word: self.map.get(word[0], word[0]), text)
        unknown = re.search(r"\blethe_\w+|LETHE_\w+\b(?<!LETHE_FAST_)", text)
        if unknown:
            sys.exit(f"write_types.py: say {unknown[0]} in Go")
        return text


def comment(text, indent=""):
    text = text.replace("?.", "?")
    return "".join(f"{indent}// {line}\n" for line in
                   textwrap.wrap(text, 96 - 4 * len(indent), break_long_words=False))


def write_enumeration(enumeration, words):
    name, doc = type_name(enumeration)
    yield "\n" + comment(f"{name} {doc}.") + f"type {name} int32\n"
    yield f"\n// The values of {name}.\nconst (\n"
    for value in enumeration.constants:
        yield comment(f"{constant(value.name)}: {words(value.doc)}.", "\t") if value.doc else ""
        yield f"\t{constant(value.name)} {name} = {value.value}\n"
    yield ")\n"
    if not enumeration.name or name == "Status":
        return
    prefix = len(name_prefix(enumeration))
    first = name[0].lower()
    yield f"\n// String returns the value in words, \"{name}(7)\" for one that is not known.\n"
    yield f"func ({first} {name}) String() string {{\n\tswitch {first} {{\n"
    for value in enumeration.constants:
        blank = "-" if enumeration.name in HYPHENED else " "
        said = WORDS.get(value.name, value.name[prefix:].lower().replace("_", blank))
        yield f"\tcase {constant(value.name)}:\n\t\treturn \"{said}\"\n"
    yield f"\t}}\n\treturn fmt.Sprintf(\"{name}(%d)\", int32({first}))\n}}\n"


def name_prefix(enumeration):
    """What all constants begin with, in whole words."""
    parts = [value.name.split("_") for value in enumeration.constants]
    prefix = []
    for words in zip(*parts):
        if len(set(words)) > 1 or any(len(part) == len(prefix) + 1 for part in parts):
            break
        prefix.append(words[0])
    return "_".join(prefix) + "_"


def write_errors(status, words):
    yield "\n// One error for each code, to be asked for with errors.Is.\nvar (\n"
    for value in status.constants:
        if value.value < 0:
            name = "Err" + constant(value.name)[len("Status"):]
            yield comment(f"{name}: {words(value.doc)}.", "\t") if value.doc else ""
            yield f"\t{name} error = &Error{{Status: {constant(value.name)}}}\n"
    yield ")\n"


def field_of(struct, field, words, enumerations):
    """(name, type, comment, kind) of a field, None when Go does not have it."""
    key = (struct.name, field.name)
    if key in SPECIAL:
        return SPECIAL[key] and (*SPECIAL[key],)
    doc = words(field.doc)
    if field.name in BOOLEANS:
        doc = re.sub(r"^1: ", "", doc).replace("default 0", "default false")
        return camel(field.name), "bool", doc
    kind = field.type[len("lethe_"):] if field.type.startswith("lethe_") else ""
    go_type = enumerations.get(kind) or (camel(kind) if kind else TYPES[field.type])
    return camel(field.name), go_type, doc


def write_struct(struct, words, enumerations):
    name = camel(struct.name)
    yield "\n" + comment(f"{name} {STRUCTS[struct.name]}.")
    if struct.name == "forget_config":
        yield "//\n" + comment(words(struct.doc.split(".", 1)[1].strip()))
    yield f"type {name} struct {{\n"
    for field in struct.fields:
        said = field_of(struct, field, words, enumerations)
        if said:
            yield comment(f"{said[0]}: {said[2]}.", "\t") + f"\t{said[0]} {said[1]}\n"
    yield "}\n"


def reader(struct):
    name = camel(struct.name)
    return name[0].lower() + name[1:] + "Of"


def write_reader(struct, words, enumerations):
    name, native = camel(struct.name), struct.name.capitalize()
    yield f"\n// {reader(struct)} copies C's struct.\n"
    yield f"func {reader(struct)}(from native.{native}) {name} {{\n\treturn {name}{{\n"
    for field in struct.fields:
        said = field_of(struct, field, words, enumerations)
        get = f"from.Get{field.name.capitalize()}()"
        if said[1] == "bool":
            get += " != 0"
        elif said[1] == "time.Time":
            get = f"timeOf({get})"
        elif said[1] == "Progress":
            get = f"progressOf({get})"
        elif said[1] not in TYPES.values():
            get = f"{said[1]}({get})"
        yield f"\t\t{said[0]}: {get},\n"
    yield "\t}\n}\n"


def write_writer(struct, words, enumerations):
    name, native = camel(struct.name), struct.name.capitalize()
    yield f"\n// toNative makes C's struct, to be freed with native.Delete{native}; nil of nil.\n"
    yield f"func (from *{name}) toNative() native.{native} {{\n"
    yield "\tif from == nil {\n\t\treturn nil\n\t}\n"
    yield f"\tto := native.New{native}()\n"
    for field in struct.fields:
        said = field_of(struct, field, words, enumerations)
        set_to, value = f"to.Set{field.name.capitalize()}", f"from.{said[0]}"
        if said[1] == "bool":
            set_to, value = set_to, f"truth({value})"
        elif said[1] == "time.Time":
            yield f"\tif !{value}.IsZero() {{\n\t\t{set_to}({value}.UnixMilli())\n\t}}\n"
            continue
        elif said[1] not in TYPES.values():
            value = f"int32({value})"
        if struct.name in ZERO_IS_DEFAULT:
            yield f"\tif from.{said[0]} != 0 {{\n\t\t{set_to}({value})\n\t}}\n"
        else:
            yield f"\t{set_to}({value})\n"
    yield "\treturn to\n}\n"


def write_default(struct):
    if struct.name == "forget_config":  # depends on method and head: in config.go
        return
    name, native = camel(struct.name), struct.name.capitalize()
    yield f"\n// Default{name} returns the library's defaults. It fails with ErrVersion only.\n"
    yield f"func Default{name}() ({name}, error) {{\n\tif err := ready(); err != nil {{\n"
    yield f"\t\treturn {name}{{}}, err\n\t}}\n\tmade := native.New{native}()\n"
    yield f"\tdefer native.Delete{native}(made)\n\treturn {reader(struct)}(made), nil\n}}\n"


def main():
    header = abi.load(sys.argv[1])
    folder = pathlib.Path(sys.argv[2])
    words = Words(header)
    enumerations = {e.name: type_name(e)[0] for e in header.enumerations if e.name}

    text = HEADER + "\nimport \"fmt\"\n"
    text += "\n// The ABI that this package was built for: major << 16 | minor.\n"
    text += f"const builtFor uint32 = {header.abi:#x}\n"
    for enumeration in header.enumerations:
        text += "".join(write_enumeration(enumeration, words))
    text += "".join(write_errors(header.enumeration("status"), words))
    (folder / "enums.go").write_text(text, encoding="utf-8")

    text = HEADER + "\nimport (\n\t\"time\"\n\n\t\"lethe/internal/native\"\n)\n"
    for name in STRUCTS:
        text += "".join(write_struct(header.struct(name), words, enumerations))
    for name in MADE:
        text += "".join(write_default(header.struct(name)))
        text += "".join(write_writer(header.struct(name), words, enumerations))
    for name in MADE + READ:
        text += "".join(write_reader(header.struct(name), words, enumerations))
    (folder / "options.go").write_text(text, encoding="utf-8")


main()
