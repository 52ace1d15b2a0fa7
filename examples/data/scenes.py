#!/usr/bin/python3
"""Scenes: pictures of several pieces of clothing with a box around each, to learn detection from.

Each scene is 128x128 RGB: one to five items of Fashion-MNIST, of ten categories, 0.7 to 2 times
their 28 pixels, mirrored or not, tinted, on a gradient, a smooth haze or large plain shapes. Train
scenes show items of its train split, test scenes of its test split. Items lie wholly inside; the
boxes of two have an IoU of 0.3 at most, and no item is hidden by later ones by more than half. A box
is the smallest around all pixels of an item that are not transparent, the hidden ones included; its
area counts the visible ones, as the outlines of COCO do.

Writes train.json and test.json (COCO instances), train/000000.png ..., test/000000.png ... and
scenes.json. The same packages give the same bytes, and a scene does not depend on how many there are.
When all is there and unchanged, nothing is done.
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import re
import sys

try:
    import numpy as np
    from PIL import Image, ImageDraw, ImageFilter, features
except ImportError as missing:
    sys.exit(f"scenes.py: {missing}; install python3-pil and python3-numpy and run "
             "/usr/bin/python3, or run subprojects/setup.sh")

ITEMS = "/usr/share/datasets/fashion-mnist/"
NAMES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
         "Ankle boot")
SIDE, ITEM = 128, 28          # pixels: of a scene, of an item before it is scaled
SCALES = 0.7, 2.0
MOST_ITEMS = 5
MAX_IOU, MAX_HIDDEN = 0.3, 0.5
TRIES = 40                    # places tried before an item is left out
MIN_PIXELS = 80               # of the 28x28: fainter items are scraps
FAINT = 16                    # grey values up to this, joined to the border, are an item's outside
SIDES = {"train": ("train", 4000, 1), "test": ("t10k", 1000, 2)}  # prefix, scenes, seed
HERE = os.path.dirname(os.path.abspath(__file__))


def read_items(prefix):
    """(pictures uint8 [N, 28, 28], classes uint8 [N]) of a split."""
    with gzip.open(f"{ITEMS}{prefix}-images-idx3-ubyte.gz") as file:
        pictures = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, ITEM, ITEM)
    with gzip.open(f"{ITEMS}{prefix}-labels-idx1-ubyte.gz") as file:
        return pictures, np.frombuffer(file.read(), np.uint8, offset=8)


def silhouette(picture):
    """bool [28, 28]: what cannot be reached from the border over faint pixels, so that a white shirt
    is no hole. Specks of one pixel are left out."""
    faint = np.pad(picture <= FAINT, 1, constant_values=True)
    outside = np.zeros_like(faint)
    outside[0], outside[-1], outside[:, 0], outside[:, -1] = True, True, True, True
    reached = 0
    while reached != (reached := np.count_nonzero(outside)):
        outside[1:] |= outside[:-1]
        outside &= faint
        outside[:-1] |= outside[1:]
        outside &= faint
        outside[:, 1:] |= outside[:, :-1]
        outside &= faint
        outside[:, :-1] |= outside[:, 1:]
        outside &= faint
    inside = ~outside
    beside = inside[:-2, 1:-1] | inside[2:, 1:-1] | inside[1:-1, :-2] | inside[1:-1, 2:]
    return inside[1:-1, 1:-1] & beside


class Wardrobe:
    """The items of a split."""

    def __init__(self, prefix):
        self.pictures, classes = read_items(prefix)
        self.by_class = [np.flatnonzero(classes == c) for c in range(len(NAMES))]

    def draw(self, random):
        """(class, picture, silhouette) of a random item of a random class."""
        label = int(random.randint(len(NAMES)))
        members = self.by_class[label]
        while True:
            picture = self.pictures[members[random.randint(len(members))]]
            shape = silhouette(picture)
            if np.count_nonzero(shape) >= MIN_PIXELS:
                return label, picture, shape


def colour(random):
    return random.randint(0, 256, 3).astype(np.float64)


def haze(random):
    """Smooth noise."""
    coarse = random.randint(0, 256, (random.randint(3, 7), random.randint(3, 7), 3))
    picture = Image.fromarray(coarse.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return colour(random) * 0.5 + np.asarray(picture) * 0.5


def gradient(random):
    angle = random.uniform(0, 2 * np.pi)
    line = np.arange(SIDE) / (SIDE - 1) - 0.5
    way = np.cos(angle) * line[None, :] + np.sin(angle) * line[:, None] + 0.5
    return colour(random) + way.clip(0, 1)[..., None] * (colour(random) - colour(random)) * 0.8


def shapes(random):
    """A few large discs, bars and bands, larger than any item and soft at their rims."""
    picture = Image.new("RGB", (SIDE, SIDE), tuple(random.randint(0, 256, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    for _ in range(random.randint(2, 5)):
        fill = tuple(random.randint(0, 256, 3).tolist())
        x, y = random.randint(0, SIDE, 2).tolist()
        size = int(random.randint(SIDE * 2 // 3, SIDE * 3 // 2))
        kind = random.randint(3)
        if kind == 0:
            pen.ellipse((x - size // 2, y - size // 2, x + size // 2, y + size // 2), fill=fill)
        elif kind == 1:
            pen.rectangle((x, y, x + size, y + size), fill=fill)
        else:
            pen.line((x, 0, y, SIDE), fill=fill, width=int(random.randint(3, 12)))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(1.5)), np.float64)


def background(random):
    """float64 [128, 128, 3], in steps of 4 so that the file stays small."""
    picture = (haze, gradient, shapes)[random.randint(3)](random)
    return np.floor(picture.clip(0, 255) / 4) * 4


def scaled(grey, shape, side, mirrored):
    """An item of `side` pixels, cut to its box: (values 0 to 1 [h, w], opacity 0 to 1 [h, w])."""
    opacity = Image.fromarray(shape.astype(np.uint8) * 255)
    values = np.asarray(Image.fromarray(grey).resize((side, side), Image.Resampling.BILINEAR))
    opacity = np.asarray(opacity.resize((side, side), Image.Resampling.BILINEAR))
    opacity = np.where(opacity < 64, 0, opacity)  # no pixel so faint that none would see it
    rows, columns = np.flatnonzero(opacity.any(1)), np.flatnonzero(opacity.any(0))
    cut = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    values, opacity = values[cut] / 255, opacity[cut] / 255
    return (values[:, ::-1], opacity[:, ::-1]) if mirrored else (values, opacity)


def iou(a, b):
    """Of two boxes (left, top, right, bottom)."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(area) - width * height)


