"""One submission, graded in a process of its own: `python -m tinydx.exercises.cell NAME PATH SECONDS SEED FENCE...`.

`sandbox.py` starts it for every file, in a copy of the student's folder. It draws the data and judges; the student's code runs
in a third process, behind the fence.

    grade ── one cell for each file: what happens to it ends one cell of the table
               └─ fence (bwrap ...) worker.py: the student's code, which only returns arrays

The last line of its output is the cell: a word, and one sentence that says why.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tinydx.exercises.exercise import find
from tinydx.exercises.runner import Result, check_file

MARK = "cell "
SEPARATOR = "; "  # between the names of mistakes, none of which has it


def main(name: str, path: str, seconds: str, seed: str, *fence: str) -> None:
    """Check one file and print its cell."""
    result = check_file(find(name), Path(path), float(seconds), int(seed), fence)
    told = f"wrong {result.right}/{result.of}" if result.status == "wrong" and result.of else result.status
    print(f"{MARK}{told}\t{' '.join(why(result).split())}", flush=True)


def why(result: Result) -> str:
    """One sentence for a file that did not pass: the runner's, or the names of the mistakes."""
    return result.message or SEPARATOR.join(dict.fromkeys(m or "no known mistake" for m in result.mistakes))


if __name__ == "__main__":
    main(*sys.argv[1:])
