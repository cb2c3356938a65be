"""Milestone 4: a deeper network, and an ensemble of it."""

import numpy as np

from tinydx.exercises.milestones.engine import Engine
from tinydx.exercises.milestones.milestone import Milestone
from tinydx.exercises.milestones.training import AREA, Run, adam, batches, descend, drawn, phantoms
from tinydx.language import sentence
from tinydx.tensor import Tensor

MEMBERS, STEPS, EPS = 2, 40, 1e-3


def train(engine: Engine) -> Run:
    """Two members from different draws; their ensemble answers."""
    data = phantoms(8)
    members = [member(engine, seed) for seed in range(MEMBERS)]
    shares, spread = engine.call("ensemble", np.array([logits for _, logits in members]))
    losses = np.mean([of_one for of_one, _ in members], axis=0).tolist()
    area = engine.call("roc_area", data.y_test == 1, shares[:, 1])
    figures = {AREA: float(area), sentence("disagreement of the members, on average"): float(spread.mean())}
    return Run(losses, shares, data.y_test, figures)


def member(engine: Engine, seed: int) -> tuple[list[float], np.ndarray]:
    """x (N,8,8,1) -> (N,4,4,4), normalised, GELU, (N,2,2,4) -> 16 numbers, a residual block -> 2 scores."""
    data, rng = phantoms(8), np.random.default_rng((5, seed))
    w = drawn(rng, k=(3, 3, 1, 4), c=(4,), w1=(16, 16), b1=(16,), u=(16, 24), d=(24,), v=(24, 16), w2=(16, 2), b2=(2,))
    for name, size in (("gamma1", 4), ("gamma2", 16)):
        w[name] = Tensor(np.ones(size), requires_grad=True)
        w[name.replace("gamma", "beta")] = Tensor(np.zeros(size), requires_grad=True)
    conv, norm, gelu, pool = (engine.op(name) for name in ("conv_stride_padding", "batch_norm", "gelu", "average_pool"))
    dense, block, layer_norm, loss = (engine.op(name) for name in ("dense", "residual", "layer_norm", "softmax_crossentropy"))

    def scores(x: np.ndarray) -> Tensor:
        h = conv(Tensor(x[..., None]), w["k"], w["c"], stride=2, padding=1)
        h = gelu(norm(h.reshape(len(x) * 16, 4), w["gamma1"], w["beta1"], eps=EPS)).reshape(len(x), 4, 4, 4)
        h = dense(pool(h, size=2, stride=2).reshape(len(x), 16), w["w1"], w["b1"])
        return dense(layer_norm(block(h, w["u"], w["d"], w["v"]), w["gamma2"], w["beta2"], eps=EPS), w["w2"], w["b2"])

    def loss_of(rows: np.ndarray) -> Tensor:
        return loss(scores(data.x[rows]), target=np.eye(2)[data.y[rows]])

    losses = descend(w, loss_of, adam(engine, 0.01), batches(rng, len(data.x), 20, STEPS))
    return losses, scores(data.x_test).data


MILESTONE = Milestone(
    title="A deeper network, twice",
    chinese="更深的网络及其集成",
    about=sentence(
        "A convolution with a stride and padding, batch_norm, gelu, average_pool, a residual block and layer_norm, with "
        "softmax_crossentropy as the loss. Two such networks begin from different weights, and ensemble joins their answers. "
        "(The test patients are normalised by their own mean, all together.)"
    ),
    names=(
        *("dense", "softmax_crossentropy", "adam", "batch_norm", "layer_norm", "gelu", "residual"),
        *("roc_area", "ensemble", "conv_stride_padding", "average_pool"),
    ),
    train=train,
    examples=lambda: phantoms(8),
)
