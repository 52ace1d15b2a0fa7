#!/usr/bin/python3
"""Typefaces-100: one hundred characters drawn from the typefaces that Debian packages ship.

Each picture is 32x32 grey, white on black: one glyph, its longer side 26 pixels, centred. The
typefaces of typefaces.tsv are divided into train and test ones, so every test picture shows a
typeface that no training picture shows; cuts of a typeface (bold, italic, light) stay together, and
so do digital versions of one design. The characters are chosen so that each can be told from the
others without its size and place in the line: of c/C, o/O/0, x/X and the like, of Latin A, Greek
Alpha and Cyrillic A only one is a class.

Writes train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz,
t10k-labels-idx1-ubyte.gz and classes.json. The same packages give the same bytes. When all is there
and unchanged, nothing is done.
"""
import argparse
import gzip
import hashlib
import io
import json
import logging
import os
import struct
import sys
import unicodedata

try:
    from fontTools.ttLib import TTFont
    from PIL import Image, ImageFont, features
except ImportError as missing:
    sys.exit(f"typefaces.py: {missing}; install python3-pil and python3-fonttools and run "
             "/usr/bin/python3, or run subprojects/setup.sh")

CHARACTERS = ("abdefghijmnqrty" "ABCDEFGHJKLMNOPQRSTUVWXYZ" "123456789"
              "ÆÐØÞæðŒ" "ΓΔΛΞΠΣΦΩ" "βγδεζηθλμξπσςψω"
              "БДЖИЙЦЧШЩЪЫЭЮЯЂЉЊ" "&@?%")
SIDE, GLYPH = 32, 26         # pixels: of a picture; of a glyph's longer side
DRAWN = 128                  # pixels an em when a glyph is drawn, before it is made smaller
MIN_TRAIN, MIN_TEST = 60, 20  # pictures that every class must have
HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = os.path.join(HERE, "typefaces.tsv")
FONTS = "/usr/share/fonts"
SETS = {"train": "train", "test": "t10k"}  # side in the table: prefix of its files


def read_table(path, limit):
    """[(side, packages, typeface, [font file])]; of each side only the first `limit` (None: all)."""
    rows, taken = [], {"train": 0, "test": 0}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("#") or not line.strip():
                continue
            side, packages, typeface, folder, names = line.rstrip("\n").split("\t")
            taken[side] += 1
            if limit is None or taken[side] <= limit:
                rows.append((side, packages, typeface,
                             [os.path.join(FONTS, folder, name) for name in names.split(" | ")]))
    return rows


def require_fonts(rows):
    missing = {}
    for _, packages, _, files in rows:
        for file in files:
            if not os.path.isfile(file):
                missing[packages] = file
    if missing:
        sys.exit("typefaces.py: no " + next(iter(missing.values())) + "; apt-get install " +
                 " ".join(sorted(missing)) + ", or run subprojects/setup.sh")


def recipe_of(rows):
    """Changes when this file, the table, a font or a drawing library does."""
    digest = hashlib.sha256()
    for path in (os.path.abspath(__file__), TABLE):
        with open(path, "rb") as file:
            digest.update(file.read())
    versions = [Image.__version__, features.version("freetype2")]
    fonts = [(file, os.path.getsize(file)) for _, _, _, files in rows for file in files]
    digest.update(json.dumps([versions, fonts]).encode())
    return digest.hexdigest()


