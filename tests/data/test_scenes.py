#!/usr/bin/env python3
"""Scenes as examples/data/scenes.py composes them. Usage: test_scenes.py FOLDER_OF_THE_SCRIPTS

Run by a Python that has PIL and numpy, as Debian's has.
"""
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
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
import scenes  # noqa: E402

TRAIN, TEST = 60, 20


def compose(folder, *options, script=SCRIPTS / "scenes.py", code=0):
    done = subprocess.run([script, *options, folder], capture_output=True, text=True, timeout=200,
                          check=False)
    assert done.returncode == code, f"exit code {done.returncode}, not {code}: {done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


def small(folder, train=TRAIN, test=TEST):
    return compose(folder, "--train", str(train), "--test", str(test))


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def instances(folder, side):
    """The COCO file of a side, and its annotations by image."""
    about = json.loads((folder / f"{side}.json").read_text())
    by_image = {image["id"]: [] for image in about["images"]}
    for one in about["annotations"]:
        by_image[one["image_id"]].append(one)
    return about, by_image


@case
def the_same_items_give_the_same_bytes():
    small(work / "one")
    small(work / "two")
    first = content(work / "one")
    assert len(first) == TRAIN + TEST + 3, sorted(first)
    assert first == content(work / "two")
    about = json.loads(first["scenes.json"])
    assert about["scenes"] == {"train": TRAIN, "test": TEST}
    digest = hashlib.sha256(first["test.json"])
    for i in range(TEST):
        digest.update(first[f"test/{i:06}.png"])
    assert about["sha256"]["test"] == digest.hexdigest()


@case
def what_is_there_is_left_alone_and_what_is_damaged_made_anew():
    before = (work / "one/scenes.json").stat().st_mtime_ns
    assert small(work / "one") == ""
    assert (work / "one/scenes.json").stat().st_mtime_ns == before
    (work / "one/train/000007.png").write_bytes(b"damaged")
    assert small(work / "one") != ""
    assert content(work / "one") == content(work / "two")


@case
def fewer_scenes_are_the_first_of_more():
    shutil.copytree(work / "two", work / "fewer")
    small(work / "fewer", 5, 3)
    fewer, all_scenes = content(work / "fewer"), content(work / "two")
    assert len(fewer) == 5 + 3 + 3, sorted(fewer)  # the others are gone
    pictures = [name for name in fewer if name.endswith(".png")]
    assert all(fewer[name] == all_scenes[name] for name in pictures)


@case
def annotations_are_coco_instances():
    for side, count in (("train", TRAIN), ("test", TEST)):
        about, by_image = instances(work / "one", side)
        assert [c["id"] for c in about["categories"]] == list(range(1, 11))
        assert {one["category_id"] for one in about["annotations"]} == set(range(1, 11)), side
        assert [image["file_name"] for image in about["images"]] == [
            f"{i:06}.png" for i in range(count)]
        ids = [one["id"] for one in about["annotations"]]
        assert len(set(ids)) == len(ids)
        sizes = [len(ones) for ones in by_image.values()]
        assert min(sizes) >= 1 and max(sizes) <= 5, sizes
        assert set(sizes) >= {1, 2, 3, 4}, sizes
        for one in about["annotations"]:
            left, top, width, height = one["bbox"]
            assert 0 <= left and 0 <= top and left + width <= 128 and top + height <= 128, one
            assert one["iscrowd"] == 0 and 0 < one["area"] <= width * height, one
            assert 12 <= max(width, height) <= 56, one


@case
def boxes_are_tight_around_their_items():
    wardrobe = scenes.Wardrobe("t10k")
    about, by_image = instances(work / "one", "test")
    for number, image in enumerate(about["images"]):
        picture, items = scenes.compose(wardrobe, scenes.SIDES["test"][2], number)
        with Image.open(work / "one/test" / image["file_name"]) as file:
            assert file.mode == "RGB" and np.array_equal(np.asarray(file), picture), number
        covered = np.zeros((128, 128), bool)
        for (label, box, mask), one in reversed(list(zip(items, by_image[image["id"]]))):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            tight = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
            assert one["bbox"] == tight and label + 1 == one["category_id"], (number, one, tight)
            visible = (mask & ~covered).sum()
            assert one["area"] == visible and 2 * visible >= mask.sum(), (number, one, visible)
            covered |= mask


@case
def items_overlap_little():
    for side in ("train", "test"):
        for ones in instances(work / "one", side)[1].values():
            corners = [(x, y, x + w, y + h) for x, y, w, h in (one["bbox"] for one in ones)]
            for i, a in enumerate(corners):
                for b in corners[:i]:
                    assert scenes.iou(a, b) <= 0.3, (a, b)
    assert abs(scenes.iou((0, 0, 4, 2), (2, 0, 6, 2)) - 1 / 3) < 1e-12
    assert scenes.iou((0, 0, 4, 2), (4, 0, 6, 2)) == 0


@case
def an_item_stands_out_from_what_lies_under_it():
    about, by_image = instances(work / "one", "train")
    bare = 0
    for image in about["images"]:
        with Image.open(work / "one/train" / image["file_name"]) as file:
            pixels = np.asarray(file, np.float64)
        for one in by_image[image["id"]]:
            left, top, width, height = one["bbox"]
            inside = pixels[top:top + height, left:left + width]
            bare += inside.std((0, 1)).sum() < 10
    assert bare == 0, f"{bare} boxes around nothing"


@case
def an_outline_has_no_holes_and_no_specks():
    picture = np.zeros((28, 28), np.uint8)
    picture[5:20, 5:20] = 200
    picture[8:12, 8:12] = 0      # white cloth is dark in the picture
    picture[25, 25] = 255        # a speck
    picture[3, 3:9] = 10         # too faint
    expected = np.zeros((28, 28), bool)
    expected[5:20, 5:20] = True
    assert np.array_equal(scenes.silhouette(picture), expected)


@case
def bad_words_get_one_sentence():
    assert "--train is 0" in compose(work / "none", "--train", "0", code=2)
    assert "--test is -3" in compose(work / "none", "--test", "-3", code=2)
    (work / "a-file").write_text("in the way")
    assert "another folder" in compose(work / "a-file" / "folder", code=1)
    copy = work / "scripts"
    copy.mkdir()
    text = (SCRIPTS / "scenes.py").read_text()
    (copy / "scenes.py").write_text(text.replace(scenes.ITEMS, "/nowhere/"))
    (copy / "scenes.py").chmod(0o755)
    said = compose(work / "none", script=copy / "scenes.py", code=1)
    assert "/nowhere/" in said and "apt-get install dataset-fashion-mnist" in said, said
    assert not (work / "none").exists()


run_cases()
