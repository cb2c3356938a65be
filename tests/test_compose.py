"""Composed ops: the parts one after the other, the chain rule back through them, and whose a constant is."""

import numpy as np
import pytest
from draws import HypothesisDraw
from hypothesis import given
from hypothesis import strategies as st

from tinydx import ops
from tinydx.compose import compose
from tinydx.gradcheck.truth import Truth
from tinydx.op import TABLE, RandomDraw, check_arrays, find
from tinydx.testing import assert_gradients, assert_literal

COMPOSED = [op for op in TABLE.values() if op.parts]
EVERY_COMPOSED_OP = pytest.mark.parametrize("op", COMPOSED, ids=lambda op: op.name)


@pytest.fixture
def pooled(monkeypatch):
    """Convolution, activation and average pooling: two parts have a stride, a padding and a size or a kernel of their own."""
    monkeypatch.setattr("tinydx.compose.TABLE", dict(TABLE))
    op = compose("conv2d_tanh_average_pool2d", ops.conv2d, ops.tanh, ops.average_pool2d, y="(N,PH,PW,F)")
    op.samples = lambda draw: (
        (draw.array(2, 6, 7, 1), draw.array(2, 2, 1, 2), draw.array(2)),
        {"padding": "same", "size": (2, 3)},
    )
    return op


def by_hand(x, w, b, stride=1, size=2):
    """The pooled op part by part: the y of each, and what each saved."""
    y1, saved1 = ops.conv2d.forward(x, w, b, stride=stride)
    y2, saved2 = ops.tanh.forward(y1)
    y3, saved3 = ops.average_pool2d.forward(y2, size=size)
    return (y1, y2, y3), (saved1, saved2, saved3)


@EVERY_COMPOSED_OP
@given(data=st.data())
def test_forward_is_the_parts_one_after_the_other_bit_for_bit(op, data):
    arrays, constants = op.samples(HypothesisDraw(data))
    y, ran = op.forward(*arrays, **constants)
    assert len(ran) == len(op.parts)
    expected = arrays
    for part, run in zip(op.parts, ran, strict=True):
        expected = (part.forward(*expected, **run.constants)[0],)
        np.testing.assert_array_equal(run.y, expected[0], strict=True)
    np.testing.assert_array_equal(y, expected[0], strict=True)


def test_forward_and_backward_of_a_new_composition(pooled):
    arrays, _ = pooled.samples(RandomDraw(0))
    y, ran = pooled.forward(*arrays, stride=2, size=2)
    ys, saved = by_hand(*arrays, stride=2)
    np.testing.assert_array_equal(y, ys[-1], strict=True)
    dy = np.random.default_rng(1).normal(size=y.shape)
    (d2,) = ops.average_pool2d.backward(dy, saved[2])
    (d1,) = ops.tanh.backward(d2, saved[1])
    for got, expected in zip(pooled.backward(dy, ran), ops.conv2d.backward(d1, saved[0]), strict=True):
        np.testing.assert_array_equal(got, expected, strict=True)


def test_backward_is_the_chain_rule_against_the_complex_step(pooled):
    arrays, constants = pooled.samples(RandomDraw(0))
    y, ran = pooled.forward(*arrays, **constants)
    dy = np.random.default_rng(1).normal(size=y.shape)
    truth = Truth(lambda moved: [pooled.forward(*moved, **constants)[0]], arrays, [dy], trusted=True)
    for k, (a, gradient) in enumerate(zip(arrays, pooled.backward(dy, ran), strict=True)):
        true = truth.elements(k, np.arange(a.size)).true.reshape(a.shape)
        np.testing.assert_allclose(gradient, true, rtol=1e-12, atol=1e-13)
    assert_gradients(pooled)


def test_literal_is_the_parts_literals(pooled):
    assert_literal(pooled)
    arrays = np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)), np.zeros(1)
    expected = ops.average_pool2d.literal(ops.tanh.literal(ops.conv2d.literal(*arrays)), size=1)
    np.testing.assert_array_equal(pooled.literal(*arrays, size=1), expected, strict=True)


def test_a_constant_goes_to_the_first_part_that_has_it(pooled):
    arrays, _ = pooled.samples(RandomDraw(0))
    _, ran = pooled.forward(*arrays, stride=2, padding="same", size=3, dilation=1)
    assert [run.constants for run in ran] == [{"stride": 2, "padding": "same", "dilation": 1}, {}, {"size": 3}]
    np.testing.assert_array_equal(ran[2].y, ops.average_pool2d(ran[1].y, size=3))  # its own stride and padding are the defaults


def test_the_signature_has_the_arrays_of_the_first_part_and_the_constants_of_all(pooled):
    assert str(pooled.signature) == "(x, w, b=None, *, stride=1, padding='valid', dilation=1, groups=1, size=2)"
    assert pooled.arrays == ["x", "w", "b"]
    assert pooled.shapes == "x (N,H,W,C), w (kh,kw,C/groups,F), b (F,) -> y (N,PH,PW,F)"
    assert pooled.equation == r"y = \mathrm{average\_pool2d(tanh(conv2d(x, w, b)))}"
    assert (pooled.source, pooled.parts) == ("conv2d + tanh + average_pool2d", (ops.conv2d, ops.tanh, ops.average_pool2d))
    assert "average_pool2d(tanh(conv2d(x, w, b)))" in pooled.__doc__
    with pytest.raises(ValueError, match=r"conv2d_tanh_average_pool2d: w has shape \(2, 2\)"):
        check_arrays(pooled, (np.ones((1, 4, 4, 1)), np.ones((2, 2))))


@pytest.mark.parametrize("compute", ["forward", "literal"])
def test_an_unknown_constant_is_an_error_with_close_names(pooled, compute):
    arrays, _ = pooled.samples(RandomDraw(0))
    with pytest.raises(TypeError, match="conv2d_tanh_average_pool2d has no argument 'strides'; did you mean 'stride'"):
        getattr(pooled, compute)(*arrays, strides=2)
    with pytest.raises(TypeError, match="dense_relu has no argument 'axis'; known: b, w, x"):
        ops.dense_relu.forward(np.ones((1, 2)), np.ones((2, 1)), axis=0)


def test_the_op_is_in_the_table_under_its_name():
    assert find("dense_relu") is ops.dense_relu
    assert {op.name for op in COMPOSED} >= {"dense_relu", "conv2d_relu", "conv2d_relu_max_pool2d"}


def test_a_wrong_part_is_a_wrong_whole(pooled, monkeypatch):
    """The chain rule uses the backward that a part has when it is called."""
    monkeypatch.setattr(ops.tanh, "backward", lambda dy, y: (dy * (1 - y),))
    with pytest.raises(AssertionError, match="dx"):
        assert_gradients(pooled)
