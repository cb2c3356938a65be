"""Do the maps of a model of phantoms find the lesions? Each method beside a random place, one in the lungs, and the image itself.

    tinydx diagnose --output diagnosis && python -m tinydx.tasks.pointing diagnosis/model.safetensors [--count 100]

    new abnormal phantoms ── each method ──> maps ─┬─ is the brightest place in a lesion?
    (no training set has them)                     └─ the share of the positive evidence outside the lungs

The image itself as the map is the baseline of a method that only marks what is bright.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from tinydx import command, explain
from tinydx.diagnosis.sections.evidence import on_phantoms, phantom_inputs
from tinydx.explain.checks import METHODS
from tinydx.models import load_model


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Print and return the findings of `on_phantoms`, and the pointing game of the image itself under "image"."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.pointing", description=__doc__.split("\n")[0])
    parser.add_argument("model", help="a model of phantoms, as `tinydx diagnose` writes it without --data")
    parser.add_argument("--count", type=int, default=100, help="new phantoms (default 100)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="default: all")
    a = parser.parse_args(arguments)
    model = load_model(a.model)
    x, lesions, lungs = phantom_inputs(model, a.count)
    image = explain.pointing_game(x, lesions, lungs)
    print(f"the image itself: {image.sentence}", flush=True)
    found = on_phantoms(model, a.count, a.methods)
    for row in found["methods"]:
        print("\n".join(f"{row['method']}: {sentence}" for sentence in row["sentences"]), flush=True)
    print(f"The model calls {found['called']:.0%} of them abnormal.")
    return {**found, "image": image}


if __name__ == "__main__":
    sys.exit(command.run(main))
