"""Submissions that attack whoever grades them, or look for the answer elsewhere; no test by itself.

Their codes lie in tests/submissions/, one section `=== kind` each. They stand above a solution that is right, so that whoever
does not stop them sees "ok".
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path

import tinydx.exercises

HONEST = "ann"  # the student who has done everything
RELU = "02_relu.py"
ENGINE = Path(inspect.getfile(tinydx.exercises)).parents[2]
SOLUTION = ENGINE / "tinydx" / "exercises" / "catalog" / "relu.py"
HEAD = "import codeop, os, signal, subprocess, sys, threading, time, types\nimport numpy as np\n"
RIGHT = "\n\ndef relu_backward(dy, x):\n    return dy * (x > 0)\n"
TAKEN = """
if 'relu_backward' not in globals():
    space = {'np': np}
    types.FunctionType(codeop.Compile()(text, 'a.py', 'exec'), space)()
    relu_backward = space['relu_backward']
"""


def sections(name: str, **places: object) -> dict[str, str]:
    """Kind -> code, of one file of tests/submissions; the words in capitals are replaced by these places."""
    text = (Path(__file__).parent / "submissions" / f"{name}.txt").read_text("utf-8")
    for word, place in places.items():
        text = text.replace(f"'{word}'", repr(str(place)))
    pairs = (part.split("\n", 1) for part in text.removeprefix("=== ").split("\n=== "))
    return {kind: code.rstrip("\n") + "\n" for kind, code in pairs}


def codes(room: Path) -> dict[str, str]:
    """Kind -> the whole text of a submission; room, the class's folder."""
    places = {"ROOM": room, "VICTIM": room / HONEST / RELU, "ABOVE": room.parent, "OUTSIDE": room.parent / "outside"}
    places |= {"SOLUTION": SOLUTION, "ENGINE": ENGINE}
    attacks = {kind: HEAD + code + RIGHT for kind, code in sections("attacks", **places).items()}
    attacks["deep nesting"] = "x = " + "(" * 50_000 + ")" * 50_000 + RIGHT
    attacks["a deep sum"] = "x = 0" + " + 1" * 49_000 + RIGHT
    attacks["minus minus"] = "x = " + "-" * 90_000 + "1" + RIGHT
    return attacks | {kind: HEAD + code + TAKEN for kind, code in sections("searches", **places).items()}


def files(room: Path) -> dict[str, Callable[[Path], object]]:
    """Kind -> what makes the student's file, given its path."""
    return {
        "15 MB of source": lambda p: p.write_text("x = 0\n" * 2_500_000),
        "10 GB without content": lambda p: p.touch() or os.truncate(p, 10 * 2**30),
        "a pipe": os.mkfifo,
        "a folder": lambda p: p.mkdir(),
        "a file that may not be read": lambda p: p.write_text(RIGHT) and p.chmod(0),
        "a link to a classmate": lambda p: p.symlink_to(room / HONEST / RELU),
        "a link to a classmate, relative": lambda p: p.symlink_to(Path("..", HONEST, RELU)),
        "a link to the system": lambda p: p.symlink_to("/etc/passwd"),
        "a link without end": lambda p: p.symlink_to("/dev/zero"),
        "a link to itself": lambda p: p.symlink_to(p.name),
        "a link to nothing": lambda p: p.symlink_to("nothing"),
        "null bytes": lambda p: p.write_bytes(b"x = 1\0\n"),
        "no text": lambda p: p.write_bytes(bytes(range(1, 256)) * 9),
        "nothing": lambda p: p.write_bytes(b""),
    }
