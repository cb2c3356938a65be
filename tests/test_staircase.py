"""The steps of the lesson `speed` compute the same as the reference, for any shape."""

import numpy as np
import pytest

from tinydx import ops

pytest.importorskip("numba", reason="the CPU kernels need numba: pip install numba")
from tinydx_kernels.cpu import simd, staircase

SHAPES = [
    ((1, 1), (0, 0), 3, 0),
    ((3, 3), (4, 7), 5, 0),
    ((2, 3), (1, 2 * simd.ROWS), 2, 5),
    ((3, 1), (2, 1), 1, staircase.PANEL),
]


@pytest.mark.parametrize("step", staircase.STEPS, ids=lambda step: step.py_func.__name__)
@pytest.mark.parametrize(("kernel", "more", "channels", "filters"), SHAPES)
def test_a_step_is_the_reference(step, kernel, more, channels, filters):
    """Outputs of the smallest size that every step supports, and larger ones, whose blocks overlap at the edge."""
    rng = np.random.default_rng(channels)
    rows, columns = more[0] + kernel[0], more[1] + simd.ROWS + kernel[1] - 1
    x = rng.normal(size=(rows, columns, channels)).astype("float32")
    w = rng.normal(size=(*kernel, channels, staircase.PANEL + filters)).astype("float32")
    kept = x.copy(), w.copy()
    expected, _ = ops.correlate2d.forward(x[None].astype(float), w.astype(float))
    np.testing.assert_allclose(step(x, w), expected[0], rtol=1e-5, atol=1e-5)
    assert (x == kept[0]).all() and (w == kept[1]).all()
