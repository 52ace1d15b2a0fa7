#!/usr/bin/env python3
"""The experiments' data as examples/data makes it. Usage: test_prepared.py FOLDER_OF_THE_SCRIPTS
"""
import gzip
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from cases import case, run_cases, work  # noqa: E402

SCRIPTS = pathlib.Path(sys.argv[1]).resolve()
sys.dont_write_bytecode = True
sys.path.insert(0, str(SCRIPTS))
TABLE = SCRIPTS / "typefaces.tsv"

def draw(folder, *options, scripts=SCRIPTS, code=0):
    done = subprocess.run([scripts / "typefaces.py", *options, folder], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == code, f"exit code {done.returncode}, not {code}: {done.stderr}"
    return done.stderr


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def idx(folder, name, header):
    """The numbers of an IDX file's header, and its values."""
    raw = gzip.decompress((folder / name).read_bytes())
    numbers = [int.from_bytes(raw[i:i + 4], "big") for i in range(0, 4 * header, 4)]
    return numbers, raw[4 * header:]


@case
def the_same_fonts_give_the_same_bytes():
    draw(work / "one", "--limit-fonts", "3")
    draw(work / "two", "--limit-fonts", "3")
    first = content(work / "one")
    assert len(first) == 5 and first == content(work / "two"), first.keys()
    about = json.loads(first["classes.json"])
    assert about["typeface_count"] == {"train": 3, "test": 3}, about["typeface_count"]
    for name, digest in about["sha256"].items():
        assert hashlib.sha256(first[name]).hexdigest() == digest, name


@case
def what_is_there_is_left_alone_and_what_is_damaged_made_anew():
    before = (work / "one/classes.json").stat().st_mtime_ns
    assert draw(work / "one", "--limit-fonts", "3") == ""
    assert (work / "one/classes.json").stat().st_mtime_ns == before
    (work / "one/t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    assert draw(work / "one", "--limit-fonts", "3") != ""
    assert content(work / "one") == content(work / "two")


@case
def a_picture_is_one_glyph_in_the_middle_26_pixels_long():
    about = json.loads((work / "one/classes.json").read_text())
    for side, prefix in (("train", "train"), ("test", "t10k")):
        (magic, count, height, width), pixels = idx(work / "one", f"{prefix}-images-idx3-ubyte.gz", 4)
        (label_magic, label_count), labels = idx(work / "one", f"{prefix}-labels-idx1-ubyte.gz", 2)
        assert (magic, height, width, label_magic) == (0x803, 32, 32, 0x801)
        assert count == label_count == len(labels) == about["sample_count"][side] > 200
        assert len(pixels) == count * 32 * 32
        for one in about["classes"]:
            assert labels.count(one["class"]) == one[side], one
        for i in range(count):
            rows = [pixels[i * 1024 + y * 32:i * 1024 + y * 32 + 32] for y in range(32)]
            inked = [y for y in range(32) if any(rows[y])]
            columns = [x for x in range(32) if any(row[x] for row in rows)]
            # Faint ink at the ends of the longer side may round to black: 25 of the 26 must show.
            extent = max(inked[-1] - inked[0], columns[-1] - columns[0]) + 1
            assert 25 <= extent <= 26, (i, extent)
            for places in (inked, columns):
                assert abs(places[0] - (31 - places[-1])) <= 3, (i, places[0], places[-1])


@case
def no_typeface_and_no_font_is_on_both_sides():
    rows = [line.split("\t") for line in TABLE.read_text().splitlines() if line[:1] != "#"]
    sides = [row[0] for row in rows]
    assert set(sides) == {"train", "test"} and len(rows) >= 120, len(rows)
    assert 0.2 < sides.count("test") / len(rows) < 0.3
    names = [row[2] for row in rows]
    assert len(set(names)) == len(names)
    files = [f"{row[3]}/{file}" for row in rows for file in row[4].split(" | ")]
    assert len(set(files)) == len(files)


@case
def a_missing_font_names_the_package_to_install():
    copy = work / "scripts"
    copy.mkdir()
    shutil.copy(SCRIPTS / "typefaces.py", copy)
    (copy / "typefaces.tsv").write_text("train\tfonts-nowhere\tNowhere\ttruetype/no\tNowhere.ttf\n")
    text = draw(work / "none", scripts=copy, code=1)
    assert "truetype/no/Nowhere.ttf" in text and "apt-get install fonts-nowhere" in text, text
    assert not (work / "none").exists()


@case
def bad_words_get_one_sentence():
    assert "--limit-fonts is 0" in draw(work / "none", "--limit-fonts", "0", code=2)
    (work / "a-file").write_text("in the way")
    for script in ("typefaces.py", "orl.py", "trees.py"):
        done = subprocess.run([SCRIPTS / script, work / "a-file" / "folder"], capture_output=True,
                              text=True, timeout=100, check=False)
        assert done.returncode == 1, done
        assert "Traceback" not in done.stderr and "another folder" in done.stderr, done.stderr


@case
def tiles_have_the_boxes_that_lie_in_them_by_half():
    import trees
    inside = (0, 10, 20, 30, 60)       # label, left, top, right, bottom
    half = (1, 118, 0, 138, 10)        # 10 of its 20 columns lie in the tile
    less = (2, 119, 0, 139, 10)        # 9 of 20
    assert trees.in_tile([inside, half, less], 0, 0) == [(0, (10, 20, 30, 60)),
                                                         (1, (118, 0, 128, 10))]
    assert trees.in_tile([inside], 5, 5) == [(0, (5, 15, 25, 55))]
    assert trees.in_tile([inside], 200, 0) == []
    xml = ("<object><name>Dead</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>5"
           "</ymax></bndbox></object><object><name>Tree</name><bndbox><xmin>7</xmin>\n<ymin>7</ymin>"
           "\n<xmax>7</xmax>\n<ymax>9</ymax></bndbox></object>")  # the second has no area
    assert trees.boxes_of(xml) == [(2, 1, 2, 3, 5)]


@case
def trees_of_the_test_are_not_trained_on():
    import trees
    from PIL import Image
    size = (300, 520)  # a third of 520 holds one row of tiles: from 392 on
    everywhere = [(0, x, y, x + 4, y + 4) for x in range(0, 296, 4) for y in range(0, 516, 4)]
    places = {"train": set(), "test": set()}
    picture = Image.new("RGB", size)
    cuts = []
    picture.crop = lambda box: cuts.append(box)  # only where it is cut matters
    for side, _, boxes in trees.tiles(picture, everywhere, 100):
        assert len(boxes) >= 900
        places[side].add(cuts[-1])
    assert places["test"] == {(0, 392, 128, 520), (128, 392, 256, 520)}
    assert places["train"] == {(x, y, x + 128, y + 128) for x in (0, 100) for y in (0, 100, 200)}


@case
def photos_get_their_line_feeds_back():
    import orl
    # Column x is 10 + 2x: a line feed begins every row. In row 50 the pixels 12 and 14 become a pair
    # (13, 10), as in two of the photos: 2 (1 + 4) = 10 rough. Were the row's first pixel the pair, it
    # would begin 13, 10, 10: 2 (3 + 2 + 4) = 18. Any other choice moves a row, 4 a pixel.
    row = bytes(range(10, 10 + 2 * orl.WIDTH, 2))
    clean = orl.HEADER + row * orl.HEIGHT
    assert orl.line_feeds(clean.replace(b"\n", b"\r\n")) == clean
    kept = orl.HEADER + row * 50 + b"\n\r\n" + row[3:] + row * 61
    spoilt = kept.replace(b"\r\n", b"\0").replace(b"\n", b"\r\n").replace(b"\0", b"\r\n")
    assert len(kept) == orl.SIZE and len(spoilt.replace(b"\r\n", b"\n")) == orl.SIZE - 1
    assert orl.line_feeds(spoilt) == kept


run_cases()
