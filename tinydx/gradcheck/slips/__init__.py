"""Mistakes that people make in gradients, one file a subject, as the equations have in tinydx/ops/.

A slip is a wrong formula of its own, with the name of the mistake and one sentence of advice:

    @slip_of(relu, "gate forgotten", "Where x <= 0 the output did not move: multiply dy by (y > 0).")
    def relu_without_gate(dy, y):
        return (dy,)

The gradient checker compares a wrong gradient with them, and its tests prove with them that it can fail. Importing this
package, which the first look at `Op.slips` brings about, registers the slips of all its files.
"""

import importlib
import pkgutil
from collections.abc import Callable

from tinydx.op import Op, Slip


def slip_of(op: Op, name: str, advice: str) -> Callable:
    """Register a wrong backward of `op` with its name and one sentence of advice.

    The function takes dy and saved, as the op's own backward, and by name whatever else it needs of the op: arrays,
    constants, y. It returns one gradient per array, and None for a gradient that the mistake leaves right.
    """

    def register(function: Callable[..., tuple]) -> Callable[..., tuple]:
        op.registered_slips.append(Slip(name, advice, function))
        return function

    return register


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
