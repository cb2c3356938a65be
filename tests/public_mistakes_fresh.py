"""120 wrong backwards for the gradient checker, collected anew after its names were written, by someone who had not read them.

Each family is a right forward and backward as learners write them, each `Case` one change of that backward: the text that stands
there and what a learner wrote, a pattern of the names that are right, what a good teacher would say, a pattern of names that
would mislead, and where the mistake comes from: a public place (repository#issue, forum) or "made up" from code reviews.
Written anew from descriptions of the mistakes; no learner's code is here. `public_mistakes_last.py` is its twin.
"""

from typing import NamedTuple

import numpy as np
from public_mistakes import Family


class Case(NamedTuple):
    right: str
    wrong: str
    pattern: str  # of names that are right
    teacher: str  # what a good teacher would say
    never: str  # of names that would mislead
    source: str


def family(code, inputs, *changes):
    return Family(code, inputs, tuple(Case(*change) for change in changes))


rng = np.random.default_rng(1601)


def draw(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return np.abs(rng.normal(size=shape)) + 0.3


FRESH = {}

# ---------------------------------------------------------------- activations

FRESH["softsign"] = family(
    """
def forward(x):
    return x / (1 + np.abs(x)), x

def backward(dy, x):
    d = 1 + np.abs(x)
    return dy / d**2
""",
    (draw(3, 4),),
    (
        "dy / d**2",
        "dy / d",
        "power|square|exponent|\\*\\*2|factor d|factor 1 / d|slope",
        "the square of the denominator is missing",
        "sign|zero|averaged",
        "made up",
    ),
    (
        "dy / d**2",
        "dy * (1 / d - x / d**2)",
        "abs|sign|kink|slope|derivative|negative",
        "the derivative of |x| is sign(x), not 1: right for positive x only",
        "transposed|averaged|constant factor",
        "made up",
    ),
    (
        "1 + np.abs(x)",
        "1 + np.abs(x / (1 + np.abs(x)))",
        r"\by\b|output|instead of x|1 \+ np.abs\(x\) too many|divided twice",
        "the output stands where the input belongs",
        "sign|averaged|transposed",
        "interviews.ai#15, of the sigmoid",
    ),
)

FRESH["tanh as a class"] = family(
    """
class Tanh:
    def forward(self, x):
        self.out = np.tanh(x)
        return self.out

    def backward(self, grad):
        return grad * (1 - self.out**2)

layer = Tanh()
forward, backward = layer.forward, layer.backward
""",
    (draw(3, 4),),
    (
        "grad * (1 - self.out**2)",
        "1 - np.square(np.tanh(grad))",
        r"\bdy\b|grad|instead of|not linear|chain|upstream",
        "the slope is taken at the incoming gradient instead of at the input, and the incoming gradient is not multiplied in",
        "transposed|averaged|sign",
        "yizt/numpy_neural_network#6",
    ),
    (
        "1 - self.out**2",
        "1 - np.tanh(self.out) ** 2",
        r"tanh|twice|output|self.out|again|\by\b",
        "tanh is applied twice: self.out is the output already",
        "transposed|averaged|sign",
        "nicklashansen/rnn_lstm_from_scratch#1",
    ),
    (
        "grad * (1 - self.out**2)",
        "grad * self.out",
        "slope|tanh|output|1 -|itself|derivative",
        "tanh itself instead of its derivative",
        "transposed|averaged|sign",
        "andersbll/nnet#4",
    ),
    (
        "1 - self.out**2",
        "self.out * (1 - self.out)",
        r"sigmoid|1 - y\*\*2|tanh|square|power",
        "the sigmoid's derivative for a tanh",
        "transposed|averaged|sign",
        "made up",
    ),
)

# ---------------------------------------------------------------- losses

FRESH["huber"] = family(
    """
target = np.array([[0.5, -1.0, 2.0], [0.0, 1.5, -2.0], [0.7, 0.1, -0.4], [3.0, -3.0, 0.2]])
delta = 0.8

def forward(pred):
    r = pred - target
    a = np.abs(r)
    loss = np.where(a <= delta, 0.5 * r**2, delta * (a - 0.5 * delta))
    return loss.mean(), r

def backward(dloss, r):
    small = np.abs(r) <= delta
    slope = np.where(small, r, delta * np.sign(r))
    return dloss * slope / r.size
""",
    (draw(4, 3),),
    (
        "delta * np.sign(r)",
        "delta",
        "sign",
        "beyond delta the sign of the residual is missing",
        "averaged|transposed|batch",
        "made up",
    ),
    (
        "delta * np.sign(r)",
        "np.sign(r)",
        "delta",
        "beyond delta the slope is delta, not 1",
        "sign|averaged|transposed|batch",
        "made up",
    ),
    (
        "np.abs(r) <= delta",
        "r <= delta",
        "abs|condition|mask|case|branch|negative",
        "the condition lacks the absolute value: large negative residuals are taken for small ones",
        "averaged|transposed|batch",
        "BobMcDear/attorch#13",
    ),
    (
        "r.size",
        "len(r)",
        "averaged|mean|size|division|1/3|features|columns|number of elements",
        "forward's mean is over all elements, the division only over the batch",
        "sign|transposed",
        "made up",
    ),
)

FRESH["kl divergence to a softmax"] = family(
    """
t = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3], [0.5, 0.25, 0.25]])

def forward(logits):
    z = logits - logits.max(axis=1, keepdims=True)
    q = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return np.sum(t * (np.log(t) - np.log(q))) / len(t), q

def backward(dout, q):
    return dout * (q - t) / len(q)
""",
    (draw(4, 3),),
    (
        "/ len(q)",
        "/ q.size",
        "averaged|mean|classes|twice|size|1/3|too many",
        "divided by the classes as well as by the batch",
        "sign|transposed|missing",
        "discuss.pytorch.org, KLDivLoss and batchmean",
    ),
    (
        "(q - t)",
        "(t - q)",
        "sign",
        "wrong sign: the loss falls where q rises to t, q - t",
        "transposed|averaged|label",
        "made up",
    ),
    (
        "(q - t)",
        "(np.log(q) - np.log(t))",
        "log|softmax|derivative|instead|slope",
        "the logarithms were not differentiated: their difference is the loss's own integrand",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "(q - t)",
        "(q - t / q)",
        "/ q|factor|division|softmax|derivative",
        "the derivative with respect to q (t / q) is mixed with that to the logits (q - t)",
        "transposed|averaged|sign",
        "made up",
    ),
)

FRESH["bce with logits and a weight of the positives"] = family(
    """
t = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
w = 2.5

def forward(z):
    s = 1 / (1 + np.exp(-z))
    return -np.mean(w * t * np.log(s) + (1 - t) * np.log(1 - s)), s

def backward(g, s):
    dz = (1 - t) * s - w * t * (1 - s)
    return g * dz / len(s)
""",
    (draw(5),),
    (
        "(1 - t) * s - w * t * (1 - s)",
        "w * (s - t)",
        r"\bw\b|weight|factor|term",
        "the weight belongs to the positives only",
        "transposed|sign|averaged",
        "discuss.pytorch.org, pos_weight",
    ),
    (
        "w * t * (1 - s)",
        "t * (1 - s)",
        r"\bw\b|weight",
        "the weight of the positives is missing",
        "transposed|sign|averaged|too many",
        "made up",
    ),
    (
        "w * t * (1 - s)",
        "w * t / s",
        "sigmoid|slope|1 - s|/ s|power|factor",
        "the derivative to s, with the sigmoid's slope missing, in this term",
        "transposed|averaged|batch",
        "rahowa/catboost_focal_loss#2, of a focal loss",
    ),
    (
        "(1 - t) * s -",
        "(1 - t) * s +",
        "sign",
        "wrong sign: the two terms pull in opposite directions",
        "transposed|averaged|batch",
        "made up",
    ),
)

FRESH["label smoothing"] = family(
    """
label = np.array([2, 0, 3])
eps = 0.2

def forward(scores):
    N, K = scores.shape
    logp = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    q = np.full((N, K), eps / K)
    q[np.arange(N), label] += 1 - eps
    return -(q * logp).sum() / N, (logp, q)

def backward(dloss, cache):
    logp, q = cache
    N, K = q.shape
    p = np.exp(logp)
    return dloss * (p - q) / N
""",
    (draw(3, 4),),
    (
        "(p - q)",
        "(p - np.eye(K)[label])",
        r"\bq\b|smooth|eps|label|one-hot",
        "the hard labels instead of the smoothed ones",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "(p - q)",
        "(p - q - eps / K)",
        "eps|smooth|term|twice|too many",
        "the uniform part is subtracted twice: q holds it",
        "transposed|averaged|batch",
        "made up",
    ),
    (
        "(p - q)",
        "((1 - eps) * (p - q))",
        "eps|constant factor|0.8|factor",
        "1 - eps is in q already: one factor too many",
        "averaged|batch|sign",
        "made up",
    ),
)

FRESH["binary focal loss of logits"] = family(
    """
y = np.array([1, 0, 1, 0, 0, 1])
gamma = 2

def forward(a):
    p = 1 / (1 + np.exp(-a))
    pt = np.where(y == 1, p, 1 - p)
    return -((1 - pt) ** gamma * np.log(pt)).sum(), pt

def backward(g, pt):
    side = np.where(y == 1, 1, -1)
    dpt = gamma * (1 - pt) ** (gamma - 1) * np.log(pt) - (1 - pt) ** gamma / pt
    return g * dpt * side * pt * (1 - pt)
""",
    (draw(6),),
    (
        " * side * pt * (1 - pt)",
        " * side",
        r"sigmoid|slope|\bpt\b|factor|chain",
        "the sigmoid's slope p (1 - p) is missing: this is the gradient to p",
        "transposed|averaged",
        "rahowa/catboost_focal_loss#2",
    ),
    (
        " * side * pt",
        " * pt",
        "side|sign",
        "for the negatives pt = 1 - p: the sign is missing",
        "transposed|averaged|batch",
        "unsky/focal-loss#1, its other case",
    ),
    (
        "np.log(pt) - (1 - pt) ** gamma / pt",
        "np.log(pt) + (1 - pt) ** gamma / pt",
        "sign",
        "wrong sign between the two terms of the product rule",
        "transposed|averaged|batch",
        "jsboige/CoursIA#16165",
    ),
    (
        "gamma * (1 - pt) ** (gamma - 1) * np.log(pt) - (1 - pt) ** gamma / pt",
        "-((1 - pt) ** gamma) / pt",
        "term|product rule|gamma|log|modulating",
        "product rule: the modulating factor was taken for a constant",
        "transposed|averaged|sign",
        "made up",
    ),
)

FRESH["triplet"] = family(
    """
margin = 0.6

def forward(anchor, pos, neg):
    dp = ((anchor - pos) ** 2).sum(axis=1)
    dn = ((anchor - neg) ** 2).sum(axis=1)
    hinge = np.maximum(dp - dn + margin, 0)
    return hinge.mean(), (anchor, pos, neg, hinge)

def backward(dout, cache):
    anchor, pos, neg, hinge = cache
    on = (hinge > 0)[:, None] * dout / len(hinge)
    da = 2 * on * (neg - pos)
    dpos = 2 * on * (pos - anchor)
    dneg = 2 * on * (anchor - neg)
    return da, dpos, dneg
""",
    (draw(6, 3), draw(6, 3), draw(6, 3)),
    (
        "(neg - pos)",
        "(anchor - pos)",
        "term|neg|half|one of two|anchor",
        "the anchor is in both distances: the part of the negative is missing",
        "transposed|averaged",
        "made up",
    ),
    (
        "2 * on * (anchor - neg)",
        "2 * on * (neg - anchor)",
        "sign",
        "wrong sign: the negative's distance enters with a minus",
        "transposed|averaged|batch",
        "kensun0, caffe-video_triplet#3",
    ),
    (
        "da = 2 * on * (neg - pos)",
        "da = np.zeros_like(anchor)",
        "zero",
        "the anchor's gradient is zero: it was forgotten",
        "transposed|averaged|sign",
        "BVLC/caffe#603",
    ),
    (
        "(hinge > 0)[:, None] * dout",
        "dout",
        r"hinge|mask|\bon\b|margin|relu|active|kink|condition|slope",
        "triplets beyond the margin have no gradient: the hinge's mask is missing",
        "transposed|averaged|sign",
        "made up",
    ),
)

# ---------------------------------------------------------------- softmax and relatives

FRESH["softmax over the rows of a column layout"] = family(
    """
def forward(Z):
    e = np.exp(Z - Z.max(axis=0))
    A = e / e.sum(axis=0)
    return A, A

def backward(dA, A):
    dot = (dA * A).sum(axis=0)
    return A * (dA - dot)
""",
    (draw(4, 3),),
    (
        "A * (dA - dot)",
        "dA * A * (1 - A)",
        "diagonal|jacobian|term|sum|dot|cross|elementwise|sigmoid",
        "only the diagonal of the Jacobian",
        "transposed|averaged|sign",
        "libnd4j#440",
    ),
    (
        "A * (dA - dot)",
        "dA * (1 - A)",
        r"\bA\b|diagonal|output|jacobian|\bdot\b|y \(",
        "the output's factor is missing, and so are the off-diagonal terms",
        "transposed|averaged|sign",
        "neuroph#37",
    ),
    (
        "A * (dA - dot)",
        "dA",
        r"softmax|copied|identity|passed|handed|jacobian|skipped|derivative|\bdot\b|\bA\b",
        "the gradient is handed through: the softmax's derivative is missing",
        "transposed|averaged|sign",
        "pjreddie/darknet#96",
    ),
    (
        "(dA * A).sum(axis=0)",
        "(dA * A).sum()",
        "axis|sum|too much",
        "the sum runs over all columns instead of over the classes of each",
        "transposed|averaged|sign",
        "made up",
    ),
)

FRESH["log softmax"] = family(
    """
def forward(x):
    m = x.max(axis=-1, keepdims=True)
    y = x - m - np.log(np.exp(x - m).sum(axis=-1, keepdims=True))
    return y, y

def backward(g, y):
    return g - np.exp(y) * g.sum(axis=-1, keepdims=True)
""",
    (draw(2, 5),),
    (
        "np.exp(y) * g.sum(axis=-1, keepdims=True)",
        "np.exp(y) * g",
        "sum|diagonal|jacobian|cross",
        "the sum of the incoming gradients over the classes is missing",
        "transposed|averaged|sign",
        "mlpack#3468",
    ),
    (
        "np.exp(y) * g.sum(axis=-1, keepdims=True)",
        "np.exp(y)",
        r"sum|\bg\b|\bdy\b|not linear|upstream",
        "the incoming gradient is missing in the second term",
        "transposed|averaged",
        "mlpack#3468",
    ),
    (
        "np.exp(y) *",
        "y *",
        r"exp|\by\b|probabilit|softmax|output|log",
        "the probabilities are exp(y), not y",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "g - np.exp(y) * g.sum(axis=-1, keepdims=True)",
        "np.exp(y) * (g - (g * np.exp(y)).sum(axis=-1, keepdims=True))",
        "softmax|log|instead|exp|factor",
        "this is softmax's derivative, not log softmax's",
        "transposed|averaged|sign",
        "made up",
    ),
)

FRESH["log sum exp of the rows"] = family(
    """
def forward(x):
    m = x.max(axis=1, keepdims=True)
    s = np.exp(x - m).sum(axis=1, keepdims=True)
    return (np.log(s) + m)[:, 0], (x, m, s)

def backward(out_grad, cache):
    x, m, s = cache
    return out_grad[:, None] * np.exp(x - m) / s
""",
    (draw(4, 3),),
    (
        "np.exp(x - m) / s",
        "np.exp(x) / s",
        r"\bm\b|max|shift|common factor|maximum",
        "the maximum was subtracted in forward and not here",
        "transposed|averaged|sign",
        "made up, needle's LogSumExp",
    ),
    (
        "np.exp(x - m) / s",
        "1 / s",
        "exp|factor|inner|chain|slope",
        "the chain rule's inner derivative, exp(x - m), is missing",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "np.exp(x - m) / s",
        "(x == m)",
        "max|softmax|exp|argmax|one",
        "the gradient of the maximum, not of its soft version",
        "transposed|averaged|sign",
        "made up, needle's LogSumExp",
    ),
)

FRESH["cosine similarity of rows"] = family(
    """
def forward(a, b):
    na = np.linalg.norm(a, axis=1)
    nb = np.linalg.norm(b, axis=1)
    c = (a * b).sum(axis=1) / (na * nb)
    return c, (a, b, na, nb, c)

def backward(dc, cache):
    a, b, na, nb, c = cache
    na, nb, c, dc = [v[:, None] for v in (na, nb, c, dc)]
    da = dc * (b / (na * nb) - c * a / na**2)
    db = dc * (a / (na * nb) - c * b / nb**2)
    return da, db
""",
    (draw(3, 4), draw(3, 4)),
    (
        "c * b / nb**2",
        "c * b / nb",
        r"power|square|norm|\bnb\b|exponent",
        "the square of the norm is missing",
        "transposed|averaged|sign",
        "alinazare, LectureNotes#24",
    ),
    (
        "b / (na * nb) - c * a / na**2",
        "b / (na * nb)",
        "term|norm|quotient|projection",
        "the norm of a depends on a, too: the second term is missing",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "b / (na * nb) -",
        "b / (na * na) -",
        r"\bna\b|\bnb\b|norm",
        "na twice instead of na times nb",
        "transposed|averaged|sign",
        "incanter#73",
    ),
    (
        "c * a / na**2",
        "c * b / na**2",
        r"b instead of a|\ba\b|instead",
        "the projection is along a, not b",
        "transposed|averaged|sign",
        "made up",
    ),
)

# ---------------------------------------------------------------- dense layers and broadcasting

FRESH["dense over a sequence"] = family(
    """
def forward(X, W, b):
    return np.matmul(X, W) + b, (X, W)

def backward(dY, cache):
    X, W = cache
    N, T, D = X.shape
    dX = np.matmul(dY, W.T)
    dW = np.matmul(X.reshape(N * T, D).T, dY.reshape(N * T, -1))
    db = dY.sum(axis=(0, 1))
    return dX, dW, db
""",
    (draw(2, 3, 4), draw(4, 5), draw(5)),
    (
        "dY.sum(axis=(0, 1))",
        "dY.sum(axis=0)",
        r"axis|axes|wrong shape|time|\bT\b|steps",
        "the bias is shared by all time steps, too: sum over axes 0 and 1",
        "batch|sign|transposed|averaged",
        "made up",
    ),
    (
        "X.reshape(N * T, D).T, dY.reshape(N * T, -1)",
        "X.mean(axis=1).T, dY.sum(axis=1)",
        "mean|averaged|time|sum|product|before|cross",
        "sum of products is not the product of sums: X and dY were reduced over time before they were multiplied",
        "sign|transposed",
        "made up",
    ),
    (
        "X.reshape(N * T, D).T, dY.reshape(N * T, -1)",
        "X.reshape(D, N * T), dY.reshape(N * T, -1)",
        "reshape|transpose|\\.T|order|layout|wrong places|mixed",
        "reshape is not a transpose: the numbers are mixed",
        "sign|averaged",
        "made up",
    ),
    (
        "X.reshape(N * T, D).T, dY.reshape(N * T, -1)",
        "X[:, -1].T, dY[:, -1]",
        "one time step|last|time|step|position|sum|only",
        "only the last time step is counted",
        "sign|transposed|averaged",
        "made up",
    ),
)

FRESH["scale and shift of channels"] = family(
    """
def forward(x, gamma, beta):
    return gamma[:, None, None] * x + beta[:, None, None], (x, gamma)

def backward(dout, cache):
    x, gamma = cache
    dx = dout * gamma[:, None, None]
    dgamma = (dout * x).sum(axis=(0, 2, 3))
    dbeta = dout.sum(axis=(0, 2, 3))
    return dx, dgamma, dbeta
""",
    (draw(2, 3, 4, 3), draw(3), draw(3)),
    (
        "dout.sum(axis=(0, 2, 3))",
        "dout.sum(axis=(0, 1, 2))",
        "axis|axes|channel",
        "summed over the channels and not over the columns",
        "sign|averaged|wrong shape",
        "made up",
    ),
    (
        "(dout * x).sum(axis=(0, 2, 3))",
        "(dout * x).sum(axis=0).mean(axis=(1, 2))",
        "averaged|mean|pixel|spatial|constant factor|positions|sum",
        "averaged over the pixels, where a sum is due",
        "sign|transposed|batch",
        "made up",
    ),
    (
        "(dout * x).sum(axis=(0, 2, 3))",
        "dout.sum(axis=(0, 2, 3)) * x.sum(axis=(0, 2, 3))",
        "product|sum|before|order|cross",
        "product of sums instead of sum of products",
        "sign|transposed",
        "made up",
    ),
)

FRESH["outer sum by broadcasting"] = family(
    """
def forward(col, row):
    return np.tanh(col + row), (col, row)

def backward(grad, saved):
    col, row = saved
    y = np.tanh(col + row)
    d = grad * (1 - y * y)
    return d.sum(axis=1, keepdims=True), d.sum(axis=0, keepdims=True)
""",
    (draw(3, 1), draw(1, 4)),
    (
        "d.sum(axis=0, keepdims=True)",
        "grad.sum(axis=0, keepdims=True)",
        r"tanh|slope|grad instead of d|1 - y|\bd\b|factor|chain",
        "the tanh's slope is missing for row",
        "sign|transposed|axis",
        "made up",
    ),
    (
        "return d.sum(axis=1, keepdims=True), d.sum(axis=0, keepdims=True)",
        "return d.sum(axis=1), d.sum(axis=0)",
        "keepdims|shape|reshape",
        "keepdims: the gradients must have the shapes (3, 1) and (1, 4)",
        "sign|transposed|averaged",
        "Gen.jl#432, minitorch",
    ),
    (
        "d.sum(axis=1, keepdims=True)",
        "np.full_like(col, d.sum())",
        "sum|axis|too much|all",
        "summed over everything: each entry of col gets its own row's sum",
        "sign|transposed|averaged",
        "Gen.jl#432",
    ),
)

# ---------------------------------------------------------------- convolution and pooling

FRESH["convolution of signals"] = family(
    """
stride, pad = 2, 1

def forward(x, w, b):
    N, C, L = x.shape
    F, _, K = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad)))
    T = (L + 2 * pad - K) // stride + 1
    y = np.zeros((N, F, T))
    for t in range(T):
        y[:, :, t] = np.tensordot(xp[:, :, t * stride : t * stride + K], w, axes=([1, 2], [1, 2])) + b
    return y, (x, xp, w)

def backward(dy, cache):
    x, xp, w = cache
    K = w.shape[2]
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for t in range(dy.shape[2]):
        s = t * stride
        dxp[:, :, s : s + K] += np.tensordot(dy[:, :, t], w, axes=(1, 0))
        dw += np.tensordot(dy[:, :, t], xp[:, :, s : s + K], axes=(0, 0))
    dx = dxp[:, :, pad:-pad]
    db = dy.sum(axis=(0, 2))
    return dx, dw, db
""",
    (draw(2, 2, 7), draw(3, 2, 3), draw(3)),
    (
        "s = t * stride",
        "s = t",
        "stride|step|index|position",
        "the stride is missing in backward's positions",
        "sign|averaged|rotated",
        "Kulbear/deep-learning-coursera#34",
    ),
    (
        "dxp[:, :, pad:-pad]",
        "dxp[:, :, : x.shape[2]]",
        "pad|shift|offset|cut|crop|slice|wrong places|index",
        "the padding must be cut off on both sides: the gradient is shifted",
        "sign|averaged|stride",
        "made up",
    ),
    (
        "dxp[:, :, s : s + K] +=",
        "dxp[:, :, s : s + K] =",
        "accumulat|overwrit|\\+=|overlap|sum|last",
        "windows overlap: accumulate with +=",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "xp[:, :, s : s + K], axes=(0, 0)",
        "xp[:, :, s : s + K][:, :, ::-1], axes=(0, 0)",
        "flip|rotated|revers",
        "the kernel's gradient is reversed: forward does not flip it",
        "sign|averaged|transposed",
        "made up",
    ),
)

FRESH["convolution of images with two strides"] = family(
    """
sh, sw = 1, 2

def forward(A, W):
    m, H, Wd, _ = A.shape
    f, g, _, n_C = W.shape
    rows, cols = (H - f) // sh + 1, (Wd - g) // sw + 1
    Z = np.zeros((m, rows, cols, n_C))
    for i in range(rows):
        for j in range(cols):
            patch = A[:, i * sh : i * sh + f, j * sw : j * sw + g]
            Z[:, i, j] = np.tensordot(patch, W, axes=3)
    return Z, (A, W)

def backward(dZ, cache):
    A, W = cache
    f, g = W.shape[:2]
    dA, dW = np.zeros(A.shape), np.zeros(W.shape)
    for i in range(dZ.shape[1]):
        for j in range(dZ.shape[2]):
            top, left = i * sh, j * sw
            patch = A[:, top : top + f, left : left + g]
            for c in range(dZ.shape[3]):
                d = dZ[:, i, j, c][:, None, None, None]
                dA[:, top : top + f, left : left + g] += W[..., c] * d
                dW[..., c] += (patch * d).sum(axis=0)
    return dA, dW
""",
    (draw(2, 3, 7, 2), draw(2, 3, 2, 3)),
    (
        "range(dZ.shape[2])",
        "range(dZ.shape[1])",
        "loop|short|last|column|width|height|shape|position|axis|left out|part",
        "the height stands for the width: the last columns of positions are left out",
        "sign|averaged|rotated",
        "renmengye/np-conv2d#2, of heights and widths",
    ),
    (
        "W[..., c] * d",
        "W[..., 0] * d",
        r"channel|filter|index|\bW\b|\bc\b|one",
        "the first filter is used for every channel",
        "sign|averaged|rotated",
        "NervanaSystems/neon#111, wrong index",
    ),
    (
        "dW[..., c] += (patch * d).sum(axis=0)",
        "dW[..., c] += patch[-1] * d[-1]",
        "one example|last example|batch|sum",
        "only the last image of the batch is counted",
        "sign|averaged|rotated",
        "made up",
    ),
)

FRESH["overlapping average pooling"] = family(
    """
size, stride = 3, 2

def forward(x):
    n, h, w = x.shape
    oh, ow = (h - size) // stride + 1, (w - size) // stride + 1
    y = np.zeros((n, oh, ow))
    for i in range(oh):
        for j in range(ow):
            y[:, i, j] = x[:, i * stride : i * stride + size, j * stride : j * stride + size].mean(axis=(1, 2))
    return y, x

def backward(dy, x):
    dx = np.zeros_like(x)
    for i in range(dy.shape[1]):
        for j in range(dy.shape[2]):
            part = dy[:, i, j][:, None, None] / size**2
            dx[:, i * stride : i * stride + size, j * stride : j * stride + size] += part
    return dx
""",
    (draw(2, 5, 7),),
    (
        "/ size**2",
        "/ size",
        r"size|window|area|pixels|square|\b3\b|\b9\b",
        "a window has size * size pixels",
        "batch|sign|mask",
        "made up",
    ),
    (
        "/ size**2",
        "/ stride**2",
        "stride|size|window|constant factor|factor|division",
        "divided by the stride's square: the window has size * size pixels",
        "batch|sign|mask",
        "made up, of mlpack#2865",
    ),
    (
        "i * stride : i * stride + size, j * stride : j * stride + size",
        "i * size : i * size + size, j * size : j * size + size",
        "stride|size|position|index|overlap|step|window",
        "windows are stride apart, not size",
        "batch|sign|mask",
        "NNPACK#16, of the other stride",
    ),
)

FRESH["max pooling with comparisons"] = family(
    """
k = 2

def forward(img):
    H, W, C = img.shape
    out = np.zeros((H // k, W // k, C))
    for i in range(H // k):
        for j in range(W // k):
            out[i, j] = img[i * k : i * k + k, j * k : j * k + k].max(axis=(0, 1))
    return out, (img, out)

def backward(dout, cache):
    img, out = cache
    dimg = np.zeros_like(img)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            window = img[i * k : i * k + k, j * k : j * k + k]
            mask = window == out[i, j]
            dimg[i * k : i * k + k, j * k : j * k + k] = mask * dout[i, j]
    return dimg
""",
    (draw(4, 6, 2),),
    (
        "    return dimg",
        "        return dimg",
        "return|row|first|loop|early|windows?",
        "the return is indented too far: only the first row of windows is done",
        "sign|averaged|transposed",
        "riccardoandreoni0/CNN-from-scratch#1",
    ),
    (
        "window == out[i, j]",
        "window == window.max()",
        "channel|mask|axis|max|each|window",
        "the maximum is that of all channels together: each has its own",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "window == out[i, j]",
        "np.abs(window - out[i, j]) < 0.9",
        "mask|toleranc|max|close|equal|more than one|several|too many",
        "a tolerance lets pixels that are not the maximum through",
        "sign|averaged|transposed",
        "mni-ml/framework#22",
    ),
)

# ---------------------------------------------------------------- normalisation

FRESH["batch norm step by step"] = family(
    """
eps = 1e-5

def forward(x, gamma, beta):
    mu = x.mean(axis=0)
    xmu = x - mu
    var = (xmu**2).mean(axis=0)
    ivar = 1 / np.sqrt(var + eps)
    return gamma * (xmu * ivar) + beta, (xmu, ivar, gamma)

def backward(dout, cache):
    xmu, ivar, gamma = cache
    N = dout.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xmu * ivar).sum(axis=0)
    dxhat = dout * gamma
    divar = (dxhat * xmu).sum(axis=0)
    dvar = -0.5 * divar * ivar**3
    dxmu = dxhat * ivar + 2 * xmu * dvar / N
    dx = dxmu - dxmu.mean(axis=0)
    return dx, dgamma, dbeta
""",
    (draw(5, 3), draw(3), draw(3)),
    (
        "dxhat = dout * gamma",
        "dxhat = dout",
        "gamma",
        "gamma is missing: dxhat = dout * gamma",
        "sign|averaged|transposed|gamma too many",
        "denizyuret/Knet.jl#288",
    ),
    (
        "-0.5 * divar * ivar**3",
        "-0.5 * divar * ivar",
        "power|ivar|exponent|variance|\\*\\*3|cube",
        "the derivative of (var + eps)**-0.5 has the power -1.5",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "2 * xmu * dvar / N",
        "2 * xmu * dvar",
        r"/ N|averaged|division|batch|mean|factor|\bN\b",
        "the variance is a mean: 1/N is missing in its term",
        "sign|transposed",
        "made up",
    ),
    (
        "dx = dxmu - dxmu.mean(axis=0)",
        "dx = dxmu",
        r"mean|\bmu\b|centre|subtract",
        "the mean depends on x, too: its path is missing",
        "sign|transposed|gamma",
        "made up",
    ),
    (
        "(dout * xmu * ivar)",
        "(dout * xmu)",
        "ivar|std|normali|xhat|factor",
        "dgamma needs the normalised x: the division by the deviation is missing",
        "sign|averaged|transposed",
        "made up",
    ),
)

FRESH["layer norm in loops"] = family(
    """
def forward(inp, weight, bias):
    mean = inp.mean(axis=-1, keepdims=True)
    rstd = 1 / np.sqrt(inp.var(axis=-1, keepdims=True) + 1e-5)
    return (inp - mean) * rstd * weight + bias, (inp, weight, mean, rstd)

def backward(dout, cache):
    inp, weight, mean, rstd = cache
    B, T, C = inp.shape
    dinp, dweight, dbias = np.zeros((B, T, C)), np.zeros(C), np.zeros(C)
    for b in range(B):
        for t in range(T):
            norm = (inp[b, t] - mean[b, t]) * rstd[b, t]
            dnorm = weight * dout[b, t]
            dnorm_mean = dnorm.sum() / C
            dnorm_norm_mean = (dnorm * norm).sum() / C
            dbias += dout[b, t]
            dweight += norm * dout[b, t]
            dinp[b, t] += (dnorm - dnorm_mean - norm * dnorm_norm_mean) * rstd[b, t]
    return dinp, dweight, dbias
""",
    (draw(2, 3, 4), draw(4), draw(4)),
    (
        "norm * dnorm_norm_mean",
        "dnorm_norm_mean",
        "norm|xhat|factor|term",
        "the last term lacks the factor norm",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "dnorm_norm_mean = (dnorm * norm).sum() / C",
        "dnorm_norm_mean = (dnorm * norm).sum() / T",
        r"\bT\b|\bC\b|axis|size|features|length|divi|averaged|mean",
        "divided by the number of time steps instead of by the features",
        "sign|transposed",
        "FlagGems#5392, wrong axis sizes",
    ),
    (
        "dweight += norm * dout[b, t]",
        "dweight = norm * dout[b, t]",
        "accumulat|overwrit|\\+=|sum|last|one|batch|only",
        "the weight is shared by all positions: accumulate",
        "sign|transposed",
        "karpathy's lecture on micrograd, = for +=",
    ),
    (
        "(dnorm - dnorm_mean - norm * dnorm_norm_mean) * rstd[b, t]",
        "(dnorm - dnorm_mean - norm * dnorm_norm_mean)",
        "rstd|std|deviation|scale|factor|division",
        "the factor 1 / deviation is missing",
        "sign|transposed|averaged",
        "made up",
    ),
)

FRESH["rms norm"] = family(
    """
def forward(x, g):
    r = 1 / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)
    return x * r * g, (x, g, r)

def backward(dy, cache):
    x, g, r = cache
    D = x.shape[-1]
    s = (dy * g * x).sum(axis=-1, keepdims=True)
    dx = dy * g * r - r**3 * x * s / D
    dg = (dy * x * r).sum(axis=0)
    return dx, dg
""",
    (draw(3, 5), draw(5)),
    (
        "dy * g * r - r**3",
        "dy * g * r - g * r**3",
        r"\bg\b",
        "the weight is in s already: once too many in the second term",
        "sign|averaged|transposed|missing|forgotten",
        "NVIDIA/Megatron-LM#6859",
    ),
    (
        "(dy * g * x)",
        "(dy * x)",
        r"\bg\b",
        "the weight is missing in the sum",
        "sign|averaged|transposed|too many",
        "karpathy/llm.c#763",
    ),
    (
        "r**3 * x * s / D",
        "r**3 * x * s",
        r"\bD\b|mean|averaged|division|features|size",
        "the mean square divides by the number of features: 1/D is missing",
        "sign|transposed|batch",
        "made up",
    ),
    (
        "(dy * x * r)",
        "(dy * x / r)",
        r"\br\b|division|power|rms|inverse",
        "r is the inverse already: multiply",
        "sign|averaged|transposed",
        "mosaicml/llm-foundry#371",
    ),
)

FRESH["group norm"] = family(
    """
G = 2

def forward(x):
    N, C, L = x.shape
    xg = x.reshape(N, G, C // G * L)
    d = xg - xg.mean(axis=2, keepdims=True)
    s = np.sqrt((d**2).mean(axis=2, keepdims=True) + 1e-5)
    return (d / s).reshape(x.shape), (d / s, s)

def backward(dout, cache):
    h, s = cache
    g = dout.reshape(h.shape)
    m = g.mean(axis=2, keepdims=True)
    c = (g * h).mean(axis=2, keepdims=True)
    return ((g - m - h * c) / s).reshape(dout.shape)
""",
    (draw(2, 4, 3),),
    (
        "g.mean(axis=2, keepdims=True)",
        "g.mean(axis=(1, 2), keepdims=True)",
        "axis|group|mean",
        "the mean is that of each group, not of all groups",
        "sign|transposed|factor s",
        "state-spaces/mamba#547, group size forgotten",
    ),
    (
        "h * c",
        "g * c",
        r"\bh\b|g instead of h|norm|instead",
        "the projection is along the normalised x, not along the gradient",
        "sign|transposed|averaged",
        "made up",
    ),
    (
        "dout.reshape(h.shape)",
        "dout.reshape(len(h), -1, G).transpose(0, 2, 1).reshape(h.shape)",
        "group|interleav|order|wrong places|reshape|channel|transpose|mixed",
        "the groups are blocks of channels; here they are interleaved",
        "sign|averaged",
        "tenstorrent/tt-metal#56202",
    ),
)

# ---------------------------------------------------------------- recurrent nets, attention, words

FRESH["plain recurrent net with outputs"] = family(
    """
def forward(xs, Wxh, Whh, Why):
    T, H = len(xs), Whh.shape[0]
    hs = np.zeros((T + 1, H))
    for t in range(T):
        hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1])
    return hs[:-1] @ Why.T, (xs, hs, Wxh, Whh, Why)

def backward(dys, cache):
    xs, hs, Wxh, Whh, Why = cache
    dxs = np.zeros_like(xs)
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dhnext = np.zeros(Whh.shape[0])
    for t in reversed(range(len(xs))):
        dWhy += np.outer(dys[t], hs[t])
        dh = Why.T @ dys[t] + dhnext
        draw_ = (1 - hs[t] ** 2) * dh
        dWxh += np.outer(draw_, xs[t])
        dWhh += np.outer(draw_, hs[t - 1])
        dxs[t] = Wxh.T @ draw_
        dhnext = Whh.T @ draw_
    return dxs, dWxh, dWhh, dWhy
""",
    (draw(4, 3), 0.5 * draw(2, 3), 0.5 * draw(2, 2), draw(2, 2)),
    (
        "Why.T @ dys[t] + dhnext",
        "Why.T @ dys[t]",
        "dhnext|carr|time|later|next|recurren|through|term",
        "what comes back from the next step is missing",
        "sign|transposed|averaged",
        "CaptainE/RNN-LSTM-in-numpy#1",
    ),
    (
        "np.outer(draw_, hs[t - 1])",
        "np.outer(draw_, hs[t])",
        r"hs\[t\]|t - 1|previous|off by one|shift|step",
        "the previous state belongs here, not this one",
        "sign|transposed|averaged",
        "made up",
    ),
    (
        "dhnext = Whh.T @ draw_",
        "dhnext = Whh.T @ dh",
        "tanh|slope|1 -|dh instead|draw_",
        "the carry lacks the tanh's slope",
        "sign|transposed|averaged",
        "made up",
    ),
    (
        "dhnext = Whh.T @ draw_",
        "dhnext += Whh.T @ draw_",
        "accumulat|\\+=|twice|carr|reset|overwrit|too many|replace|next",
        "the carry must be replaced at each step, not added up",
        "sign|transposed|averaged",
        "made up",
    ),
)

FRESH["lstm with one matrix"] = family(
    """
def forward(x, h, c, W):
    H = h.shape[1]
    a = np.hstack([x, h]) @ W
    i, f, o = [1 / (1 + np.exp(-a[:, k * H : (k + 1) * H])) for k in range(3)]
    g = np.tanh(a[:, 3 * H :])
    c2 = f * c + i * g
    return o * np.tanh(c2), (x, h, c, W, i, f, o, g, c2)

def backward(dh2, cache):
    x, h, c, W, i, f, o, g, c2 = cache
    tc = np.tanh(c2)
    do = dh2 * tc
    dc2 = dh2 * o * (1 - tc**2)
    di, df, dg = dc2 * g, dc2 * c, dc2 * i
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    dz = da @ W.T
    D = x.shape[1]
    return dz[:, :D], dz[:, D:], dc2 * f, np.hstack([x, h]).T @ da
""",
    (draw(3, 2), draw(3, 2), draw(3, 2), draw(4, 8)),
    (
        "df * f * (1 - f)",
        "df * f",
        "1 - f|sigmoid|slope|factor",
        "the sigmoid itself instead of its slope at the forget gate",
        "transposed|averaged|tanh",
        "CaptainE/RNN-LSTM-in-numpy#1",
    ),
    (
        "o * (1 - tc**2)",
        "o * (1 - np.tanh(tc) ** 2)",
        r"tanh|twice|\btc\b|again",
        "tanh is applied twice to the cell",
        "transposed|averaged|sigmoid",
        "nicklashansen/rnn_lstm_from_scratch#1",
    ),
    (
        "np.hstack([di * i * (1 - i), df * f * (1 - f)",
        "np.hstack([df * f * (1 - f), di * i * (1 - i)",
        "order|gate|swap|exchang|wrong places|column",
        "the columns of the input and the forget gate are exchanged",
        "transposed|averaged|sign",
        "hanbt/learn_dl#53, gates exchanged",
    ),
    (
        "dg * (1 - g**2)",
        "dg * g * (1 - g)",
        r"tanh|sigmoid|slope|square|power|\bg\b",
        "the candidate is a tanh: its slope is 1 - g**2",
        "transposed|averaged",
        "made up",
    ),
)

FRESH["gru step in columns"] = family(
    """
def sig(v):
    return 1 / (1 + np.exp(-v))

def forward(x, h, Wz, Wr, Wn):
    v = np.concatenate([h, x])
    z, r = sig(Wz @ v), sig(Wr @ v)
    u = np.concatenate([r * h, x])
    n = np.tanh(Wn @ u)
    return (1 - z) * n + z * h, (h, v, u, z, r, n, Wz, Wr, Wn)

def backward(dh2, cache):
    h, v, u, z, r, n, Wz, Wr, Wn = cache
    H = len(h)
    dn = dh2 * (1 - z) * (1 - n**2)
    dz = dh2 * (h - n) * z * (1 - z)
    du = Wn.T @ dn
    dr = du[:H] * h * r * (1 - r)
    dv = Wz.T @ dz + Wr.T @ dr
    dh = dh2 * z + du[:H] * r + dv[:H]
    dx = du[H:] + dv[H:]
    return dx, dh, dz @ v.T, dr @ v.T, dn @ u.T
""",
    (draw(2, 3), draw(2, 3), draw(2, 4), draw(2, 4), draw(2, 4)),
    (
        "(h - n) * z",
        "h * z",
        r"\bn\b|term|h - n|one of two|factor",
        "z is in both terms of the mix: h - n",
        "transposed|averaged|batch",
        "made up",
    ),
    (
        "du[:H] * r + dv[:H]",
        "du[:H] + dv[:H]",
        "\\br\\b|reset|gate|factor",
        "the reset gate's factor r is missing",
        "transposed|averaged|sign",
        "AiDotNet#722, reset gate misapplied",
    ),
    (
        "dh2 * z + du",
        "du",
        r"\bz\b|term|dh2|direct|path|skip",
        "the direct path z * h is missing",
        "transposed|averaged|sign",
        "made up",
    ),
)

FRESH["causal attention of one head"] = family(
    """
def forward(q, k, v):
    T, d = q.shape
    s = q @ k.T / np.sqrt(d)
    s = np.where(np.tri(T), s, -np.inf)
    e = np.exp(s - s.max(axis=1, keepdims=True))
    att = e / e.sum(axis=1, keepdims=True)
    return att @ v, (q, k, v, att)

def backward(dout, cache):
    q, k, v, att = cache
    datt = dout @ v.T
    dv = att.T @ dout
    ds = att * (datt - (datt * att).sum(axis=1, keepdims=True))
    ds = ds / np.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, dv
""",
    (draw(4, 3), draw(4, 3), draw(4, 2)),
    (
        "ds = ds / np.sqrt(q.shape[1])",
        "ds = ds / q.shape[1]",
        r"scale|sqrt|constant factor|\bd\b|root",
        "the scale is the root of d",
        "sign|batch|transposed",
        "made up",
    ),
    (
        "ds = ds / np.sqrt(q.shape[1])",
        "ds = ds / np.sqrt(v.shape[1])",
        r"scale|sqrt|constant factor|\bv\b|\bk\b|width",
        "scaled by the width of v instead of that of the keys",
        "sign|batch|transposed",
        "made up",
    ),
    ("ds.T @ q", "ds @ q", "transpose|\\.T|order", "keys need ds.T", "sign|averaged", "made up"),
    ("att.T @ dout", "datt.T @ dout", "datt|att|instead", "datt stands where att belongs", "sign|averaged", "made up"),
    (
        "(datt * att).sum(axis=1, keepdims=True)",
        "(datt * att).sum(axis=0, keepdims=True)",
        "axis|sum",
        "the softmax runs over the keys, axis 1",
        "sign|averaged",
        "nerdai/llms-from-scratch-rs#30",
    ),
)

FRESH["embedding with positions"] = family(
    """
ids = np.array([[1, 3, 1], [0, 1, 3]])

def forward(E, P):
    return E[ids] + P, (E.shape, P.shape)

def backward(dout, shapes):
    dE, dP = np.zeros(shapes[0]), np.zeros(shapes[1])
    np.add.at(dE, ids, dout)
    for n in range(len(ids)):
        dP += dout[n]
    return dE, dP
""",
    (draw(5, 2), draw(3, 2)),
    (
        "np.add.at(dE, ids, dout)",
        "dE[ids] += dout",
        "accumulat|repeat|duplicat|add\\.at|same|once|overwrit|last",
        "ids that occur twice are added once: np.add.at",
        "sign|transposed|averaged",
        "karpathy/nn-zero-to-hero#57",
    ),
    (
        "np.add.at(dE, ids, dout)",
        "np.add.at(dE, np.unique(ids), dout.sum(axis=0))",
        r"row|\bid\b|index|wrong places|order|sum|lookup|part",
        "rows are given by position, not by id",
        "sign|transposed|averaged",
        "AiDotNet.Tensors#894",
    ),
    (
        "        dP += dout[n]",
        "        dP = dout[n]",
        r"accumulat|overwrit|\+=|one example|last|batch",
        "positions are shared by the examples: accumulate",
        "sign|transposed|averaged",
        "made up",
    ),
)

FRESH["dropout with a given mask before a layer"] = family(
    """
mask = np.array([[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 1]])
keep = 0.7

def forward(h, W):
    d = h * mask / keep
    return d @ W, (d, W)

def backward(grad, cache):
    d, W = cache
    dh = grad @ W.T * mask / keep
    dW = d.T @ grad
    return dh, dW
""",
    (draw(3, 4), draw(4, 2)),
    (
        "grad @ W.T * mask / keep",
        "grad @ W.T / keep",
        "mask|dropped|zero",
        "the mask is missing: dropped units get a gradient",
        "sign|transposed|averaged",
        "ddbourgin/numpy-ml#94",
    ),
    (
        "grad @ W.T * mask / keep",
        "grad @ W.T * mask",
        r"keep|0\.7|scale",
        "the scale 1/keep is missing",
        "sign|transposed|averaged|batch",
        "rohitg00/ai-engineering-from-scratch#17",
    ),
    (
        "dW = d.T @ grad",
        "dW = (d * mask / keep).T @ grad",
        "mask|keep|twice|again|constant factor|scale",
        "d holds mask and scale already: applied twice",
        "sign|transposed|averaged",
        "made up",
    ),
)

# ---------------------------------------------------------------- residuals, penalties, compositions

FRESH["residual before a norm"] = family(
    """
def forward(x, res):
    r = x + res
    n = np.sqrt((r**2).sum(axis=1, keepdims=True))
    return np.concatenate([r, r / n], axis=1), (r, n)

def backward(dout, cache):
    r, n = cache
    D = r.shape[1]
    dres, dnorm = dout[:, :D], dout[:, D:]
    u = r / n
    through = (dnorm - u * (dnorm * u).sum(axis=1, keepdims=True)) / n
    d = dres + through
    return d, d
""",
    (draw(3, 4), draw(3, 4)),
    (
        "d = dres + through",
        "d = through",
        "residual|skip|term|dres|path|identity",
        "the residual's own gradient is missing",
        "sign|transposed|averaged",
        "Dao-AILab/quack#53",
    ),
    (
        "(dnorm - u * (dnorm * u)",
        "(dnorm + dres - u * (dnorm * u)",
        "dres|residual|norm|too many|twice|term",
        "dres does not pass through the norm",
        "sign|transposed|averaged",
        "Dao-AILab/quack#53",
    ),
    (
        "(dnorm - u * (dnorm * u).sum(axis=1, keepdims=True)) / n",
        "(1 - u**2) / n * dnorm",
        "diagonal|jacobian|term|sum|cross|elementwise|projection",
        "only the diagonal of the norm's Jacobian",
        "transposed|averaged",
        "AlexeyAB/darknet#3949",
    ),
)

FRESH["two layers with penalties"] = family(
    """
l1, l2 = 0.3, 0.4

def forward(X, W1, W2):
    h = np.maximum(X @ W1, 0)
    penalty = l2 * np.sum(W1 * W1) + l1 * np.abs(W2).sum()
    return (h @ W2).sum() + penalty, (X, h, W1, W2)

def backward(g, cache):
    X, h, W1, W2 = cache
    dout = np.ones((len(X), W2.shape[1]))
    dW2 = h.T @ dout + l1 * np.sign(W2)
    dh = dout @ W2.T * (h > 0)
    dW1 = X.T @ dh + 2 * l2 * W1
    return g * (dh @ W1.T), g * dW1, g * dW2
""",
    (draw(4, 3), draw(3, 5), draw(5, 2)),
    (
        "2 * l2 * W1",
        "l2 * W1",
        r"\b2\b|twice|penalty|regulari|half|weight|\bl2\b|term",
        "the penalty has no 1/2: the factor 2 is missing",
        "sign|transposed|averaged",
        "jingtinghuang/CS231n-Spring-2017#3",
    ),
    (
        "+ 2 * l2 * W1",
        "- 2 * l2 * W1",
        r"sign|penalty|regulari|\bl2\b|term",
        "the penalty's gradient has the wrong sign",
        "transposed|averaged",
        "andersbll/nnet#4",
    ),
    (
        "l1 * np.sign(W2)",
        "l1 * W2",
        r"sign|\babs\b|\bL1\b|\bl1\b",
        "an L1 penalty's gradient is the sign of the weights",
        "transposed|averaged",
        "made up",
    ),
    (
        "h.T @ dout + l1 * np.sign(W2)",
        "h.T @ dout",
        r"penalty|regulari|\bl1\b|term|sign",
        "the penalty on W2 is missing",
        "transposed|averaged",
        "lightaime/cs231n#2",
    ),
)

FRESH["product with a sum"] = family(
    """
def forward(a, b, c):
    q = b * c
    return (a + q) * a, (a, b, c, q)

def backward(out_grad, cache):
    a, b, c, q = cache
    da = out_grad * (2 * a + q)
    dq = out_grad * a
    return da, dq * c, dq * b
""",
    (draw(4), draw(4), draw(4)),
    (
        "(2 * a + q)",
        "(a + q)",
        r"\ba\b|term|\b2\b|accumulat|\+=|both|product rule|used twice|overwrit",
        "a is used twice: both paths must be added",
        "transposed|averaged|sign",
        "karpathy's lecture on micrograd, = for +=",
    ),
    (
        "return da, dq * c, dq * b",
        "return da, dq * b, dq * c",
        r"order|exchang|swap|b instead|c instead|\bb\b|\bc\b",
        "of b * c each gets the other as its factor: exchanged",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "dq = out_grad * a",
        "dq = out_grad",
        r"\ba\b|factor",
        "the outer factor a is missing",
        "transposed|averaged|sign",
        "made up",
    ),
)

FRESH["rational function"] = family(
    """
def forward(x, k):
    top = x**3 - 2 * x
    return top / (k + x**2), (x, k, top)

def backward(dy, cache):
    x, k, top = cache
    low = k + x**2
    dx = dy * ((3 * x**2 - 2) / low - top * 2 * x / low**2)
    dk = -dy * top / low**2
    return dx, dk
""",
    (draw(5), positive(5)),
    (
        "3 * x**2 - 2",
        "3 * x**2",
        r"\b2\b|term|constant|linear",
        "the derivative of -2 x is missing",
        "transposed|averaged",
        "made up",
    ),
    (
        "- top * 2 * x / low**2",
        "- top * 2 * x / low",
        "power|square|low|exponent|\\*\\*2|denominator",
        "quotient rule: the denominator is squared",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "-dy * top / low**2",
        "dy * top / low**2",
        "sign",
        "wrong sign: the derivative to a denominator is negative",
        "transposed|averaged",
        "minitorch, Inv",
    ),
    (
        "3 * x**2",
        "x**2",
        r"\b3\b|power|exponent|term|factor",
        "the exponent must come down as a factor: 3 x**2",
        "transposed|averaged|sign",
        "cs231n notes, staged derivatives",
    ),
)
