#!/usr/bin/env python3
"""What the scenario's report must say, whatever the machine. Usage: expect_scenario.py REPORT"""
import json
import sys


def all_of(lines, key):
    return [line[key] for line in lines if key in line]


def expect(what, is_so, wanted):
    if is_so != wanted:
        sys.exit(f"{what}: {is_so} instead of {wanted}")


lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
expect("the tasks' ends", all_of(lines, "state"), ["succeeded", "succeeded", "rejected", "succeeded"])
expect("the errors", all_of(lines, "error"),
       ["OK", "OK", "REJECTED", "EXISTS", "NOT_FOUND", "INVALID_ARGUMENT", "INVALID_ARGUMENT", "STATE",
        "NOT_FOUND", "NOT_FOUND", "BASE_MISMATCH", "BASE_MISMATCH", "OK"])
# The same scores whenever the model is the base, carries one task, or both: loaded, merged, rolled back.
hashes = all_of(lines, "hash")
base, embedding, both, one, delta = hashes[0], hashes[2], hashes[3], hashes[5], hashes[9]
expect("the states", hashes, [base, base, embedding, both, both, one, both, one, base, delta])
expect("different states", len({base, embedding, both, one, delta}), 5)
# The settings that the last task alone has reached the library.
metrics = all_of(lines, "metrics")[-1]
expect("the last task's audits", ["mia_loss_auc" in metrics, "probe_f" in metrics, "groups_total" in metrics],
       [True, True, False])
