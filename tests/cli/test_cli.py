#!/usr/bin/env python3
"""The operator's tool, as operators and scripts use it. Usage: test_cli.py LETHE"""
import json
import os
import pathlib
import pty
import random
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from cases import case, run_cases, work  # noqa: E402

LETHE = os.path.abspath(sys.argv[1])
SPEC = {"arch": "vit", "classes": 4, "image_size": 8, "channels": 1, "patch_size": 4, "dim": 16,
        "depth": 2, "heads": 2, "mlp_dim": 32}
QUICK = ["--set", "max_steps=60", "--set", "data_ratio=1", "--set", "learning_rate=0.02",
         "--set", "forget_weight=1", "--set", "rank=4", "--set", "zero_threshold=0",
         "--set", "gate_max_acc_f=30", "--set", "gate_max_acc_r_drop=60"]
DETECTOR = {"arch": "deformable_detr", "classes": 3, "backbone": "resnet18", "backbone_width": 8,
            "feature_levels": 2, "dim": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1,
            "ffn_dim": 32, "points": 2, "queries": 4, "shorter_side": 0, "dropout": 0, "seed": 1}
METHODS = ["gs-lora", "gs-lora++", "l2", "ewc", "mas", "lwf", "der", "der++", "fdr", "scrub", "scrub-s",
           "lirf", "retrain", "fine-tune", "gradient-ascent", "salun"]


def run(*arguments, code=0, env=None):
    done = subprocess.run([LETHE, *map(str, arguments)], capture_output=True, text=True, cwd=work,
                          env={**os.environ, **(env or {})}, timeout=120)
    assert done.returncode == code, (f"{arguments}: exit code {done.returncode}, not {code}\n"
                                     f"{done.stdout}{done.stderr}")
    return done


def answer(*arguments, code=0):
    return json.loads(run(*arguments, "--json", code=code).stdout)


def error(*arguments, code=1):
    return answer(*arguments, code=code)["error"]


def images(folder, seed, count=24):
    """Grey 8x8 images; each class is bright in a quarter of its own."""
    chance = random.Random(seed)
    for c in range(4):
        path = work / folder / str(c)
        path.mkdir(parents=True)
        for i in range(count):
            pixels = bytes((200 if (y >= 4) * 2 + (x >= 4) == c else 0) + chance.randrange(50)
                           for y in range(8) for x in range(8))
            (path / f"{i:02}.pgm").write_bytes(b"P5 8 8 255\n" + pixels)


COLOURS = (255, 0, 0), (0, 255, 0), (0, 0, 255)  # of a class's squares


def scenes(name, seed, count=6):
    """32x32 images in the folder `name`, a square each; name.json and name-voc/ say where."""
    chance = random.Random(seed)
    (work / name).mkdir()
    (work / f"{name}-voc").mkdir()
    coco = {"categories": [{"id": 10 * c + 10, "name": f"colour {c}"} for c in range(3)],
            "images": [], "annotations": []}
    for i in range(count):
        c, side, file = i % 3, chance.randrange(8, 16), f"{i}.ppm"
        left, top = chance.randrange(32 - side), chance.randrange(32 - side)
        inside = lambda x, y: left <= x < left + side and top <= y < top + side  # noqa: E731
        pixels = b"".join(bytes(COLOURS[c] if inside(x, y) else (90, 90, 90))
                          for y in range(32) for x in range(32))
        (work / name / file).write_bytes(b"P6 32 32 255\n" + pixels)
        coco["images"].append({"id": i, "file_name": file, "width": 32, "height": 32})
        coco["annotations"].append({"id": i, "image_id": i, "category_id": 10 * c + 10,
                                    "bbox": [left, top, side, side], "area": side * side,
                                    "iscrowd": 0})
        (work / f"{name}-voc" / f"{i}.xml").write_text(
            f"<annotation><filename>{file}</filename><size><width>32</width><height>32</height>"
            f"<depth>3</depth></size><object><name>colour {c}</name><bndbox><xmin>{left + 1}</xmin>"
            f"<ymin>{top + 1}</ymin><xmax>{left + side}</xmax><ymax>{top + side}</ymax></bndbox>"
            "</object></annotation>")
    (work / f"{name}.json").write_text(json.dumps(coco))


