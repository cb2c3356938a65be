"""One submission, graded in a process of its own: `python -m tinydx.exercises.cell NAME PATH SECONDS SEED`.

`grade.py` starts it for every file, in a copy of the student's folder. What a submission does to the process that checks it
ends this process, and with it one cell of the table. The last line of its output is the cell.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tinydx.exercises.exercise import find
from tinydx.exercises.runner import check_file

MARK = "cell "


def main(name: str, path: str, seconds: str, seed: str) -> None:
    """Check one file and print its cell, with the hash of the file that was run."""
    result = check_file(find(name), Path(path), float(seconds), int(seed))
    told = f"wrong {result.right}/{result.of}" if result.status == "wrong" and result.of else result.status
    print(MARK + told, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:5])