def draw(font, character):
    """The picture of a character: SIDE * SIDE bytes, None when the glyph has no ink."""
    mask = font.getmask(character, mode="L")
    if 0 in mask.size:
        return None
    glyph = Image.frombytes("L", mask.size, bytes(mask))
    box = glyph.getbbox()
    if box is None:
        return None
    glyph = glyph.crop(box)
    scale = GLYPH / max(glyph.size)
    size = tuple(max(1, round(length * scale)) for length in glyph.size)
    picture = Image.new("L", (SIDE, SIDE), 0)
    picture.paste(glyph.resize(size, Image.Resampling.BOX),
                  ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return picture.tobytes()


def draw_font(path):
    """[(class, picture)] of what a font has. A glyph is left out that is blank, or that looks like
    the font's sign for a missing character or like another class: such a cmap lies."""
    with TTFont(path, lazy=True, fontNumber=0) as tables:
        known = tables.getBestCmap() or {}
    font = ImageFont.truetype(path, DRAWN, layout_engine=ImageFont.Layout.BASIC)
    unknown = draw(font, "\U000FFFFD")
    pictures, seen = [], {unknown: 2}
    for label, character in enumerate(CHARACTERS):
        picture = draw(font, character) if ord(character) in known else None
        if picture is not None:
            pictures.append((label, picture))
            seen[picture] = seen.get(picture, 0) + 1
    return [(label, picture) for label, picture in pictures if seen[picture] == 1]


def compressed(content):
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def idx_files(samples):
    """{file name: bytes} of {side: [(class, picture)]}."""
    files = {}
    for side, prefix in SETS.items():
        count = len(samples[side])
        files[f"{prefix}-images-idx3-ubyte.gz"] = compressed(
            struct.pack(">IIII", 0x803, count, SIDE, SIDE) + b"".join(p for _, p in samples[side]))
        files[f"{prefix}-labels-idx1-ubyte.gz"] = compressed(
            struct.pack(">II", 0x801, count) + bytes(label for label, _ in samples[side]))
    return files


def description(rows, samples, files, recipe):
    counts = {side: [0] * len(CHARACTERS) for side in SETS}
    for side in SETS:
        for label, _ in samples[side]:
            counts[side][label] += 1
    return {
        "name": "Typefaces-100",
        "picture": f"{SIDE}x{SIDE} grey, white on black, longer side of the glyph {GLYPH} pixels",
        "typefaces": {side: sorted(row[2] for row in rows if row[0] == side) for side in SETS},
        "typeface_count": {side: sum(row[0] == side for row in rows) for side in SETS},
        "font_file_count": {side: sum(len(r[3]) for r in rows if r[0] == side) for side in SETS},
        "sample_count": {side: len(samples[side]) for side in SETS},
        "classes": [{"class": i, "character": c, "name": unicodedata.name(c),
                     "train": counts["train"][i], "test": counts["test"][i]}
                    for i, c in enumerate(CHARACTERS)],
        "sha256": {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)},
        "recipe": recipe,
    }


def is_done(out, recipe):
    try:
        with open(os.path.join(out, "classes.json"), encoding="utf-8") as file:
            about = json.load(file)
        if about["recipe"] != recipe:
            return False
        for name, digest in about["sha256"].items():
            with open(os.path.join(out, name), "rb") as file:
                if hashlib.sha256(file.read()).hexdigest() != digest:
                    return False
    except (OSError, ValueError, KeyError):
        return False
    return True


def write(path, content):
    with open(path + ".part", "wb") as file:
        file.write(content)
    os.replace(path + ".part", path)


def progress(text, last):
    """One line that renews itself on a terminal; elsewhere only the last."""
    if sys.stderr.isatty() or last:
        start, end = ("\r", "\n" if last else "") if sys.stderr.isatty() else ("", "\n")
        print(f"{start}typefaces.py: {text:40.40}", end=end, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", metavar="FOLDER",
                        default=os.path.join(HERE, "..", "..", ".data", "typefaces-100"),
                        help="where to write (default: .data/typefaces-100 of the repository)")
    parser.add_argument("--limit-fonts", type=int, metavar="N",
                        help="only the first N typefaces of each side, for a quick look; then a "
                        "class may lack pictures")
    arguments = parser.parse_args()
    if arguments.limit_fonts is not None and arguments.limit_fonts < 1:
        parser.error(f"--limit-fonts is {arguments.limit_fonts}; give 1 or more")
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns of harmless padding in a font
    rows = read_table(TABLE, arguments.limit_fonts)
    require_fonts(rows)
    recipe, out = recipe_of(rows), os.path.normpath(arguments.out)
    if is_done(out, recipe):
        return
    os.makedirs(out, exist_ok=True)
    samples = {side: [] for side in SETS}
    for number, (side, _, typeface, paths) in enumerate(rows, 1):
        progress(f"{number}/{len(rows)} {typeface}", number == len(rows))
        for path in paths:
            samples[side] += draw_font(path)
    files = idx_files(samples)
    about = description(rows, samples, files, recipe)
    for one in about["classes"] if arguments.limit_fonts is None else []:
        if one["train"] < MIN_TRAIN or one["test"] < MIN_TEST:
            sys.exit(f"typefaces.py: {one['character']} has {one['train']} train and {one['test']} "
                     f"test pictures, {MIN_TRAIN} and {MIN_TEST} are needed; add typefaces to the "
                     "table")
    for name in sorted(files):
        write(os.path.join(out, name), files[name])
    text = json.dumps(about, ensure_ascii=False, indent=1) + "\n"
    write(os.path.join(out, "classes.json"), text.encode())
    print(f"typefaces.py: {len(samples['train'])} train and {len(samples['test'])} test pictures of "
          f"{len(rows)} typefaces in {out}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except OSError as problem:
        sys.exit(f"typefaces.py: {problem.filename}: {problem.strerror}; make room or name another folder")