def prepare():
    scenes("scenes", 1)
    scenes("unseen", 2, 3)
    (work / "detector.json").write_text(json.dumps(DETECTOR))
    images("train", 1)
    images("test", 2, 8)
    (work / "spec.json").write_text(json.dumps(SPEC))
    done = answer(*MODEL, *DATA, "pretrain", "--set", "max_steps=200", "--set", "batch=16",
                  "--set", "learning_rate=0.003", "--out", "base.safetensors")
    assert done["state"] == "succeeded" and done["metrics"]["acc"] > 90, done


MODEL = ["--spec", "spec.json", "--threads", "1"]
BASE = [*MODEL, "--weights", "base.safetensors"]
DATA = ["--images", "train", "--validation-images", "test"]


@case
def help_teaches_and_usage_is_told_apart():
    text = run("--help").stdout
    for word in ("forget", "receipt", "--state", "--validation-coco", "Exit codes", "Example"):
        assert word in text, word
    for command in ("forget", "pretrain", "evaluate", "predict", "queue", "adapter", "receipt"):
        assert "Example" in run(command, "--help").stdout, command
    assert re.fullmatch(r"lethe \d+\.\d+\.\d+\n", run("--version").stdout)
    text = run("forget", "--help").stdout
    assert all(f"\n  {name} " in text for name in METHODS), text
    run(code=2)
    run("remember", code=2)
    assert "no method is called gone" in run("forget", "--forget", "1", "--method", "gone", code=2).stderr
    run("forget", code=2)
    run("--no-such-option", "evaluate", code=2)


@case
def forget_writes_an_adapter_and_tells_figures():
    done = answer(*BASE, *DATA, "forget", "--forget", "1", "--request-id", "r1",
                  "--out", "r1.lethe", *QUICK)
    assert done["state"] == "succeeded" and done["adapter"] == "r1.lethe", done
    assert done["metrics"]["acc_f"] <= 30 < done["metrics"]["acc_f_before"]
    text = run(*BASE, *DATA, "forget", "--forget", "1", *QUICK)
    assert "Acc_f" in text.stdout and "succeeded" in text.stdout
    assert "\033" not in text.stdout + text.stderr and "\r" not in text.stderr
    assert "60/60" in text.stderr  # progress, as lines


@case
def a_baseline_has_its_own_defaults_and_leaves_a_delta():
    done = answer(*BASE, *DATA, "forget", "--forget", "1", "--method", "ewc", "--request-id", "e1",
                  "--out", "e1.lethe", *QUICK)
    assert done["state"] == "succeeded", done
    metrics = done["metrics"]
    assert metrics["acc_f"] <= 30 < metrics["acc_f_before"], done
    # All but the head's 4 x 16 weights and 4 biases of 4916 parameters.
    assert abs(metrics["tunable_ratio"] - 100 * 4848 / 4916) < 1e-9, done
    assert 0 <= metrics["mia_loss_auc"] <= 1 and "groups_total" not in metrics, done
    manifest = answer("adapter", "info", "e1.lethe")
    assert manifest["kind"] == "delta" and manifest["method"] == "ewc", manifest
    assert manifest["method_config"]["penalty_weight"] == 3, manifest  # that of a linear head
    text = run("adapter", "info", "e1.lethe").stdout
    assert "weights changed" in text and "rank" not in text, text
    text = run(*BASE, *DATA, "forget", "--forget", "1", "--method", "ewc", *QUICK).stdout
    assert "succeeded" in text and "groups" not in text, text
    done = answer(*BASE, "--adapter", "e1.lethe", "--images", "test", "evaluate")
    assert done["metrics"]["acc_class.1"] <= 30 < done["base"]["acc_class.1"], done


@case
def every_method_is_accepted():
    for name in METHODS:
        done = answer(*BASE, *DATA, "--state", "methods", "forget", "--forget", "1", "--method", name,
                      "--request-id", name, "--enqueue-only")
        assert done["state"] == "queued", done
    assert len(answer("--state", "methods", "queue", "list")["jobs"]) == len(METHODS)


@case
def a_terminal_gets_one_line_written_over():
    main, other = pty.openpty()
    done = subprocess.Popen([LETHE, *BASE, *DATA, "forget", "--forget", "1", *QUICK], cwd=work,
                            stdout=other, stderr=other)
    os.close(other)
    text = b""
    try:
        while chunk := os.read(main, 4096):
            text += chunk
    except OSError:
        pass
    assert done.wait(60) == 0 and b"\r\033[K" in text, text


