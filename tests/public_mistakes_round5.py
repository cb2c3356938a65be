"""150 more wrong backwards, collected anew by somebody who had not read the names: for the rounds after `reserve`.

The format is that of the fresh corpus. Each was rewritten from the public thread that is named beside it, or made up.
"""

import numpy as np
from public_mistakes_fresh import family

rng = np.random.default_rng(1605)


def draw(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return np.abs(rng.normal(size=shape)) + 0.3


def simplex(*shape):
    p = rng.uniform(0.2, 1, size=shape)
    return p / p.sum(axis=-1, keepdims=True)


ROUND5 = {}  # ---------------------------------------------------------------- activations

ROUND5["softsign in a class"] = family(
    """
class Softsign:
    def forward(self, x):
        self.x = x
        self.out = x / (1 + np.sqrt(x * x))
        return self.out

    def backward(self, dout):
        d = 1 + np.sqrt(self.x * self.x)
        return dout / d ** 2

layer = Softsign()
forward, backward = layer.forward, layer.backward
""",
    (draw(4, 3),),
    (
        "d ** 2",
        "d",
        "power|square|squared|exponent|quotient|slope",
        "the denominator is not squared: (u/v)' has v squared",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "np.sqrt(self.x * self.x)",
        "self.x",
        r"abs|modulus|sqrt|sign of x|negative|\bx\b",
        "the absolute value is missing in the denominator",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "1 + np.sqrt(self.x * self.x)",
        "1 + np.sqrt(self.out * self.out)",
        r"\by\b|output|\bout\b|instead of x|in place",
        "the output stands where the input is due",
        "transposed|averaged",
        "made up",
    ),
    (
        "dout / d ** 2",
        "dout * (d - self.x) / d ** 2",
        r"abs|sign|quotient|negative|\bx\b|modulus|term",
        "the quotient rule with the derivative of |x| taken as 1: wrong for negative inputs",
        "transposed|averaged",
        "made up",
    ),
)

ROUND5["snake with a frequency for each unit"] = family(
    """
def snake_forward(x, alpha):
    s = np.sin(alpha * x)
    return x + s ** 2 / alpha, (x, alpha)

def backward(grad_out, cache):
    x, alpha = cache
    grad_x = grad_out * (1 + np.sin(2 * alpha * x))
    grad_alpha = grad_out * (x * np.sin(2 * alpha * x) / alpha - np.sin(alpha * x) ** 2 / alpha ** 2)
    return grad_x, grad_alpha.sum(axis=0)

forward = snake_forward
""",
    (draw(5, 3), positive(3)),
    (
        "(1 + np.sin(2 * alpha * x))",
        "np.sin(2 * alpha * x)",
        r"identity|skip|residual|direct|linear|1 \+|term|path|\bx\b|\bone\b",
        "the derivative of the x outside is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "grad_out * (1 + np.sin(2 * alpha * x))",
        "grad_out * (1 + 2 * np.sin(alpha * x) / alpha)",
        r"cos|inner|chain|\bsin\b|slope",
        "the inner derivative alpha cos(alpha x) is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        " - np.sin(alpha * x) ** 2 / alpha ** 2",
        "",
        "term|quotient|product rule|denominator|1/alpha|/ alpha|second",
        "alpha is also the denominator: that term is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        " - np.sin(alpha * x) ** 2 / alpha ** 2",
        " + np.sin(alpha * x) ** 2 / alpha ** 2",
        "sign|plus|minus|added|subtract|negative",
        "the derivative of 1/alpha is negative",
        "transposed|averaged",
        "made up",
    ),
)

ROUND5["hard tanh"] = family(
    """
def hardtanh(z, low=-0.7, high=0.9):
    return np.minimum(np.maximum(z, low), high), z

forward = lambda z: hardtanh(z)

def backward(dA, Z):
    inside = (Z > -0.7) & (Z < 0.9)
    return dA * inside
""",
    (np.array([[-1.7, -0.4, 0.3, 1.2], [0.8, -0.9, 2.1, -0.1], [0.2, 1.4, -1.1, 0.6]]),),
    (
        "(Z > -0.7) & (Z < 0.9)",
        "(Z > -0.7)",
        "mask|upper|high|limit|bound|saturat|clip|side|condition|0\\.9",
        "the upper limit is forgotten",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "(Z > -0.7) & (Z < 0.9)",
        "(Z < -0.7) | (Z > 0.9)",
        "mask|invert|inside|outside|clip|condition|opposite|other side|side",
        "the mask is the wrong way round: the gradient flows where the output is flat",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "dA * inside",
        "dA * np.where(inside, Z, 0)",
        r"\bx\b|input|factor|\bz\b|slope|value|too many",
        "the value is handed on instead of slope 1",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

ROUND5["maxout with two pieces"] = family(
    """
def maxout_forward(x, W, b):
    z = np.einsum("nd,kdh->knh", x, W) + b[:, None, :]
    return z.max(axis=0), (x, W, z)

def backward(dout, cache):
    x, W, z = cache
    won = z == z.max(axis=0, keepdims=True)
    dz = won * dout[None]
    dx = np.einsum("knh,kdh->nd", dz, W)
    dW = np.einsum("nd,knh->kdh", x, dz)
    db = dz.sum(axis=1)
    return dx, dW, db

forward = maxout_forward
""",
    (draw(5, 3), draw(2, 3, 4), draw(2, 4)),
    (
        "won * dout[None]",
        "np.ones_like(z) * dout[None]",
        r"mask|max|winner|\bwon\b|argmax|every|all pieces|condition|both",
        "the losers of the maximum get the gradient, too",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "won * dout[None]",
        "z * won * dout[None]",
        r"\bz\b|factor|value|too many|slope|max|output",
        "multiplied by the maximum itself: its slope is 1",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "z == z.max(axis=0, keepdims=True)",
        "z == z.max(axis=2, keepdims=True)",
        "axis|max|mask|unit|piece|winner|argmax|condition",
        "the winner is looked for among the units, not among the pieces",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "db = dz.sum(axis=1)",
        "db = np.stack([dout.sum(axis=0)] * 2)",
        r"mask|max|dout|\bdz\b|\bdy\b|winner|\bwon\b|both|pieces|every",
        "the bias gradient takes dout before the mask",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

ROUND5["SwiGLU block"] = family(
    """
def forward(x, w1, w3, w2):
    a, b = x @ w1, x @ w3
    sig = 1 / (1 + np.exp(-a))
    h = a * sig * b
    return h @ w2, dict(x=x, a=a, b=b, sig=sig, h=h, w1=w1, w2=w2, w3=w3)

def backward(dout, c):
    dh = dout @ c["w2"].T
    dw2 = c["h"].T @ dout
    silu = c["a"] * c["sig"]
    dsilu = c["sig"] * (1 + c["a"] * (1 - c["sig"]))
    da = dh * c["b"] * dsilu
    db = dh * silu
    dx = da @ c["w1"].T + db @ c["w3"].T
    return dx, c["x"].T @ da, c["x"].T @ db, dw2
""",
    (draw(3, 4), draw(4, 5), draw(4, 5), draw(5, 2)),
    (
        'c["sig"] * (1 + c["a"] * (1 - c["sig"]))',
        'c["sig"] * (1 - c["sig"])',
        r"silu|swish|sigmoid|slope|product rule|term",
        "the slope of the sigmoid instead of that of a sigmoid(a)",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "db = dh * silu",
        'db = dh * c["a"]',
        r"silu|swish|\bsig\b|gate|activation|factor",
        "the other branch was multiplied by silu(a), not by a",
        r"\bsign\b|transposed|averaged",
        "public: unslothai/unsloth#3314",
    ),
    (
        'da = dh * c["b"] * dsilu',
        "da = dh * dsilu",
        r"\bb\b|branch|gate|factor|product|value|\bup\b",
        "the factor b of the product is missing in the gate's gradient",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        ' + db @ c["w3"].T',
        "",
        "branch|path|w3|term|part|second|sum|accumul|both",
        "x feeds both branches: one path is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
)

# ---------------------------------------------------------------- losses

ROUND5["BCE on logits with a weight for positives"] = family(
    """
t = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0])

def forward(z):
    pw = 2.5
    loss = pw * t * np.log1p(np.exp(-z)) + (1 - t) * np.log1p(np.exp(z))
    return loss.mean(), (z, pw)

def backward(g, cache):
    z, pw = cache
    s = 1 / (1 + np.exp(-z))
    dz = (1 - t) * s - pw * t * (1 - s)
    return g * dz / z.size
""",
    (draw(6),),
    (
        "(1 - t) * s - pw * t * (1 - s)",
        "pw * (s - t)",
        r"weight|pos_weight|negative|factor|\bpw\b|class|both",
        "the weight belongs to the positives only",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "(1 - t) * s - pw * t * (1 - s)",
        "(1 - t) * s + pw * t * (1 - s)",
        "sign|plus|minus|positive|label|term",
        "the sign of the positives' term",
        "transposed|averaged",
        "public: deeplearning.ai forum, dAL of the cross entropy",
    ),
    (
        "(1 - t) * s - pw * t * (1 - s)",
        "s - t",
        r"weight|pos_weight|\bpw\b|factor",
        "the weight of the positives is forgotten",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "pw * t * (1 - s)",
        "pw * t * s",
        "1 - s|sigmoid|negative|complement|slope|\\bs\\b|sign",
        "s stands for 1 - s: softplus(-z) has slope sigmoid(-z)",
        "transposed|averaged",
        "made up",
    ),
)

ROUND5["KL divergence of a softmax from a target"] = family(
    """
q = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.3, 0.3, 0.4], [0.1, 0.2, 0.7]])

def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)

def forward(logits):
    p = softmax(logits)
    kl = (p * (np.log(p) - np.log(q))).sum(axis=1)
    return kl.mean(), p

def backward(dout, p):
    r = np.log(p) - np.log(q)
    kl = (p * r).sum(axis=1, keepdims=True)
    return dout * p * (r - kl) / len(p)
""",
    (draw(4, 3),),
    (
        "p * (r - kl) / len(p)",
        "(p - q) / len(p)",
        r"KL|cross|forward|reverse|direction|log|ratio|other|swapped|\bq\b",
        "that is the gradient of KL(q, p): here p stands before the log",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "p * (r - kl) / len(p)",
        "p * r / len(p)",
        r"\bkl\b|jacobian|softmax|sum|mean|coupling|term|diagonal|normal",
        "the coupling through the softmax's sum is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "dout * p * (r - kl) / len(p)",
        "dout * (r + 1) / len(p)",
        "softmax|jacobian|logits|probabilit|before|\\bp\\b",
        "stops at the probabilities: the softmax's own backward is missing",
        r"\bsign\b|transposed|averaged|too many",
        "public: ai.SE 35741",
    ),
)

ROUND5["Huber loss"] = family(
    """
class HuberLoss:
    delta = 1.0

    def forward(self, pred, target):
        self.d = pred - target
        a = np.where(self.d < 0, -self.d, self.d)
        small = a <= self.delta
        return np.where(small, 0.5 * self.d ** 2, self.delta * (a - 0.5 * self.delta)).sum(axis=1)

    def backward(self, gy):
        a = np.abs(self.d)
        slope = np.where(a <= self.delta, self.d, self.delta * np.sign(self.d))
        dpred = gy[:, None] * slope
        return dpred, -dpred

loss = HuberLoss()
forward, backward = loss.forward, loss.backward
""",
    (
        np.array([[2.1, -1.4, 0.3], [-0.6, 3.0, -2.2], [0.2, -0.7, 1.9], [-3.1, 0.5, 0.4]]),
        np.array([[0.2, 0.9, 0.1], [-0.2, 0.4, 0.3], [0.7, -0.3, 0.5], [0.4, 0.8, 0.2]]),
    ),
    (
        "np.where(a <= self.delta",
        "np.where(self.d <= self.delta",
        "abs|sign|negative|mask|condition|threshold|modulus|side",
        "the threshold is compared with the signed difference: large negative ones count as small",
        "transposed|averaged",
        "public: BobMcDear/attorch#13",
    ),
    (
        "self.delta * np.sign(self.d))",
        "self.delta)",
        "sign|negative|abs|side",
        "the sign of the difference is missing in the linear part",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "gy[:, None] * slope",
        "slope",
        "not linear in dy|zero in, not zero out|\\bgy\\b|\\bdy\\b|upstream|dout|incoming|ignor",
        "the incoming gradient is ignored",
        "transposed|averaged|sign",
        "public: chainer/chainer#1178",
    ),
    (
        "self.delta * np.sign(self.d))",
        "self.d / a * a)",
        "clip|linear|threshold|limit|delta|bounded|quadratic|saturat|sign",
        "the linear part keeps the slope of the square: nothing is clipped",
        "transposed|averaged",
        "made up",
    ),
)

ROUND5["soft dice loss"] = family(
    """
target = np.array([[1.0, 0, 1, 1, 0], [0, 1, 1, 0, 0], [1, 1, 0, 0, 1]])

def forward(prob):
    eps = 1.0
    inter = (prob * target).sum(axis=1)
    union = prob.sum(axis=1) + target.sum(axis=1)
    return 1 - (2 * inter + eps) / (union + eps), (prob, inter, union, eps)

def backward(grad_output, cache):
    prob, inter, union, eps = cache
    num = 2 * target * (union + eps)[:, None] - (2 * inter + eps)[:, None]
    return -grad_output[:, None] * num / (union + eps)[:, None] ** 2
""",
    (rng.uniform(0.1, 0.9, size=(3, 5)),),
    (
        "(union + eps)[:, None] - (2 * inter + eps)[:, None]",
        "(union + eps)[:, None] + (2 * inter + eps)[:, None]",
        "sign|minus|plus|quotient",
        "the quotient rule subtracts: here it adds",
        "transposed|averaged",
        "public: milesial/Pytorch-UNet#35",
    ),
    (
        "num / (union + eps)[:, None] ** 2",
        "num / (union + eps)[:, None]",
        "square|power|squared|exponent|denominator|quotient",
        "the denominator is not squared",
        r"\bsign\b|transposed|averaged",
        "public: milesial/Pytorch-UNet#35",
    ),
    (
        "return -grad_output",
        "return grad_output",
        "sign|minus|negat",
        "the loss is 1 - dice: the minus is missing",
        "transposed|averaged|too many",
        "public: faustomilletari/VNet#32",
    ),
    (
        "2 * target * (union + eps)[:, None] - (2 * inter + eps)[:, None]",
        "2 * target * union[:, None] - 2 * inter[:, None]",
        "eps|smooth|constant|\\+ 1|numerator",
        "the smoothing constant is left out of the numerator's derivative",
        r"\bsign\b|transposed|averaged|too many",
        "public: mlpack/mlpack#1674",
    ),
)

ROUND5["triplet loss"] = family(
    """
def forward(anchor, pos, neg):
    margin = 0.5
    gap = ((anchor - pos) ** 2).sum(axis=1) - ((anchor - neg) ** 2).sum(axis=1) + margin
    return np.maximum(gap, 0).sum() / len(gap), (anchor, pos, neg, gap)

def backward(g, cache):
    anchor, pos, neg, gap = cache
    active = (gap > 0)[:, None] * g / len(gap)
    danchor = 2 * (neg - pos) * active
    dpos = -2 * (anchor - pos) * active
    dneg = 2 * (anchor - neg) * active
    return danchor, dpos, dneg
""",
    (draw(4, 3), draw(4, 3), np.array([[2.0, 3, 2], [0.2, 0.1, 0.3], [3, 3, -3], [0.1, -0.2, 0.2]])),
    (
        "danchor = 2 * (neg - pos)",
        "danchor = 2 * (anchor - pos)",
        r"\bneg\b|path|term|second|part|anchor|both|distance",
        "the anchor is in both distances: only the positive one is counted",
        "transposed|averaged",
        "public: luhaofang/tripletloss#41",
    ),
    (
        "dneg = 2 * (anchor - neg)",
        "dneg = -2 * (anchor - neg)",
        "sign|minus|negat",
        "the sign of the negative's gradient: two minus signs make a plus",
        "transposed|averaged",
        "made up",
    ),
    (
        "(gap > 0)[:, None] * g",
        "g",
        r"mask|active|margin|hinge|condition|satisf|zero|relu|clipp|\bgap\b",
        "triplets that keep the margin get a gradient, too",
        r"\bsign\b|transposed|averaged",
        "public: luhaofang/tripletloss#56",
    ),
    (
        "dpos = -2 * (anchor - pos)",
        "dpos = -2 * anchor",
        r"\bpos\b|difference|term|square|subtract",
        "the derivative of the distance is the difference, not the anchor alone",
        "transposed|averaged",
        "public: luhaofang/tripletloss#41",
    ),
)

ROUND5["cross entropy with smoothed labels"] = family(
    """
labels = np.array([1, 0, 3, 2, 3])

def forward(logits):
    n, k = logits.shape
    m = logits.max(axis=1, keepdims=True)
    logp = logits - m - np.log(np.exp(logits - m).sum(axis=1, keepdims=True))
    q = np.full((n, k), 0.2 / k)
    q[np.arange(n), labels] += 0.8
    return -(q * logp).sum() / n, (logp, n, k)

def backward(dloss, cache):
    logp, n, k = cache
    d = np.exp(logp)
    d -= 0.2 / k
    d[np.arange(n), labels] -= 0.8
    return dloss * d / n
""",
    (draw(5, 4),),
    (
        "    d -= 0.2 / k\n",
        "",
        "smooth|uniform|eps|term|0\\.2|spread|every class|other class|target",
        "the uniform part of the target is forgotten",
        r"\bsign\b|transposed|averaged|too many",
        "public: linkedin/Liger-Kernel#198",
    ),
    (
        "d -= 0.2 / k",
        "d -= 0.2 / (k - 1)",
        "smooth|uniform|k - 1|classes|eps|count|size|constant",
        "spread over the k - 1 other classes, while the forward spreads over all",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "labels] -= 0.8",
        "labels] -= 1",
        "smooth|0\\.8|1 - eps|label|target|one-hot|confidence",
        "the full one is subtracted at the label, where only 0.8 is due",
        "transposed|averaged",
        "made up",
    ),
    (
        "d[np.arange(n), labels] -= 0.8",
        "d[:, labels] -= 0.8",
        "row|index|arange|every|column|label|example|all examples",
        "[:, labels] subtracts in every row, not in each example's own",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

ROUND5["weighted negative log-likelihood"] = family(
    """
y = np.array([2, 0, 1, 2, 1])
w = np.array([0.5, 2.0, 1.2])

def forward(scores):
    e = np.exp(scores - scores.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    return -(w[y] * np.log(p[np.arange(5), y])).sum() / w[y].sum(), p

def backward(up, p):
    ds = p.copy()
    ds[np.arange(5), y] -= 1
    return up * ds * w[y][:, None] / w[y].sum()
""",
    (draw(5, 3),),
    (
        "/ w[y].sum()",
        "/ len(y)",
        "weight|normal|sum of|batch|count|denominator|mean|averag|constant factor",
        "normalised by the number of examples, while the forward divides by the sum of the weights",
        r"\bsign\b|transposed",
        "public: pytorch/pytorch#63122",
    ),
    (
        "* w[y][:, None]",
        "* w",
        "weight|class|label|column|index|w\\[y\\]|example|axis|broadcast",
        "each column by its own weight, where the label's weight is due for the whole row",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "ds[np.arange(5), y] -= 1\n    return up * ds * w[y][:, None]",
        "ds[np.arange(5), y] -= w[y]\n    return up * ds",
        "weight|softmax|probabilit|term|\\bp\\b|factor|both",
        "only the label's term is weighted, not the probabilities",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

ROUND5["pinball loss of three quantiles"] = family(
    """
tau = np.array([0.1, 0.5, 0.9])

def forward(pred, y):
    e = y - pred
    return np.maximum(tau * e, (tau - 1) * e).mean(axis=0), e

def backward(d, e):
    over = e < 0
    dpred = np.where(over, 1 - tau, -tau) * d / len(e)
    dy = -dpred.sum(axis=1, keepdims=True)
    return dpred, dy
""",
    (draw(5, 3), draw(5, 1)),
    (
        "np.where(over, 1 - tau, -tau)",
        "np.where(over, tau, tau - 1)",
        r"\btau\b|quantile|swap|exchang|1 - |slope|side|complement|sides",
        "tau and 1 - tau are exchanged",
        "transposed|averaged",
        "made up",
    ),
    (
        "np.where(over, 1 - tau, -tau)",
        "np.where(over, tau - 1, tau)",
        "sign|minus|negat",
        "the gradient of the error, not of the prediction: the sign",
        "transposed|averaged",
        "made up",
    ),
    (
        "-dpred.sum(axis=1, keepdims=True)",
        "-dpred.mean(axis=1, keepdims=True)",
        "averag|mean|sum|broadcast",
        "averaged over the quantiles, where a sum is due: y is used three times",
        r"\bsign\b|transposed",
        "made up",
    ),
)

ROUND5["word2vec with negative samples"] = family(
    """
def sig(a):
    return 1 / (1 + np.exp(-a))

def forward(v, U):
    # U[0] is the true outside word, the other rows are noise
    s = U @ v
    return -np.log(sig(s[0])) - np.log(sig(-s[1:])).sum(), (v, U, s)

def backward(g, cache):
    v, U, s = cache
    ds = sig(s)
    ds[0] -= 1
    grad_v = U.T @ ds
    grad_U = np.outer(ds, v)
    return g * grad_v, g * grad_U
""",
    (draw(3), draw(5, 3)),
    (
        "ds[0] -= 1",
        "ds -= 1",
        "sign|noise|negative|first|true word|true ones|all words|only|label|target|row",
        "all words are taken for true ones",
        "transposed|averaged",
        "public: hankcs/CS224n#5 (the symptom)",
    ),
    (
        "    ds[0] -= 1\n",
        "    ds[0] -= 1\n    ds[1:] *= -1\n",
        "sign|noise|negative|minus|rows",
        "the sign of the noise words: -log sigmoid(-s) has slope sigmoid(s)",
        "transposed|averaged",
        "made up",
    ),
    (
        "grad_v = U.T @ ds",
        "grad_v = U[0] * ds[0]",
        "noise|negative|sum|first|term|all rows|other|only|one index only",
        "v meets the noise words, too: their part is missing",
        "transposed|averaged|sign|too many",
        "made up",
    ),
)

# ---------------------------------------------------------------- softmax and dense layers

ROUND5["softmax loss by stages"] = family(
    """
def forward(X, W):
    Y = np.eye(3)[[0, 2, 1, 1]]
    E = np.exp(X @ W)
    denom = E.sum(axis=1, keepdims=True)
    P = E / denom
    return np.sum(-np.log(P) * Y), (X, W, Y, E, denom, P)

def backward(up, cache):
    X, W, Y, E, denom, P = cache
    dP = -Y / P * up
    dE = dP / denom
    ddenom = np.sum(-E / denom ** 2 * dP, axis=1, keepdims=True)
    dE += ddenom
    dS = E * dE
    return dS @ W.T, X.T @ dS
""",
    (draw(4, 3), draw(3, 3)),
    (
        "np.sum(-E / denom ** 2 * dP, axis=1, keepdims=True)",
        "-E / denom ** 2 * dP",
        r"sum|broadcast|row|axis|denom|accumul|\bfan\b",
        "denom is shared by a row: its gradient must be summed before it is spread again",
        r"\bsign\b|transposed|averaged",
        "public: r/cs231n, softmax by staged computation",
    ),
    (
        "    dE += ddenom\n",
        "",
        "denom|normal|term|path|sum|coupling|second|part",
        "the path through the denominator is missing",
        r"\bsign\b|transposed|averaged|too many",
        "public: r/cs231n, softmax by staged computation",
    ),
    (
        "dS = E * dE",
        "dS = dE",
        r"\bexp\b|exponential|slope|inner|chain|factor|\bE\b",
        "the derivative of exp is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
)

ROUND5["one hidden layer, columns are examples"] = family(
    """
def forward(X, W1, b1, W2, b2):
    A1 = np.tanh(W1 @ X + b1)
    return W2 @ A1 + b2, (X, A1, W1, W2)

def backward(dZ2, cache):
    X, A1, W1, W2 = cache
    dW2 = dZ2 @ A1.T
    db2 = dZ2.sum(axis=1, keepdims=True)
    dA1 = W2.T @ dZ2
    dZ1 = dA1 * (1 - A1 ** 2)
    dW1 = dZ1 @ X.T
    db1 = dZ1.sum(axis=1, keepdims=True)
    return W1.T @ dZ1, dW1, db1, dW2, db2
""",
    (draw(3, 6), draw(4, 3), draw(4, 1), draw(2, 4), draw(2, 1)),
    (
        "dA1 * (1 - A1 ** 2)",
        "dA1 * (1 - A1 ** 2) / X.shape[1]",
        "averag|mean|batch|1/m|examples|\\bm\\b|constant factor",
        "divided by m in dZ1, too",
        r"\bsign\b|transposed",
        "public: deeplearning.ai forum 63071",
    ),
    (
        "dA1 * (1 - A1 ** 2)",
        "dA1 * (1 - np.tanh(A1) ** 2)",
        "twice|tanh|again|output|activation|input",
        "tanh is applied twice: A1 is already tanh",
        r"\bsign\b|transposed|averaged",
        "public: dwhitena/gophernet#6 (the slope of the output)",
    ),
    (
        "dA1 * (1 - A1 ** 2)",
        "dA1 * A1 * (1 - A1)",
        "tanh|sigmoid|slope|derivative|activation",
        "the slope of the sigmoid, where tanh is used",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "db1 = dZ1.sum(axis=1, keepdims=True)",
        "db1 = dA1.sum(axis=1, keepdims=True)",
        r"tanh|slope|activation|\bdZ\b|\bdA\b|derivative|before",
        "summed dA1, not dZ1: the slope is missing in db1 only",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "dW2 = dZ2 @ A1.T",
        "dW2 = dZ2 @ A1.T * 2",
        "constant factor|factor 2|doubled|twice|times 2|factor of 2|2 times",
        "doubled, as planted in the exercise on gradient checking",
        r"\bsign\b|transposed|averaged",
        "public: bighuang624/Andrew-Ng-Deep-Learning-notes#10",
    ),
)

ROUND5["data loss with L2 on two layers"] = family(
    """
def forward(X, W, V):
    reg = 0.05
    H = np.maximum(0, X @ W)
    out = H @ V
    data = (out ** 2).mean()
    return data + reg * ((W ** 2).sum() + (V ** 2).sum()), (X, W, V, H, out, reg)

def backward(g, cache):
    X, W, V, H, out, reg = cache
    dout = 2 * out / out.size
    dV = H.T @ dout + 2 * reg * V
    dH = dout @ V.T
    dH[H <= 0] = 0
    dW = X.T @ dH + 2 * reg * W
    dX = dH @ W.T
    return g * dX, g * dW, g * dV
""",
    (draw(5, 3), draw(3, 4), draw(4, 2)),
    (
        "X.T @ dH + 2 * reg * W",
        "X.T @ dH + reg * W",
        r"regular|L2|factor|\b2\b|penalty|half|doubl|reg|weight decay",
        "the penalty has no 1/2: its derivative is 2 reg W",
        r"\bsign\b|transposed|averaged",
        "public: jingtinghuang/CS231n-Spring-2017#3",
    ),
    (
        "X.T @ dH + 2 * reg * W",
        "X.T @ dH + 2 * reg * W / len(X)",
        "regular|L2|averag|batch|penalty|reg|mean|weight decay",
        "the penalty is divided by the batch, too",
        r"\bsign\b|transposed",
        "public: dennybritz/nn-from-scratch#13",
    ),
    (
        "2 * out / out.size",
        "2 * out / len(out)",
        r"mean|size|batch|outputs|columns|averag|\bN\b|constant factor|normal",
        "mean over all entries, divided by the examples only",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "dV = H.T @ dout + 2 * reg * V",
        "dV = H.T @ dout",
        "regular|L2|penalty|reg|weight decay|term",
        "the penalty of the second layer is forgotten",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "    dH[H <= 0] = 0\n",
        "",
        "relu|mask|slope|activation|condition|negative",
        "the mask of the relu is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
)

ROUND5["centred columns times a scale"] = family(
    """
def forward(x, s):
    xc = x - x.mean(axis=0)
    return xc * s, (xc, s)

def backward(dy, cache):
    xc, s = cache
    dxc = dy * s
    ds = np.sum(dy * xc, axis=0)
    dx = dxc - dxc.mean(axis=0)
    return dx, ds
""",
    (draw(5, 3), draw(3)),
    (
        "dx = dxc - dxc.mean(axis=0)",
        "dx = dxc",
        "mean|centr|term|path|statistic|constant|subtract",
        "the mean depends on x as well: its path is missing",
        r"\bsign\b|transposed|averaged|too many",
        "public: pytorch/pytorch#107007",
    ),
    (
        "dxc.mean(axis=0)",
        "dxc.sum(axis=0)",
        "mean|sum|averag|1/N|batch|divid",
        "the sum of the gradient is subtracted, not its mean",
        r"\bsign\b|transposed",
        "public: pytorch/pytorch#107007",
    ),
    (
        "np.sum(dy * xc, axis=0)",
        "np.sum(dxc * xc, axis=0)",
        r"scale|\bs\b|\bdxc\b|\bdy\b|twice|too many|upstream|before",
        "dxc already has the factor s: dy is due",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

# ---------------------------------------------------------------- convolution and pooling

ROUND5["conv1d in loops with a stride"] = family(
    """
def forward(x, w, b):
    N, C, L = x.shape
    F, _, K = w.shape
    S = 2
    T = (L - K) // S + 1
    out = np.zeros((N, F, T), dtype=np.result_type(x, w, b))
    for n in range(N):
        for f in range(F):
            for t in range(T):
                out[n, f, t] = np.sum(x[n, :, t * S:t * S + K] * w[f]) + b[f]
    return out, (x, w, S)

def backward(dout, cache):
    x, w, S = cache
    K = w.shape[2]
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(len(w))
    for n in range(dout.shape[0]):
        for f in range(dout.shape[1]):
            for t in range(dout.shape[2]):
                lo = t * S
                dx[n, :, lo:lo + K] += dout[n, f, t] * w[f]
                dw[f] += dout[n, f, t] * x[n, :, lo:lo + K]
                db[f] += dout[n, f, t]
    return dx, dw, db
""",
    (draw(2, 3, 7), draw(2, 3, 3), draw(2)),
    (
        "dx[n, :, lo:lo + K] += ",
        "dx[n, :, lo:lo + K] = ",
        "accumul|overwrit|\\+=|last|assign|added|overlap",
        "overwritten, not accumulated: windows overlap and filters add up",
        r"\bsign\b|transposed|averaged",
        "public: jmschrei/tangermeme#95 (overlap)",
    ),
    (
        "lo = t * S",
        "lo = t",
        "stride|window|position|shift|index|start",
        "the stride is forgotten in the window's start",
        r"\bsign\b|transposed|averaged|too many",
        "public: Kulbear/deep-learning-coursera#34",
    ),
    (
        "dw[f] += dout[n, f, t] * x[n, :, lo:lo + K]",
        "dw[f] += dout[n, f, t] * x[n, :, lo:lo + K][:, ::-1]",
        "flip|revers|rotat|mirror|order",
        "the window is reversed: the forward does not flip",
        r"\bsign\b|transposed|averaged",
        "public: ddbourgin/numpy-ml#27",
    ),
    (
        "for t in range(dout.shape[2])",
        "for t in range(dout.shape[2] - 1)",
        "last|one short|range|position|loop|missing|off by one|edge|border",
        "the last position is left out",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
)

ROUND5["depthwise conv2d by shifted slices"] = family(
    """
def depthwise(x, w):
    _, C, H, W = x.shape
    k = w.shape[-1]
    h, v = H - k + 1, W - k + 1
    return sum(x[:, :, i:i + h, j:j + v] * w[:, i, j][:, None, None] for i in range(k) for j in range(k)), (x, w)

forward = depthwise

def backward(dy, saved):
    x, w = saved
    k = w.shape[-1]
    h, v = dy.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(k):
        for j in range(k):
            dx[:, :, i:i + h, j:j + v] += dy * w[:, i, j][:, None, None]
            dw[:, i, j] = np.sum(dy * x[:, :, i:i + h, j:j + v], axis=(0, 2, 3))
    return dx, dw
""",
    (draw(2, 3, 5, 4), draw(3, 2, 2)),
    (
        "dw[:, i, j] = np.sum(dy * x[:, :, i:i + h, j:j + v], axis=(0, 2, 3))",
        "dw[:, i, j] = np.sum(dy.sum(axis=1, keepdims=True) * x[:, :, i:i + h, j:j + v], axis=(0, 2, 3))",
        "channel|depthwise|sum|mix|cross|axis|over all|every",
        "dy is summed over the channels: each filter sees its own channel only",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "dy * w[:, i, j][:, None, None]",
        "dy * w[:, j, i][:, None, None]",
        "transpos|swap|axes|index|i and j|row|column|order|exchang",
        "the kernel's two axes are exchanged",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "dy * w[:, i, j][:, None, None]",
        "dy * w[:, k - 1 - i, k - 1 - j][:, None, None]",
        "flip|rotat|180|revers|mirror",
        "the kernel is rotated, and the shifted slices as well: once too often",
        r"\bsign\b|transposed|averaged",
        "public: ddbourgin/numpy-ml#27",
    ),
)

ROUND5["transposed conv1d"] = family(
    """
def conv_transpose(x, w, stride=3):
    N, C, T = x.shape
    _, F, K = w.shape
    out = np.zeros((N, F, (T - 1) * stride + K), dtype=np.result_type(x, w))
    for t in range(T):
        out[:, :, t * stride:t * stride + K] += np.einsum("nc,cfk->nfk", x[:, :, t], w)
    return out, (x, w)

def forward(x, w):
    return conv_transpose(x, w, 2)

def backward(dout, cache):
    x, w = cache
    K = w.shape[2]
    dx = np.zeros_like(x)
    dw = np.zeros_like(w)
    for t in range(x.shape[2]):
        piece = dout[:, :, 2 * t:2 * t + K]
        dx[:, :, t] = np.einsum("nfk,cfk->nc", piece, w)
        dw += np.einsum("nc,nfk->cfk", x[:, :, t], piece)
    return dx, dw
""",
    (draw(2, 3, 4), draw(3, 2, 3)),
    (
        "piece = dout[:, :, 2 * t:2 * t + K]",
        "piece = dout[:, :, t:t + K]",
        "stride|window|position|shift|index|step",
        "the stride is forgotten: the pieces of the output overlap as if it were 1",
        r"\bsign\b|averaged|too many",
        "made up",
    ),
    (
        'np.einsum("nfk,cfk->nc", piece, w)',
        'np.einsum("nfk,cfk->nc", piece, w[:, :, ::-1])',
        "flip|revers|rotat|mirror|order",
        "the kernel is flipped: the backward of a transposed convolution is the plain one",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "dw += np.einsum",
        "dw = np.einsum",
        r"accumul|overwrit|last|\+=|time|position|\bone\b|sum",
        "only the last position is left in dw",
        r"\bsign\b|averaged",
        "public: tenstorrent/tt-metal#34760 (only the last part)",
    ),
)

ROUND5["conv2d with channels last and padding"] = family(
    """
def zero_pad(X, p):
    return np.pad(X, ((0, 0), (p, p), (p, p), (0, 0)))

def forward(A_prev, W, b):
    p, s, f = 1, 2, W.shape[0]
    X = zero_pad(A_prev, p)
    m, H, V, _ = X.shape
    nH, nV = (H - f) // s + 1, (V - f) // s + 1
    Z = np.zeros((m, nH, nV, W.shape[3]), dtype=np.result_type(A_prev, W, b))
    for h in range(nH):
        for v in range(nV):
            Z[:, h, v] = np.einsum("mijc,ijck->mk", X[:, h * s:h * s + f, v * s:v * s + f], W) + b[0, 0, 0]
    return Z, (A_prev, W, b, p, s)

def backward(dZ, cache):
    A_prev, W, b, p, s = cache
    f = W.shape[0]
    X = zero_pad(A_prev, p)
    dX, dW, db = np.zeros_like(X), np.zeros_like(W), np.zeros_like(b)
    for h in range(dZ.shape[1]):
        for v in range(dZ.shape[2]):
            window = X[:, h * s:h * s + f, v * s:v * s + f]
            dX[:, h * s:h * s + f, v * s:v * s + f] += np.einsum("mk,ijck->mijc", dZ[:, h, v], W)
            dW += np.einsum("mijc,mk->ijck", window, dZ[:, h, v])
            db[0, 0, 0] += dZ[:, h, v].sum(axis=0)
    return dX[:, p:-p, p:-p, :], dW, db
""",
    (draw(2, 5, 5, 2), draw(3, 3, 2, 3), draw(1, 1, 1, 3)),
    (
        "dX[:, p:-p, p:-p, :], dW",
        "dX[:, :-2 * p, :-2 * p, :], dW",
        "pad|crop|border|shift|offset|edge|trim|slice",
        "cropped at one side only: the result is shifted by the padding",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "dX[:, p:-p, p:-p, :], dW",
        "dX, dW",
        "wrong shape|pad|crop|border",
        "the padding is not cut off",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "X = zero_pad(A_prev, p)",
        "X = np.pad(A_prev, ((0, 0), (0, 2 * p), (0, 2 * p), (0, 0)))",
        "pad|shift|border|offset|side|edge|window|position",
        "padded at the end only: the windows are shifted",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "db[0, 0, 0] += dZ[:, h, v].sum(axis=0)",
        "db[0, 0, 0] += dZ[:, h, v].mean(axis=0)",
        "averag|mean|batch|example|constant factor",
        "averaged over the examples",
        r"\bsign\b|transposed",
        "public: kvfrans/notes#5 (bias averaged)",
    ),
    (
        'dW += np.einsum("mijc,mk->ijck", window, dZ[:, h, v])',
        'dW += np.einsum("ijc,k->ijck", window[-1], dZ[-1, h, v])',
        "last|example|batch|sum|one example|only|accumul",
        "the last example only",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

ROUND5["adaptive average pooling"] = family(
    """
def bins(size, out):
    return [(k * size // out, -(-(k + 1) * size // out)) for k in range(out)]

def forward(x):
    return np.stack([x[:, lo:hi].mean(axis=1) for lo, hi in bins(x.shape[1], 3)], axis=1), x.shape

def backward(dy, shape):
    dx = np.zeros(shape)
    for k, (lo, hi) in enumerate(bins(shape[1], 3)):
        dx[:, lo:hi] += dy[:, k:k + 1] / (hi - lo)
    return dx
""",
    (draw(3, 7),),
    (
        "/ (hi - lo)",
        "/ (shape[1] // 3)",
        r"size|\bbin\b|window|count|constant|length|width|region|divis",
        "each bin has its own size: here 7 // 3 is taken for all",
        r"\bsign\b|transposed",
        "public: PaddlePaddle/Paddle#74077",
    ),
    (
        "dx[:, lo:hi] += ",
        "dx[:, lo:hi] = ",
        "accumul|overwrit|overlap|\\+=|added|assign|shared",
        "the bins overlap: what they share must be added",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "dy[:, k:k + 1] / (hi - lo)",
        "dy[:, k:k + 1]",
        "size|mean|divis|count|window|length|1/|averag|spread",
        "not divided by the bin's size",
        r"\bsign\b|transposed",
        "public: deeplearning.ai forum 209979 (distribute_value)",
    ),
)

ROUND5["p-norm pooling in windows of three"] = family(
    """
def forward(x):
    p = 3.0
    a = np.sqrt(x * x).reshape(x.shape[0], -1, 3)
    s = (a ** p).sum(axis=2)
    return s ** (1 / p), (x, s, p)

def backward(dy, cache):
    x, s, p = cache
    xs = x.reshape(x.shape[0], -1, 3)
    y = s ** (1 / p)
    g = (dy * y ** (1 - p))[:, :, None]
    return (g * np.abs(xs) ** (p - 1) * np.sign(xs)).reshape(x.shape)
""",
    (draw(3, 6),),
    (
        " * np.sign(xs)",
        "",
        "sign|abs|negative|modulus",
        "the sign of x is missing: |x| has slope -1 below zero",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "y ** (1 - p)",
        "y ** (p - 1)",
        "power|exponent|inverse|reciprocal|sign of the exponent|divid",
        "the exponent's sign: the norm divides",
        "transposed|averaged",
        "made up",
    ),
    (
        "(dy * y ** (1 - p))",
        "(dy * s ** (1 - p))",
        "\\by\\b|root|output|power|norm|\\bs\\b|1/p|exponent",
        "the sum stands where its p-th root is due",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

# ---------------------------------------------------------------- normalisation

ROUND5["batch normalisation step by step"] = family(
    """
def forward(h, gain, bias):
    n = h.shape[0]
    mean = h.sum(0, keepdims=True) / n
    diff = h - mean
    diff2 = diff ** 2
    var = diff2.sum(0, keepdims=True) / (n - 1)
    var_inv = (var + 1e-5) ** -0.5
    raw = diff * var_inv
    return gain * raw + bias, (n, diff, var, var_inv, raw, gain)

def backward(dpre, cache):
    n, diff, var, var_inv, raw, gain = cache
    dgain = (raw * dpre).sum(0, keepdims=True)
    dbias = dpre.sum(0, keepdims=True)
    draw = gain * dpre
    ddiff = var_inv * draw
    dvar_inv = (diff * draw).sum(0, keepdims=True)
    dvar = -0.5 * (var + 1e-5) ** -1.5 * dvar_inv
    ddiff2 = np.ones_like(diff) / (n - 1) * dvar
    ddiff += 2 * diff * ddiff2
    dh = ddiff.copy()
    dmean = -ddiff.sum(0, keepdims=True)
    dh += np.ones_like(dh) / n * dmean
    return dh, dgain, dbias
""",
    (draw(6, 3), draw(1, 3), draw(1, 3)),
    (
        "np.ones_like(diff) / (n - 1) * dvar",
        "np.ones_like(diff) / n * dvar",
        "n - 1|bessel|variance|unbiased|count|sample|1/N|divis|var",
        "divided by n, while the variance of the forward divides by n - 1",
        r"\bsign\b|transposed",
        "public: makemore part 4, Bessel's correction",
    ),
    (
        "    ddiff += 2 * diff * ddiff2\n",
        "",
        "variance|var|term|path|statistic|second|part|missing",
        "the path through the variance is missing",
        r"\bsign\b|transposed|averaged|too many",
        "public: makemore part 4, dbndiff",
    ),
    (
        "ddiff += 2 * diff * ddiff2",
        "ddiff = 2 * diff * ddiff2",
        "overwrit|accumul|\\+=|path|term|direct|first|assign|part",
        "overwrites the first branch: diff is used twice",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "ddiff += 2 * diff * ddiff2",
        "ddiff += diff * ddiff2",
        r"\b2\b|factor|square|power|half|doubl|variance|var",
        "the 2 of the square's derivative is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "dmean = -ddiff.sum(0, keepdims=True)",
        "dmean = ddiff.sum(0, keepdims=True)",
        "sign|minus|mean|negat",
        "the mean is subtracted: the minus is missing",
        "transposed|averaged|too many",
        "made up",
    ),
)

ROUND5["residual stream and RMSNorm"] = family(
    """
class PreNorm:
    def forward(self, x, residual, weight):
        self.w = weight
        self.r = x + residual
        self.inv = 1 / np.sqrt((self.r ** 2).mean(axis=-1, keepdims=True) + 1e-6)
        return self.r * self.inv * weight + self.r

    def backward(self, dout):
        d = self.r.shape[-1]
        wd = dout * self.w
        dot = (wd * self.r).sum(axis=-1, keepdims=True)
        dr = self.inv * wd - self.r * self.inv ** 3 * dot / d
        dr = dr + dout
        dw = (dout * self.r * self.inv).reshape(-1, d).sum(axis=0)
        return dr, dr, dw

block = PreNorm()
forward, backward = block.forward, block.backward
""",
    (draw(2, 3, 4), draw(2, 3, 4), draw(4)),
    (
        "        dr = dr + dout\n",
        "",
        "residual|skip|identity|direct|path|term|shortcut|dout|\\bdy\\b",
        "the direct path around the norm is missing",
        r"\bsign\b|transposed|averaged|too many",
        "public: Dao-AILab/quack#53",
    ),
    (
        "dot = (wd * self.r)",
        "dot = (dout * self.r)",
        "weight|gain|gamma|\\bw\\b|scale",
        "the weight is left out of the inner product",
        r"\bsign\b|transposed|averaged|too many",
        "public: karpathy/llm.c#763",
    ),
    (
        "self.inv ** 3",
        "self.inv ** 2",
        r"power|cube|exponent|inv|square|\brms\b|norm",
        "the third power of 1/rms is due",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "* dot / d",
        "* dot",
        "mean|divis|1/d|size|averag|width|feature|count|\\bd\\b|sum",
        "the mean's 1/d is missing",
        r"\bsign\b|transposed|too many",
        "made up",
    ),
)

ROUND5["group normalisation"] = family(
    """
def forward(x, gamma, beta):
    N, C, H, W = x.shape
    g = x.reshape(N, 2, -1)
    mu, var = g.mean(axis=2, keepdims=True), g.var(axis=2, keepdims=True)
    std = np.sqrt(var + 1e-5)
    xhat = ((g - mu) / std).reshape(x.shape)
    return gamma[:, None, None] * xhat + beta[:, None, None], (xhat, std, gamma)

def backward(dout, cache):
    xhat, std, gamma = cache
    N, C, H, W = xhat.shape
    dgamma = np.sum(dout * xhat, axis=(0, 2, 3))
    dbeta = np.sum(dout, axis=(0, 2, 3))
    dxhat = (dout * gamma[:, None, None]).reshape(N, 2, -1)
    xh = xhat.reshape(N, 2, -1)
    dx = (dxhat - dxhat.mean(axis=2, keepdims=True) - xh * (dxhat * xh).mean(axis=2, keepdims=True)) / std
    return dx.reshape(xhat.shape), dgamma, dbeta
""",
    (draw(2, 4, 3, 2), draw(4), draw(4)),
    (
        "(dout * gamma[:, None, None]).reshape(N, 2, -1)",
        "dout.reshape(N, 2, -1)",
        "gamma|scale|gain|weight",
        "gamma is missing before the statistics",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "dxhat.mean(axis=2, keepdims=True)",
        "dxhat.mean(axis=(0, 2), keepdims=True)",
        "group|axis|batch|example|axes|statistic|over|mean",
        "averaged over the examples, too: each has its own statistics",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        " - xh * (dxhat * xh).mean(axis=2, keepdims=True)",
        "",
        "variance|var|std|term|statistic|xhat|detach|path",
        "the path through the variance is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "dxhat - dxhat.mean(axis=2, keepdims=True)",
        "dxhat - 2 * dxhat.mean(axis=2, keepdims=True)",
        r"twice|mean|\b2\b|doubl|factor|centr",
        "the mean is subtracted twice",
        r"\bsign\b|transposed",
        "public: tenstorrent/tt-metal#53204",
    ),
)

# ---------------------------------------------------------------- recurrent

ROUND5["RNN that skips padded steps"] = family(
    """
mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], dtype=float)

def forward(x, Wx, Wh, b):
    N, T, D = x.shape
    hs = [np.zeros((N, len(Wh)))]
    for t in range(T):
        m = mask[:, t:t + 1]
        new = np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b)
        hs.append(m * new + (1 - m) * hs[-1])
    return np.stack(hs[1:], axis=1), (x, Wx, Wh, b, hs)

def backward(dhs, cache):
    x, Wx, Wh, b, hs = cache
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
    dh = np.zeros_like(hs[0])
    for t in reversed(range(x.shape[1])):
        m = mask[:, t:t + 1]
        dh = dh + dhs[:, t]
        new = np.tanh(x[:, t] @ Wx + hs[t] @ Wh + b)
        dz = dh * m * (1 - new ** 2)
        dx[:, t] = dz @ Wx.T
        dWx += x[:, t].T @ dz
        dWh += hs[t].T @ dz
        db += dz.sum(axis=0)
        dh = dz @ Wh.T + dh * (1 - m)
    return dx, dWx, dWh, db
""",
    (draw(3, 4, 2), draw(2, 3), draw(3, 3), draw(3)),
    (
        "dz @ Wh.T + dh * (1 - m)",
        "dz @ Wh.T",
        "mask|carry|pad|skip|copied|term|path|through time",
        "the state that a padded step hands on unchanged loses its gradient",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "dh * m * (1 - new ** 2)",
        "dh * (1 - new ** 2)",
        "mask|pad|factor|\\bm\\b|step",
        "padded steps get a gradient: the mask is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "dh = dh + dhs[:, t]",
        "dh = dhs[:, t]",
        "carry|time|accumul|dh_next|later|through time|recurren|overwrit",
        "the gradient of later steps is thrown away",
        r"\bsign\b|transposed|averaged",
        "public: ooples/AiDotNet#722",
    ),
    (
        "dWh += hs[t].T @ dz",
        "dWh += hs[t + 1].T @ dz",
        "h\\[t|shift|previous|index|step|time|current|off by one|state",
        "the new state stands where the previous one is due",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

ROUND5["LSTM cell with peepholes over time"] = family(
    """
def sigmoid(a):
    return 1 / (1 + np.exp(-a))

def forward(z, pi, pf, po):
    # z: (T, 4, H), the gates' inputs without the peepholes
    T, _, H = z.shape
    c = np.zeros(H)
    steps, hs = [], []
    for t in range(T):
        i = sigmoid(z[t, 0] + pi * c)
        f = sigmoid(z[t, 1] + pf * c)
        g = np.tanh(z[t, 2])
        new = f * c + i * g
        o = sigmoid(z[t, 3] + po * new)
        hs.append(o * np.tanh(new))
        steps.append((c, i, f, g, new, o))
        c = new
    return np.stack(hs), (steps, pi, pf, po)

def backward(dh, cache):
    steps, pi, pf, po = cache
    dz = np.zeros((len(steps), 4, pi.size))
    dpi, dpf, dpo = np.zeros_like(pi), np.zeros_like(pf), np.zeros_like(po)
    dc = np.zeros_like(pi)
    for t in range(len(steps) - 1, -1, -1):
        c, i, f, g, new, o = steps[t]
        th = np.tanh(new)
        ao = dh[t] * th * o * (1 - o)
        dnew = dc + dh[t] * o * (1 - th ** 2) + ao * po
        ai = dnew * g * i * (1 - i)
        af = dnew * c * f * (1 - f)
        ag = dnew * i * (1 - g ** 2)
        dz[t] = ai, af, ag, ao
        dpi += ai * c
        dpf += af * c
        dpo += ao * new
        dc = dnew * f + ai * pi + af * pf
    return dz, dpi, dpf, dpo
""",
    (draw(4, 4, 3), draw(3), draw(3), draw(3)),
    (
        " + ao * po\n",
        "\n",
        r"peephole|\bpo\b|output gate|path|term|\bo\b",
        "the output gate looks at the new cell: that path is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "dnew * f + ai * pi + af * pf",
        "dnew * f",
        r"peephole|\bpi\b|\bpf\b|path|term|input gate|forget gate",
        "the peepholes of the input and the forget gate give no gradient to the old cell",
        r"\bsign\b|transposed|averaged",
        "public: tensorflow/tensorflow#34171",
    ),
    (
        "af = dnew * c * f * (1 - f)",
        "af = dnew * c * f",
        "slope|sigmoid|1 - f|forget|derivative|gate|factor",
        "the sigmoid itself instead of its slope in the forget gate",
        r"\bsign\b|transposed|averaged",
        "public: CaptainE/RNN-LSTM-in-numpy#1",
    ),
    (
        "dpo += ao * new",
        "dpo += ao * c",
        r"\bnew\b|previous|\bold\b|cell|\bc\b|state|shift|step|peephole",
        "the output gate peeps at the new cell, not at the old one",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "dc = dnew * f + ai",
        "dc = dc * f + ai",
        r"dnew|carry|accumul|cell|\bdh\b|path|step|term|through",
        "the carry forgets what this step added to the cell's gradient",
        r"\bsign\b|transposed|averaged|too many",
        "public: CaptainE/RNN-LSTM-in-numpy#1",
    ),
)

ROUND5["bidirectional RNN"] = family(
    """
def run(x, U, V):
    h, hs = np.zeros(len(V)), []
    for xt in x:
        h = np.tanh(xt @ U + h @ V)
        hs.append(h)
    return np.array(hs)

def unroll(dh, x, hs, U, V):
    dx, dU, dV, nxt = np.zeros_like(x), np.zeros_like(U), np.zeros_like(V), np.zeros(len(V))
    for t in range(len(x) - 1, -1, -1):
        dz = (dh[t] + nxt) * (1 - hs[t] ** 2)
        dx[t] = dz @ U.T
        dU += np.outer(x[t], dz)
        dV += np.outer(hs[t - 1], dz) if t else 0
        nxt = dz @ V.T
    return dx, dU, dV

def forward(x, U1, V1, U2, V2):
    left, right = run(x, U1, V1), run(x[::-1], U2, V2)
    return np.concatenate([left, right[::-1]], axis=1), (x, left, right, U1, V1, U2, V2)

def backward(dy, cache):
    x, left, right, U1, V1, U2, V2 = cache
    H = len(V1)
    d1, d2 = dy[:, :H], dy[::-1, H:]
    dxl, dU1, dV1 = unroll(d1, x, left, U1, V1)
    dxr, dU2, dV2 = unroll(d2, x[::-1], right, U2, V2)
    return dxl + dxr[::-1], dU1, dV1, dU2, dV2
""",
    (draw(4, 2), draw(2, 3), draw(3, 3), draw(2, 3), draw(3, 3)),
    (
        "dy[:, :H], dy[::-1, H:]",
        "dy[:, :H], dy[:, H:]",
        "revers|order|time|flip|direction|backward direction",
        "the second half of dy is not reversed in time",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "dxl + dxr[::-1]",
        "dxl + dxr",
        "revers|order|time|flip|direction",
        "the gradient of the reversed input is not turned back",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "dxl + dxr[::-1]",
        "dxr[::-1]",
        "overwrit|both|direction|sum|accumul|path|left|forward direction|term",
        "the forward direction's dx is overwritten",
        r"\bsign\b|transposed|averaged",
        "public: apache/mxnet#18203",
    ),
)

# ---------------------------------------------------------------- attention and embeddings

ROUND5["causal attention with einsum"] = family(
    """
def forward(Q, K, V):
    T, d = Q.shape[1:]
    S = np.einsum("btd,bsd->bts", Q, K) / np.sqrt(d)
    S = np.where(np.tril(np.ones((T, T))) > 0, S, -1e9)
    E = np.exp(S - S.max(axis=-1, keepdims=True))
    P = E / E.sum(axis=-1, keepdims=True)
    return np.einsum("bts,bsd->btd", P, V), (Q, K, V, P)

def backward(dO, cache):
    Q, K, V, P = cache
    dV = np.einsum("bts,btd->bsd", P, dO)
    dP = np.einsum("btd,bsd->bts", dO, V)
    D = (dP * P).sum(axis=-1, keepdims=True)
    dS = P * (dP - D) / np.sqrt(Q.shape[-1])
    dQ = np.einsum("bts,bsd->btd", dS, K)
    dK = np.einsum("bts,btd->bsd", dS, Q)
    return dQ, dK, dV
""",
    (draw(2, 4, 3), draw(2, 4, 3), draw(2, 4, 3)),
    (
        " / np.sqrt(Q.shape[-1])",
        "",
        "scale|sqrt|1/sqrt|temperature|constant factor|root",
        "the scale 1/sqrt(d) is missing in dS",
        r"\bsign\b|transposed|averaged|too many",
        "public: delzac/cntkx#10",
    ),
    (
        "np.sqrt(Q.shape[-1])",
        "Q.shape[-1]",
        "scale|sqrt|root|power|twice|constant factor",
        "divided by d, not by its root",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "(dP * P).sum(axis=-1, keepdims=True)",
        "dP.sum(axis=-1, keepdims=True)",
        "softmax|jacobian|weight|\\bP\\b|inner product|product|sum",
        "the sum of dP is not weighted by P",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        'dQ = np.einsum("bts,bsd->btd", dS, K)',
        'dQ = np.einsum("bst,bsd->btd", dS, K)',
        r"transpos|\bdS\b|axes|swap|index|einsum|query|order",
        "the scores' gradient is transposed in dQ",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        'dK = np.einsum("bts,btd->bsd", dS, Q)',
        'dK = np.einsum("bts,btd->bsd", dS, K)',
        r"\bQ\b|\bK\b|quer|key|swap|operand|other|instead",
        "keys stand where queries are due",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        'dV = np.einsum("bts,btd->bsd", P, dO)',
        'dV = np.einsum("bst,btd->bsd", P, dO)',
        "transpos|\\bP\\b|weights|axes|swap|index",
        "the weights are not transposed in dV",
        r"\bsign\b|averaged",
        "made up",
    ),
)

ROUND5["rotary embedding, halves"] = family(
    """
def rope(x, sin, cos):
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)

def forward(x):
    T, d = x.shape
    angle = np.arange(1, T + 1)[:, None] / 10 ** (np.arange(d // 2) / d)
    sin, cos = np.sin(angle), np.cos(angle)
    return rope(x, sin, cos), (sin, cos)

def backward(dy, cache):
    sin, cos = cache
    return rope(dy, -sin, cos)
""",
    (draw(5, 6),),
    (
        "rope(dy, -sin, cos)",
        "rope(dy, sin, cos)",
        r"sign|\bsin\b|rotat|inverse|angle|transpos|direction|back",
        "rotated forwards again: the backward turns by the negative angle",
        "averaged",
        "public: huggingface/candle#3612",
    ),
    (
        "rope(dy, -sin, cos)",
        "rope(dy, -sin[::-1], cos[::-1])",
        "position|time|order|revers|angle|flip|row",
        "the angles of the positions in reverse order",
        "averaged",
        "made up",
    ),
    (
        "rope(dy, -sin, cos)",
        "dy * np.concatenate([cos, cos], axis=-1)",
        r"\bsin\b|cross|term|half|halves|rotat|part|other|pair",
        "the sine's part, which mixes the halves, is missing",
        "transposed|averaged|too many",
        "made up",
    ),
)

ROUND5["embedding tied to the output layer"] = family(
    """
ids = np.array([1, 4, 1, 0])

def forward(E):
    h = E[ids]
    return h @ E.T, (E, h)

def backward(dlogits, cache):
    E, h = cache
    dE = dlogits.T @ h
    dh = dlogits @ E
    np.add.at(dE, ids, dh)
    return dE
""",
    (draw(5, 3),),
    (
        "np.add.at(dE, ids, dh)",
        "dE[ids] += dh",
        "add.at|repeat|duplicate|twice|accumul|index|occur|scatter",
        "a repeated id counts once: += on an index list does not add up",
        r"\bsign\b|transposed|averaged",
        "public: pytorch/pytorch#1631",
    ),
    (
        "    np.add.at(dE, ids, dh)\n",
        "",
        "tied|look-?up|embedding|path|input|term|part|both|shared",
        "the look-up's part of the shared table is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "dE = dlogits.T @ h",
        "dE = np.zeros_like(E)",
        "tied|output|path|term|part|both|shared|projection|logits",
        "the output layer's part of the shared table is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "np.add.at(dE, ids, dh)",
        "dE[ids] = dh",
        r"overwrit|accumul|add|assign|\+=|index|shared",
        "overwrites the rows of the output layer's part",
        r"\bsign\b|transposed|averaged",
        "public: PaddlePaddle/Paddle#17705",
    ),
)

# ---------------------------------------------------------------- other functions

ROUND5["cumulative product"] = family(
    """
def forward(x):
    return np.cumprod(x, axis=1), x

def backward(g, x):
    y = np.cumprod(x, axis=1)
    gy = g * y
    tail = np.cumsum(gy[:, ::-1], axis=1)[:, ::-1]
    return tail / x
""",
    (positive(3, 5),),
    (
        "np.cumsum(gy[:, ::-1], axis=1)[:, ::-1]",
        "np.cumsum(gy, axis=1)",
        "revers|direction|order|later|flip|suffix|right to left|backward|from the left|after",
        "summed from the left: x[i] acts on what comes after it",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "np.cumsum(gy[:, ::-1], axis=1)[:, ::-1]",
        "gy",
        r"cumsum|sum|accumul|later|suffix|tail|\bown\b|diagonal|others",
        "only the own position is counted, not the later ones",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "tail / x",
        "tail",
        r"\bx\b|divi|factor|1/x|\bown\b",
        "the own factor is not divided out",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

ROUND5["highway layer with dropout"] = family(
    """
keep = np.array([[1, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 0]]) / 0.75

def forward(x, W, U):
    t = 1 / (1 + np.exp(-(x @ U)))
    h = np.maximum(x @ W, 0)
    hd = h * keep
    return t * hd + (1 - t) * x, (x, W, U, t, h, hd)

def backward(dy, cache):
    x, W, U, t, h, hd = cache
    dt = dy * (hd - x)
    dh = dy * t * keep
    dz = dh * (h > 0)
    da = dt * t * (1 - t)
    dx = dy * (1 - t) + dz @ W.T + da @ U.T
    return dx, x.T @ dz, x.T @ da
""",
    (draw(4, 3), draw(3, 3), draw(3, 3)),
    (
        "dt = dy * (hd - x)",
        "dt = dy * hd",
        "carry|1 - t|skip|\\bx\\b|term|path|gate|residual|part",
        "the gate also closes the carry: - x is missing",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "dy * t * keep",
        "dy * t",
        "dropout|mask|keep|drop",
        "the dropout mask is missing",
        r"\bsign\b|transposed|averaged|too many",
        "public: ddbourgin/numpy-ml#94",
    ),
    (
        "dy * t * keep",
        "dy * t * (keep > 0)",
        "dropout|scale|keep|1/p|invert|rescal|0\\.75|divid",
        "the mask without its 1/keep",
        r"\bsign\b|transposed|averaged",
        "public: lmjohns3/theanets#123",
    ),
    (
        "dx = dy * (1 - t) + dz",
        "dx = dy + dz",
        "1 - t|carry|gate|factor|skip|residual|\\bt\\b",
        "the carry is not multiplied by 1 - t",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

ROUND5["Gaussian log density with its covariance"] = family(
    """
def forward(x, S):
    P = np.linalg.inv(S)
    return -0.5 * x @ P @ x - 0.5 * np.log(np.linalg.det(S)), (x, P)

def backward(g, cache):
    x, P = cache
    dx = -0.5 * (P + P.T) @ x
    dS = 0.5 * np.outer(P.T @ x, P @ x) - 0.5 * P.T
    return g * dx, g * dS
""",
    (draw(3), np.array([[2.0, 0.3, 0.1], [0.5, 1.5, -0.2], [0.2, 0.4, 1.2]])),
    (
        "0.5 * np.outer(P.T @ x, P @ x) - 0.5 * P.T",
        "-0.5 * np.outer(P.T @ x, P @ x) + 0.5 * P.T",
        "sign|minus|negat",
        "the sign of the covariance's gradient",
        "averaged",
        "public: HIPS/autograd#412",
    ),
    (
        "- 0.5 * P.T\n",
        "- P.T\n",
        r"half|0\.5|factor|\b2\b|log ?det|determinant",
        "the 1/2 before the log determinant is missing",
        r"\bsign\b|averaged|too many",
        "made up",
    ),
    (
        "-0.5 * (P + P.T) @ x",
        "-P @ x",
        "symmetr|transpos|P\\.T|both|quadratic",
        "that holds for a symmetric matrix only: the transposed half is missing",
        r"\bsign\b|averaged|too many",
        "public: HIPS/autograd#156",
    ),
    (
        "np.outer(P.T @ x, P @ x)",
        "np.outer(P @ x, P.T @ x)",
        "transpos|order|swap|outer|symmetr|operand",
        "the outer product is transposed",
        r"\bsign\b|averaged",
        "made up",
    ),
)

ROUND5["log-likelihood of a mixture with softmax weights"] = family(
    """
def forward(x, logits, mu):
    w = np.exp(logits) / np.exp(logits).sum()
    like = np.exp(-0.5 * (x[:, None] - mu) ** 2)
    mix = like @ w
    return np.log(mix), (x, w, mu, like, mix)

def backward(dy, cache):
    x, w, mu, like, mix = cache
    r = w * like / mix[:, None]
    dlogits = dy @ r - dy.sum() * w
    dmu = np.sum(dy[:, None] * r * (x[:, None] - mu), axis=0)
    dx = -np.sum(dy[:, None] * r * (x[:, None] - mu), axis=1)
    return dx, dlogits, dmu
""",
    (draw(5), draw(3), draw(3)),
    (
        " - dy.sum() * w",
        "",
        "softmax|normal|jacobian|sum|term|coupling|weights|constraint",
        "the softmax's normalisation is missing: the weights sum to one",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "r = w * like / mix[:, None]",
        "r = like / mix[:, None]",
        "weight|\\bw\\b|responsib|prior|factor",
        "the responsibilities without the weights",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "dx = -np.sum",
        "dx = np.sum",
        "sign|minus|negat",
        "the sign of dx: (x - mu) depends on x the other way",
        "transposed|averaged",
        "made up",
    ),
    (
        "r = w * like / mix[:, None]",
        "r = w * like",
        "divi|log|1/|mix|normal|responsib",
        "the derivative 1/mix of the log is missing",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
)

ROUND5["nearest upsampling of a sequence by repeat"] = family(
    """
class Upsample:
    def __init__(self, k):
        self.k = k

    def forward(self, x):
        self.shape = x.shape
        return np.repeat(x, self.k, axis=1)

    def backward(self, dy):
        n, t, c = self.shape
        return dy.reshape(n, t, self.k, c).sum(axis=2)

up = Upsample(3)
forward, backward = up.forward, up.backward
""",
    (draw(2, 3, 2),),
    (
        "dy.reshape(n, t, self.k, c).sum(axis=2)",
        "dy.reshape(n, t, self.k, c).mean(axis=2)",
        "averag|mean|sum|constant factor|copies",
        "averaged over the copies, where a sum is due",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "dy.reshape(n, t, self.k, c).sum(axis=2)",
        "dy.reshape(n, self.k, t, c).sum(axis=1)",
        "tile|repeat|order|reshape|axes|interleav|axis|wrong places|right numbers in wrong places",
        "that is the backward of tile, not of repeat",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "dy.reshape(n, t, self.k, c).sum(axis=2)",
        "dy[:, ::self.k]",
        r"first|copies|sum|accumul|only|stride|\bone\b|every",
        "only the first copy's gradient is taken",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

ROUND5["rows gathered and joined with their neighbours"] = family(
    """
src = np.array([0, 2, 2, 1])
dst = np.array([1, 0, 3, 2])

def forward(nodes, W):
    pair = np.concatenate([nodes[src], nodes[dst]], axis=1)
    return pair @ W, (nodes, pair, W)

def backward(dmsg, cache):
    nodes, pair, W = cache
    d = nodes.shape[1]
    dpair = dmsg @ W.T
    dnodes = np.zeros_like(nodes)
    np.add.at(dnodes, src, dpair[:, :d])
    np.add.at(dnodes, dst, dpair[:, d:])
    return dnodes, pair.T @ dmsg
""",
    (draw(4, 2), draw(4, 3)),
    (
        "np.add.at(dnodes, src, dpair[:, :d])",
        "dnodes[src] += dpair[:, :d]",
        "repeat|duplicate|add.at|accumul|twice|index|scatter",
        "node 2 sends twice: its gradient counts once",
        r"\bsign\b|transposed|averaged",
        "public: apache/mxnet#9172",
    ),
    (
        "np.add.at(dnodes, src, dpair[:, :d])\n    np.add.at(dnodes, dst, dpair[:, d:])",
        "np.add.at(dnodes, src, dpair[:, d:])\n    np.add.at(dnodes, dst, dpair[:, :d])",
        "swap|order|halves|split|exchang|concat|parts|wrong half",
        "the two halves of the concatenation are exchanged",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "    np.add.at(dnodes, dst, dpair[:, d:])\n",
        "",
        r"half|\bdst\b|path|part|both|term|second|neighbour|other",
        "the receivers' half is forgotten",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
)

ROUND5["pairwise distances"] = family(
    """
def cdist(a, b):
    diff = a[:, None] - b[None]
    D = np.sqrt((diff ** 2).sum(-1))
    return D, (diff, D)

forward = cdist

def backward(dD, cache):
    diff, D = cache
    w = dD / D
    da = np.einsum("ij,ijk->ik", w, diff)
    db = -np.einsum("ij,ijk->jk", w, diff)
    return da, db
""",
    (draw(3, 2), draw(4, 2)),
    (
        "w = dD / D",
        "w = 2 * dD",
        "root|sqrt|divi|norm|distance|1/|square|\\bD\\b",
        "the derivative of the squared distance: the root is forgotten",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "w = dD / D",
        "w = dD / (2 * D)",
        r"constant factor|\b2\b|half|square|factor",
        "the 2 of the square and the 1/2 of the root cancel: one of them was forgotten",
        r"\bsign\b|transposed|averaged|too many",
        "made up",
    ),
    (
        "db = -np.einsum",
        "db = np.einsum",
        "sign|minus|negat",
        "b is subtracted: the minus is missing",
        "transposed|averaged|too many",
        "made up",
    ),
)
