"""What `tinydx bench` does with its arguments: measure or read a JSON file, print the tables, write the result folder.

`tinydx bench errors` measures no time and only prints its table.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from tinydx.bench import errors, folder, results
from tinydx.bench.compare import Timing, compare, compare_shapes
from tinydx.bench.flat import measure_flatness
from tinydx.bench.race import race_models, race_step
from tinydx.files import check_folder

OPTIONS = ("threads", "rounds", "output", "shapes", "backends", "seconds", "peers", "batch", "only")
TAKEN = {  # by what is measured; anything else is an op
    "errors": (),
    "step": ("threads", "rounds", "output", "peers", "batch"),
    "models": ("threads", "rounds", "output", "peers", "only"),
    "shapes": ("threads", "rounds", "output", "seconds", "only"),
    "flat": ("threads", "rounds", "output", "only"),
}
TAKEN_BY_OP = ("threads", "rounds", "output", "shapes", "backends", "seconds")


def bench(a: argparse.Namespace) -> int:
    """Run `tinydx bench`; returns the exit status."""
    if a.source:
        run, path = folder.read_whole(a.source), a.output
    elif a.op is None:
        names = ", ".join(TAKEN)
        raise ValueError(f"tinydx bench: give an op (`tinydx card` lists them), or one of {names}, or --from bench.json")
    else:
        _refuse(a, TAKEN.get(a.op, TAKEN_BY_OP))
        if a.op == "errors":
            print(errors.markdown(errors.measure()))
            return 0
        path = a.output or f"bench/{a.op}"
        check_folder(path)
        run = _measure(a)
        folder.save(run, path)
    results.show(run)
    if path:
        folder.save_views(run, path)
        print(f"\n{path}: bench.md, bench.png" + ("" if a.source else ", and all samples in bench.json"))
    return 0


def _refuse(a: argparse.Namespace, taken: tuple[str, ...]) -> None:
    """ValueError for an option that does not apply to what is measured."""
    for name in OPTIONS:
        if name not in taken and getattr(a, name) is not None:
            raise ValueError(f"tinydx bench {a.op} has no --{name}: see `tinydx bench --help`")


def _measure(a: argparse.Namespace) -> dict[str, Any]:
    given = {k: v for k in ("rounds", "threads") if (v := getattr(a, k)) is not None}
    timing = Timing(**given, **({"seconds": a.seconds} if a.seconds else {}))
    peers = a.peers.split(",") if a.peers else None
    if a.op == "step":
        return race_step(**({"batch": a.batch} if a.batch else {}), peers=peers, say=_say, **given)
    if a.op == "models":
        return race_models(a.only, peers=peers, say=_say, **given)
    if a.op == "flat":
        return measure_flatness(a.only, say=_say, **given)
    if a.op == "shapes":
        return compare_shapes(a.only, timing, _say)
    return compare(a.op, a.shapes, a.backends, timing, _say)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
