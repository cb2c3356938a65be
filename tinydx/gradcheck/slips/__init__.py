"""Mistakes that people make in gradients: one file per subject, like the equations in tinydx/ops/.

A slip is a complete wrong formula, with the name of the mistake and one sentence of advice:

    @slip_of(relu, "gate forgotten", "Where x <= 0 the output did not move: multiply dy by (y > 0).")
    def relu_without_gate(dy, y):
        return (dy,)

The gradient checker compares a wrong gradient with them to name the mistake, and its tests prove with them that it can
fail. Importing this package registers the slips of all its files; the first access to `Op.slips` imports it.
"""

import importlib
import pkgutil
from collections.abc import Callable

from tinydx.op import Op, Slip


def slip_of(op: Op, name: str, advice: str) -> Callable:
    """Register a wrong backward of an op.

    Arguments: op; name of the mistake; advice, one sentence.
    Returns: a decorator for the function, which takes dy and saved, as the op's own backward does, and by name whatever else
    it needs: the op's arrays, constants and y. It returns one gradient per array, None for one that the mistake leaves right.
    """

    def register(function: Callable[..., tuple]) -> Callable[..., tuple]:
        op.registered_slips.append(Slip(name, advice, function))
        return function

    return register


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
