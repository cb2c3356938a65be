"""The document's equations, and what training needs besides: the ops of the table.

Every file of this folder is imported, and every op that it puts into the table is found here by its name: `ops.relu`.
So is an op that a user's own file puts into the table. On Tensors an op is recorded on the tape, on arrays it only
computes; `tinydx card NAME` prints it.
"""

import importlib
import pkgutil

from tinydx.op import TABLE, Op
from tinydx.suggestions import did_you_mean

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

globals().update(TABLE)  # an op of the same name as its file (dense, softmax, lstm, gru) is the op
__all__ = sorted(TABLE)


def __getattr__(name: str) -> Op:
    """An op that was put into the table later."""
    if name in TABLE:
        return TABLE[name]
    raise AttributeError(f"tinydx.ops has no {name!r}{did_you_mean(name, TABLE)}")
