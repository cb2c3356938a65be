"""What `tinydx bench` does with its arguments: measure or read a JSON file, print the tables, write the result folder.

`tinydx bench errors` measures no time and only prints its table.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from tinydx.bench import errors, folder, results
from tinydx.bench.compare import compare
from tinydx.bench.training_step import race
from tinydx.files import check_folder

OF_OP = {"shapes": "--shapes", "backends": "--backends", "seconds": "--seconds"}
OF_STEP = {"peers": "--peers", "batch": "--batch"}


def bench(a: argparse.Namespace) -> int:
    """Run `tinydx bench`; returns the exit status."""
    if a.op == "errors":
        _refuse(a, {**OF_OP, **OF_STEP, "rounds": "--rounds", "threads": "--threads", "output": "--output"})
        print(errors.markdown(errors.measure()))
        return 0
    if a.source:
        run, path = folder.read_whole(a.source), a.output
    elif a.op is None:
        raise ValueError("tinydx bench: give an op (`tinydx card` lists them), step or errors, or --from bench.json")
    else:
        _refuse(a, OF_OP if a.op == "step" else OF_STEP)
        path = a.output or f"bench/{a.op}"
        check_folder(path)
        run = _measure(a)
        folder.save(run, path)
    results.show(run)
    if path:
        folder.save_views(run, path)
        print(f"\n{path}: bench.md, bench.png" + ("" if a.source else ", and all samples in bench.json"))
    return 0


def _refuse(a: argparse.Namespace, options: dict[str, str]) -> None:
    """ValueError for an option that does not apply to what is measured."""
    for name, option in options.items():
        if getattr(a, name) is not None:
            raise ValueError(f"tinydx bench {a.op} has no {option}: see `tinydx bench --help`")


def _measure(a: argparse.Namespace) -> dict[str, Any]:
    given = {k: v for k in ("rounds", "threads", "seconds", "batch") if (v := getattr(a, k)) is not None}
    if a.op == "step":
        return race(a.peers.split(",") if a.peers else None, say=_say, **given)
    return compare(a.op, a.shapes, a.backends, say=_say, **given)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
