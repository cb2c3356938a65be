"""Milestone 3: three engines of the learner's, and a training step."""

import numpy as np

from tinydx.exercises.milestones.engine import Engine
from tinydx.exercises.milestones.milestone import Milestone
from tinydx.exercises.milestones.training import AREA, Run, batches, drawn, of_two, phantoms
from tinydx.language import sentence
from tinydx.tensor import Tensor, no_grad

RANKS = (8, 24)  # rows of each of two processes in a step
RATE, MOMENTUM, DECAY = 0.05, 0.9, 0.01


def train(engine: Engine) -> Run:
    """x (N,16), four fields by four, through a part of each engine to a score; two ranks; the learner's optimizer."""
    data, rng = phantoms(4), np.random.default_rng(4)
    x, x_test = (maps.reshape(len(maps), 16) for maps in (data.x, data.x_test))
    w = drawn(rng, w1=(16, 16), b1=(16,), w2=(16, 12), v2=(12, 8), w3=(8, 6), v3=(6, 1))
    layers, twice, tape, loss = (engine.op(n) for n in ("engine_layers", "engine_used_twice", "engine_tape", "sigmoid_bce"))

    def scores(x: np.ndarray) -> Tensor:
        h = layers(Tensor(x), w["w1"], w["b1"])
        return tape(twice(h, w["w2"], w["v2"]), w["w3"], w["v3"])

    def loss_of(rows: np.ndarray) -> Tensor:
        return loss(scores(x[rows]), target=data.y[rows, None].astype(float))

    begun = {name: p.data for name, p in w.items()}
    gradients: dict[str, list[np.ndarray]] = {name: [] for name in w}
    losses = []
    for rows in batches(rng, len(x), sum(RANKS), 60):
        each = []
        for mine in np.split(rows, [RANKS[0]]):
            rank_loss = loss_of(mine)
            rank_loss.backward()
            each.append(np.concatenate([float(rank_loss.data) * np.ones(1), *(p.grad.ravel() for p in w.values())]))
        joined = engine.call("all_reduce", np.array(each), np.array(RANKS), function="mean_gradient")
        losses.append(float(joined[0]))  # the loss is a mean over rows, too
        ends = np.cumsum([1, *(p.data.size for p in w.values())])
        for (name, p), flat in zip(w.items(), np.split(joined, ends)[1:], strict=False):
            gradients[name].append(flat.reshape(p.shape))
        for one, other in (("w1", "b1"), ("w2", "v2"), ("w3", "v3")):
            # the checked function trains from the first step on: it gets all gradients so far
            so_far = np.array(gradients[one]), np.array(gradients[other])
            new = engine.call("own_optimizer", begun[one], begun[other], *so_far, RATE, MOMENTUM, DECAY)
            w[one].data, w[other].data = new
    with no_grad():
        abnormal = engine.call("stable_sigmoid", scores(x_test).data[:, 0], function="sigmoid")
    area = engine.call("roc_area", data.y_test == 1, abnormal)
    return Run(losses, of_two(abnormal), data.y_test, {AREA: float(area)})


MILESTONE = Milestone(
    title="Three engines of your own",
    chinese="你自己的三个引擎",
    about=sentence(
        "The gradients of this network come from the three small engines that you repaired: engine_layers brings them through "
        "a layer that is used three times, engine_used_twice and engine_tape through what follows. Each step has two "
        "processes with 8 and 24 patients, whose gradients all_reduce joins, and own_optimizer moves the weights."
    ),
    names=(
        *("sigmoid_bce", "engine_used_twice", "engine_tape", "engine_layers"),
        *("stable_sigmoid", "roc_area", "own_optimizer", "all_reduce"),
    ),
    train=train,
    examples=lambda: phantoms(4),
)
