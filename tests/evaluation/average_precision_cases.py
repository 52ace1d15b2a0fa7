"""Writes average_precision.json: data sets made from seeds, and what pycocotools says of them.

    pip install pycocotools==2.0.11 numpy
    python tests/evaluation/average_precision_cases.py

test_average_precision.cpp must reproduce every figure. Nothing else needs pycocotools. The form:
    [{"name", "categories": [...],
      "objects": [[image, category, left, top, width, height, area, crowd], ...],
      "detections": [[image, category, score, left, top, width, height], ...],
      "figures": [{"categories": [...], "stats": [AP, AP50, AP75, AP_small, AP_medium, AP_large,
                   AR_1, AR_10, AR_100, AR_small, AR_medium, AR_large]}, ...]}, ...]
with null for a figure that is absent.
"""
import contextlib
import io
import json
import pathlib

import numpy
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def stats(data, categories):
    """pycocotools' twelve figures over some of the categories; -1 becomes None."""
    truth = COCO()
    images = sorted({row[0] for row in data["objects"] + data["detections"]})
    truth.dataset = {
        "images": [{"id": i} for i in images],
        "categories": [{"id": c} for c in data["categories"]],
        "annotations": [
            {"id": k + 1, "image_id": i, "category_id": c, "bbox": box, "area": area,
             "iscrowd": crowd}
            for k, (i, c, *box, area, crowd) in enumerate(data["objects"])
        ],
    }
    truth.createIndex()
    found = truth.loadRes([
        {"image_id": i, "category_id": c, "score": score, "bbox": box}
        for i, c, score, *box in data["detections"]
    ])
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.params.catIds = list(categories)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return [None if value == -1 else float(value) for value in evaluation.stats]


def made(name, seed, categories, images, objects, detections_a_object, noise, step=0.0, crowds=0.0,
         wrong=1.0, absent=(), unseen=(), sizes=(8, 300), digits=1):
    """A data set. `objects` an image at most; `detections_a_object` and `wrong`: how many found
    at and beside an object; `noise` of their boxes in parts of their size; `step`, what scores are
    rounded to, for ties; `absent`: categories without an object, `unseen`: without a detection."""
    random = numpy.random.default_rng(seed)

    def number(value):
        return round(float(value), digits) if digits else int(round(value))

    def box(around=None):
        if around is None:
            width, height = numpy.exp(random.uniform(*numpy.log(sizes), 2))
            left, top = random.uniform(0, 400, 2)
        else:
            left, top, width, height = around
            left, top = (left, top) + random.normal(0, noise, 2) * (width, height)
            width, height = numpy.array((width, height)) * numpy.exp(random.normal(0, noise, 2))
        return [number(v) for v in (left, top, max(width, 1), max(height, 1))]

    def score(mean):
        value = 1 / (1 + numpy.exp(-random.normal(mean, 1)))
        return round(round(value / step) * step, 4) if step else round(float(value), 4)

    there, claimed = [], []
    with_objects = [c for c in categories if c not in absent]
    with_detections = [c for c in categories if c not in unseen]
    for image in random.permutation(7 * images)[:images].tolist():
        count = int(random.integers(0, objects + 1))  # 0: an image without an object
        for _ in range(count):
            category = int(random.choice(with_objects))
            place = box()
            area = number(place[2] * place[3] * random.uniform(0.5, 1))
            there.append([image, category, *place, area, int(random.random() < crowds)])
            if category in unseen:
                continue
            for _ in range(random.poisson(detections_a_object)):
                claimed.append([image, category, score(1), *box(place)])
        for _ in range(random.poisson(wrong)):
            claimed.append([image, int(random.choice(with_detections)), score(-1), *box()])
    order = random.permutation(len(claimed))  # images do not come one after the other
    return {"name": name, "categories": list(categories), "objects": there,
            "detections": [claimed[k] for k in order]}


def borders():
    """Objects and detections whose areas and overlaps lie exactly on the limits."""
    there, claimed = [], []
    for image, (width, height) in enumerate(((32, 32), (96, 96), (64, 16), (32, 31), (97, 96))):
        there.append([image, 5, 10, 10, width, height, width * height, 0])
        claimed.append([image, 5, 0.5, 10, 10, width, height])
        there.append([image, 5, 200, 200, 20, 10, 200, 0])  # the IoU 0.5, 0.75 and 1 of 20 x 10
        claimed += [[image, 5, 0.5, 200, 200, part, 10] for part in (10, 15, 20)]
        there.append([image, 5, 200, 200, 20, 10, 200, 0])  # the same object twice
        claimed.append([image, 5, 0.25, 205, 200, 20, 10])
    there.append([9, 5, 0, 0, 200, 200, 40000, 1])  # a crowd that takes three
    claimed += [[9, 5, 0.9, 10 * k, 0, 30, 30] for k in range(3)]
    claimed.append([9, 5, 0.9, 190, 190, 20, 20])  # a quarter of it inside
    for image, shift in ((11, 3), (12, 0)):  # an object in a crowd and beside one of another size
        there.append([image, 5, 100, 100, 200, 200, 40000, 1])
        there.append([image, 5, 150, 150, 20, 20, 400, 0])
        there.append([image, 5, 150, 150, 21, 21, 2000, 0])
        claimed += [[image, 5, 0.8, 150 + shift * k, 150, 21, 21] for k in range(4)]
    there.append([9, 6, 0, 0, 0, 0, 0, 0])  # without extent
    claimed.append([9, 6, 0.9, 0, 0, 0, 0])
    return {"name": "borders", "categories": [5, 6], "objects": there, "detections": claimed}


def main():
    sets = [
        (made("plain", 1, [1, 2, 3, 4], 40, 6, 1.2, 0.1), [[1, 2], [3, 4]]),
        (made("crowds", 2, [3, 8, 21], 40, 7, 1.5, 0.15, crowds=0.3), [[8], [3, 21]]),
        (made("ties", 3, [1, 2], 40, 6, 1.5, 0.1, step=0.1, crowds=0.1, digits=0), [[1], [2]]),
        (made("absent", 4, [2, 4, 6, 8, 10], 25, 5, 1.0, 0.12, absent=(6,), unseen=(10,)),
         [[6], [10], [2, 6], [6, 10], [4, 8]]),
        (made("small", 5, [1, 2], 30, 8, 1.3, 0.1, sizes=(4, 30)), [[1], [2]]),
        (made("only_crowds", 6, [1], 10, 4, 1.5, 0.1, crowds=1.0), []),
        (made("many", 7, [1, 2], 4, 60, 3.0, 0.2, step=0.05, wrong=120), [[1], [2]]),
        (made("precise", 8, [1, 2, 3], 40, 4, 1.5, 0.02, wrong=0.2), [[1], [2, 3]]),
        (borders(), [[5], [6]]),
    ]
    for data, subsets in sets:
        with contextlib.redirect_stdout(io.StringIO()):
            data["figures"] = [{"categories": subset, "stats": stats(data, subset)}
                               for subset in [data["categories"], *subsets]]
    path = pathlib.Path(__file__).parent / "average_precision.json"
    path.write_text("[\n" + ",\n".join(json.dumps(data, separators=(",", ":"))
                                       for data, _ in sets) + "\n]\n")


if __name__ == "__main__":
    main()
