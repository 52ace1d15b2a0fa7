#!/usr/bin/env python3
"""Writes the enumerations and the option and value classes of the Java package from lethe.h.

Usage: write_types.py ROOT OUTPUT_FOLDER
"""
import pathlib
import re
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import abi as lethe_abi  # noqa: E402

# Enumeration: prefix of its constants that Java leaves out, and what it is.
ENUMS = {
    "status": ("LETHE_E_|LETHE_",
               "How a call or a job ended: the codes of {@link LetheException}."),
    "log_level": ("LETHE_LOG_", "Weight of a log line, rising."),
    "dtype": ("LETHE_", "Type of stored numbers."),
    "naming": ("LETHE_NAMES_", "Whose names exported weights and modules have."),
    "select": ("LETHE_", "What {@link Dataset#select(Select, long...)} keeps."),
    "method": ("LETHE_", "How a task forgets."),
    "head": ("LETHE_HEAD_", "The last layer of a model: losses scale with it."),
    "form": ("LETHE_FORM_", "Which form of a baseline, where the paper's code differs from it."),
    "lora_position": ("LETHE_LORA_", "Which linears carry LoRA."),
    "structure_search": ("LETHE_SEARCH_", "Whether a sparser adapter is looked for."),
    "grouping": ("LETHE_GROUP_", "What becomes small or zero together."),
    "sparsity": ("LETHE_", "How groups become small or zero."),
    "prototype_source": ("LETHE_PROTOTYPE_", "Whose embeddings the prototypes are."),
    "lora_init": ("LETHE_INIT_", "How new LoRA matrices begin."),
    "job_state": ("LETHE_JOB_", "Where a job stands."),
    "event_kind": ("LETHE_EVENT_", "What an event tells."),
}
FLAGS = {"LETHE_FAST_": "Fast", "LETHE_AUDIT_": "Audits"}  # classes of int constants
TENSOR_NAME = "the tensor's name"  # lethe.h tells how long C may keep it
OPTIONS = ["limits", "export_options", "forget_config", "pretrain_config", "task_options",
           "engine_options", "evaluate_options"]
WITHOUT_STRUCT = {"engine_options", "evaluate_options"}  # cross as arguments, see lethe.i
RECORDS = {"progress": "Progress", "event": "Event", "job_status_info": "JobStatus",
           "tensor_info": "TensorInfo"}
BOOLEANS = {("engine_options", "paused"), ("evaluate_options", "margin"),
            ("evaluate_options", "base"), ("pretrain_config", "flip"),
            ("pretrain_config", "augment"), ("forget_config", "augment")}
OBJECTS = "runtime model dataset engine job adapter report".split()
TYPES = {"int32_t": "int", "int64_t": "long", "double": "double", "const char*": "Path",
         "const uint8_t*": "byte[]", "const int64_t*": "long[]"}


def camel(name):
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def pascal(name):
    return "".join(word.capitalize() for word in name.split("_"))


