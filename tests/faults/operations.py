"""Run an experiment while its file operations fail; a program, because the library that fails is loaded before Python.

    LD_PRELOAD=… python operations.py FOLDER count            how many operations a run has, and what its verdict says
    LD_PRELOAD=… python operations.py FOLDER once 3 17 60     the 3rd fails, then a run without faults; and so on
    LD_PRELOAD=… python operations.py FOLDER full 3 17 60     the disk is full from the 3rd on
    LD_PRELOAD=… python operations.py FOLDER kill 3           the process is killed at the 3rd
    python operations.py FOLDER after 3 17 60                 only the run without faults, in the workplaces of `kill`

Each prints a line of JSON for each number.
"""

import ctypes
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import rnnlm
from rnnlm.errors import RnnlmError

MODES = {"count": 1, "once": 2, "full": 3, "kill": 4}


def run(folder: Path, work: Path) -> list[Any]:
    """Return all of a verdict but how long it took."""
    verdict = rnnlm.run(folder / "reviews.yaml", work, progress=False)
    cells = [(cell.arm, dict(cell.metrics)) for cell in verdict.cells]
    return list(json.loads(json.dumps([dict(verdict.digests), list(verdict.sentences), cells])))


def main() -> None:
    """Do what the command line says."""
    folder, how, numbers = Path(sys.argv[1]).resolve(), sys.argv[2], [int(n) for n in sys.argv[3:]]
    if how == "after":
        for number in numbers:
            print(json.dumps({"number": number, "after": run(folder, folder / f"kill-{number}")}), flush=True)
        return
    faults = ctypes.CDLL(None)
    faults.faults_disarm.restype, faults.faults_failed.restype = ctypes.c_long, ctypes.c_char_p
    if how != "kill":
        run(folder, folder / "warm")  # modules are imported, and graphs are compiled
    for number in numbers or [0]:
        work, error = folder / f"{how}-{number}", ""
        faults.faults_arm(str(work).encode(), MODES[how], ctypes.c_long(number))
        said = None
        try:
            said = run(folder, work)
        except (RnnlmError, OSError) as one:  # of both, a command prints what and where
            error = f"{type(one).__name__}: {one}"
        except BaseException as one:  # what a test must see
            error = f"not for people: {one!r}"
        count, failed = faults.faults_disarm(), faults.faults_failed().decode(errors="replace")
        after = said if how == "count" else run(folder, work)
        result = {"number": number, "count": count, "failed": failed, "error": error, "said": said, "after": after}
        print(json.dumps(result), flush=True)
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