@case
def the_gate_has_an_exit_code_of_its_own():
    done = answer(*BASE, *DATA, "forget", "--forget", "1", "--set", "max_steps=1", "--set",
                  "data_ratio=1", "--set", "gate_max_acc_f=0", code=3)
    assert done["state"] == "rejected" and "gate" in done["message"], done


@case
def evaluate_compares_with_the_base():
    done = answer(*BASE, "--adapter", "r1.lethe", "--images", "test", "evaluate")
    assert done["base"]["acc_class.1"] > 90 and done["metrics"]["acc_class.1"] <= 30, done
    text = run(*BASE, "--adapter", "r1.lethe", "--images", "test", "evaluate").stdout
    assert "class 1" in text and "base" in text and "Acc_f" in text, text
    assert answer(*BASE, "--images", "test", "evaluate")["base"] is None


@case
def predict_names_the_likeliest_classes():
    done = answer(*BASE, "--images", "test", "predict", "--top", "2", "--limit", "5")
    assert len(done) == 5 and all(len(row["predicted"]) == 2 for row in done), done
    right = sum(row["predicted"][0]["class"] == row["label"] for row in done)
    assert right >= 4, done
    assert "%" in run(*BASE, "--images", "test", "predict").stdout


@case
def tasks_are_queued_worked_off_and_shown():
    state = ["--state", "state"]
    for c, name in ((1, "one"), (2, "two"), (3, "three")):
        done = answer(*BASE, *DATA, *state, "forget", "--forget", c, "--request-id", name,
                      "--enqueue-only", *QUICK)
        assert done["state"] == "queued", done
    listed = answer(*state, "queue", "list")
    assert [job["state"] for job in listed["jobs"]] == ["queued"] * 3, listed
    assert listed["holder_pid"] is None
    assert run(*state, "queue", "watch", code=1).stderr.startswith("No process")
    done = answer(*BASE, *state, "queue", "cancel", "three")
    assert done["state"] == "cancelled", done
    assert error(*BASE, *state, "queue", "cancel", "four")["code"] == "NOT_FOUND"
    listed = answer(*BASE, *state, "queue", "run")
    assert [job["state"] for job in listed["jobs"]] == ["succeeded", "succeeded", "cancelled"], listed
    assert answer(*state, "queue", "show", "two")["metrics"]["acc_f"] <= 30
    assert "two" in run(*state, "queue", "show", "two").stdout
    assert "succeeded" in run(*state, "queue", "list").stdout
    run(*state, "queue", "watch")
    assert error(*state, "queue", "show", "four")["code"] == "NOT_FOUND"
    done = answer(*BASE, *state, "--images", "test", "evaluate")  # with the folder's adapters
    assert done["metrics"]["acc_class.2"] <= 30, done


@case
def receipts_are_shown_and_verified():
    state = ["--state", "state"]
    assert len(answer(*state, "receipt", "show")) == 3
    assert "cancelled" in run(*state, "receipt", "show").stdout
    assert json.loads(run(*state, "receipt", "show", "one").stdout)["outcome"] == "succeeded"
    assert error(*state, "receipt", "show", "nobody")["code"] == "NOT_FOUND"
    assert answer(*state, "receipt", "verify") == {"ok": True, "receipts": 3, "first_break": None}
    lines = [json.dumps({"receipt": receipt}) for receipt in answer(*state, "receipt", "show")]
    (work / "forged.jsonl").write_text("\n".join(lines) + "\n")
    found = answer("receipt", "verify", "--file", "forged.jsonl", code=3)
    assert found["first_break"]["line"] == 1, found
    assert "breaks at receipt 1" in run("receipt", "verify", "--file", "forged.jsonl", code=3).stdout
    found = answer(*state, "receipt", "verify", "--key", "00" * 32, code=3)
    assert "another key" in found["first_break"]["reason"], found
    assert error(*state, "receipt", "verify", "--key", "no-such-file")["code"] == "NOT_FOUND"


