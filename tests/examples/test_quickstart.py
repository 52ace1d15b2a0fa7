#!/usr/bin/env python3
"""The quickstart's two programs and the script that starts them, on a handful of images.
Usage: test_quickstart.py QUICKSTART QUICKSTART_DETECTION EXAMPLES_FOLDER

Without Fashion-MNIST it is skipped.
"""
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from cases import case, run_cases, work  # noqa: E402

CLASSIFICATION, DETECTION = (os.path.abspath(path) for path in sys.argv[1:3])
EXAMPLES = pathlib.Path(sys.argv[3]).resolve()
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")
ANYTHING = json.dumps({"gate_max_acc_f": -1, "gate_max_acc_r_drop": -1, "zero_threshold": 0,
                       "proximal_weight": 0})


def run(program, *arguments, code=0):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, cwd=work,
                          timeout=500, check=False)
    assert done.returncode == code, (f"{arguments}: exit code {done.returncode}, not {code}\n"
                                     f"{done.stdout}{done.stderr}")
    return done


def figures(done):
    return json.loads(done.stdout.splitlines()[-1])


def sentence(program, *arguments, code=1):
    text = run(program, *arguments, code=code).stderr
    assert text.count("\n") == 1 and text.startswith("quickstart: "), text
    return text


def few_items(folder, train=600, test=200):
    """The first items of Fashion-MNIST, as IDX files."""
    folder.mkdir()
    for prefix, count in (("train", train), ("t10k", test)):
        for kind, head, item in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
            content = gzip.decompress((FASHION / f"{prefix}-{kind}-ubyte.gz").read_bytes())
            (folder / f"{prefix}-{kind}-ubyte").write_bytes(
                content[:4] + count.to_bytes(4, "big") + content[8:head + count * item])


def few_scenes(folder, train=100, test=20):
    subprocess.run(["/usr/bin/python3", EXAMPLES / "data/scenes.py", "--train", str(train), "--test",
                    str(test), folder], check=True, capture_output=True, timeout=200)


def prepare():
    few_items(work / "items")
    few_scenes(work / "scenes")


@case
def help_teaches():
    for program in (CLASSIFICATION, DETECTION):
        text = run(program, "--help").stdout
        for word in ("--forget", "--data", "--steps", "--config", "--threads", "Exit codes",
                     "Examples"):
            assert word in text, (program, word)
    assert "Ankle boot" in text and "--model" in text and "scenes.py" in text, text


@case
def wrong_usage_is_told_apart():
    for program in (CLASSIFICATION, DETECTION):
        for arguments in (["--no-such-option"], ["nonsense"], ["--steps"], ["--steps", "0"],
                          ["--seed", "-1"], ["--method", "amnesia"], ["--forget", ""],
                          ["--forget", "1,,2"], ["--forget", "1/"], ["--threads=many"], ["--reload"]):
            assert "--help" in sentence(program, *arguments, code=2), arguments
    assert "--pretrain" in sentence(DETECTION, "--pretrain", code=2)
    assert "--model" in sentence(CLASSIFICATION, "--model", "x.safetensors", code=2)
    assert "1 twice" in sentence(CLASSIFICATION, "--forget", "1,1", code=2)


@case
def the_script_knows_two_tasks():
    script = EXAMPLES / "quickstart.sh"
    for arguments in (["--task", "segmentation"], ["--seed", "2", "--task=segmentation"], ["--task"],
                      ["--task="]):
        text = sentence("bash", script, *arguments, code=2)
        assert "classification" in text and "detection" in text, text


