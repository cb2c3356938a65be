"""180 more wrong backwards of the kinds of `public_mistakes_fresh.py`, its twin: kept back, to be measured once, at the end.

The format is that of its twin, and so are the kinds; the functions, the ways of writing and the mistakes are others.
"""

import numpy as np
from public_mistakes_fresh import family

rng = np.random.default_rng(1602)


def draw(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return np.abs(rng.normal(size=shape)) + 0.3


LAST = {}

# ---------------------------------------------------------------- activations

LAST["hard swish"] = family(
    """
def forward(v):
    return v * np.clip(v + 3, 0, 6) / 6, v

def backward(dout, v):
    inside = np.abs(v) < 3
    return dout * np.where(inside, (2 * v + 3) / 6, v > 0)
""",
    (3 * draw(4, 5),),
    (
        "(2 * v + 3) / 6",
        "(v + 3) / 6",
        r"\b2\b|product rule|term|twice|\bv\b",
        "product rule: v is in both factors",
        "transposed|averaged|sign",
        "made up",
    ),
    ("(2 * v + 3) / 6", "(2 * v + 3)", r"\b6\b", "the division by 6 is missing", "transposed|averaged|sign", "made up"),
    (
        "np.where(inside, (2 * v + 3) / 6, v > 0)",
        "(2 * v + 3) / 6 * inside",
        "saturat|above|v > 0|identity|beyond|outside|zero",
        "above 3 the function is the identity: its slope 1 is missing",
        "transposed|averaged|sign",
        "attorch#16, of its limits",
    ),
)

LAST["elu as a class"] = family(
    """
class ELU:
    a = 1.5

    def forward(self, z):
        self.z = z
        self.y = np.where(z > 0, z, self.a * (np.exp(z) - 1))
        return self.y

    def backward(self, dA):
        return dA * np.where(self.z > 0, 1, self.y + self.a)

unit = ELU()
forward, backward = unit.forward, unit.backward
""",
    (draw(4, 4),),
    (
        "self.y + self.a",
        "self.y + 1",
        r"self\.a|\ba\b|1 instead|alpha|1\.5|0\.5",
        "y + a is meant, and a is not 1",
        "transposed|averaged|sign",
        "eriklindernoren/ML-From-Scratch#73",
    ),
    (
        "self.y + self.a",
        "np.exp(self.y) * self.a",
        "y used as x|\\by\\b|output|instead of z|self\\.z|exp",
        "exp of the output, where exp of the input is meant",
        "transposed|averaged|sign",
        "mlpack#3478, derivatives of outputs",
    ),
    (
        "np.where(self.z > 0, 1, self.y + self.a)",
        "np.where(self.z > 0, self.z, self.y + self.a)",
        r"\bz\b|\b1\b|slope|identity|derivative|\bx\b",
        "the slope of the identity is 1, not z",
        "transposed|averaged|sign",
        "PaddlePaddle/Paddle#12597, x for 1 in clip",
    ),
)

# ---------------------------------------------------------------- losses

LAST["mean squared error of a sigmoid"] = family(
    """
t = np.array([[0.2, 0.9], [0.7, 0.1], [0.5, 0.4]])

def forward(z):
    p = 1 / (1 + np.exp(-z))
    return ((p - t) ** 2).mean(), p

def backward(dL, p):
    return dL * 2 * (p - t) * p * (1 - p) / t.size
""",
    (draw(3, 2),),
    (
        "2 * (p - t) * p * (1 - p)",
        "2 * (p - t)",
        "sigmoid|slope|p \\(1 - p\\)|1 - p",
        "the sigmoid's slope is missing: the rule p - t is that of cross entropy",
        "transposed|averaged|sign",
        "louisjc/mnist-neural-network#1",
    ),
    ("p * (1 - p)", "p * (p - 1)", "sign", "wrong sign in the sigmoid's slope: 1 - p", "transposed|averaged", "made up"),
    (
        "dL * 2 * (p - t)",
        "dL * 2 * p",
        r"\bt\b",
        "the target is missing: p - t",
        "transposed|averaged|sign",
        "ADGEfficiency/teaching-monolith#1",
    ),
    (
        "dL * 2 *",
        "dL *",
        r"\b2\b|twice|half",
        "the square's factor 2 is missing",
        "transposed|averaged|sign|batch",
        "ADGEfficiency/teaching-monolith#1",
    ),
)

LAST["pseudo huber"] = family(
    """
target = np.array([0.3, -0.7, 1.2, 2.0, -1.1])
alpha = 0.6

def forward(pred):
    e = pred - target
    root = np.sqrt(alpha**2 + e**2)
    return np.sum(alpha * root - alpha**2), (e, root)

def backward(g, cache):
    e, root = cache
    return g * alpha * e / root
""",
    (draw(5),),
    (
        "g * alpha * e / root",
        "g * e / root",
        r"alpha|0\.6",
        "the factor alpha is missing",
        "transposed|averaged|sign|batch",
        "RubixML/ML#420",
    ),
    (
        "g * alpha * e / root",
        "g * alpha * e / root**2",
        "power|root|square|exponent|too many",
        "the root's derivative divides by the root once, not twice",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "g * alpha * e / root",
        "alpha * e / root",
        r"\bg\b|\bdy\b|upstream|not linear|chain",
        "the incoming gradient is missing",
        "transposed|averaged|sign",
        "chainer/chainer#1178",
    ),
    (
        "g * alpha * e / root",
        "g * alpha / (2 * root)",
        r"inner|chain|\be\b|2 e",
        "the chain rule's inner derivative, 2 e, is missing",
        "transposed|averaged|sign",
        "made up",
    ),
)

LAST["kl of gaussians to the standard one"] = family(
    """
def forward(mu, logvar):
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)
    return kl.mean(), (mu, logvar)

def backward(dkl, cache):
    mu, logvar = cache
    n = len(mu)
    dmu = dkl * mu / n
    dlogvar = dkl * 0.5 * (np.exp(logvar) - 1) / n
    return dmu, dlogvar
""",
    (draw(3, 2), draw(3, 2)),
    (
        "0.5 * (np.exp(logvar) - 1)",
        "0.5 * np.exp(logvar)",
        r"\b1\b|term|logvar",
        "the derivative of -logvar, -1, is missing",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "0.5 * (np.exp(logvar) - 1)",
        "(np.exp(logvar) - 1)",
        r"0\.5|half|\b2\b|twice",
        "the factor 1/2 is missing",
        "transposed|averaged|sign|batch",
        "made up",
    ),
    (
        "dmu = dkl * mu / n",
        "dmu = dkl * mu / mu.size",
        "averaged|size|mean|division|1/2|too many|features",
        "forward's mean is over the examples only; divided by the features, too",
        "transposed|sign",
        "made up",
    ),
    (
        "0.5 * (np.exp(logvar) - 1)",
        "0.5 * (1 - 1 / np.exp(logvar))",
        "exp|logvar|variance|chain",
        "this is the derivative to the variance: the input is its logarithm",
        "transposed|averaged|sign",
        "made up",
    ),
)

LAST["bce with logits in its stable form"] = family(
    """
y = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])

def forward(x):
    loss = np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x)))
    return loss.mean(), x

def backward(grad, x):
    e = np.exp(-np.abs(x))
    dx = (x > 0) - y - np.sign(x) * e / (1 + e)
    return grad * dx / x.size
""",
    (draw(2, 3),),
    ("np.sign(x) * e", "e", "sign|abs", "the derivative of |x| is missing: its sign", "transposed|averaged|batch", "made up"),
    (
        "(x > 0) - y",
        "(x > 0) + y",
        "sign",
        "wrong sign of the term with the label",
        "transposed|averaged|batch",
        "davharris/mistnet#29",
    ),
    (
        "(x > 0) - y",
        "x - y",
        r"x > 0|relu|maximum|step|mask|slope|derivative|\bx\b",
        "the derivative of max(x, 0) is 0 or 1, not x",
        "transposed|averaged|batch",
        "PaddlePaddle/Paddle#12597, x for 1",
    ),
    (
        "grad * dx / x.size",
        "grad * dx",
        "averaged|mean|size|division|sum instead|1/6",
        "forward takes the mean: the division by the size is missing",
        "sign|transposed",
        "ML-From-Scratch#135",
    ),
)

LAST["label smoothing over the other classes"] = family(
    """
t = np.array([1, 3, 0])
s = 0.3

def forward(logits):
    n, k = logits.shape
    lse = np.log(np.exp(logits).sum(axis=1, keepdims=True))
    logp = logits - lse
    soft = np.full((n, k), s / (k - 1))
    soft[np.arange(n), t] = 1 - s
    return -np.sum(soft * logp, axis=1), (logp, soft)

def backward(dl, cache):
    logp, soft = cache
    p = np.exp(logp)
    return dl[:, None] * (p - soft)
""",
    (draw(3, 4),),
    (
        "p - soft",
        "p - (1 - s) * np.eye(4)[t]",
        r"soft|smooth|term|\bs\b|label|uniform",
        "the part of the other classes is missing",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "dl[:, None] * (p - soft)",
        "dl.mean() * (p - soft)",
        r"mean|averaged|\bdl\b|\bdy\b|row|each",
        "each row has its own incoming gradient; here their mean is used",
        "transposed|sign",
        "paiml/aprender#2182, mis-broadcast",
    ),
    (
        "p - soft",
        "logp - soft",
        r"exp|logp|probabilit|log|\bp\b",
        "probabilities are meant, not their logarithms",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "p - soft",
        "p * (p - soft)",
        r"\bp\b|too many|factor p",
        "the factor p is one too many: p - soft is the derivative to the logits already",
        "transposed|averaged|sign",
        "eriklindernoren/ML-From-Scratch#71, x (p - 1)",
    ),
)

LAST["focal loss of a softmax"] = family(
    """
label = np.array([0, 2, 1, 2])
gam = 2.0

def forward(a):
    e = np.exp(a - a.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    pt = p[np.arange(len(label)), label]
    return -((1 - pt) ** gam * np.log(pt)), (p, pt)

def backward(dloss, cache):
    p, pt = cache
    rows = np.arange(len(label))
    c = gam * (1 - pt) ** (gam - 1) * pt * np.log(pt) - (1 - pt) ** gam
    hot = np.zeros_like(p)
    hot[rows, label] = 1
    return (dloss * c)[:, None] * (hot - p)
""",
    (draw(4, 3),),
    (
        "* (hot - p)",
        "* hot * (1 - p)",
        "diagonal|other|cross|jacobian|term|elementwise|hot",
        "classes other than the label get a gradient, too: the off-diagonal terms are missing",
        "transposed|averaged|sign",
        "unsky/focal-loss#1",
    ),
    (
        "(gam - 1) * pt * np.log(pt)",
        "(gam - 1) * np.log(pt)",
        r"\bpt\b",
        "the factor pt, from the softmax's derivative, is missing in this term",
        "transposed|averaged|sign",
        "unsky/focal-loss#1",
    ),
    (
        "- (1 - pt) ** gam",
        "- (1 - pt) ** (gam + 1)",
        "power|exponent|too many|1 - pt",
        "the exponent is gamma: one power too many",
        "transposed|averaged|sign",
        "jhwjhw0123/Imbalance-XGBoost#1",
    ),
    ("* (hot - p)", "* (p - hot)", "sign", "wrong sign: hot - p", "transposed|averaged", "zimenglan-sysu-512/Focal-Loss#2"),
)

LAST["angular margin"] = family(
    """
m = 0.4

def forward(cos):
    sin = np.sqrt(1 - cos**2)
    return cos * np.cos(m) - sin * np.sin(m), (cos, sin)

def backward(g, cache):
    cos, sin = cache
    return g * (np.cos(m) + np.sin(m) * cos / sin)
""",
    (np.tanh(draw(6)),),
    (
        "np.cos(m) + np.sin(m) * cos / sin",
        "np.cos(m) - np.sin(m) * cos / sin",
        "sign",
        "wrong sign: two minus signs make a plus",
        "transposed|averaged",
        "xialuxi/arcface-caffe#15",
    ),
    (
        "np.sin(m) * cos / sin",
        "np.sin(m) / sin",
        "cos|inner|chain",
        "the inner derivative, cos, is missing",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "np.cos(m) + np.sin(m) * cos / sin",
        "-(sin * np.cos(m) + cos * np.sin(m))",
        "angle|theta|sin|chain|cos",
        "this is the derivative to the angle; the input is its cosine",
        "transposed|averaged",
        "xialuxi/arcface-caffe#15",
    ),
)

LAST["intersection over union"] = family(
    """
gt = np.array([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]])

def forward(p):
    inter = (p * gt).sum(axis=1)
    union = (p + gt - p * gt).sum(axis=1)
    return 1 - inter / union, (inter, union)

def backward(dout, cache):
    inter, union = cache
    top = gt * union[:, None] - inter[:, None] * (1 - gt)
    return -dout[:, None] * top / union[:, None] ** 2
""",
    (positive(2, 4),),
    (
        "inter[:, None] * (1 - gt)",
        "inter[:, None]",
        r"1 - gt|\bgt\b",
        "the union's derivative is 1 - gt, not 1",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "top / union[:, None] ** 2",
        "top / union[:, None]",
        "power|square|union|exponent|denominator",
        "quotient rule: the denominator is squared",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "gt * union[:, None] - inter",
        "gt * union[:, None] + inter",
        "sign",
        "wrong sign between the terms of the quotient rule",
        "transposed|averaged",
        "milesial/Pytorch-UNet#35, of Dice",
    ),
)

# ---------------------------------------------------------------- softmax and relatives

LAST["softmax along the last of three axes"] = family(
    """
def forward(scores):
    w = np.exp(scores)
    w = w / np.sum(w, axis=-1, keepdims=True)
    return w, w

def backward(dw, w):
    ds = np.empty_like(w)
    for idx in np.ndindex(w.shape[:-1]):
        J = np.diag(w[idx]) - np.outer(w[idx], w[idx])
        ds[idx] = J @ dw[idx]
    return ds
""",
    (draw(2, 2, 3),),
    (
        "np.diag(w[idx]) - np.outer(w[idx], w[idx])",
        "np.diag(w[idx]) + np.outer(w[idx], w[idx])",
        "sign",
        "wrong sign of the outer product in the Jacobian",
        "transposed|averaged",
        "made up",
    ),
    (
        "np.diag(w[idx]) -",
        "np.eye(len(w[idx])) -",
        r"diag|eye|identity|\bw\b",
        "the diagonal holds the probabilities, not ones",
        "transposed|averaged|sign",
        "neuroph#37",
    ),
    (
        "np.outer(w[idx], w[idx])",
        "np.diag(w[idx] ** 2)",
        "diagonal|outer|cross|off-diagonal|elementwise",
        "the off-diagonal terms are missing: outer product, not squares",
        "transposed|averaged|sign",
        "HomericIntelligence/Odyssey#2134",
    ),
    (
        "J @ dw[idx]",
        "2 * (J @ dw[idx])",
        r"\b2\b|twice|constant factor",
        "off by a factor of two",
        "transposed|averaged|sign",
        "markroxor/fromscratchtoml#65",
    ),
)

LAST["cross entropy of probabilities"] = family(
    """
T = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])

def forward(P):
    return -(T * np.log(P)).sum() / len(P), P

def backward(dJ, P):
    return -dJ * T / P / len(P)
""",
    (positive(2, 3),),
    (
        "-dJ * T / P",
        "dJ * T / P",
        "sign",
        "wrong sign: the loss is minus the logarithm",
        "transposed|averaged",
        "fetchai/ledger#1580",
    ),
    (
        "-dJ * T / P",
        "dJ * (P - T)",
        "softmax|P - T|logit|derivative|/ P",
        "this is the gradient through a softmax; here the input is the probability itself",
        "transposed|averaged",
        "stackoverflow 62420501, softmax and cross entropy",
    ),
    (
        "T / P / len(P)",
        "T / P / len(P) / len(P)",
        "len|averaged|twice|batch|1/2|division|too many",
        "divided by the batch twice",
        "transposed|sign",
        "tech-srl/code2seq#9",
    ),
    (
        "T / P",
        "T / P**2",
        r"power|square|exponent|too many|\bP\b",
        "the logarithm's derivative is 1/P",
        "transposed|averaged|sign",
        "made up",
    ),
)

LAST["log sum exp with weights"] = family(
    """
def forward(a, logits):
    m = logits.max()
    w = np.exp(logits - m)
    s = (a**2 * w).sum()
    return np.log(s) + m, (a, w, s)

def backward(g, cache):
    a, w, s = cache
    da = g * 2 * a * w / s
    dlogits = g * a**2 * w / s
    return da, dlogits
""",
    (draw(5), draw(5)),
    ("a**2 * w / s", "w / s", r"\ba\b", "the weights a**2 are missing in the softmax", "transposed|averaged|sign", "made up"),
    (
        "2 * a * w / s",
        "2 * a * w",
        r"\bs\b|normali|division|sum",
        "the logarithm's derivative, 1/s, is missing",
        "transposed|averaged|sign|batch",
        "made up",
    ),
    ("2 * a * w / s", "2 * a / s", r"\bw\b|exp", "the factor w is missing", "transposed|averaged|sign", "made up"),
)

LAST["cosine between one vector and rows"] = family(
    """
def forward(q, K):
    nq = np.sqrt(q @ q)
    nk = np.sqrt((K * K).sum(axis=1))
    sim = K @ q / (nq * nk)
    return sim, (q, K, nq, nk, sim)

def backward(g, cache):
    q, K, nq, nk, sim = cache
    dq = (g / nk) @ K / nq - (g @ sim) * q / nq**2
    dK = (g / (nq * nk))[:, None] * q - (g * sim / nk**2)[:, None] * K
    return dq, dK
""",
    (draw(3), draw(4, 3)),
    (
        "(g @ sim) * q",
        "g.sum() * q",
        "sim|cos|weight|dot",
        "each row weighs by its similarity: sim is missing",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "/ nq**2",
        "/ nq",
        r"\bnq\b|power|square|norm|exponent",
        "the square of the norm is missing",
        "transposed|averaged|sign",
        "mxnet-ssd#48, a division by the norm",
    ),
    (
        "(g * sim / nk**2)[:, None] * K",
        "(g / nk**2)[:, None] * K",
        "sim|cos",
        "the factor sim is missing in the second term",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "(g / nk) @ K",
        "g @ K",
        r"\bnk\b|norm|division",
        "the division by the rows' norms is missing",
        "transposed|averaged|sign",
        "torch7#298",
    ),
)

# ---------------------------------------------------------------- dense layers and broadcasting

LAST["matrix times vector"] = family(
    """
def forward(M, v):
    return M @ v, (M, v)

def backward(grad, saved):
    M, v = saved
    dM = np.outer(grad, v)
    dv = M.T @ grad
    return dM, dv
""",
    (draw(3, 3), draw(3)),
    (
        "np.outer(grad, v)",
        "grad @ v.T",
        "outer|dot|scalar|shape|1-D|\\.T|number",
        "of a vector, .T changes nothing: this is a number, the outer product is meant",
        "averaged|sign",
        "harvard-edge/cs249r_book#1781",
    ),
    (
        "np.outer(grad, v)",
        "np.outer(v, grad)",
        "transpose|order|exchang|swap",
        "the outer product is in the wrong order",
        "averaged|sign",
        "made up",
    ),
    (
        "M.T @ grad",
        "M @ grad",
        "transpose|\\.T|order",
        "M must be transposed",
        "averaged|sign",
        "pytorch.github.io#2135, a transpose that is none",
    ),
    (
        "np.outer(grad, v)",
        "np.outer(M @ v, v)",
        r"grad|\bdy\b|upstream|output|\by\b|not linear|\bM\b",
        "the output stands where its gradient belongs",
        "averaged|sign",
        "100-Days-Of-Web-Development#1378",
    ),
)

LAST["dense network of a course in columns"] = family(
    """
def forward(X, W1, b1, W2, b2):
    Z1 = W1 @ X + b1
    A1 = np.tanh(Z1)
    A2 = 1 / (1 + np.exp(-(W2 @ A1 + b2)))
    return A2, (X, A1, A2, W1, W2)

def backward(dA2, cache):
    X, A1, A2, W1, W2 = cache
    dZ2 = dA2 * A2 * (1 - A2)
    dW2 = dZ2 @ A1.T
    db2 = dZ2.sum(axis=1, keepdims=True)
    dZ1 = W2.T @ dZ2 * (1 - A1**2)
    dW1 = dZ1 @ X.T
    db1 = dZ1.sum(axis=1, keepdims=True)
    return W1.T @ dZ1, dW1, db1, dW2, db2
""",
    (draw(3, 5), draw(4, 3), draw(4, 1), draw(2, 4), draw(2, 1)),
    (
        "dW2 = dZ2 @ A1.T",
        "dW2 = dZ2 @ A1.T * 2",
        r"\b2\b|twice|constant factor",
        "a factor 2 too many",
        "transposed|averaged|sign",
        "bighuang624/Andrew-Ng-Deep-Learning-notes#10",
    ),
    (
        "dZ1 = W2.T @ dZ2 * (1 - A1**2)",
        "dZ1 = W2.T @ dZ2 * (1 - A1**2) / X.shape[1]",
        "averaged|batch|division|1/5|examples|X\\.shape",
        "divided by the batch in the middle of the chain",
        "transposed|sign",
        "community.deeplearning.ai 63071",
    ),
    (
        "dZ2 = dA2 * A2 * (1 - A2)",
        "dZ2 = dA2",
        r"sigmoid|slope|\bA2\b|1 - A2",
        "the output's sigmoid slope is missing",
        "transposed|averaged|sign",
        "stats.stackexchange 322521",
    ),
    (
        "db1 = dZ1.sum(axis=1, keepdims=True)",
        "db1 = 4 * dZ1.sum(axis=1, keepdims=True)",
        r"\b4\b|constant factor",
        "a factor 4 too many",
        "transposed|averaged|sign|batch",
        "bighuang624/Andrew-Ng-Deep-Learning-notes#10",
    ),
)

LAST["bias in a row of ones"] = family(
    """
def forward(x, W):
    xb = np.hstack([x, np.ones((len(x), 1))])
    return np.tanh(xb @ W), (xb, W)

def backward(d, cache):
    xb, W = cache
    d = d * (1 - np.tanh(xb @ W) ** 2)
    return d @ W[:-1].T, xb.T @ d
""",
    (draw(4, 3), draw(4, 2)),
    (
        "W[:-1].T",
        "W[1:].T",
        "row|index|bias|shift|slice|off by one|wrong places|first|right numbers in wrong places",
        "the bias is the last row, not the first: the wrong row is cut off",
        "averaged|sign|transposed",
        "louisjc/mnist-neural-network#1",
    ),
    (
        "(1 - np.tanh(xb @ W) ** 2)",
        "(1 - (xb @ W) ** 2)",
        r"tanh|\bxb\b|slope|x used as y|input|output",
        "1 - y**2 needs the output, not its argument",
        "averaged|transposed|sign",
        "rsokl/MyGrad and others, y for x",
    ),
    (
        "xb.T @ d",
        "np.vstack([xb[:, :-1].T @ d, np.zeros((1, 2))])",
        "zero|bias|last row|ones|left|part left at zero",
        "the bias row gets no gradient",
        "averaged|transposed|sign",
        "made up",
    ),
)

# ---------------------------------------------------------------- convolution and pooling

LAST["correlation of a signal by loops"] = family(
    """
def forward(x, w):
    n = len(x) - len(w) + 1
    y = np.zeros(n)
    for i in range(n):
        for k in range(len(w)):
            y[i] += x[i + k] * w[k]
    return y, (x, w)

def backward(dy, cache):
    x, w = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(len(dy)):
        for k in range(len(w)):
            dx[i + k] += dy[i] * w[k]
            dw[k] += dy[i] * x[i + k]
    return dx, dw
""",
    (draw(7), draw(3)),
    (
        "dx[i + k] += dy[i] * w[k]",
        "dx[i + k] += dy[i] * w[-1 - k]",
        "flip|revers|rotated|order|index",
        "the kernel is reversed: forward does not flip it",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "dx[i + k] += dy[i] * w[k]",
        "dx[i] += dy[i] * w[k]",
        r"i \+ k|index|shift|position|wrong places|offset|\bk\b|right numbers in wrong places",
        "the gradient belongs to x[i + k]",
        "sign|averaged|transposed",
        "NervanaSystems/neon#111",
    ),
    (
        "dw[k] += dy[i] * x[i + k]",
        "dw[k] += dy[i] * x[i - k]",
        "sign|index|i \\+ k|position|shift|revers|flip|offset",
        "the index runs the wrong way: x[i + k]",
        "averaged|transposed",
        "made up",
    ),
    (
        "range(len(dy))",
        "range(1, len(dy))",
        "first|left out|loop|range|position|index|off by one|short",
        "the first position is left out",
        "sign|averaged|transposed",
        "made up",
    ),
)

LAST["convolution of images over channels"] = family(
    """
pad = 1

def forward(x, w, b):
    N, C, H, W = x.shape
    F, _, K, _ = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((N, F, H + 2 * pad - K + 1, W + 2 * pad - K + 1))
    for n in range(N):
        for f in range(F):
            for i in range(out.shape[2]):
                for j in range(out.shape[3]):
                    out[n, f, i, j] = np.sum(xp[n, :, i : i + K, j : j + K] * w[f]) + b[f]
    return out, (xp, w)

def backward(dout, cache):
    xp, w = cache
    K = w.shape[2]
    dxp, dw, db = np.zeros_like(xp), np.zeros_like(w), np.zeros(len(w))
    for n in range(dout.shape[0]):
        for f in range(dout.shape[1]):
            db[f] += dout[n, f].sum()
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    dw[f] += xp[n, :, i : i + K, j : j + K] * dout[n, f, i, j]
                    dxp[n, :, i : i + K, j : j + K] += w[f] * dout[n, f, i, j]
    return dxp[:, :, pad:-pad, pad:-pad], dw, db
""",
    (draw(2, 2, 3, 4), draw(3, 2, 3, 3), draw(3)),
    (
        "dw[f] += xp",
        "dw[f] = xp",
        "accumulat|overwrit|\\+=|last|sum",
        "each position overwrites the last: accumulate",
        "sign|transposed|rotated",
        "karpathy's lecture on micrograd, = for +=",
    ),
    (
        "db[f] += dout[n, f].sum()",
        "db[f] += dout[n, f].mean()",
        "averaged|mean|pixels|sum|size",
        "averaged over the pixels: the bias is added to each",
        "sign|transposed|rotated",
        "made up",
    ),
    (
        "db[f] += dout[n, f].sum()",
        "db[f] += dout[n].sum()",
        r"channel|sum|too much|\bf\b|filter|axis|index",
        "summed over all filters: each has its own bias",
        "sign|transposed|rotated|averaged",
        "made up",
    ),
    (
        "w[f] * dout[n, f, i, j]",
        "w[f].swapaxes(1, 2) * dout[n, f, i, j]",
        "transpose|swap|axes|axis|rows and columns",
        "rows and columns of the kernel are exchanged",
        "sign|averaged|stride",
        "made up",
    ),
    (
        "dxp[:, :, pad:-pad, pad:-pad]",
        "dxp[:, :, 2 * pad :, 2 * pad :]",
        "pad|shift|offset|cut|crop|slice|wrong places|index|right numbers in wrong places",
        "the padding is cut off on one side only",
        "sign|averaged|rotated",
        "made up",
    ),
)

LAST["pointwise convolution"] = family(
    """
def forward(x, w):
    return np.einsum("nhwc,cf->nhwf", x, w), (x, w)

def backward(dout, cache):
    x, w = cache
    dx = np.einsum("nhwf,cf->nhwc", dout, w)
    dw = np.einsum("nhwc,nhwf->cf", x, dout)
    return dx, dw
""",
    (draw(2, 2, 3, 3), draw(3, 3)),
    (
        '"nhwf,cf->nhwc"',
        '"nhwf,fc->nhwc"',
        "transpose|order|index|exchang|swap",
        "the weight's indices are exchanged: it must be transposed",
        "sign|averaged",
        "made up",
    ),
    (
        '"nhwc,nhwf->cf"',
        '"nhwc,nhwf->fc"',
        "transpose|order|index|exchang|swap",
        "the result's indices are exchanged",
        "sign|averaged",
        "made up",
    ),
    (
        '"nhwc,nhwf->cf", x, dout',
        '"nhwc,nkwf->cf", x, dout',
        r"sum|index|cross|row|too much|different|pair|\bk\b",
        "rows are summed apart: x and dout must share the index h",
        "sign|averaged|transposed",
        "made up",
    ),
)

LAST["max pooling of signals with stride one"] = family(
    """
k = 3

def forward(x):
    n = x.shape[1] - k + 1
    return np.stack([x[:, i : i + k].max(axis=1) for i in range(n)], axis=1), x

def backward(dy, x):
    dx = np.zeros_like(x)
    for b in range(x.shape[0]):
        for i in range(dy.shape[1]):
            j = i + np.argmax(x[b, i : i + k])
            dx[b, j] += dy[b, i]
    return dx
""",
    (draw(2, 7),),
    (
        "dx[b, j] += dy[b, i]",
        "dx[b, j] = dy[b, i]",
        "accumulat|overwrit|\\+=|overlap|sum|last",
        "one pixel can win several windows: accumulate",
        "sign|averaged|mask",
        "devitocodes/joey#5",
    ),
    (
        "j = i + np.argmax",
        "j = np.argmax",
        r"\bi\b|offset|shift|index|position|window|wrong places|right numbers in wrong places",
        "argmax counts within the window: its start is missing",
        "sign|averaged|mask",
        "made up",
    ),
    (
        "np.argmax",
        "np.argmin",
        "min|max|mask|wrong place|index",
        "the minimum instead of the maximum",
        "sign|averaged",
        "made up",
    ),
    (
        "dx[b, j] += dy[b, i]",
        "dx[b, j] += dy[b, i] * x[b, j]",
        r"\bx\b|too many",
        "the maximum's slope is 1: x is one factor too many",
        "sign|averaged|mask",
        "made up",
    ),
)

LAST["average pooling of blocks"] = family(
    """
fh, fw = 2, 3

def forward(A):
    m, H, W = A.shape
    out = A.reshape(m, H // fh, fh, W // fw, fw).mean(axis=(2, 4))
    return out, A.shape

def backward(dA, shape):
    d = dA / (fh * fw)
    return d.repeat(fh, axis=1).repeat(fw, axis=2)
""",
    (draw(2, 4, 6),),
    (
        "dA / (fh * fw)",
        "dA / fh",
        r"\bfw\b|size|window|area|\b3\b|division|average",
        "divided by the height only: a window has fh * fw pixels",
        "sign|mask|batch",
        "community.deeplearning.ai 209979",
    ),
    (
        "d.repeat(fh, axis=1).repeat(fw, axis=2)",
        "np.tile(d, (1, fh, fw))",
        "tile|repeat|order|wrong places|position|layout|right numbers in wrong places",
        "tile lays copies side by side: each number must be repeated in its place",
        "sign|mask|averaged",
        "made up",
    ),
    (
        "dA / (fh * fw)",
        "dA",
        r"averaged|window|size|division|\bfh\b|\b6\b|mean|area",
        "the division by the window's size is missing",
        "sign|mask|batch",
        "GlebSBrykin, AlbiruniML#2",
    ),
)

# ---------------------------------------------------------------- normalisation

LAST["batch norm of images"] = family(
    """
def forward(x, gamma):
    mu = x.mean(axis=(0, 2, 3), keepdims=True)
    sd = np.sqrt(x.var(axis=(0, 2, 3), keepdims=True) + 1e-5)
    h = (x - mu) / sd
    return gamma[:, None, None] * h, (h, sd, gamma)

def backward(dy, cache):
    h, sd, gamma = cache
    ax = (0, 2, 3)
    dgamma = (dy * h).sum(axis=ax)
    dh = dy * gamma[:, None, None]
    m = h.size / h.shape[1]
    s1 = dh.sum(axis=ax, keepdims=True)
    s2 = (dh * h).sum(axis=ax, keepdims=True)
    return (dh - s1 / m - h * s2 / m) / sd, dgamma
""",
    (draw(2, 3, 2, 2), draw(3)),
    (
        "(dh * h).sum(axis=ax, keepdims=True)",
        "(dy * h).sum(axis=ax, keepdims=True)",
        r"gamma|dy instead of dh|\bdh\b|\bdy\b",
        "dy where dh is meant: gamma is missing in this sum",
        "sign|transposed|averaged",
        "Knet.jl#288, wkcn, dy for dxhat",
    ),
    (
        "- s1 / m -",
        "-",
        r"\bs1\b|mean|\bmu\b|centre|term",
        "the mean's path is missing",
        "sign|transposed|gamma",
        "pjreddie/darknet#1634",
    ),
    (
        "- h * s2 / m",
        "- h * s2 / m**2",
        r"\bm\b|power|square|division|too many|twice|averaged",
        "divided by the number of pixels twice",
        "sign|transposed|gamma",
        "jimxinbo, apache/mxnet#1053",
    ),
    (
        "- h * s2 / m",
        "+ h * s2 / m",
        "sign",
        "wrong sign of the variance's term",
        "transposed|averaged|gamma",
        "mlpack#2474, its step 4",
    ),
    (
        "/ sd, dgamma",
        "/ sd**2, dgamma",
        r"\bsd\b|power|square|variance|deviation|too many|exponent",
        "divided by the variance instead of the deviation",
        "sign|transposed|gamma",
        "made up",
    ),
)

LAST["layer norm of rows with gain and shift"] = family(
    """
def forward(x, gain, shift):
    mu = x.mean(axis=1, keepdims=True)
    sigma = x.std(axis=1, keepdims=True)
    z = (x - mu) / sigma
    return z * gain + shift, (z, sigma, gain)

def backward(dout, cache):
    z, sigma, gain = cache
    N, D = z.shape
    dgain = (dout * z).sum(axis=0)
    dshift = dout.sum(axis=0)
    dz = dout * gain
    dx = (D * dz - dz.sum(axis=1, keepdims=True) - z * (dz * z).sum(axis=1, keepdims=True)) / (D * sigma)
    return dx, dgain, dshift
""",
    (draw(3, 5), draw(5), draw(5)),
    (
        "- dz.sum(axis=1, keepdims=True) -",
        "- dz.sum(axis=0, keepdims=True) -",
        "axis",
        "layer norm sums over the features: axis 1",
        "sign|gain|transposed",
        "cs231n assignment 2, layer norm from batch norm",
    ),
    (
        "(D * dz -",
        "(N * dz -",
        r"\bN\b|\bD\b|axis|size|features|batch",
        "D features are normalised, not N examples",
        "sign|gain|transposed",
        "cs231n assignment 2, layer norm from batch norm",
    ),
    (
        "(dout * z).sum(axis=0)",
        "(dout * z).sum(axis=1)",
        "axis|wrong shape",
        "the gain is shared by the examples: axis 0",
        "sign|transposed|averaged",
        "cs231n assignment 2, layer norm from batch norm",
    ),
    (
        "dz = dout * gain",
        "dz = dout / gain",
        "gain|divided|multipl",
        "divided by the gain, where it must be multiplied in",
        "sign|transposed|averaged",
        "made up",
    ),
)

LAST["rms norm with a centred gain"] = family(
    """
def forward(x, g):
    ms = (x * x).mean(axis=-1, keepdims=True)
    inv = 1 / np.sqrt(ms + 1e-5)
    return x * inv * (1 + g), (x, inv, g)

def backward(dout, cache):
    x, inv, g = cache
    n = x * inv
    dn = dout * (1 + g)
    dg = (dout * n).reshape(-1, x.shape[-1]).sum(axis=0)
    dx = inv * (dn - n * (dn * n).mean(axis=-1, keepdims=True))
    return dx, dg
""",
    (draw(2, 2, 4), draw(4)),
    (
        "dn = dout * (1 + g)",
        "dn = dout * g",
        r"1 \+ g|\b1\b|gain|\bg\b",
        "the gain is 1 + g",
        "sign|transposed|averaged",
        "NVIDIA/Megatron-LM#6859, the offset",
    ),
    (
        "(dn - n * (dn * n).mean(axis=-1, keepdims=True))",
        "(dn - dn.mean(axis=-1, keepdims=True) - n * (dn * n).mean(axis=-1, keepdims=True))",
        "mean|term|centre|layer ?norm|too many|subtract",
        "nothing was centred in forward: the mean's term belongs to layer norm",
        "sign|transposed",
        "paiml/aprender#2196, no mean-subtraction term",
    ),
    (
        "n * (dn * n)",
        "x * (dn * n)",
        r"x instead of n|inv|\bx\b|\bn\b|normali",
        "the normalised x belongs here",
        "sign|transposed|averaged",
        "made up",
    ),
    (
        "inv * (dn - n * (dn * n).mean(axis=-1, keepdims=True))",
        "inv * dn",
        "term|mean|inv|rms|depends|path|norm",
        "the root mean square depends on x, too: its path is missing",
        "sign|transposed|averaged",
        "made up",
    ),
)

LAST["group norm of images with gains"] = family(
    """
groups = 2

def forward(x, gamma):
    N, C, H, W = x.shape
    v = x.reshape(N * groups, -1)
    mu, sd = v.mean(axis=1, keepdims=True), v.std(axis=1, keepdims=True)
    h = ((v - mu) / sd).reshape(x.shape)
    return h * gamma[:, None, None], (h, sd, gamma)

def backward(dy, cache):
    h, sd, gamma = cache
    dgamma = np.einsum("nchw,nchw->c", dy, h)
    dh = (dy * gamma[:, None, None]).reshape(len(sd), -1)
    hv = h.reshape(len(sd), -1)
    dv = (dh - dh.mean(axis=1, keepdims=True) - hv * (dh * hv).mean(axis=1, keepdims=True)) / sd
    return dv.reshape(h.shape), dgamma
""",
    (draw(2, 4, 2, 2), draw(4)),
    (
        "(dh * hv).mean(axis=1, keepdims=True)",
        "(dh * hv).sum(axis=1, keepdims=True)",
        "mean|sum instead|size|averaged|division",
        "a sum where the mean over the group is due",
        "sign|transposed|gamma",
        "linkedin/Liger-Kernel#1376, wrong element count",
    ),
    (
        "(dy * gamma[:, None, None]).reshape(len(sd), -1)",
        "dy.reshape(len(sd), -1)",
        "gamma",
        "gamma is missing",
        "sign|transposed|averaged",
        "made up",
    ),
    (
        '"nchw,nchw->c", dy, h',
        '"nchw,nchw->c", dy, h * h',
        r"\bh\b|square|power|too many",
        "the normalised x once, not squared",
        "sign|transposed|averaged",
        "made up",
    ),
    (
        'dgamma = np.einsum("nchw,nchw->c", dy, h)',
        'dgamma = np.tile(np.einsum("nchw,nchw->c", dy, h).reshape(2, 2).sum(axis=1), 2)',
        "group|sum|channel|too much|axis|per",
        "gamma belongs to each channel, not to a group",
        "sign|transposed|averaged",
        "Oneflow-Inc/oneflow#4848",
    ),
)

# ---------------------------------------------------------------- recurrent nets, attention, words

LAST["recurrent net that adds up numbers"] = family(
    """
def forward(X, s0, wx, wr):
    S = np.zeros((X.shape[0], X.shape[1] + 1))
    S[:, 0] = s0
    for k in range(X.shape[1]):
        S[:, k + 1] = X[:, k] * wx[0] + S[:, k] * wr[0]
    return S[:, -1], (X, S, wx, wr)

def backward(grad, cache):
    X, S, wx, wr = cache
    dX, dwx, dwr = np.zeros_like(X), np.zeros(1), np.zeros(1)
    for k in reversed(range(X.shape[1])):
        dwx += np.sum(grad * X[:, k])
        dwr += np.sum(grad * S[:, k])
        dX[:, k] = grad * wx[0]
        grad = grad * wr[0]
    return dX, grad, dwx, dwr
""",
    (draw(3, 4), draw(3), np.array([1.3]), np.array([0.8])),
    (
        "np.sum(grad * S[:, k])",
        "np.sum(grad * S[:, k + 1])",
        "previous|off by one|index|shift|state|time|step|k \\+ 1",
        "the state before the step belongs here",
        "sign|averaged|transposed",
        "peterroelants.github.io, part 1, indices",
    ),
    (
        "grad = grad * wr[0]",
        "grad = grad * wx[0]",
        r"wx instead of wr|\bwx\b|\bwr\b",
        "the gradient travels back through wr, not wx",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "np.sum(grad * X[:, k])",
        "np.mean(grad * X[:, k])",
        "averaged|mean|batch",
        "averaged over the examples, where a sum is due",
        "sign|transposed",
        "binne.notion.site, its assignment 2",
    ),
    (
        "        grad = grad * wr[0]\n",
        "    grad = grad * wr[0]\n",
        r"loop|indent|time|step|carr|through|back|\bwr\b|power",
        "indented too little: the carry happens once, after the loop",
        "sign|averaged|transposed",
        "CNN-from-scratch#1, indentation",
    ),
)

LAST["recurrent net of a course in columns"] = family(
    """
def forward(x, a0, Waa, Wax, ba):
    n, m, T = a0.shape[0], x.shape[1], x.shape[2]
    a = np.zeros((n, m, T))
    prev = a0
    for t in range(T):
        prev = np.tanh(Waa @ prev + Wax @ x[:, :, t] + ba)
        a[:, :, t] = prev
    return a, (x, a0, a, Waa, Wax)

def backward(da, caches):
    x, a0, a, Waa, Wax = caches
    dx = np.zeros(x.shape)
    dWaa, dWax, dba = np.zeros(Waa.shape), np.zeros(Wax.shape), np.zeros((len(Waa), 1))
    carry = np.zeros(a0.shape)
    for t in reversed(range(x.shape[2])):
        dz = (da[:, :, t] + carry) * (1 - a[:, :, t] ** 2)
        before = a[:, :, t - 1] if t > 0 else a0
        dWaa += dz @ before.T
        dWax += dz @ x[:, :, t].T
        dba += dz.sum(axis=1, keepdims=True)
        dx[:, :, t] = Wax.T @ dz
        carry = Waa.T @ dz
    return dx, carry, dWaa, dWax, dba
""",
    (draw(2, 3, 3), draw(2, 3), 0.7 * draw(2, 2), draw(2, 2), draw(2, 1)),
    (
        "reversed(range(x.shape[2]))",
        "range(x.shape[2])",
        "order|revers|time|loop|direction|forward|backward",
        "the loop runs forward in time",
        "sign|averaged|transposed",
        "community.deeplearning.ai, RNN exercises",
    ),
    (
        "(da[:, :, t] + carry)",
        "da[:, :, t]",
        "carry|time|later|next|through|term|recurren",
        "what comes back from the next step is missing",
        "sign|averaged|transposed",
        "community.deeplearning.ai 67533, of the LSTM",
    ),
    (
        "before = a[:, :, t - 1] if t > 0 else a0",
        "before = a[:, :, t - 1]",
        r"\ba0\b|first|wrap|t = 0|t - 1|index|initial|last|start",
        "at t = 0, index -1 is the last state: a0 is meant",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "(1 - a[:, :, t] ** 2)",
        "(1 - np.tanh(a[:, :, t]) ** 2)",
        "tanh|twice|again|y used as x|output",
        "tanh is applied twice: a is the output already",
        "sign|averaged|transposed",
        "nicklashansen/rnn_lstm_from_scratch#1",
    ),
    (
        "return dx, carry, dWaa",
        "return dx, np.zeros_like(carry), dWaa",
        r"zero|\ba0\b|carry|initial",
        "the initial state gets no gradient, zero",
        "sign|averaged|transposed",
        "made up",
    ),
)

LAST["lstm over a sequence"] = family(
    """
def sg(v):
    return 1 / (1 + np.exp(-v))

def forward(x, W):
    H = W.shape[1] // 4
    h, c, steps = np.zeros(H), np.zeros(H), []
    for row in x:
        z = np.concatenate([h, row])
        a = z @ W
        f, i, o, g = sg(a[:H]), sg(a[H : 2 * H]), sg(a[2 * H : 3 * H]), np.tanh(a[3 * H :])
        old, c = c, f * c + i * g
        h = o * np.tanh(c)
        steps.append((z, f, i, o, g, old, c))
    return h, (steps, W, x.shape)

def backward(dh, cache):
    steps, W, shape = cache
    H = len(dh)
    dx, dW, dc = np.zeros(shape), np.zeros_like(W), np.zeros(H)
    for t in range(len(steps) - 1, -1, -1):
        z, f, i, o, g, old, c = steps[t]
        tc = np.tanh(c)
        do = dh * tc
        dc = dc + dh * o * (1 - tc**2)
        df, di, dg = dc * old, dc * g, dc * i
        da = np.concatenate([df * f * (1 - f), di * i * (1 - i), do * o * (1 - o), dg * (1 - g**2)])
        dW += np.outer(z, da)
        dz = W @ da
        dh, dx[t] = dz[:H], dz[H:]
        dc = dc * f
    return dx, dW
""",
    (draw(3, 2), draw(4, 8)),
    (
        "dc = dc + dh * o",
        "dc = dh * o",
        r"\bdc\b|carr|term|later|next|cell|accumulat|\+=",
        "the cell's gradient from the next step is missing: add",
        "sign|averaged|transposed",
        "apache/mxnet#4057",
    ),
    (
        "df, di, dg = dc * old",
        "df, di, dg = dc * c",
        "old|c instead of old|previous|cell",
        "the cell before the step belongs to the forget gate",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "        dc = dc * f\n",
        "        dc = dc * i\n",
        r"i instead of f|forget|\bf\b|gate",
        "the cell is carried back through the forget gate",
        "sign|averaged|transposed",
        "hanbt/learn_dl#53, gates exchanged",
    ),
    (
        "do * o * (1 - o)",
        "do * (1 - o)",
        "factor o|\\bo\\b|sigmoid|slope",
        "of the sigmoid's slope o (1 - o), o is missing",
        "sign|averaged|transposed",
        "deeplearning.ai, lstm_cell_backward 22398",
    ),
    (
        "do = dh * tc",
        "do = dh * c",
        r"tanh|\btc\b|c instead",
        "the output gate multiplies tanh(c), not c",
        "sign|averaged|transposed",
        "made up",
    ),
)

LAST["gru with the reset after the product"] = family(
    """
def s(v):
    return 1 / (1 + np.exp(-v))

def forward(x, h, Wr, Wz, Wn, Un):
    v = np.hstack([x, h])
    r, z = s(v @ Wr), s(v @ Wz)
    m = h @ Un
    n = np.tanh(x @ Wn + r * m)
    return z * h + (1 - z) * n, (x, h, v, r, z, m, n, Wr, Wz, Wn, Un)

def backward(dout, cache):
    x, h, v, r, z, m, n, Wr, Wz, Wn, Un = cache
    D = x.shape[1]
    dz = dout * (h - n) * z * (1 - z)
    da = dout * (1 - z) * (1 - n**2)
    dr = da * m * r * (1 - r)
    dm = da * r
    dv = dr @ Wr.T + dz @ Wz.T
    dx = da @ Wn.T + dv[:, :D]
    dh = dout * z + dm @ Un.T + dv[:, D:]
    return dx, dh, v.T @ dr, v.T @ dz, x.T @ da, h.T @ dm
""",
    (draw(3, 2), draw(3, 2), draw(4, 2), draw(4, 2), draw(2, 2), draw(2, 2)),
    (
        "dr = da * m * r",
        "dr = da * h * r",
        r"h instead of m|\bm\b|product",
        "the reset gate multiplies m = h @ Un, not h",
        "sign|averaged|transposed",
        "AiDotNet#722, reset gate misapplied",
    ),
    (
        "h.T @ dm",
        "h.T @ da",
        r"\br\b|reset|da instead of dm|\bdm\b|gate",
        "the reset gate is missing on the way to Un",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "da = dout * (1 - z)",
        "da = dout * z",
        r"1 - z|gate|\bz\b|update",
        "the candidate is weighted by 1 - z",
        "sign|averaged|transposed",
        "distillpub/memorization-in-rnns#24, gates exchanged",
    ),
    ("(h - n) * z", "(n - h) * z", "sign", "wrong sign: z weighs h against n", "averaged|transposed|axis", "made up"),
)

LAST["attention over a batch"] = family(
    """
def forward(Q, K, V):
    S = Q @ K.transpose(0, 2, 1) / np.sqrt(Q.shape[-1])
    P = np.exp(S - S.max(axis=-1, keepdims=True))
    P /= P.sum(axis=-1, keepdims=True)
    return P @ V, (Q, K, V, P)

def backward(dO, cache):
    Q, K, V, P = cache
    dV = P.transpose(0, 2, 1) @ dO
    dP = dO @ V.transpose(0, 2, 1)
    dS = P * (dP - (dP * P).sum(axis=-1, keepdims=True)) / np.sqrt(Q.shape[-1])
    dQ = dS @ K
    dK = dS.transpose(0, 2, 1) @ Q
    return dQ, dK, dV
""",
    (draw(2, 3, 4), draw(2, 3, 4), draw(2, 3, 4)),
    ("P.transpose(0, 2, 1) @ dO", "P @ dO", "transpose|\\.T|order", "P must be transposed for V", "sign|averaged", "made up"),
    (
        "P * (dP - (dP * P).sum(axis=-1, keepdims=True))",
        "dP",
        r"softmax|skipped|jacobian|slope|\bP\b",
        "the softmax's derivative is missing",
        "sign|averaged|transposed",
        "wkcn/mobula#3",
    ),
    (
        "P * (dP - (dP * P).sum(axis=-1, keepdims=True)) / np.sqrt(Q.shape[-1])",
        "P * (dP - (dP * P).sum(axis=-1, keepdims=True))",
        r"scale|sqrt|root|\b2\b",
        "the scale 1 / sqrt(d) is missing",
        "sign|averaged|transposed|batch",
        "made up",
    ),
    (
        "dQ = dS @ K",
        "dQ = dS @ Q",
        r"Q instead of K|\bK\b|\bQ\b",
        "the queries' gradient is weighted by the keys",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "dK = dS.transpose(0, 2, 1) @ Q",
        "dK = dS @ Q",
        "transpose|\\.T|order",
        "dS must be transposed for the keys",
        "sign|averaged",
        "made up",
    ),
)

LAST["bag of embeddings"] = family(
    """
words = np.array([[2, 0, 2], [1, 4, 0]])

def forward(E, w):
    return np.einsum("nl,nld->nd", w, E[words]), (E, w)

def backward(g, cache):
    E, w = cache
    dE = np.zeros_like(E)
    for n in range(len(words)):
        for l in range(words.shape[1]):
            dE[words[n, l]] += w[n, l] * g[n]
    dw = np.einsum("nd,nld->nl", g, E[words])
    return dE, dw
""",
    (draw(5, 2), draw(2, 3)),
    (
        "dE[words[n, l]] += w[n, l] * g[n]",
        "dE[words[n, l]] = w[n, l] * g[n]",
        "\\+=|accumulat|overwrit|repeat|last|duplicat|once",
        "words that occur again overwrite the first: accumulate",
        "sign|averaged|transposed",
        "apache/mxnet#9172",
    ),
    (
        "dE[words[n, l]] += w[n, l] * g[n]",
        "dE[l] += w[n, l] * g[n]",
        r"word|index|row|position|\bid\b|wrong places|\bl\b|right numbers in wrong places",
        "the row is that of the word, not of its position",
        "sign|averaged|transposed",
        "AiDotNet.Tensors#894",
    ),
    (
        "w[n, l] * g[n]",
        "g[n] / words.shape[1]",
        r"\bw\b|weight|averaged|mean",
        "words have their own weights; here they are averaged",
        "sign|transposed",
        "made up",
    ),
    (
        "for l in range(words.shape[1])",
        "for l in range(len(words))",
        "loop|short|range|last|index|left out|shape|length",
        "the loop is one short: the length, not the number of sentences",
        "sign|averaged|transposed",
        "renmengye/np-conv2d#2, of heights and widths",
    ),
)

LAST["dropout between two layers"] = family(
    """
mask = np.array([[1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]])
p = 0.4

def forward(x, W1, W2):
    h = np.tanh(x @ W1)
    d = h * mask / (1 - p)
    return d @ W2, (x, h, d, W1, W2)

def backward(dout, cache):
    x, h, d, W1, W2 = cache
    dd = dout @ W2.T
    dh = dd * mask / (1 - p)
    dz = dh * (1 - h**2)
    return dz @ W1.T, x.T @ dz, d.T @ dout
""",
    (draw(3, 2), draw(2, 4), draw(4, 2)),
    (
        "dd * mask / (1 - p)",
        "dd * mask / p",
        r"\bp\b|1 - p|keep|scale",
        "the scale is 1 / (1 - p), not 1 / p",
        "sign|averaged|transposed|batch",
        "modern-fortran/neural-fortran#195",
    ),
    (
        "d.T @ dout",
        "h.T @ dout",
        r"mask|\bd\b|h instead|dropout|scale",
        "W2 saw the units after dropout: d, not h",
        "sign|averaged|transposed",
        "rohitg00/ai-engineering-from-scratch#17",
    ),
    (
        "dd * mask / (1 - p)",
        "dd * (1 - mask) / (1 - p)",
        "mask|invert|revers|1 - mask|dropped|opposite",
        "the mask is inverted: dropped units get the gradient",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "(1 - h**2)",
        "(1 - d**2)",
        r"d instead of h|\bh\b|\bd\b|tanh|mask|slope",
        "the slope of tanh is taken after dropout: h is meant",
        "sign|averaged|transposed",
        "made up",
    ),
)

# ---------------------------------------------------------------- residuals, penalties, compositions

LAST["residual with a projection"] = family(
    """
def forward(x, W, P):
    z = x @ W
    return np.maximum(z, 0) + x @ P, (x, z, W, P)

def backward(g, cache):
    x, z, W, P = cache
    dz = g * (z > 0)
    dx = dz @ W.T + g @ P.T
    return dx, x.T @ dz, x.T @ g
""",
    (draw(4, 3), draw(3, 3), draw(3, 3)),
    (
        "dz @ W.T + g @ P.T",
        "dz @ W.T + dz @ P.T",
        r"relu|mask|\bg\b|dz instead|shortcut|skip|z > 0",
        "the shortcut does not pass through the relu: g, not dz",
        "sign|averaged|transposed",
        "Dao-AILab/quack#53",
    ),
    (
        "dz @ W.T + g @ P.T",
        "dz @ W.T + g",
        r"\bP\b|projection|identity|shortcut|skip",
        "the shortcut is a projection: P is missing",
        "sign|averaged",
        "made up",
    ),
    (
        "dz @ W.T + g @ P.T",
        "dz @ W.T",
        r"residual|skip|shortcut|term|\bP\b|path",
        "the shortcut's gradient is missing",
        "sign|averaged|transposed",
        "Dao-AILab/quack#53",
    ),
    (
        "x.T @ g",
        "x.T @ dz",
        r"dz instead of g|relu|mask|\bg\b|\bdz\b",
        "P is not behind the relu: g, not dz",
        "sign|averaged|transposed",
        "arthurdouillard/deepcourse#6, the reverse",
    ),
)

LAST["logistic regression with ridge"] = family(
    """
y = np.array([1.0, 0.0, 0.0, 1.0])
lam = 0.5

def forward(X, w, b):
    p = 1 / (1 + np.exp(-(X @ w + b)))
    cost = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)) + lam / (2 * len(y)) * (w @ w)
    return cost, (X, w, p)

def backward(g, cache):
    X, w, p = cache
    m = len(y)
    err = g * (p - y) / m
    dw = X.T @ err + g * lam / m * w
    db = np.array([err.sum()])
    return np.outer(err, w), dw, db
""",
    (draw(4, 3), draw(3), draw(1)),
    (
        "g * lam / m * w",
        "g * lam * w",
        r"\bm\b|division|averaged|\b4\b|1/m|batch",
        "the penalty is divided by m, too",
        "sign|transposed",
        "fengdu78/Coursera-ML-AndrewNg-Notes#76",
    ),
    (
        "g * lam / m * w",
        "g * lam / (2 * m) * w",
        r"\b2\b|half|twice",
        "the 1/2 cancels the square's 2",
        "sign|transposed|batch",
        "cs231n.github.io#89",
    ),
    (
        "X.T @ err + g * lam / m * w",
        "X.T @ err",
        "penalty|regulari|lam|term|ridge|weight decay",
        "the penalty's gradient is missing",
        "sign|transposed|averaged",
        "Artelnics/opennn#241",
    ),
    (
        "db = np.array([err.sum()])",
        "db = np.array([err.sum() + g * lam / m * w.sum()])",
        "penalty|regulari|lam|term|too many|bias",
        "the bias is not penalised",
        "sign|transposed|averaged",
        "made up",
    ),
)

LAST["sum of absolute values of a normalised row"] = family(
    """
def forward(x):
    n = np.abs(x).sum(axis=1, keepdims=True)
    return x / n, (x, n)

def backward(g, cache):
    x, n = cache
    dot = (g * x).sum(axis=1, keepdims=True)
    return g / n - np.sign(x) * dot / n**2
""",
    (draw(3, 4),),
    (
        "np.sign(x) * dot / n**2",
        "x * dot / n**2",
        r"sign|abs|\bx\b|\bL1\b|norm",
        "the derivative of |x| is its sign, not x",
        "averaged|transposed",
        "happynear/caffe-windows#205",
    ),
    (
        "g / n - np.sign(x) * dot / n**2",
        "g / n * x",
        r"\bx\b|quotient|term|norm|too many|projection",
        "x is one factor too many, and the norm was taken for a constant",
        "averaged|transposed|sign",
        "HIPS/autograd#73",
    ),
    (
        "dot / n**2",
        "dot / n",
        "power|square|\\bn\\b|exponent|denominator",
        "quotient rule: the denominator is squared",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "(g * x).sum(axis=1, keepdims=True)",
        "g.sum(axis=1, keepdims=True)",
        "\\bx\\b",
        "the factor x is missing in the sum",
        "averaged|transposed|sign",
        "made up",
    ),
)

LAST["unit length by the euclidean norm"] = family(
    """
def forward(v):
    n = np.linalg.norm(v)
    return v / n, (v / n, n)

def backward(dy, cache):
    u, n = cache
    return (dy - u * (u @ dy)) / n
""",
    (draw(5),),
    (
        "(dy - u * (u @ dy)) / n",
        "dy * (1 - u) / n",
        "diagonal|jacobian|projection|cross|term|sum|elementwise|dot",
        "only a diagonal, and a wrong one: the projection u (u . dy) is meant",
        "averaged|transposed|sign",
        "AlexeyAB/darknet#3949",
    ),
    (
        "u * (u @ dy)",
        "u @ dy",
        r"\bu\b|common term|projection",
        "the projection's direction u is missing",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "(dy - u * (u @ dy)) / n",
        "dy / n",
        "term|norm|projection|constant|quotient|path",
        "the norm depends on v, too: its path is missing",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "(dy - u * (u @ dy)) / n",
        "dy - u * (u @ dy)",
        r"\bn\b|norm|division|scale",
        "the division by the norm is missing",
        "averaged|transposed|sign|batch",
        "made up",
    ),
)

# ---------------------------------------------------------------- own functions

LAST["a chain of products"] = family(
    """
def forward(a, b, c, d):
    e = a * b
    f = e + c
    return f * d + e, (a, b, d, f)

def backward(g, cache):
    a, b, d, f = cache
    dd = g * f
    df = g * d
    de = df + g
    return de * b, de * a, df, dd
""",
    (draw(3), draw(3), draw(3), draw(3)),
    (
        "de = df + g",
        "de = df",
        r"term|\bg\b|used twice|path|both|accumulat|\+=",
        "e is used twice: its second path is missing",
        "averaged|transposed|sign",
        "karpathy/nn-zero-to-hero, = for +=",
    ),
    (
        "de = df + g",
        "de = df * g",
        r"sum|product|\+|multipl|not linear|plus",
        "two paths are added, not multiplied",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "df = g * d",
        "df = g * f",
        r"f instead of d|\bd\b|\bf\b",
        "the other factor belongs here: d",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "dd = g * f",
        "dd = g * d",
        r"d instead of f|\bd\b|\bf\b",
        "the other factor belongs here: f",
        "averaged|transposed|sign",
        "made up",
    ),
)

LAST["powers with learnt exponents"] = family(
    """
def forward(x, n):
    return x**n, (x, n)

def backward(dz, cache):
    x, n = cache
    return dz * n * x ** (n - 1), dz * x**n * np.log(x)
""",
    (positive(5), draw(5)),
    (
        "n * x ** (n - 1)",
        "n * x**n",
        "power|exponent|n - 1|\\bx\\b|too many",
        "the exponent falls by one",
        "averaged|transposed|sign",
        "minitorch, power",
    ),
    (
        "n * x ** (n - 1)",
        "x ** (n - 1)",
        r"\bn\b",
        "the exponent must come down as a factor",
        "averaged|transposed|sign",
        "karpathy's lecture on micrograd, pow",
    ),
    ("x**n * np.log(x)", "x**n", "log", "the factor log(x) is missing", "averaged|transposed|sign", "made up"),
    (
        "x**n * np.log(x)",
        "n * x ** (n - 1)",
        "log|exponent|x instead|to x|derivative",
        "this is the derivative to x, not to the exponent",
        "averaged|transposed|sign",
        "made up",
    ),
)

LAST["a quotient of sums"] = family(
    """
def forward(u, v):
    top, low = u.sum(), (v * v).sum()
    return top / low, (u, v, top, low)

def backward(g, cache):
    u, v, top, low = cache
    du = np.ones_like(u) * g / low
    dv = -g * top * 2 * v / low**2
    return du, dv
""",
    (draw(3), draw(4)),
    (
        "-g * top * 2 * v / low**2",
        "-g * 2 * v / low**2",
        "top|numerator",
        "quotient rule: the numerator is missing",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "np.ones_like(u) * g / low",
        "u * g / low",
        r"\bu\b|sum",
        "a sum's derivative is one for each, not u",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "np.ones_like(u) * g / low",
        "np.ones_like(u) * g / low / u.size",
        "averaged|mean|size|1/3|division|too many",
        "a sum, not a mean: no division by the size",
        "transposed|sign",
        "udacity/deep-learning-v2-pytorch#388, sum and mean",
    ),
)

LAST["inverse of a matrix"] = family(
    """
def forward(A):
    R = np.linalg.inv(A + 3 * np.eye(3))
    return R, R

def backward(G, R):
    return -R.T @ G @ R.T
""",
    (draw(3, 3),),
    (
        "-R.T @ G @ R.T",
        "-R @ G @ R",
        "transpose|\\.T",
        "the inverses must be transposed",
        "averaged|sign",
        "pytorch.github.io#2135",
    ),
    (
        "-R.T @ G @ R.T",
        "R.T @ G @ R.T",
        "sign",
        "wrong sign: the inverse falls as the matrix grows",
        "averaged|transposed",
        "minitorch, Inv",
    ),
    (
        "-R.T @ G @ R.T",
        "-(R.T * G * R.T)",
        "elementwise|matrix product|@|\\*|product|dot",
        "elementwise products, where matrix products are meant",
        "averaged|sign",
        "made up",
    ),
    (
        "-R.T @ G @ R.T",
        "-R.T @ G",
        r"R\.T|\bR\b",
        "the inverse is needed on both sides",
        "averaged|sign",
        "made up",
    ),
)

# ---------------------------------------------------------------- more of all kinds

LAST["swish with a slope for each feature"] = family(
    """
def forward(z, beta):
    s = 1 / (1 + np.exp(-beta * z))
    return z * s, (z, beta, s)

def backward(dA, cache):
    z, beta, s = cache
    ds = s * (1 - s)
    dz = dA * (s + beta * z * ds)
    dbeta = np.sum(dA * z**2 * ds, axis=0)
    return dz, dbeta
""",
    (draw(3, 4), draw(4)),
    (
        "s + beta * z * ds",
        "s + z * ds",
        "beta",
        "the inner derivative of beta * z, the factor beta, is missing",
        "sign|transposed|averaged|beta too many",
        "made up",
    ),
    (
        "s + beta * z * ds",
        "ds",
        r"product rule|term|s \+|one of two|beta \* z",
        "product rule: only the sigmoid was differentiated",
        "sign|transposed|sum",
        "made up",
    ),
    (
        "z**2 * ds",
        "z * ds",
        "power|z\\*\\*2|square|factor z|exponent",
        "wrong power of z: it is outside the sigmoid and inside",
        "sign|axis|averaged",
        "made up",
    ),
    (
        "s + beta * z * ds",
        "s - beta * z * ds",
        "sign",
        "wrong sign of the second term of the product rule",
        "transposed|averaged|forgotten",
        "made up",
    ),
)

LAST["softplus with a sharpness"] = family(
    """
k = 3.0

def forward(x):
    return np.log1p(np.exp(k * x)) / k, x

def backward(upstream, x):
    return upstream / (1 + np.exp(-k * x))
""",
    (draw(4, 3),),
    (
        "np.exp(-k * x)",
        "np.exp(k * x)",
        "sign|exp|-k",
        "sign inside the exponential: this is 1 - sigmoid",
        "transposed|averaged|batch",
        "tiny-cuda-nn#130",
    ),
    (
        "upstream / (1",
        "k * upstream / (1",
        r"factor k|k too many|\b3\b",
        "the inner k cancels the 1/k outside: one k too many",
        "batch|averaged|twice",
        "made up",
    ),
    (
        "np.exp(-k * x)",
        "np.exp(-x)",
        r"\bk\b|slope|sharpness",
        "k is missing inside the exponential",
        "sign|batch|averaged",
        "made up",
    ),
)

LAST["hard sigmoid"] = family(
    """
def forward(x):
    return np.clip(0.2 * x + 0.5, 0, 1), x

def backward(grad, x):
    inside = (x > -2.5) & (x < 2.5)
    return 0.2 * grad * inside
""",
    (4 * draw(4, 5),),
    (
        "(x > -2.5) & (x < 2.5)",
        "x < 2.5",
        "inside|mask|clip|limit|bound|saturat|lower|kink|condition|x > -2.5",
        "the lower limit is missing: a gradient flows where the output is held at 0",
        "sign|transposed|averaged|factor 0.2",
        "pytorch#51408",
    ),
    (
        "0.2 * grad * inside",
        "grad * inside",
        "0.2|slope|factor 5",
        "the slope 0.2 is missing",
        "batch|averaged|mask",
        "made up",
    ),
    (
        "(x > -2.5) & (x < 2.5)",
        "(x > 0) & (x < 1)",
        "inside|mask|limit|bound|condition|output|clip|2.5",
        "the limits of the output are used on the input",
        "sign|transposed|averaged",
        "made up",
    ),
)

LAST["soft dice"] = family(
    """
mask = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])

def forward(pred):
    inter = (pred * mask).sum()
    union = pred.sum() + mask.sum()
    return 1 - 2 * inter / union, (inter, union)

def backward(grad_output, saved):
    inter, union = saved
    return -grad_output * 2 * (mask * union - inter) / union**2
""",
    (positive(2, 3),),
    (
        "mask * union - inter",
        "mask * union + inter",
        "sign",
        "wrong sign between the two terms of the quotient rule",
        "transposed|averaged|batch",
        "milesial/Pytorch-UNet#35",
    ),
    (
        "/ union**2",
        "/ union * union",
        "union|power|square|order|precedence|bracket|division",
        "a / b * b is a: brackets are missing around the product",
        "transposed|sign|batch",
        "milesial/Pytorch-UNet#35",
    ),
    (
        "(mask * union - inter) / union**2",
        "mask / union",
        "term|quotient|union|inter",
        "the denominator depends on the prediction, too: quotient rule",
        "transposed|averaged|sign",
        "made up",
    ),
)

LAST["contrastive pairs"] = family(
    """
same = np.array([1.0, 0.0, 1.0, 0.0, 0.0])
m = 3.0

def forward(u, v):
    diff = u - v
    d = np.sqrt((diff**2).sum(axis=1))
    short = np.maximum(m - d, 0)
    return 0.5 * (same * d**2 + (1 - same) * short**2), (diff, d, short)

def backward(dl, cache):
    diff, d, short = cache
    far = -(1 - same) * short / d
    du = (dl * (same + far))[:, None] * diff
    return du, -du
""",
    (draw(5, 2), draw(5, 2)),
    (
        "short / d",
        "short",
        "/ d|norm|distance|factor d|division|unit",
        "the derivative of the distance is diff / d: the division by d is missing",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "-(1 - same) * short",
        "(1 - same) * short",
        "sign",
        "wrong sign: different pairs are pushed apart",
        "transposed|averaged|batch",
        "torch7#298, of the cosine criterion",
    ),
    (
        "return du, -du",
        "return du, du",
        "sign",
        "wrong sign: v enters with a minus",
        "transposed|averaged|batch|forgotten",
        "made up",
    ),
    (
        "(dl * (same + far))",
        "(dl * (same * d + far))",
        "d too many|factor d|power|square",
        "the squared distance's derivative is diff, not d times diff",
        "transposed|sign|averaged",
        "made up",
    ),
)

LAST["bilinear form"] = family(
    """
def forward(u, W, v):
    return np.einsum("ni,ij,nj->n", u, W, v), (u, W, v)

def backward(g, cache):
    u, W, v = cache
    du = g[:, None] * (v @ W.T)
    dW = np.einsum("n,ni,nj->ij", g, u, v)
    dv = g[:, None] * (u @ W)
    return du, dW, dv
""",
    (draw(4, 3), draw(3, 3), draw(4, 3)),
    ("(v @ W.T)", "(v @ W)", "transpose|W\\.T|order", "W must be transposed for u", "sign|averaged", "made up"),
    (
        '"n,ni,nj->ij", g, u, v',
        '"n,ni,nj->ij", g, v, u',
        "transpose|order|exchang|swap|v instead of u|u instead",
        "the outer product is in the wrong order: W.T's gradient",
        "sign|averaged",
        "made up",
    ),
    (
        "dv = g[:, None] * (u @ W)",
        "dv = u @ W",
        r"\bg\b|\bdy\b|upstream|not linear|chain",
        "the incoming gradient is missing",
        "transposed|averaged|sign",
        "made up",
    ),
)
