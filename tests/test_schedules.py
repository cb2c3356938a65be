"""Schedules: what an optimizer does with one, and what they refuse.

That they agree with Keras's numbers is in test_keras_parity.py.
"""

import math

import numpy as np
import pytest
from small import dense_model, two_classes

import tinydx
from tinydx import Tensor
from tinydx.callbacks import LearningRateScheduler, ReduceLROnPlateau
from tinydx.optimizers import SGD, Adam, AdamW
from tinydx.optimizers.schedules import (
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
)


class Numbered(LearningRateSchedule):
    """The rate of a step is its number, from 1."""

    def __call__(self, step):
        return step + 1.0


def test_the_import_of_keras_programs():
    import tinydx.optimizers.schedules as by_import

    assert tinydx.optimizers.schedules is by_import and by_import.CosineDecay is CosineDecay


def test_the_optimizer_counts_the_steps():
    optimizer, weight = SGD(Numbered()), Tensor(np.array([0.0]))
    for step in range(4):
        assert optimizer.learning_rate == step + 1  # of the next step
        before = weight.data.copy()
        optimizer.apply([np.array([1.0])], [weight])
        assert before - weight.data == step + 1


def test_weight_decay_follows_the_schedule():
    """AdamW takes weight_decay * rate * weight off, by the rate of the same step."""
    optimizer, weight = AdamW(Numbered(), weight_decay=0.125), Tensor(np.array([16.0]))
    for step in range(3):
        expected = weight.data * (1 - 0.125 * (step + 1))
        optimizer.apply([np.array([0.0])], [weight])
        np.testing.assert_allclose(weight.data, expected, rtol=1e-12)


def test_a_gradient_that_is_not_finite_counts_no_step():
    optimizer, weight = SGD(Numbered()), Tensor(np.array([0.0]))
    with pytest.raises(FloatingPointError):
        optimizer.apply([np.array([np.nan])], [weight])
    assert optimizer.iterations == 0 and optimizer.learning_rate == 1


def test_fit_takes_the_rate_of_each_step():
    """Steps of fit with a schedule are those of train_on_batch with the rates set by hand."""
    x, y = two_classes()
    schedule = CosineDecay(0.01, 8, warmup_target=0.1, warmup_steps=3)
    following, by_hand = dense_model(optimizer=Adam(schedule)), dense_model(optimizer=Adam(1.0))
    by_hand.set_weights(following.get_weights())
    following.fit(x, y, batch_size=10, epochs=3, shuffle=False, verbose=0)
    for step in range(12):
        by_hand.optimizer.learning_rate = schedule(step)
        at = step % 4 * 10
        by_hand.train_on_batch(x[at : at + 10], y[at : at + 10])
    for a, b in zip(following.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert following.optimizer.learning_rate == pytest.approx(0.0, abs=1e-12)


def test_a_schedule_can_be_replaced_but_not_set_to_a_number():
    optimizer = Adam(CosineDecay(0.1, 10))
    message = "Adam: its learning rate follows a CosineDecay, so it cannot be set: give the optimizer a number"
    with pytest.raises(TypeError, match=message):
        optimizer.learning_rate = 0.5
    optimizer.learning_rate = ExponentialDecay(0.25, 10, 0.5)
    assert optimizer.learning_rate == 0.25
    free = Adam(0.1)
    free.learning_rate = 0.5
    assert free.learning_rate == 0.5
    free.learning_rate = CosineDecay(0.125, 10)
    assert free.learning_rate == 0.125


@pytest.mark.parametrize("callback", [ReduceLROnPlateau("loss"), LearningRateScheduler(lambda epoch, rate: rate)])
def test_callbacks_that_set_the_rate_say_so_before_training(callback):
    model = dense_model(optimizer=Adam(CosineDecay(0.1, 10)))
    before = model.get_weights()
    message = f"{type(callback).__name__}: the learning rate follows a CosineDecay: drop the callback, or compile with a number"
    with pytest.raises(TypeError, match=message) as caught:
        model.fit(*two_classes(), callbacks=[callback], verbose=0)
    assert "\n" not in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_cosine_decay_meets_its_ends():
    schedule = CosineDecay(0.2, 100, alpha=0.25, warmup_target=0.8, warmup_steps=20)
    assert [schedule(0), schedule(10), schedule(20)] == pytest.approx([0.2, 0.5, 0.8])
    assert schedule(70) == pytest.approx(0.5)  # the middle of 0.8 and 0.2
    assert schedule(120) == schedule(10_000) == pytest.approx(0.2)
    rates = [schedule(step) for step in range(130)]
    assert np.argmax(rates) == 20 and np.diff(rates[:21]).min() > 0 > np.diff(rates[20:121]).max()
    assert CosineDecay(0.2, 10, warmup_target=0.4, warmup_steps=0)(0) == 0.4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CosineDecay(0.1, 0), "CosineDecay: decay_steps is 0, expected a number above 0"),
        (lambda: CosineDecay(-0.1, 10), "CosineDecay: initial_learning_rate is -0.1, expected 0 or a number above it"),
        (lambda: CosineDecay(0.1, 10, warmup_target=math.nan), "CosineDecay: warmup_target is nan"),
        (lambda: CosineDecay(0.1, 10, warmup_steps="3"), "CosineDecay: warmup_steps is '3'"),
        (lambda: ExponentialDecay(0.1, 10, 0), "ExponentialDecay: decay_rate is 0"),
        (lambda: InverseTimeDecay(0.1, -1, 0.5), "InverseTimeDecay: decay_steps is -1"),
        (lambda: PiecewiseConstantDecay([1, 2], [0.1]), "got 2 boundaries and 1 values, expected one value more"),
        (lambda: PiecewiseConstantDecay([2, 2], [0.1, 0.2, 0.3]), r"boundaries are \[2, 2\], expected them to rise"),
        (lambda: PiecewiseConstantDecay([2], [0.1, math.inf]), "values is inf"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_schedule_must_say_its_rate():
    with pytest.raises(NotImplementedError, match="LearningRateSchedule must define __call__"):
        LearningRateSchedule()(0)