class Writer:
    def __init__(self, root, folder):
        self.abi = lethe_abi.load(root)
        self.folder = pathlib.Path(folder)
        self.fields = {f.name for s in self.abi.structs for f in s.fields}
        self.constants = {}  # of C: as Javadoc names them
        for enum in self.abi.enumerations:
            for constant in enum.constants:
                self.constants[constant.name] = f"{self.owner(enum)}#{self.short(enum, constant)}"

    @staticmethod
    def owner(enum):
        if enum.name:
            return pascal(enum.name)
        first = enum.constants[0].name
        return next((FLAGS[prefix] for prefix in FLAGS if first.startswith(prefix)), "StackFlag")

    @staticmethod
    def short(enum, constant):
        prefix = ENUMS[enum.name][0] if enum.name else "|".join([*FLAGS, "LETHE_"])
        return re.sub(f"^({prefix})", "", constant.name)

    def write(self, name, text):
        text = "// Written by write_types.py from lethe.h.\npackage io.lethe;\n\n" + text
        (self.folder / f"{name}.java").write_text(text, encoding="utf-8")

    # ------------------------------------------------------------------------- documentation

    def say(self, text, boolean=False):
        """A comment of lethe.h as a Javadoc sentence."""
        since = re.match(r"since (\d\.\d): ", text)
        text = text[since.end():] if since else text
        text = re.sub(r" ?See lethe_\w+_(init|create)\.?$", "", text)
        if boolean:
            text = re.sub(r"^1: ", "true: ", text).replace("default 0", "default false")
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = re.sub(r"`([^`]*)`", r"{@code \1}", text).replace("NULL", "null")
        for prefix, owner in FLAGS.items():
            text = re.sub(rf"\b{prefix}\*", f"{{@link {owner}}}", text)
        text = re.sub(r"\bLETHE_\w+", lambda m: f"{{@link {self.constants[m[0]]}}}"
                      if m[0] in self.constants else m[0], text)
        text = re.sub(r"\blethe_([a-z]+)_(\w+)", lambda m: "{@code %s.%s}" % (
            "LetheRuntime" if m[1] == "runtime" else pascal(m[1]), camel(m[2]))
            if m[1] in OBJECTS else m[0], text)
        text = re.sub(r"\b[a-z]+(_[a-z0-9]+)+\b",
                      lambda m: camel(m[0]) if m[0] in self.fields else m[0], text)
        text = text.replace(" (performance.md, 1.4)", "")
        text = text.replace("set_adapters", "{@code Model.setAdapters}")
        if re.match(r"([a-z]{2,}|a)\b", text):
            text = text[0].upper() + text[1:]
        text += "" if text.endswith((".", "?")) else "."
        return text + (f" Since ABI {since[1]}." if since else "")

    def doc_of(self, field, struct):
        return self.say(field.doc, (struct.name, field.name) in BOOLEANS)

    @staticmethod
    def comment(indent, *lines):
        """A Javadoc comment; lines that begin with @ are tags."""
        wrapped = []
        for line in lines:
            if line.startswith("@") and wrapped and not wrapped[-1].startswith(("@", "    ")):
                wrapped.append("")
            wrapped += textwrap.wrap(line, 96 - len(indent), break_long_words=False,
                                     subsequent_indent="    " if line.startswith("@") else "",
                                     break_on_hyphens=False)
        if len(wrapped) == 1 and len(wrapped[0]) < 90 - len(indent):
            return f"{indent}/** {wrapped[0]} */\n"
        body = "".join(f"{indent} * {line}".rstrip() + "\n" for line in wrapped)
        return f"{indent}/**\n{body}{indent} */\n"

    # -------------------------------------------------------------------------- enumerations

    def enum(self, enum):
        name = pascal(enum.name)
        public = "public " if enum.name == "status" else ""
        text = self.comment("", ENUMS[enum.name][1]) + f"public enum {name} {{\n"
        for constant in enum.constants:
            text += self.comment("  ", self.say(constant.doc))
            text += f"  {self.short(enum, constant)}({constant.value}),\n"
        text += self.comment("  ", "A value of a newer library: this package has no name for it.")
        text += "  UNKNOWN(Integer.MIN_VALUE);\n\n  final int value;\n\n"
        text += f"  {name}(int value) {{\n    this.value = value;\n  }}\n\n"
        if public:
            text += self.comment("  ", "The number in lethe.h.", "@return the number")
            text += "  public int code() {\n    return value;\n  }\n\n"
            text += self.comment("  ", "The constant of a number.",
                                 "@param value a number of lethe.h",
                                 "@return its constant, {@link #UNKNOWN} for others")
        if enum.name == "job_state":
            text += self.comment("  ", "Whether the job will not change any more.",
                                 "@return true for the four states in which a job has ended")
            text += "  public boolean isEnded() {\n    return switch (this) {\n" \
                    "      case SUCCEEDED, REJECTED, FAILED, CANCELLED -> true;\n" \
                    "      default -> false;\n    };\n  }\n\n"
        text += f"  {public}static {name} of(int value) {{\n" \
                f"    for ({name} known : values()) {{\n" \
                "      if (known.value == value) {\n        return known;\n      }\n    }\n" \
                "    return UNKNOWN;\n  }\n}\n"
        self.write(name, text)

    def flags(self, enum):
        name = self.owner(enum)
        if name in FLAGS.values():
            text = self.comment("", self.say(enum.doc),
                                f"Their sum is {{@link ForgetConfig#{name.lower()}()}}.")
            text += f"public final class {name} {{\n"
            for constant in enum.constants:
                text += self.comment("  ", self.say(constant.doc))
                text += f"  public static final int {self.short(enum, constant)} = " \
                        f"{constant.value};\n\n"
            text += f"  private {name}() {{}}\n}}\n"
        else:
            text = self.comment("", "What a change of a model's stack may do beyond the ordinary.")
            text += f"public enum {name} {{\n"
            for i, constant in enumerate(enum.constants):
                text += self.comment("  ", self.say(constant.doc))
                end = ";" if i + 1 == len(enum.constants) else ","
                text += f"  {self.short(enum, constant)}({constant.value}){end}\n"
            text += f"\n  private final int value;\n\n  {name}(int value) {{\n" \
                    "    this.value = value;\n  }\n\n" \
                    f"  static int sum({name}... flags) {{\n    int sum = 0;\n" \
                    f"    for ({name} flag : flags) {{\n      sum |= flag.value;\n    }}\n" \
                    "    return sum;\n  }\n}\n"
        self.write(name, text)

    # ------------------------------------------------------------------------------- options

    def type_of(self, struct, field):
        if (struct.name, field.name) in BOOLEANS:
            return "boolean"
        if field.type in TYPES:
            return TYPES[field.type]
        return RECORDS.get(field.type[len("lethe_"):]) or pascal(field.type[len("lethe_"):])

    def get(self, struct, field):
        """Java's value of a field of the native struct `n`."""
        raw, kind = f"n.get{field.name[0].upper()}{field.name[1:]}()", self.type_of(struct, field)
        if kind == "boolean":
            return f"{raw} != 0"
        return raw if kind in ("int", "long", "double") else f"{kind}.of({raw})"

    def put(self, struct, field):
        """The statement that sets a field of the native struct `n`."""
        setter, kind = f"n.set{field.name[0].upper()}{field.name[1:]}", self.type_of(struct, field)
        value = f"values.{camel(field.name)}"
        if kind in ("int", "long", "double"):
            return f"    {setter}({value});\n"
        if kind == "boolean":
            return f"    {setter}({value} ? 1 : 0);\n"
        # A value without a name here was the library's default, which the struct has already.
        return f"    if ({value} != {kind}.UNKNOWN) {{\n      {setter}({value}.value);\n    }}\n"

    def check(self, field, kind):
        """The expression that a setter stores."""
        name = camel(field.name)
        if kind == "byte[]":
            return f'{name} == null ? null : Check.bytes({name}, 32, "{name}")'
        if kind == "long[]":
            return f"{name} == null ? null : {name}.clone()"
        return name if kind in ("int", "long", "double", "boolean", "Path") \
            else f'Check.known(\n          {name}, {kind}.UNKNOWN, "{name}")'

    def options(self, struct):
        name, native = pascal(struct.name), "Native" + pascal(struct.name)
        forget, bare = struct.name == "forget_config", struct.name in WITHOUT_STRUCT
        arguments = "Method method, Head head" if forget else ""
        tags = ["@param method how the task forgets",
                "@param head the model's head"] if forget else []
        fields = [(f, self.type_of(struct, f)) for f in struct.fields if f.type != "size_t"]
        text = "import java.nio.file.Path;\n" if struct.name == "engine_options" else ""
        text += "import java.util.Arrays;\n\n"
        paragraphs = [self.say(struct.doc)]
        if bare:
            paragraphs.append("What is not set reads as 0, false, NaN or null, and the library "
                              "takes its own default.")
        paragraphs.append("Immutable: change a copy through {@link #toBuilder()}.")
        text += self.comment("", " ".join(paragraphs))
        text += f"public final class {name} {{\n  private final Builder values;\n\n"
        text += f"  private {name}(Builder values) {{\n    this.values = values;\n  }}\n\n"
        given = "method, head" if forget else ""
        text += self.comment("  ", "The library's defaults.", *tags, "@return the defaults")
        text += f"  public static {name} defaults({arguments}) {{\n" \
                f"    return builder({given}).build();\n  }}\n\n"
        text += self.comment("  ", "A builder that begins with the library's defaults.", *tags,
                             "@return a new builder")
        text += f"  public static Builder builder({arguments}) {{\n" \
                f"    return new Builder({given});\n  }}\n\n"
        text += self.comment("  ", "A builder that begins with these values.",
                             "@return a new builder")
        text += "  public Builder toBuilder() {\n    return new Builder(values);\n  }\n\n"
        if forget:
            text += FORGET_CONFIG
        for field, kind in fields:
            value = f"values.{camel(field.name)}"
            if kind.endswith("[]"):
                value = f"{value} == null ? null : {value}.clone()"
            text += self.comment("  ", self.doc_of(field, struct),
                                 "@return the value" + ("" if kind[0].islower() and "[" not in kind
                                                        or "." in kind or not bare else
                                                        ", null when not set"))
            text += f"  public {kind} {camel(field.name)}() {{\n    return {value};\n  }}\n\n"
        if not bare:
            body = f"    {native} n = new {native}();\n"
            if forget:
                body = "    NativeForgetConfig n = defaultsOf(values.method, values.head);\n"
            text += f"  {native} toNative() {{\n{body}" \
                    + "".join(self.put(struct, f) for f, _ in fields) + "    return n;\n  }\n\n"
        listed = ",\n      ".join(f"values.{camel(f.name)}" for f, _ in fields)
        text += "  private Object[] list() {\n    return new Object[] {\n" \
                f"      {listed}\n    }};\n  }}\n\n"
        text += "  @Override\n  public boolean equals(Object other) {\n" \
                f"    return other instanceof {name} o && Arrays.deepEquals(list(), o.list());\n" \
                "  }\n\n  @Override\n  public int hashCode() {\n" \
                "    return Arrays.deepHashCode(list());\n  }\n\n"
        shown = []
        for field, kind in fields:
            value = f"values.{camel(field.name)}"
            if kind == "byte[]":  # a secret
                value = f'({value} == null ? null : "...")'
            elif kind == "long[]":
                value = f"Arrays.toString({value})"
            shown.append(f'"{camel(field.name)}=" + {value}')
        joined = '\n        + ", '.join(s if not i else s[1:] for i, s in enumerate(shown))
        text += f'  @Override\n  public String toString() {{\n    return "{name}[" + {joined}\n' \
                '        + "]";\n  }\n\n'
        text += self.builder(struct, fields, name, native, arguments)
        self.write(name, text)

    def builder(self, struct, fields, name, native, arguments):
        forget, bare = struct.name == "forget_config", struct.name in WITHOUT_STRUCT
        text = self.comment("  ", f"Collects the values of {{@link {name}}}; for one thread.")
        text += "  public static final class Builder {\n"
        if forget:
            text += "    private final Head head; // whose defaults fill what is unknown here\n"
        for field, kind in fields:
            start = " = Double.NaN" if bare and kind == "double" else ""
            text += f"    private {kind} {camel(field.name)}{start};\n"
        if bare:
            text += "\n    private Builder() {}\n"
        elif forget:
            text += "\n    private Builder(Method method, Head head) {\n" \
                    "      this.head = head;\n" \
                    "      try (NativeForgetConfig n = defaultsOf(method, head)) {\n" \
                    "        read(n);\n      }\n    }\n"
        else:
            text += "\n    private Builder() {\n      NativeLibrary.load();\n" \
                    f"      try ({native} n = new {native}()) {{\n" \
                    "        read(n);\n      }\n    }\n"
        text += "\n    private Builder(Builder other) {\n"
        if forget:
            text += "      head = other.head;\n"
        text += "".join(f"      {camel(f.name)} = other.{camel(f.name)};\n" for f, _ in fields)
        text += "    }\n\n"
        if not bare:
            text += f"    private void read({native} n) {{\n" + "".join(
                f"      {camel(f.name)} = {self.get(struct, f)};\n" for f, _ in fields)
            text += "    }\n\n"
        if forget:
            text += FORGET_CONFIG_BUILDER
        for field, kind in fields:
            taken = "long..." if kind == "long[]" else kind
            text += self.comment("    ", self.doc_of(field, struct),
                                 f"@param {camel(field.name)} the new value",
                                 "@return this builder")
            text += f"    public Builder {camel(field.name)}({taken} {camel(field.name)}) {{\n" \
                    f"      this.{camel(field.name)} = {self.check(field, kind)};\n" \
                    "      return this;\n    }\n\n"
        text += self.comment("    ", f"The finished {{@link {name}}}.", "@return a new object")
        text += f"    public {name} build() {{\n" \
                f"      return new {name}(new Builder(this));\n    }}\n  }}\n}}\n"
        return text

    # -------------------------------------------------------------------------------- values

    def record(self, struct):
        name = RECORDS[struct.name]
        fields = [f for f in struct.fields if f.name != "ndim"]
        kinds = {f.name: self.type_of(struct, f) for f in fields}
        if struct.name == "tensor_info":
            fields.sort(key=lambda f: ["name", "shape", "count"].index(f.name))
            kinds.update(name="String", shape="List<Long>")
        tags = []
        for field in fields:
            doc = TENSOR_NAME if field.name == "name" else field.doc
            tags.append(f"@param {camel(field.name)} {self.say(doc)[0].lower()}{self.say(doc)[1:]}")
        text = "import java.util.List;\n\n" if struct.name == "tensor_info" else ""
        text += self.comment("", self.say(struct.doc), *tags)
        listed = ",\n    ".join(f"{kinds[f.name]} {camel(f.name)}" for f in fields)
        text += f"public record {name}(\n    {listed}) {{\n"
        if struct.name != "tensor_info":
            values = ",\n        ".join(self.get(struct, f) for f in fields)
            text += f"\n  static {name} of(Native{pascal(struct.name)} n) {{\n" \
                    f"    return new {name}(\n        {values});\n  }}\n"
        self.write(name, text + "}\n")

    def all(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        for enum in self.abi.enumerations:
            self.enum(enum) if enum.name else self.flags(enum)
        for name in OPTIONS:
            self.options(self.abi.struct(name))
        for name in RECORDS:
            self.record(self.abi.struct(name))
        self.write("BuiltFor", "/** What this package was built for. */\nfinal class BuiltFor {\n"
                   f'  static final String VERSION = "{self.abi.version}";\n'
                   f"  static final long ABI = {self.abi.abi:#x};\n\n"
                   "  private BuiltFor() {}\n}\n")


FORGET_CONFIG = """\
  /**
   * The defaults with the fields that a JSON object names overwritten; names are those of the C
   * struct, {@code {"rank":4,"structure_weight":0.004}}.
   *
   * @param method how the task forgets
   * @param head the model's head
   * @param json the object
   * @return the settings
   * @throws LetheException {@link Status#INVALID_ARGUMENT}: unknown field, wrong type, out of range
   */
  public static ForgetConfig fromJson(Method method, Head head, String json) {
    return builder(method, head).json(json).build();
  }

  /**
   * All settings as canonical JSON: sorted keys, equal settings give equal text.
   *
   * @return the JSON text
   */
  public String toJson() {
    try (NativeForgetConfig n = toNative()) {
      return Buffers.text(out -> Native.forget_config_to_json(n, out));
    }
  }

  /**
   * Checks every field.
   *
   * @return a JSON list of {field, value, allowed}, empty when all is well
   */
  public Findings validate() {
    try (NativeForgetConfig n = toNative()) {
      return Findings.of(out -> Native.forget_config_validate(n, out));
    }
  }

  private static NativeForgetConfig defaultsOf(Method method, Head head) {
    Check.known(method, Method.UNKNOWN, "method");
    Check.known(head, Head.UNKNOWN, "head");
    NativeLibrary.load();
    NativeForgetConfig n = new NativeForgetConfig();
    Native.forget_config_init(n, method.value, head.value);
    return n;
  }

"""
FORGET_CONFIG_BUILDER = """\
    /**
     * Overwrites the fields that a JSON object names; names are those of the C struct, enumerations
     * are lower-case words ("gs-lora++", "block", "proximal").
     *
     * @param json the object
     * @return this builder
     * @throws LetheException {@link Status#INVALID_ARGUMENT}: unknown field, wrong type, out of
     *     range; the builder is then unchanged
     */
    public Builder json(String json) {
      Check.present(json, "json");
      try (NativeForgetConfig n = new ForgetConfig(this).toNative()) {
        Native.forget_config_from_json(json, n);
        read(n);
      }
      return this;
    }

"""

Writer(sys.argv[1], sys.argv[2]).all()
