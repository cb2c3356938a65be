"""Milestone 6: a diagnosis is written from a text."""

import functools
from itertools import product

import numpy as np

from tinydx import ops
from tinydx.exercises.milestones.engine import Engine
from tinydx.exercises.milestones.milestone import Milestone
from tinydx.exercises.milestones.training import Examples, Run, adam, batches, descend, drawn
from tinydx.language import sentence
from tinydx.tensor import Tensor, no_grad

SIGNS = {
    "pneumonia": ("cough", "fever", "sputum", "crackles"),
    "angina": ("pressure", "chest", "arm", "effort"),
    "migraine": ("headache", "aura", "light", "nausea"),
}
TIMES = {"acute": ("sudden", "today", "hours"), "chronic": ("years", "slowly", "often")}
FILLERS = ("patient", "reports", "with", "and", "some")
READ = [w for words in (*SIGNS.values(), *TIMES.values(), FILLERS) for w in words]
WRITTEN = ["begin", *TIMES, *SIGNS]  # what the decoder reads; it writes all but the first
VOCABULARY = [*READ, *WRITTEN]
DIAGNOSES = [f"{time} {disease}" for time, disease in product(TIMES, SIGNS)]
WIDTH = 10


@functools.cache
def reports() -> Examples:
    """Texts of seven words, and which diagnosis they are about: three signs of it, one of another, a time, two fillers."""
    rng = np.random.default_rng(31)
    texts, classes = [], rng.integers(len(DIAGNOSES), size=320)
    for time, disease in (DIAGNOSES[c].split() for c in classes):
        other = rng.choice([d for d in SIGNS if d != disease])
        words = [*rng.choice(SIGNS[disease], 3, replace=False), rng.choice(SIGNS[other]), rng.choice(TIMES[time])]
        texts.append([str(word) for word in rng.permutation([*words, *rng.choice(FILLERS, 2, replace=False)])])
    ids = np.array([[VOCABULARY.index(word) for word in text] for text in texts])
    return Examples(ids[:256], classes[:256], ids[256:], classes[256:], [" ".join(text) for text in texts[256:]])


def train(engine: Engine) -> Run:
    """ids (N,7) -> vectors (N,7,10), attention among them; from `begin` two words are written, each attends to what was read."""
    data, rng, size = reports(), np.random.default_rng(8), len(VOCABULARY)
    w = drawn(rng, r=(size, size), v=(size, WIDTH), b=(size, WIDTH), w=(WIDTH, len(WRITTEN) - 1), c=(len(WRITTEN) - 1,))
    softmax, mixing, embedding = (engine.op(name) for name in ("softmax", "embedding_mixing", "embedding"))
    attention, masked, decode = (engine.op(name) for name in ("attention", "masked_attention", "softmax_decoding"))
    layer_norm = engine.op("two_norms", "layer_norm_backward")

    def normal(x: Tensor) -> Tensor:
        return layer_norm(x.reshape(-1, WIDTH)).reshape(*x.shape)

    def probabilities(read: np.ndarray, written: np.ndarray) -> Tensor:
        """read (N,7), written (N,2): begin and the first word -> (N*2, words), of the first word and of the second."""
        table = mixing(softmax(w["r"]), w["v"], w["b"])
        x, h = embedding(table, ids=read), embedding(table, ids=written)
        x = normal(x + attention(x, x, x))
        h = h + masked(h, h, h)
        return decode((h + attention(h, x, x)).reshape(-1, WIDTH), w["w"], w["c"])

    def loss_of(rows: np.ndarray) -> Tensor:
        first, second = of_diagnosis(data.y[rows])
        target = np.eye(len(WRITTEN) - 1)[np.stack([first, second], axis=1).ravel()]
        return ops.categorical_crossentropy(probabilities(data.x[rows], begin(first)), target=target)

    losses = descend(w, loss_of, adam(engine, 0.05), batches(rng, len(data.x), 32, 48))
    shares = np.empty((len(data.x_test), len(DIAGNOSES)))
    with no_grad():
        for k, (first, second) in enumerate(zip(*of_diagnosis(np.arange(len(DIAGNOSES))), strict=True)):
            p = probabilities(data.x_test, begin(np.full(len(data.x_test), first))).data.reshape(len(shares), 2, -1)
            shares[:, k] = p[:, 0, first] * p[:, 1, second]
    return Run(losses, shares, data.y_test, {})


def of_diagnosis(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the two words of each diagnosis, among the words that are written."""
    return classes // len(SIGNS), len(TIMES) + classes % len(SIGNS)


def begin(first: np.ndarray) -> np.ndarray:
    """What the decoder has written: (N,2) ids of `begin` and of the first word."""
    ids = np.full((len(first), 2), VOCABULARY.index("begin"))
    ids[:, 1] += 1 + first
    return ids


MILESTONE = Milestone(
    title="A diagnosis written from a text",
    chinese="由文本写出诊断",
    about=sentence(
        "Made-up reports of seven words, such as a cough, a fever and a sign of something else. embedding_mixing with softmax "
        "gives every word its vector, embedding looks them up, attention and two_norms let the words of the report see each "
        "other. The decoder writes two words: masked_attention over what is written, attention over what was read, "
        "softmax_decoding for the next."
    ),
    names=(
        *("adam", "softmax", "embedding_mixing", "embedding"),
        *("softmax_decoding", "two_norms", "masked_attention", "attention"),
    ),
    train=train,
    examples=reports,
    classes=(
        *(sentence("acute pneumonia"), sentence("acute angina"), sentence("acute migraine")),
        *(sentence("chronic pneumonia"), sentence("chronic angina"), sentence("chronic migraine")),
    ),
)
