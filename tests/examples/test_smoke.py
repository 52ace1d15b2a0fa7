#!/usr/bin/env python3
"""A small experiment from start to end. Usage: test_smoke.py LETHE_EXPERIMENTS smoke.json

Without Fashion-MNIST it is skipped.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from cases import case, run_cases, work  # noqa: E402

TOOL, SMOKE = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
PROTOCOL = json.loads(SMOKE.read_text())

def run(*arguments, code=0):
    done = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, cwd=work,
                          timeout=600)
    assert done.returncode == code, (f"{arguments}: exit code {done.returncode}, not {code}\n"
                                     f"{done.stdout}{done.stderr}")
    return done


def changed(name, **changes):
    """The protocol with changes, as a file beside the results."""
    protocol = {**PROTOCOL, **changes}
    folder = SMOKE.parent
    protocol["model"] = {"spec": json.loads((folder / protocol["model"]["spec"]).read_text()),
                         "weights": str(folder / protocol["model"]["weights"])}
    (work / name).write_text(json.dumps(protocol))
    return name


@case
def help_teaches_and_usage_is_told_apart():
    text = run("--help").stdout
    for word in ("--out", "--data", "--check", "Exit codes", "Example"):
        assert word in text, word
    run(code=2)
    run(SMOKE, code=2)
    run("--no-such-option", code=2)


@case
def one_sentence_says_what_is_wrong():
    def sentence(*arguments):
        text = run(*arguments, code=1).stderr
        assert text.count("\n") == 1 and text.startswith("lethe-experiments: "), text
        return text
    assert "nowhere.json" in sentence("nowhere.json", "--out", "no")
    assert "prepare the data with:  apt-get" in sentence(SMOKE, "--data", work, "--out", "no")
    assert "cannot write" in sentence(SMOKE, "--out", "/proc/no")
    assert 'row "gs"' in sentence(SMOKE, "--out", "no", "--only", "gs")
    unknown = changed("unknown.json", methods=[{"name": "amnesia"}])
    assert 'no method "amnesia"' in sentence(unknown, "--out", "no1")
    wrong = changed("wrong.json", methods=[{"name": "gs-lora", "settings": {"rnak": [1, 2]}}])
    assert "gs-lora, 10-2" in (text := sentence(wrong, "--out", "no2")) and "rnak" in text, text


@case
def a_run_leaves_tables_and_figures():
    text = run(SMOKE, "--out", "whole").stdout
    assert text.count("Acc_f") == 6 and "results.html" in text, text
    results = json.loads((work / "whole/results.json").read_text())
    assert [step["name"] for step in results["steps"]] == ["10-2", "8-2"]
    assert len(results["rows"]) == 3
    for row in results["rows"]:
        first, second = row["tasks"]
        assert first["state"] == second["state"] == "succeeded"
        base = results["base"]["steps"]
        for task, before in zip(row["tasks"], base):
            metrics = task["metrics"]
            assert metrics["acc_f"] < 20 < 50 < metrics["acc_r"], metrics
            assert abs(metrics["acc_f_before"] - before["acc_f"]) < 1e-9
            assert abs(metrics["acc_r_before"] - before["acc_r"]) < 1e-9
            drop = before["acc_f"] - metrics["acc_f"]
            h = 2 * metrics["acc_r"] * drop / (metrics["acc_r"] + drop)
            assert abs(metrics["h"] - h) < 1e-6, metrics
        assert "acc_o" in second["metrics"] and "acc_o" not in first["metrics"]
        assert second["settings"]["seed"] == 1337 and second["settings"]["gate_max_acc_f"] == -1
    assert [task["settings"]["proximal_weight"] for task in results["rows"][1]["tasks"]] == [8, 6]
    assert len(results["run"]["tasks"]) == 6
    for task in results["run"]["tasks"].values():
        assert task["origin"]["command"].endswith(" --out whole"), task
        assert task["origin"]["machine"]["cores"] >= 1, task
    table = (work / "whole/results.md").read_text()
    assert "| Method | Steps | Tunable, % |" in table, table
    assert re.search(r"\| GS-LoRA\+\+, proximal \| \d+\.\d\d / \d+\.\d\d / \d+\.\d\d", table), table
    assert (work / "whole/results.csv").read_text().count(",acc_f,") == 6
    page = (work / "whole/results.html").read_text()
    assert "http" not in page and page.count("<svg") > 3


@case
def a_second_run_does_nothing():
    before = {path: path.read_bytes() for path in (work / "whole").glob("results.*")}
    assert len(before) == 4
    text = run(SMOKE, "--out", "whole").stdout
    assert "Acc_f" not in text, text
    for path, content in before.items():
        assert path.read_bytes() == content, path
    for path in before:  # the journal alone is enough for the figures
        path.unlink()
    run(SMOKE, "--out", "whole")
    for path, content in before.items():
        if path.suffix == ".csv":
            assert path.read_bytes() == content, path


def stopped(how, out):
    """Stops a run in its second task."""
    process = subprocess.Popen([TOOL, SMOKE, "--out", out], cwd=work, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stderr:
        if "  8-2  " in line:
            break
    process.send_signal(how)
    text = process.stdout.read() + process.stderr.read()
    return process.wait(120), text


@case
def a_killed_run_goes_on_to_the_same_results():
    code, _ = stopped(signal.SIGKILL, "killed")
    assert code == -signal.SIGKILL
    assert not json.loads((work / "killed/results.json").read_text())["rows"][0]["tasks"][1]
    code, text = stopped(signal.SIGINT, "killed")
    assert code == 4 and "Go on with:" in text and "--out killed" in text, text
    run(SMOKE, "--out", "killed")
    assert "equal" in run("--check", "whole", "killed/results.json").stdout
    assert (work / "whole/results.csv").read_bytes() == (work / "killed/results.csv").read_bytes()


@case
def differences_are_found():
    results = json.loads((work / "killed/results.json").read_text())
    results["rows"][0]["tasks"][0]["metrics"]["h"] += 1
    (work / "other.json").write_text(json.dumps(results))
    assert "metrics/h" in run("--check", "whole", "other.json", code=3).stdout


@case
def results_of_another_protocol_are_not_mixed():
    other = changed("other_protocol.json", settings={"max_steps": 51})
    assert "another protocol" in run(other, "--out", "whole", code=1).stderr


if not (pathlib.Path(PROTOCOL["data"]["root"]) / PROTOCOL["data"]["train"][0]).exists():
    print("Fashion-MNIST is not installed (Debian: dataset-fashion-mnist)")
    sys.exit(77)
run_cases()