def compose(wardrobe, seed, number):
    """Scene `number`: (picture uint8 [128, 128, 3], [(class, box, mask)]), masks bool [128, 128] of
    all of an item's pixels, in the order in which the items were laid down."""
    random = np.random.RandomState([seed, number])  # its numbers are the same in every numpy
    picture = background(random)
    items, visible = [], []
    for _ in range(random.randint(1, MOST_ITEMS + 1)):
        label, grey, shape = wardrobe.draw(random)
        side = round(ITEM * random.uniform(*SCALES))
        values, opacity = scaled(grey, shape, side, mirrored=random.randint(2) == 1)
        height, width = opacity.shape
        for _ in range(TRIES):
            left = int(random.randint(SIDE - width + 1))
            top = int(random.randint(SIDE - height + 1))
            box = (left, top, left + width, top + height)
            mask = np.zeros((SIDE, SIDE), bool)
            mask[top:top + height, left:left + width] = opacity > 0
            if all(iou(box, other) <= MAX_IOU for _, other, _ in items) and all(
                    (left_over & ~mask).sum() >= (1 - MAX_HIDDEN) * whole.sum()
                    for left_over, (_, _, whole) in zip(visible, items)):
                break
        else:
            continue
        under = picture[top:top + height, left:left + width]
        around = under.mean((0, 1))
        for _ in range(TRIES):  # a tint that shows: unlike what lies under the item
            tint = colour(random)
            if tint.max() >= 128 and np.abs(tint * 0.7 - around).sum() >= 150:
                break
        # Dark parts keep a third of the tint, so that an item is of one colour.
        drawn = tint * (0.3 + 0.7 * values[..., None])
        under += (drawn - under) * opacity[..., None]
        visible = [left_over & ~mask for left_over in visible] + [mask]
        items.append((label, box, mask))
    return picture.round().clip(0, 255).astype(np.uint8), items


def visible_areas(items):
    covered, areas = np.zeros((SIDE, SIDE), bool), []
    for _, _, mask in reversed(items):
        areas.append(int((mask & ~covered).sum()))
        covered |= mask
    return areas[::-1]


def png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def annotations(scenes):
    """COCO instances of [(file name, [(class, box, area)])]."""
    images, objects = [], []
    for number, (name, items) in enumerate(scenes, 1):
        images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE})
        for label, (left, top, right, bottom), area in items:
            objects.append({"id": len(objects) + 1, "image_id": number, "category_id": label + 1,
                            "bbox": [left, top, right - left, bottom - top], "area": area,
                            "iscrowd": 0})
    categories = [{"id": i, "name": name, "supercategory": "clothing"}
                  for i, name in enumerate(NAMES, 1)]
    return {"info": {"description": "Scenes of Fashion-MNIST items"}, "images": images,
            "annotations": objects, "categories": categories}


