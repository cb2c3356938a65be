"""Milestone 2: the document's network, small."""

import numpy as np

from tinydx.exercises.milestones.engine import Engine
from tinydx.exercises.milestones.milestone import Milestone
from tinydx.exercises.milestones.training import AREA, Run, adam, batches, descend, drawn, of_two, phantoms
from tinydx.language import sentence
from tinydx.tensor import Tensor, no_grad


def train(engine: Engine) -> Run:
    """x (N,8,8,1), twice convolution, ReLU and max pooling, then (N,12) -> 12 ReLUs, dropout -> a score; Adam."""
    data, rng = phantoms(8), np.random.default_rng(5)
    x, x_test = data.x[..., None], data.x_test[..., None]
    w = drawn(rng, k1=(3, 3, 1, 4), c1=(4,), k2=(2, 2, 4, 12), c2=(12,), w1=(12, 12), b1=(12,), w2=(12, 1), b2=(1,))
    conv, pool, relu, dense = (engine.op(name) for name in ("conv_backward", "max_pool", "relu", "dense"))
    dropout, loss = engine.op("dropout"), engine.op("sigmoid_bce")

    def scores(x: np.ndarray, mask: np.ndarray | None = None) -> Tensor:
        h = pool(relu(conv(Tensor(x), w["k1"], w["c1"])), size=2, stride=2)
        h = pool(relu(conv(h, w["k2"], w["c2"])), size=2, stride=2)
        h = relu(dense(h.reshape(len(x), 12), w["w1"], w["b1"]))
        return dense(h if mask is None else dropout(h, mask=mask, rate=0.25), w["w2"], w["b2"])

    def loss_of(rows: np.ndarray) -> Tensor:
        return loss(scores(x[rows], rng.random((len(rows), 12)) > 0.25), target=data.y[rows, None].astype(float))

    losses = descend(w, loss_of, adam(engine, 0.03), batches(rng, len(x), 16, 64))
    with no_grad():
        abnormal = engine.call("stable_sigmoid", scores(x_test).data[:, 0], function="sigmoid")
        layer = conv(Tensor(x_test[:1]), w["k1"], w["c1"]).data[0, :, :, 0]
    area = engine.call("roc_area", data.y_test == 1, abnormal)
    in_loops = engine.call("conv_sum", x_test[0, :, :, 0], w["k1"].data[:, :, 0, 0], float(w["c1"].data[0]))
    figures = {AREA: float(area), sentence("largest gap between conv_sum and the layer"): float(np.abs(in_loops - layer).max())}
    return Run(losses, of_two(abnormal), data.y_test, figures)


MILESTONE = Milestone(
    title="The document's network, small",
    chinese="文中的小型卷积网络",
    about=sentence(
        "The same images, seen as 8 x 8 fields, go through convolution, ReLU and max pooling, twice, then through a dense "
        "layer with dropout to one score, as in the document's program; adam moves the weights. After the training, conv_sum "
        "computes the first map of one patient in loops, which must be the layer's."
    ),
    names=(
        *("sigmoid_bce", "adam", "dropout", "stable_sigmoid", "roc_area", "conv_sum"),
        *("relu", "dense", "max_pool", "conv_backward"),
    ),
    train=train,
    examples=lambda: phantoms(8),
)