@case
def adapters_are_looked_at_checked_converted_and_merged():
    manifest = answer("adapter", "info", "r1.lethe")
    assert manifest["request_id"] == "r1" and manifest["classes_forgotten"] == [1]
    assert "groups kept" in run("adapter", "info", "r1.lethe").stdout
    assert answer("adapter", "verify", "r1.lethe")["ok"] is True
    bytes_ = bytearray((work / "r1.lethe").read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    (work / "bad.lethe").write_bytes(bytes_)
    assert answer("adapter", "verify", "bad.lethe", code=3)["ok"] is False
    assert "bad.lethe" in run("adapter", "verify", "bad.lethe", code=3).stdout
    assert error("adapter", "info", "bad.lethe")["code"] == "CORRUPT"
    run("adapter", "export", "r1.lethe", "--to", "copy.lethe", "--level", "19")
    assert answer("adapter", "info", "copy.lethe") == manifest
    run("adapter", "export", "r1.lethe", code=1)
    run("adapter", "export", "r1.lethe", "--peft", "peft", "--names", "timm")
    assert json.loads((work / "peft/adapter_config.json").read_text())["r"] == 4
    run(*BASE, "adapter", "import", "peft", "--request-id", "again", "--forget", "1",
        "--to", "again.lethe")
    run(*BASE, "--adapter", "r1.lethe", "adapter", "merge", "--to", "merged.safetensors")
    views = [["--weights", "base.safetensors", "--adapter", "r1.lethe"],
             ["--weights", "base.safetensors", "--adapter", "again.lethe"],
             ["--weights", "merged.safetensors"]]
    seen = [answer(*MODEL, *view, "--images", "test", "predict") for view in views]
    assert seen[0] == seen[1] == seen[2]
    run(*BASE, "--state", "state", "adapter", "export", "one", "--to", "one.lethe")
    assert answer("adapter", "info", "one.lethe")["request_id"] == "one"


DETECT = ["--spec", "detector.json", "--threads", "1"]
SCENES = ["--coco", "scenes.json", "scenes", "--validation-coco", "unseen.json", "unseen"]
TWO_STEPS = ["--set", "max_steps=2", "--set", "data_ratio=1", "--set", "zero_threshold=0",
             "--set", "gate_max_acc_f=-1", "--set", "gate_max_acc_r_drop=-1"]


@case
def a_detector_is_trained_and_measured():
    done = answer(*DETECT, *SCENES, "pretrain", "--set", "max_steps=2", "--set", "batch=3",
                  "--out", "detector.safetensors")
    assert done["state"] == "succeeded" and 0 <= done["metrics"]["ap"] <= 100, done
    assert "acc" not in done["metrics"] and done["weights"] == "detector.safetensors", done
    text = run(*DETECT, *SCENES, "pretrain", "--set", "max_steps=1", "--set", "batch=3").stdout
    assert re.match(r"AP \d+\.\d\d % after 1 steps", text), text
    metrics = answer(*DETECT, "--coco", "unseen.json", "unseen", "evaluate")["metrics"]
    assert metrics["samples"] == 3 and {"ap", "ap50", "ap_class.2"} <= metrics.keys(), metrics
    text = run(*DETECT, "--coco", "unseen.json", "unseen", "evaluate").stdout
    assert " AP\n" in text and "class 2" in text and "IoU 0.50" in text and "cc" not in text, text
    same = answer(*DETECT, "--voc", "unseen-voc", "unseen", "evaluate")["metrics"]
    assert same["ap"] == metrics["ap"] and same["ap_class.2"] == metrics["ap_class.2"], same


@case
def a_detector_forgets_and_its_figures_are_aps():
    weights = ["--weights", "detector.safetensors"]
    state = ["--state", "detector-state"]
    listed = run(*DETECT, *weights, *SCENES, *state, "forget", "--forget", "1", "--request-id", "d1",
                 "--enqueue-only", *TWO_STEPS)
    assert "queued" in listed.stdout, listed
    text = run(*DETECT, *weights, *state, "queue", "run").stdout
    assert "AP_f" in text and "succeeded" in text and "Acc" not in text, text
    metrics = answer(*state, "queue", "show", "d1")["metrics"]
    assert {"ap_f", "ap_r_before", "ap50_r"} <= metrics.keys() and metrics["steps"] == 2, metrics
    assert "AP_f" in run(*state, "queue", "list").stdout
    text = run(*state, "receipt", "show").stdout
    assert "AP_f" in text and "AP_r" in text and "Acc" not in text, text
    receipt = answer(*state, "receipt", "show", "d1")
    assert receipt["figures"]["ap_f"] == metrics["ap_f"], receipt
    run(*DETECT, *weights, *state, "adapter", "export", "d1", "--to", "d1.lethe")
    settings = answer("adapter", "info", "d1.lethe")["method_config"]
    assert settings["gradient_clip"] == 0.1 and settings["audits"] == 0, settings  # a detector's
    text = run("adapter", "info", "d1.lethe").stdout
    assert re.search(r"ap_f +[\d.]+ %", text) and "_class" not in text, text
    text = run(*DETECT, *weights, "--adapter", "d1.lethe", *SCENES, "evaluate").stdout
    assert "base" in text and "forgotten last (AP_f)" in text, text
    text = run(*DETECT, *weights, *SCENES, "forget", "--forget", "0,2", *TWO_STEPS).stdout
    assert re.search(r"\nAP_r +[\d.]+ % +[\d.]+ %\nAP_o +- ", text) and "2 steps" in text, text


@case
def predict_lists_what_a_detector_finds():
    weights = ["--weights", "detector.safetensors", "--coco", "unseen.json", "unseen"]
    done = answer(*DETECT, *weights, "predict", "--top", "20", "--limit", "2")
    assert [image["image"] for image in done] == [0, 1], done
    box = json.loads((work / "unseen.json").read_text())["annotations"][1]["bbox"]
    assert done[1]["objects"] == [{"class": 1, "box": [box[0], box[1], box[0] + box[2],
                                                       box[1] + box[3]]}], done
    for image in done:  # 4 queries of 3 classes
        scores = [found["score"] for found in image["predicted"]]
        assert len(scores) == 12 and scores == sorted(scores, reverse=True), image
        for found in image["predicted"]:
            left, top, right, bottom = found["box"]
            assert found["class"] in (0, 1, 2) and left < right and top < bottom, found
    rows = run(*DETECT, *weights, "predict", "--top", "2").stdout.splitlines()
    assert len(rows) == 7 and "score  left top right bottom" in rows[0], rows
    assert re.fullmatch(r" *2 +[012] +0\.\d{3} +[-\d. ]+", rows[-1]), rows


@case
def what_does_not_fit_a_detector_is_refused():
    for refused, part, options in (
            ("UNSUPPORTED", "is a detector", [*DETECT, "--images", "train", "evaluate"]),
            ("UNSUPPORTED", "labels alone", [*DETECT, "--images", "train", "predict"]),
            ("UNSUPPORTED", "is an image classifier", [*BASE, *SCENES, "evaluate"]),
            ("UNSUPPORTED", "has boxes", [*BASE, *SCENES, "predict"]),
            ("INVALID_ARGUMENT", "another kind", [*DETECT, *SCENES[:3], "--validation-images",
                                                  "test", "forget", "--forget", "1"]),
            ("INVALID_ARGUMENT", "--transform", [*DETECT, *SCENES, "--transform", "{}", "evaluate"]),
            ("UNSUPPORTED", "audits", [*DETECT, *SCENES, "forget", "--forget", "1", "--set",
                                       "audits=1"]),
            ("UNSUPPORTED", "lirf", [*DETECT, *SCENES, "forget", "--forget", "1", "--method",
                                     "lirf"]),
            ("INVALID_ARGUMENT", "colour 0", [*DETECT, "--voc", "unseen-voc", "unseen",
                                              "--class-names", '["cat"]', "evaluate"]),
            ("NOT_FOUND", "none.json", [*DETECT, "--coco", "none.json", "scenes", "evaluate"])):
        message = error(*options)
        assert message["code"] == refused and part in message["message"], (options, message)
        assert "\n" not in message["message"], message
    for other in (["--images", "train"], ["--voc", "unseen-voc", "unseen"]):
        assert "--coco" in run(*DETECT, *SCENES, *other, "evaluate", code=2).stderr
    run(*DETECT, *SCENES, "--class-names", '["cat"]', "evaluate", code=2)
    run(*DETECT, "--coco", "scenes.json", "evaluate", code=2)


@case
def classes_can_be_the_ids_of_categories():
    wide = ["--spec", json.dumps({**DETECTOR, "classes": 31}), "--threads", "1"]
    unseen = ["--coco-ids", "unseen.json", "unseen"]
    done = answer(*wide, *unseen, "predict", "--top", "1")
    assert [image["objects"][0]["class"] for image in done] == [10, 20, 30], done
    metrics = answer(*wide, *unseen, "evaluate")["metrics"]
    names = {name for name in metrics if name.startswith("ap_class.")}
    assert names == {"ap_class.10", "ap_class.20", "ap_class.30"}, metrics
    scenes_by_id = ["--coco-ids", "scenes.json", "scenes"]
    for held_out in (["--validation-coco-ids", "unseen.json", "unseen"],
                     ["--validation-voc", "unseen-voc", "unseen"]):
        text = run(*wide, *scenes_by_id, *held_out, "forget", "--forget", "20", *TWO_STEPS).stdout
        assert "AP_f" in text and "2 steps" in text, text
    by_place = ["--validation-coco", "unseen.json", "unseen"]
    refused = run(*wide, *scenes_by_id, *by_place, "evaluate", code=2).stderr
    assert "--coco-ids" in refused and "--validation-coco" in refused, refused
    run(*wide, *scenes_by_id, "--coco", "scenes.json", "scenes", "evaluate", code=2)


@case
def the_classes_of_held_out_annotations_are_those_trained_on():
    (work / "few").mkdir()
    for name in ("1.xml", "2.xml"):  # colours 1 and 2, which alone would be numbered 0 and 1
        (work / "few" / name).write_bytes((work / "unseen-voc" / name).read_bytes())
    refused = error(*DETECT, "--voc", "scenes-voc", "scenes", "--validation-voc", "few", "unseen",
                    "forget", "--forget", "0", *TWO_STEPS)
    assert refused["code"] == "NOT_FOUND" and "class 0 has no sample in the validation" in (
        refused["message"]), refused


@case
def errors_name_value_and_code():
    assert error(*DATA, "forget", "--forget", "1")["code"] == "INVALID_ARGUMENT"  # no model
    assert error(*BASE, "forget", "--forget", "1")["code"] == "INVALID_ARGUMENT"  # no images
    assert "9" in error(*BASE, *DATA, "forget", "--forget", "9")["message"]
    assert error(*BASE, *DATA, "forget", "--forget", "9")["code"] == "NOT_FOUND"
    assert "rnk" in error(*BASE, *DATA, "forget", "--forget", "1", "--set", "rnk=3")["message"]
    assert error(*BASE, *DATA, "forget", "--forget", "1", "--set", "rank")["code"] == "INVALID_ARGUMENT"
    assert "tomorrow" in error(*BASE, *DATA, "forget", "--forget", "1", "--deadline", "tomorrow")["message"]
    assert "epoch" in error(*BASE, *DATA, "pretrain", "--set", "epoch=3")["message"]
    assert error(*MODEL, "--weights", "none", *DATA, "evaluate")["code"] == "NOT_FOUND"
    assert error(*BASE, "--images", "none", "evaluate")["code"] == "NOT_FOUND"
    assert error("--spec", "{\"arch\":\"x\"}", *DATA, "evaluate")["code"] == "NOT_FOUND"
    assert error("--state", "none", "queue", "list")["code"] == "NOT_FOUND"
    assert error("queue", "list")["code"] == "INVALID_ARGUMENT"
    text = run(*BASE, "--images", "none", "evaluate", code=1)
    assert text.stdout == "" and text.stderr.startswith("lethe: "), text


@case
def a_project_file_saves_typing():
    (work / "here.toml").write_text('spec = "spec.json"\nweights = "base.safetensors"\n'
                                    'images = "test"\nthreads = 1\n')
    assert answer("--project", "here.toml", "evaluate")["metrics"]["acc"] > 90


@case
def an_interrupt_cancels_or_keeps():
    def started(*options):
        """The tool, once its task trains."""
        process = subprocess.Popen([LETHE, *BASE, *DATA, *options, "--set", "max_steps=1000000",
                                    "--set", "data_ratio=1"], cwd=work, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        first = process.stderr.readline()
        assert "/1000000" in first, first
        return process

    process = started("forget", "--forget", "1")
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 4 and "cancelled" in text, text

    process = started("--state", "kept", "forget", "--forget", "1", "--request-id", "long")
    busy = error(*BASE, "--state", "kept", "--images", "test", "evaluate", code=5)
    assert busy["code"] == "BUSY" and str(process.pid) in busy["message"], busy
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 4 and "queue run" in text, text
    job = answer("--state", "kept", "queue", "show", "long")
    assert job["state"] == "queued" and job["step"] > 0, job


run_cases(prepare)