@case
def one_sentence_says_what_is_wrong():
    def wrong(*arguments):
        return sentence(DETECTION, "--data", "scenes", "--out", "no", *arguments)
    assert "scenes.py" in sentence(DETECTION, "--data", "nowhere", "--out", "no")
    text = wrong("--forget", "Trouser/Scarf")
    assert '"Scarf"' in text and "T-shirt, Trouser" in text, text
    assert '"12"' in wrong("--forget", "12")
    assert "Trouser twice" in wrong("--forget", "Trouser/trouser")
    assert "every category" in wrong("--forget", "0,1,2,3,4/5,6,7,8,9")
    assert ".safetensors" in wrong("--model", "detector.pt")
    assert "detector.json" in wrong("--model", "detector.safetensors")
    assert "rank" in wrong("--config", '{"rank":0}')
    about = json.loads((work / "scenes/test.json").read_text())
    about["categories"].append({"id": 11, "name": "Scarf"})
    (work / "more").mkdir()
    for side in ("train", "test"):
        (work / "more" / side).symlink_to(work / "scenes" / side)
        (work / f"more/{side}.json").write_text(json.dumps(about))
    assert "--model" in sentence(DETECTION, "--data", "more", "--out", "no")


@case
def a_detector_forgets_restarts_and_rolls_back():
    done = run(DETECTION, "--data", "scenes", "--steps", "4", "--forget", "Trouser, bag/2", "--out",
               "found", "--config", ANYTHING)
    result = figures(done)
    assert [task["forget"] for task in result["tasks"]] == [["Trouser", "Bag"], ["Pullover"]]
    assert result["reload_max_abs_diff"] == 0 and result["rollback_is_exact"], result
    assert result["pretrained_ap"] > 30, result
    first, second = result["tasks"]
    for task in result["tasks"]:
        assert task["steps"] == 4 and task["adapter_bytes"] > 1000, task
        assert task["groups_kept"] == task["groups_total"] > 2, task
        assert task["ap_f_before"] > 0 and task["ap_r_before"] > 0, task
    assert first["ap_o"] is None and second["ap_o"] is not None
    for word in ("Deformable DETR", "Forgetting with GS-LoRA++", "Trouser,Bag", "bit for bit"):
        assert word in done.stdout, word
    assert sorted(path.name for path in (work / "found").glob("*.lethe")) == ["task-1.lethe",
                                                                              "task-2.lethe"]
    page = (work / "found/report.html").read_text()
    assert "http" not in page, "the page needs nothing else"
    pictures = re.findall(r'<image id="(scene-\d+)"[^>]*href="data:image/bmp;base64,', page)
    assert len(set(pictures)) == len(pictures) >= 5, pictures
    for name in pictures:
        assert page.count(f'<use href="#{name}"/>') == 2, name
    assert page.count('class="truth"') > 10 < page.count('class="box kept"')


@case
def a_refused_task_leaves_the_model():
    done = run(DETECTION, "--data", "scenes", "--steps", "1", "--method=gs-lora", "--forget", "2",
               "--out", "refused", code=3)
    assert "REJECTED" in done.stdout and "no task succeeded" in done.stdout, done.stdout
    task = figures(done)["tasks"][0]
    assert task["ap_f"] == task["ap_f_before"] and task["adapter_bytes"] is None, task
    assert not list((work / "refused").glob("*.lethe"))


@case
def the_settings_reach_the_task():
    done = run(DETECTION, "--data", "scenes", "--steps", "2", "--forget", "2", "--out", "settings",
               "--threads", "1", "--seed", "5", "--config", '{"rank":3,"gate_max_acc_f":1}', code=3)
    assert done.stdout.count("seed 5") == 1
    page = (work / "settings/report.html").read_text()
    for setting in ("rank&quot;:3,", "gate_max_acc_f&quot;:1", "max_steps&quot;:2,", "seed&quot;:5,"):
        assert setting in page, setting


@case
def a_classifier_forgets_restarts_and_rolls_back():
    done = run(CLASSIFICATION, "--data", "items", "--steps", "4", "--forget", "1,2/8", "--out",
               "right", "--config", ANYTHING)
    result = figures(done)
    assert [task["forget"] for task in result["tasks"]] == [[1, 2], [8]]
    assert result["reload_max_abs_diff"] == 0 and result["pretrained_acc"] > 80, result
    assert "bit for bit" in done.stdout
    page = (work / "right/report.html").read_text()
    assert "http" not in page and page.count("data:image/bmp") > 40


if not FASHION.is_dir():
    print("Fashion-MNIST is not installed (Debian: dataset-fashion-mnist)")
    sys.exit(77)
run_cases(prepare)