def recipe_of(counts):
    """Changes when this file, a drawing library, the items or the number of scenes do."""
    with open(os.path.abspath(__file__), "rb") as file:
        digest = hashlib.sha256(file.read())
    versions = [Image.__version__, np.__version__, features.version("zlib")]
    items = [os.path.getsize(f"{ITEMS}{prefix}-{kind}-ubyte.gz") for prefix, _, _ in SIDES.values()
             for kind in ("images-idx3", "labels-idx1")]
    digest.update(json.dumps([versions, items, counts]).encode())
    return digest.hexdigest()


def digest_of(out, side, count):
    """SHA-256 over a side's annotations and pictures."""
    digest = hashlib.sha256()
    for name in [f"{side}.json"] + [f"{side}/{i:06}.png" for i in range(count)]:
        with open(os.path.join(out, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def is_done(out, recipe):
    try:
        with open(os.path.join(out, "scenes.json"), encoding="utf-8") as file:
            about = json.load(file)
        return about["recipe"] == recipe and all(
            digest_of(out, side, about["scenes"][side]) == about["sha256"][side] for side in SIDES)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write(path, content):
    with open(path + ".part", "wb") as file:
        file.write(content)
    os.replace(path + ".part", path)


def remove_old(folder, count):
    """The pictures beyond `count` of an earlier, larger run."""
    for name in os.listdir(folder):
        if re.fullmatch(r"\d{6}\.png", name) and int(name[:6]) >= count:
            os.remove(os.path.join(folder, name))


def progress(text, last):
    """One line that renews itself on a terminal; elsewhere only the last."""
    if sys.stderr.isatty() or last:
        start, end = ("\r", "\n" if last else "") if sys.stderr.isatty() else ("", "\n")
        print(f"{start}scenes.py: {text:40.40}", end=end, file=sys.stderr, flush=True)


def make_side(out, side, count):
    """Writes a side's files; its number of objects."""
    prefix, _, seed = SIDES[side]
    folder = os.path.join(out, side)
    os.makedirs(folder, exist_ok=True)
    remove_old(folder, count)
    wardrobe, scenes = Wardrobe(prefix), []
    for number in range(count):
        picture, items = compose(wardrobe, seed, number)
        name = f"{number:06}.png"
        write(os.path.join(folder, name), png(picture))
        scenes.append((name, [(label, box, area) for (label, box, _), area in
                              zip(items, visible_areas(items))]))
        if number % 50 == 49 or number + 1 == count:
            progress(f"{number + 1}/{count} {side} scenes", number + 1 == count)
    write(os.path.join(out, f"{side}.json"), json.dumps(annotations(scenes)).encode() + b"\n")
    return sum(len(items) for _, items in scenes)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", metavar="FOLDER",
                        default=os.path.join(HERE, "..", "..", ".data", "scenes"),
                        help="where to write (default: .data/scenes of the repository)")
    for side, (_, count, _) in SIDES.items():
        parser.add_argument(f"--{side}", type=int, metavar="N", default=count,
                            help=f"number of {side} scenes (default: {count})")
    arguments = parser.parse_args()
    counts = {side: getattr(arguments, side) for side in SIDES}
    for side, count in counts.items():
        if not 1 <= count <= 1_000_000:
            parser.error(f"--{side} is {count}; give 1 to 1000000")
    for prefix, _, _ in SIDES.values():
        for kind in ("images-idx3", "labels-idx1"):
            path = f"{ITEMS}{prefix}-{kind}-ubyte.gz"
            if not os.path.isfile(path):
                sys.exit(f"scenes.py: no {path}; apt-get install dataset-fashion-mnist, or run "
                         "subprojects/setup.sh")
    recipe, out = recipe_of(counts), os.path.normpath(arguments.out)
    if is_done(out, recipe):
        return
    os.makedirs(out, exist_ok=True)
    objects = {side: make_side(out, side, count) for side, count in counts.items()}
    about = {"name": "Scenes", "categories": list(NAMES), "scenes": counts, "objects": objects,
             "sha256": {side: digest_of(out, side, count) for side, count in counts.items()},
             "recipe": recipe}
    write(os.path.join(out, "scenes.json"), json.dumps(about, indent=1).encode() + b"\n")
    print(f"scenes.py: {counts['train']} train and {counts['test']} test scenes with "
          f"{sum(objects.values())} items in {out}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except OSError as problem:
        sys.exit(f"scenes.py: {problem.filename}: {problem.strerror}; make room or name another folder")
