"""Milestone 1: a dense network."""

import numpy as np

from tinydx.exercises.milestones.engine import Engine
from tinydx.exercises.milestones.milestone import Milestone
from tinydx.exercises.milestones.training import AREA, Run, batches, descend, drawn, of_two, phantoms
from tinydx.language import sentence
from tinydx.tensor import Tensor, no_grad


def train(engine: Engine) -> Run:
    """x (N,64) -> 8 ReLUs -> a score; momentum; then the finished network in 8 bits, too."""
    data, rng = phantoms(8), np.random.default_rng(1)
    x, x_test = (maps.reshape(len(maps), 64) for maps in (data.x, data.x_test))
    w = drawn(rng, w1=(64, 8), b1=(8,), w2=(8, 1), b2=(1,))
    velocities = {name: np.zeros(p.shape) for name, p in w.items()}
    dense, relu, loss = engine.op("dense"), engine.op("relu"), engine.op("sigmoid_bce")

    def scores(x: np.ndarray) -> Tensor:
        return dense(relu(dense(Tensor(x), w["w1"], w["b1"])), w["w2"], w["b2"])

    def loss_of(rows: np.ndarray) -> Tensor:
        return loss(scores(x[rows]), target=data.y[rows, None].astype(float))

    def update(name: str, p: np.ndarray, g: np.ndarray, step: int) -> np.ndarray:
        p, velocities[name] = engine.call("sgd", p, velocities[name], g, 0.05, 0.9, function="sgd_with_momentum")
        return p

    losses = descend(w, loss_of, update, batches(rng, len(x), 24, 60))
    with no_grad():
        abnormal = engine.call("stable_sigmoid", scores(x_test).data[:, 0], function="sigmoid")
    area = engine.call("roc_area", data.y_test == 1, abnormal)
    eight = in_8_bits(engine, x_test, {name: p.data for name, p in w.items()})
    figures = {AREA: float(area), sentence("accuracy in 8 bits"): float(((eight > 0) == data.y_test).mean())}
    return Run(losses, of_two(abnormal), data.y_test, figures)


def in_8_bits(engine: Engine, x: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    """The scores (N,) of the network whose matrices are rounded to 8 bits."""
    for w_, b in (("w1", "b1"), ("w2", "b2")):
        q, scale = engine.call("quantise", w[w_], 8, function="quantise")
        x = engine.call("quantise", x, q, scale, function="dense") + w[b]
        x = np.maximum(x, 0) if w_ == "w1" else x
    return x[:, 0]


MILESTONE = Milestone(
    title="A dense network",
    chinese="全连接网络",
    about=sentence(
        "Synthetic chest images, seen as 8 x 8 fields: how much the pixels of each field vary. 64 numbers go through 8 ReLUs "
        "to one score. dense and relu bring the gradient back from sigmoid_bce, the loss, and sgd with momentum moves the "
        "weights. Then stable_sigmoid turns the scores of unseen patients into probabilities, roc_area says how well these "
        "rank them, and quantise runs the finished network in 8 bits."
    ),
    names=("sigmoid_bce", "sgd", "relu", "stable_sigmoid", "roc_area", "quantise", "dense"),
    train=train,
    examples=lambda: phantoms(8),
)
