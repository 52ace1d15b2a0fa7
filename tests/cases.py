"""Cases of a Python test, with cmocka's result lines, so that tests/run.sh counts each.

    sys.path.insert(0, ...)           # the folder of this file
    from cases import case, run_cases, work

    @case
    def it_works(): ...               # fails by raising; the others still run
    run_cases()                       # and leaves the program

`work` is an empty folder that lasts until the end.
"""
import atexit
import pathlib
import shutil
import sys
import tempfile

work = pathlib.Path(tempfile.mkdtemp(prefix="lethe-cases-"))
atexit.register(shutil.rmtree, work, ignore_errors=True)
_cases = []


def case(function):
    _cases.append(function)
    return function


def run_cases(prepare=lambda: None):
    failed = 0
    prepare()
    for function in _cases:
        print(f"[ RUN      ] {function.__name__}", flush=True)
        try:
            function()
            print(f"[       OK ] {function.__name__}", flush=True)
        except Exception as problem:  # a case may fail in any way
            failed += 1
            print(f"{type(problem).__name__}: {problem}\n[  FAILED  ] {function.__name__}")
    print(f"[  PASSED  ] {len(_cases) - failed} test(s).")
    if failed:
        print(f"[  FAILED  ] {failed} test(s), listed below:")
    sys.exit(bool(failed))
