"""Draw an op's samples from Hypothesis, so that a failing case shrinks to small shapes.

A test takes `st.data()` and asks an op of the table for inputs:

    @given(st.data())
    def test_something(data):
        arrays, constants = relu.samples(HypothesisDraw(data))
"""

from typing import Any

import numpy as np
from hypothesis import strategies as st


class HypothesisDraw:
    """`tinydx.op.Draw` from Hypothesis: `whole=True` draws small whole numbers (many ties), else normal numbers.

    Shapes and options shrink one by one. The numbers come from one drawn seed and do not shrink: normal numbers are then
    never special (a tie, a zero).
    """

    def __init__(self, data: st.DataObject, whole: bool = False):
        self.data, self.whole = data, whole
        self.rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included; shrinks towards low."""
        return self.data.draw(st.integers(low, high))

    def choice(self, options: Any) -> Any:
        """One of the options; shrinks towards the first."""
        return options[self.integer(0, len(options) - 1)]

    def array(self, *shape: int) -> np.ndarray:
        """A float64 array of that shape."""
        return self.rng.integers(-3, 4, shape).astype(float) if self.whole else self.rng.normal(size=shape)
