"""The CUDA emulator: planted bugs are found as what they are, right kernels pass, and results are right."""

import functools
import re
from pathlib import Path

import numpy as np
import pytest

from tinydx.op import find_kernels

find_kernels()
from tinydx_kernels.emulator import KernelError, load_module  # noqa: E402
from tinydx_kernels.emulator import build as building  # noqa: E402
from tinydx_kernels.emulator.check import check, plans_of  # noqa: E402

try:
    building.compiler()
except OSError as error:
    pytest.skip(str(error), allow_module_level=True)

PLANTED = Path(__file__).parent / "planted"


# ---- planted bugs ----------------------------------------------------------------------------------------------------


def planted():
    """(file, number of the launch in it, {(line, kinds)}) for each kernel of tests/planted."""
    for path in sorted(PLANTED.glob("*.cu")):
        head, *pieces = re.split(r"^// check: ", path.read_text(), flags=re.M)
        line = 1 + head.count("\n")
        for number, piece in enumerate(pieces):
            rows = piece.splitlines()
            marks = {(line + i, kinds) for i, row in enumerate(rows) for kinds in re.findall(r"// BUG (\S+)", row)}
            yield pytest.param(path, number, marks, id=f"{path.stem}-{piece.split('<')[0]}")
            line += piece.count("\n")


@functools.cache
def results(path, bug):
    """All launches of a file, with or without its bugs. SIZE: of one, the size is the bug."""
    plans = [p._replace(shape=p.shape.replace("SIZE", "128" if bug else "256")) for p in plans_of(path)]
    return check(path, plans, {"BUG": int(bug)})


PLANTS = list(planted())


@pytest.mark.parametrize("path, number, marks", PLANTS)
def test_planted_bug_is_found(path, number, marks):
    findings = results(path, True)[number].findings
    found = {(line, f.kind) for f in findings for line in (f.line, f.other_line)}
    assert any((line, kind) in found for line, kinds in marks for kind in kinds.split("|")), list(map(str, findings))


@pytest.mark.parametrize("path, number, marks", PLANTS)
def test_without_the_bug_there_is_no_finding(path, number, marks):
    assert not results(path, False)[number].findings


def test_there_are_at_least_25_kinds_of_bugs():
    assert len(PLANTS) >= 25
