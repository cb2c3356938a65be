"""Wrong backwards of an eighth round: layers and losses that the rounds before had seldom, looked at while names changed.

The format is that of `public_mistakes_round7.py`. `public_mistakes_sealed8.py` is the other half, drawn by chance.
"""

import numpy as np
from public_mistakes_fresh import family

rng = np.random.default_rng(8088)


def draw(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return np.abs(rng.normal(size=shape)) + 0.3


# Words that fair names of a kind of mistake have.
SIGN = r"\bsign|\bminus|\bnegat|subtract"
POWER = r"\bpower|exponent|square|cube|\broot|\*\*"
MISS = r"\bterm|product rule|\bpath|\boccur|summand|branch|depend|\bboth|overwritten, not acc"
MASK = r"\bmask|padding|padded|valid|ignored|condition|\bwhere"
COUNT = r"\bcount|averag|\bmean|divi|\bnumber|constant|scale|\bsize|normali|denominator|1 / N|\blen|shape|prod|^1/\d+ forgotten"
AXIS = r"\baxis|axes|summed over|\bsum|keepdims|broadcast"
TRANS = r"transpos|\.T\b|orientation|swapped axes"
M = r"\bsign\b|transposed|averaged"  # what misleads in most cases
N = M + "|too many"  # and where something is missing

ROUND8 = {}

ROUND8["rms norm of images over their channels"] = family(
    """
def rms_forward(x, gain, eps=1e-5):
    N, C, H, W = x.shape
    inv = 1 / np.sqrt((x * x).mean(axis=1, keepdims=True) + eps)
    out = x * inv * gain[None, :, None, None]
    return out, (x, gain, inv)

forward = rms_forward

def backward(dout, cache):
    x, gain, inv = cache
    C = x.shape[1]
    dgain = (dout * x * inv).sum(axis=(0, 2, 3))
    dn = dout * gain[None, :, None, None]
    inner = (dn * x).sum(axis=1, keepdims=True)
    dx = dn * inv - x * inv**3 * inner / C
    return dx, dgain
""",
    (draw(2, 3, 2, 2), positive(3)),
    (
        "dn * inv - x * inv**3 * inner / C",
        "dn * inv",
        MISS + r"|\brms|statistic|\bconstant|\binv\b|second|\bmean|through",
        "the root mean square depends on x, too: its term is missing",
        N,
        "public: ooples/AiDotNet#695",
    ),
    (
        "- x * inv**3 * inner / C",
        "- gain[None, :, None, None] * x * inv**3 * inner / C",
        r"gain|\btwice|double|too many|factor|extra|once",
        "the gain stands in inner already: it is multiplied in twice",
        M,
        "public: NVIDIA/Megatron-LM#6859",
    ),
    (
        "dn = dout * gain[None, :, None, None]",
        "dn = dout",
        r"gain|factor|scale",
        "the gain is missing on the way to x",
        N,
        "public: karpathy/llm.c#763",
    ),
    (
        "inner / C",
        "inner / (C * x.shape[2] * x.shape[3])",
        COUNT + r"|\bC\b|channels|pixels|\bH\b",
        "the mean of the squares runs over the channels only: divide by C, not by C H W",
        r"\bsign\b|transposed",
        "public: linkedin/Liger-Kernel#1376 (the other way round)",
    ),
    (
        ".sum(axis=(0, 2, 3))",
        ".mean(axis=(0, 2, 3))",
        COUNT,
        "the gain's gradient is a sum over batch and pixels, not a mean",
        r"\bsign\b|transposed",
        "made up",
    ),
)

ROUND8["residual added after a root mean square norm, as a class"] = family(
    """
class AddNorm:
    def forward(self, x, branch, g):
        self.g = g
        self.h = x + branch
        self.ms = np.mean(self.h**2, axis=-1, keepdims=True)
        self.r = np.sqrt(self.ms + 1e-6)
        self.n = self.h / self.r
        return self.h + g * self.n

    def backward(self, dy):
        dg = np.sum(dy * self.n, axis=0)
        dn = dy * self.g
        dh = (dn - self.n * np.mean(dn * self.n, axis=-1, keepdims=True)) / self.r
        dh = dh + dy
        return dh, dh.copy(), dg

layer = AddNorm()
forward, backward = layer.forward, layer.backward
""",
    (draw(4, 3), draw(4, 3), positive(3)),
    (
        "dh = dh + dy",
        "dh = dh + 0",
        MISS + r"|residual|skip|identity|shortcut|\bdirect|added",
        "the skip's own gradient is not added",
        N,
        "public: Dao-AILab/quack#53 (accumulation)",
    ),
    (
        "dn = dy * self.g",
        "dn = dy * self.g + dy",
        r"residual|skip|identity|before|\bnorm|shortcut|\bterm|1 \+|\border|direct|added",
        "the skip's gradient joins after the norm's backward, not before it",
        M,
        "public: Dao-AILab/quack#53",
    ),
    (
        "dn * self.n, axis=-1, keepdims=True)) / self.r",
        "dn * self.h, axis=-1, keepdims=True)) / self.r",
        r"self\.n|normali|self\.h|\bh\b|\bn\b|instead|\br\b|scale|x_hat|factor",
        "the projection takes the normalised n twice; here once the raw h",
        M,
        "made up",
    ),
    (
        "return dh, dh.copy(), dg",
        "return dh, dy.copy(), dg",
        r"branch|dh\b|\bdy\b|norm|\bpath|same|\bterm|skip|through",
        "both summands of h get the same gradient dh, not only dy",
        M,
        "made up",
    ),
)

ROUND8["layer norm before two layers and a skip"] = family(
    """
def forward(x, W1, W2):
    mu = x.mean(-1, keepdims=True)
    sd = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    n = (x - mu) / sd
    h = np.maximum(n @ W1, 0)
    return x + h @ W2, (n, sd, h, W1, W2)

def backward(dout, cache):
    n, sd, h, W1, W2 = cache
    dW2 = h.T @ dout
    da = (dout @ W2.T) * (h > 0)
    dW1 = n.T @ da
    dn = da @ W1.T
    dx = (dn - dn.mean(-1, keepdims=True) - n * (dn * n).mean(-1, keepdims=True)) / sd
    return dx + dout, dW1, dW2
""",
    (draw(4, 3), draw(3, 5), draw(5, 3)),
    (
        "return dx + dout",
        "return dx",
        MISS + r"|residual|skip|identity|shortcut|direct|added",
        "the skip is missing",
        N,
        "made up",
    ),
    (
        " * (h > 0)",
        "",
        r"relu|\bmask|slope|activation|derivative|h > 0|condition",
        "the slope of relu is missing",
        N,
        "made up",
    ),
    (
        "/ sd\n",
        "/ sd**2\n",
        POWER + r"|\bsd\b|deviation|factor|variance|divi",
        "divide by the deviation once",
        M,
        "made up",
    ),
    (
        "(dn * n).mean(-1, keepdims=True)",
        "(dn * n).mean(0, keepdims=True)",
        AXIS + r"|row|feature|batch|last|\bmean",
        "layer norm averages over the features of each row, not over the batch",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "dW2 = h.T @ dout",
        "dW2 = (n @ W1).T @ dout",
        r"\bh\b|hidden|activation|relu|\binput|instead",
        "the second weights' gradient needs the hidden values h",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

ROUND8["weighted binary cross entropy of probabilities"] = family(
    """
T = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0]], dtype=float)
S = np.array([0.5, 2.0, 1.0, 1.5])[:, None]

def forward(p):
    each = -(T * np.log(p) + (1 - T) * np.log(1 - p))
    return (S * each).mean(), p

def backward(dloss, p):
    n = p.size
    grad = -T / p + (1 - T) / (1 - p)
    return dloss * S * grad / n
""",
    (rng.uniform(0.1, 0.9, (4, 3)),),
    (
        "+ (1 - T) / (1 - p)",
        "- (1 - T) / (1 - p)",
        SIGN + r"|second|1 - T|1 - p",
        "log(1 - p) has an inner minus: the second term is positive",
        "transposed|averaged",
        "public: the sign in many answers on BCE's derivative",
    ),
    (
        "grad = -T / p + (1 - T) / (1 - p)",
        "grad = p - T",
        r"logit|sigmoid|\bslope|p \(1 - p\)|p \* \(1 - p\)|\(1 - p\)|denominator|divi|probabilit",
        "p - T is the gradient for logits; here p itself is the input",
        M,
        "public: keras-team/keras#9664 (p for logits)",
    ),
    (
        "dloss * S * grad / n",
        "dloss * grad / n",
        r"\bS\b|weight|factor",
        "the samples' weights are missing",
        N,
        "made up",
    ),
    (
        "n = p.size",
        "n = len(p)",
        COUNT + r"|\bn\b|column|element|batch|\bC\b",
        "mean() divides by all numbers, rows times columns",
        r"\bsign\b|transposed",
        "public: facebookresearch/deit#61 (numel or batch)",
    ),
    (
        "-T / p",
        "-1 / p",
        r"\bT\b|target|label|factor|\bmask|positive",
        "the first term belongs to positive targets only",
        N,
        "made up",
    ),
)

ROUND8["many labels on logits with unknown ones"] = family(
    """
labels = np.array([[1, 0, 1, 0], [0, 1, 1, 1], [1, 0, 0, 1]], dtype=float)
known = np.array([[1, 1, 0, 1], [1, 0, 1, 1], [0, 1, 1, 1]], dtype=bool)

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def forward(logits):
    losses = np.maximum(logits, 0) - logits * labels + np.log1p(np.exp(-np.abs(logits)))
    return np.sum(losses * known) / known.sum(), logits

def backward(dl, logits):
    g = sigmoid(logits) - labels
    g = g * known
    return dl * g / known.sum()
""",
    (draw(3, 4),),
    (
        "sigmoid(logits) - labels",
        "logits - labels",
        r"sigmoid|logit|probab|activation",
        "the sigmoid of the logits is due, not the logits themselves",
        M,
        "public: mlpack/mlpack#2873",
    ),
    (
        "g = g * known",
        "g = g * 1",
        MASK + "|known|missing",
        "the unknown labels do not count: the mask is missing",
        N,
        "made up",
    ),
    (
        "dl * g / known.sum()",
        "dl * g / known.size",
        COUNT + r"|known|\bmask|valid",
        "forward divides by the number of known labels, not of all",
        r"\bsign\b|transposed",
        "public: huggingface/transformers#46731 (kind of divisor)",
    ),
    (
        "sigmoid(logits) - labels",
        "(sigmoid(logits) - labels) * sigmoid(logits) * (1 - sigmoid(logits))",
        r"sigmoid|slope|\btwice|double|too many|extra|p \* \(1 - p\)|s \* \(1 - s\)|cancel|activation",
        "the slope of the sigmoid has cancelled: here it stands again",
        M,
        "public: answers on the sigmoid with cross entropy",
    ),
    (
        "sigmoid(logits) - labels",
        "sigmoid(-logits) - labels",
        r"sigmoid|\bsign|argument|-logits|\bminus|negat|1 - ",
        "sigmoid of minus the logits is 1 - p",
        "transposed|averaged",
        "made up",
    ),
)

ROUND8["divergence between two softmaxes"] = family(
    """
def soft(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)

def forward(a, b):
    p, q = soft(a), soft(b)
    ratio = np.log(p) - np.log(q)
    return np.sum(p * ratio) / len(a), (p, q, ratio)

def backward(dout, cache):
    p, q, ratio = cache
    N = len(p)
    db = dout * (q - p) / N
    kl = np.sum(p * ratio, axis=1, keepdims=True)
    da = dout * p * (ratio - kl) / N
    return da, db
""",
    (draw(3, 4), draw(3, 4)),
    (
        "(q - p)",
        "(p - q)",
        SIGN + "|exchanged|swapped|order",
        "the student's gradient is q - p",
        "transposed|averaged",
        "made up",
    ),
    (
        "p * (ratio - kl)",
        "p * ratio",
        MISS + r"|\bkl\b|softmax|centr|\bmean|common|\brow",
        "the softmax's own derivative subtracts the mean of the ratios",
        N.replace("|averaged", ""),
        "made up",
    ),
    (
        "p * (ratio - kl)",
        "(ratio - kl)",
        r"factor|\bp\b|softmax|probab",
        "the factor p of the softmax's slope is missing",
        N,
        "made up",
    ),
    (
        "db = dout * (q - p) / N",
        "db = dout * -p / q / N",
        r"softmax|logit|\bslope|jacobian|through|probab|activation|q - p",
        "-p / q is the gradient of q itself; it has to go through the softmax",
        M,
        "public: answers on KL with softmax",
    ),
    (
        "kl = np.sum(p * ratio, axis=1, keepdims=True)",
        "kl = np.sum(p * ratio)",
        AXIS + "|each|row|example|one number",
        "each row has its own mean",
        r"\bsign\b|transposed",
        "made up",
    ),
)

ROUND8["divergence from log probabilities, batch mean"] = family(
    """
target = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.6, 0.25, 0.15], [0.3, 0.3, 0.4]])

class KLDiv:
    def forward(self, logp):
        self.shape = logp.shape
        return np.sum(target * (np.log(target) - logp)) / self.shape[0]

    def backward(self, dout):
        return dout * -target / self.shape[0] * np.ones(self.shape)

loss = KLDiv()
forward, backward = loss.forward, loss.backward
""",
    (draw(4, 3),),
    (
        "-target / self.shape[0]",
        "-target / np.prod(self.shape)",
        COUNT + r"|class|\bbatch",
        "the batch mean divides by the rows only",
        r"\bsign\b|transposed",
        "public: facebookresearch/deit#61",
    ),
    (
        "-target / self.shape[0]",
        "target / self.shape[0]",
        SIGN,
        "the log probability is subtracted",
        "transposed|averaged",
        "made up",
    ),
    (
        "-target / self.shape[0]",
        "-1 / self.shape[0]",
        r"target|factor|weight",
        "each log probability is weighted with its target",
        N,
        "made up",
    ),
    (
        "-target / self.shape[0]",
        "(np.log(target) - 1) * -target / self.shape[0]",
        r"target|\blog|factor|constant|extra|too many|\bterm",
        "log(target) is a constant and has no part in the gradient",
        M,
        "made up",
    ),
)

ROUND8["softened binary targets"] = family(
    """
target = np.array([1.0, 0, 0, 1, 1, 0])
a = 0.2

def forward(z):
    t = target * (1 - a) + a / 2
    p = 1 / (1 + np.exp(-z))
    loss = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    return loss, p

def backward(dloss, p):
    t = target * (1 - a) + a / 2
    return dloss * (p - t) / len(p)
""",
    (draw(6),),
    (
        "p - t)",
        "p - target)",
        r"smooth|soft|\bt\b|target|label",
        "forward uses the softened targets",
        M,
        "made up",
    ),
    (
        "+ a / 2",
        "+ a",
        r"smooth|soft|\bhalf|a / 2|\bt\b|target|label|\b2\b",
        "half of a belongs to each of both classes",
        M,
        "made up",
    ),
    (
        " / len(p)",
        "",
        COUNT,
        "the mean's 1 / N is missing",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "dloss * (p - t) / len(p)",
        "dloss * (p - t) / (p * (1 - p)) / len(p)",
        r"sigmoid|\bslope|p \* \(1 - p\)|logit|probab|cancel|divi|denominator",
        "this is the gradient of p, not of z: the sigmoid's slope cancels the denominator",
        M,
        "made up",
    ),
)

ROUND8["binary focal loss of probabilities with a balance"] = family(
    """
t = np.array([1, 0, 0, 1, 0], dtype=float)
alpha, gamma = 0.25, 3

class Focal:
    def forward(self, p):
        self.p = p
        pos = -alpha * (1 - p) ** gamma * np.log(p)
        neg = -(1 - alpha) * p**gamma * np.log(1 - p)
        return np.sum(t * pos + (1 - t) * neg)

    def backward(self, dout):
        p = self.p
        dpos = alpha * (gamma * (1 - p) ** (gamma - 1) * np.log(p) - (1 - p) ** gamma / p)
        dneg = (1 - alpha) * (p**gamma / (1 - p) - gamma * p ** (gamma - 1) * np.log(1 - p))
        return dout * (t * dpos + (1 - t) * dneg)

f = Focal()
forward, backward = f.forward, f.backward
""",
    (rng.uniform(0.15, 0.85, 5),),
    (
        "(1 - alpha) * (p**gamma",
        "alpha * (p**gamma",
        r"alpha|weight|balance|factor",
        "negatives are weighted with 1 - alpha",
        M,
        "public: fudannlp16/focal-loss#2 (exchanged alpha)",
    ),
    (
        "gamma * p ** (gamma - 1)",
        "gamma * p ** gamma",
        POWER + r"|gamma|power rule|factor",
        "the power rule lowers the exponent by one",
        M,
        "made up",
    ),
    (
        "p**gamma / (1 - p) -",
        "p**gamma / p -",
        r"1 - p|denominator|\blog|divi|\bp\b|argument",
        "log(1 - p) has the denominator 1 - p",
        M,
        "made up",
    ),
    (
        "- (1 - p) ** gamma / p",
        "",
        MISS + r"|\blog|second|product|1 / p",
        "the product rule's second term, with the slope of log, is missing",
        N,
        "made up",
    ),
    (
        "gamma * (1 - p) ** (gamma - 1)",
        "(1 - p) ** (gamma - 1)",
        r"gamma|power rule|factor|constant|exponent|\b3\b",
        "the exponent comes down as a factor",
        N,
        "public: fudannlp16/focal-loss#3 (gamma)",
    ),
)

ROUND8["smooth absolute error of boxes with weights"] = family(
    """
BETA = 0.5
inside = np.array([[1.0], [0.0], [2.0]])

def forward(box, goal):
    d = box - goal
    n = np.abs(d)
    l = np.where(n < BETA, d * d / (2 * BETA), n - BETA / 2)
    return (inside * l).sum() / 3, d

def backward(grad, d):
    n = np.abs(d)
    slope = np.where(n < BETA, d / BETA, np.sign(d))
    out = grad * inside * slope / 3
    return out, -out
""",
    (0.7 * draw(3, 4), 0.7 * draw(3, 4)),
    (
        "d / BETA,",
        "d,",
        r"beta|factor|divi|constant|denominator|scale",
        "the quadratic part is divided by beta",
        N,
        "public: xuannianz/EfficientDet#93 (beta or its square)",
    ),
    (
        "d / BETA, np.sign(d))",
        "np.sign(d), d / BETA)",
        r"branch|exchanged|swapped|condition|\bwhere|n < BETA|case|side|\bmask|opposite|invert|wrong way round",
        "the cases are exchanged",
        M,
        "made up",
    ),
    (
        "inside * slope",
        "slope",
        r"inside|weight|factor",
        "the weights of the boxes are missing",
        N,
        "made up",
    ),
    (
        "slope / 3",
        "slope / 12",
        COUNT + r"|factor|elements|boxes",
        "the sum is divided by the number of boxes",
        r"\bsign\b|transposed",
        "made up",
    ),
)

ROUND8["hinge of the strongest rival"] = family(
    """
y = np.array([0, 3, 1])

def forward(s):
    r = np.arange(len(s))
    rivals = s.copy()
    rivals[r, y] = -1e9
    best = np.argmax(rivals, axis=1)
    m = np.maximum(0, 1 + s[r, best] - s[r, y])
    return m**2, (s.shape, best, m)

def backward(dm2, cache):
    shape, best, m = cache
    r = np.arange(shape[0])
    ds = np.zeros(shape)
    dm = 2 * m * dm2
    ds[r, best] += dm
    ds[r, y] -= dm
    return ds
""",
    (draw(3, 4),),
    (
        "dm = 2 * m * dm2",
        "dm = 2 * dm2",
        r"\bm\b|margin|square|factor|\bpower",
        "the square's derivative is 2 m: the factor m is missing",
        N,
        "made up",
    ),
    (
        "ds[r, y] -= dm",
        "ds[r, y] += dm",
        SIGN + "|label|true class",
        "the true score is subtracted",
        "transposed|averaged",
        "made up",
    ),
    (
        "ds[r, best] += dm",
        "ds += dm[:, None]",
        r"rival|\bbest|strongest|max|winner|other|one class|selected|index|argmax|only",
        "only the strongest rival gets a gradient, not each class",
        M,
        "made up",
    ),
    (
        "dm = 2 * m * dm2",
        "dm = 2 * m",
        r"incoming|dm2|upstream|chain|dy\b|cotangent|linear|zero in|outer",
        "the incoming gradient is missing",
        M,
        "made up",
    ),
)

ROUND8["linear support vectors with a penalty"] = family(
    """
t = np.array([1.0, 1, -1, 1, 1])
C = 2.0

def forward(w, b, X):
    f = X @ w + b
    slack = np.maximum(0, 1 - t * f)
    return 0.5 * w @ w + C * slack.sum(), (w, X, slack)

def backward(dout, cache):
    w, X, slack = cache
    df = -C * t * (slack > 0)
    dw = w + X.T @ df
    db = df.sum()
    dX = np.outer(df, w)
    return dout * dw, dout * np.array([db]), dout * dX
""",
    (draw(3), draw(1), draw(5, 3)),
    (
        "-C * t * (slack > 0)",
        "-C * (slack > 0)",
        r"\bt\b|label|target|factor|sign of|inner",
        "the label t is an inner factor",
        N.replace(r"\bsign\b|", ""),
        "made up",
    ),
    (
        "dw = w + X.T @ df",
        "dw = X.T @ df",
        MISS + r"|penalty|regulari|\bw\b|weight decay|0\.5",
        "the penalty's own gradient w is missing",
        N,
        "made up",
    ),
    (
        "dw = w + X.T @ df",
        "dw = 2 * w + X.T @ df",
        r"\b2\b|\bhalf|\btwice|factor|constant|penalty|regulari|weight decay|0\.5",
        "the half cancels the 2",
        M,
        "made up",
    ),
    (
        "db = df.sum()",
        "db = df.mean()",
        COUNT,
        "forward sums over the examples: no mean",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "-C * t",
        "C * t",
        SIGN,
        "t f is subtracted from 1",
        "transposed|averaged",
        "public: errorhandle.ai on the hinge's gradient",
    ),
)

ROUND8["cosines of all pairs of two sets"] = family(
    """
def forward(A, B):
    na = np.sqrt((A * A).sum(1, keepdims=True))
    nb = np.sqrt((B * B).sum(1, keepdims=True))
    U, V = A / na, B / nb
    return U @ V.T, (U, V, na, nb)

def backward(dS, cache):
    U, V, na, nb = cache
    dU = dS @ V
    dV = dS.T @ U
    dA = (dU - U * (dU * U).sum(1, keepdims=True)) / na
    dB = (dV - V * (dV * V).sum(1, keepdims=True)) / nb
    return dA, dB
""",
    (draw(3, 4), draw(2, 4)),
    (
        "(dU - U * (dU * U).sum(1, keepdims=True)) / na",
        "dU / na",
        MISS + r"|\bnorm|length|constant|project|through|\bna\b|radial",
        "the length depends on A, too: its term is missing",
        N,
        "public: answers on the cosine's derivative",
    ),
    (
        "(dV * V).sum(1, keepdims=True)) / nb",
        "(dV * V).sum(1, keepdims=True))",
        r"\bnorm|length|\bnb\b|divi|factor|scale",
        "the division by the length is missing",
        N,
        "made up",
    ),
    (
        "dV = dS.T @ U",
        "dV = dS.T @ (U * na)",
        r"normali|unit|\bU\b|\bA\b|length|norm|factor|\bna\b|instead",
        "the product was taken with the unit vectors, not with A",
        M,
        "made up",
    ),
    (
        "(dU * U).sum(1, keepdims=True)",
        "(dU * U).sum(0, keepdims=True)",
        AXIS + "|row|each",
        "each row has its own length: sum along the features",
        r"\bsign\b|transposed",
        "made up",
    ),
)

ROUND8["one minus cosine, averaged"] = family(
    """
class CosineLoss:
    def forward(self, yh, y):
        self.yh, self.y = yh, y
        self.nyh = np.sqrt(np.sum(yh**2, axis=1, keepdims=True))
        self.ny = np.sqrt(np.sum(y**2, axis=1, keepdims=True))
        self.cos = np.sum(yh * y, axis=1, keepdims=True) / (self.nyh * self.ny)
        return np.mean(1 - self.cos)

    def backward(self, dout):
        both = self.nyh * self.ny
        dyh = self.y / both - self.cos * self.yh / self.nyh**2
        dy = self.yh / both - self.cos * self.y / self.ny**2
        n = len(self.y)
        return -dout * dyh / n, -dout * dy / n

loss = CosineLoss()
forward, backward = loss.forward, loss.backward
""",
    (draw(4, 3), draw(4, 3)),
    (
        "self.yh / self.nyh**2",
        "self.yh / self.nyh",
        POWER + r"|norm|length|unit|factor",
        "the length stands squared",
        N,
        "public: honnibal.dev on the cosine (the squared norm)",
    ),
    (
        "- self.cos * self.y / self.ny**2",
        "- self.y / self.ny**2",
        r"\bcos|factor|projection",
        "the factor cos is missing in the second term",
        N,
        "made up",
    ),
    (
        "return -dout * dyh / n, -dout * dy / n",
        "return dout * dyh / n, dout * dy / n",
        SIGN,
        "the loss is 1 minus cos",
        "transposed|averaged",
        "made up",
    ),
    (
        "dy = self.yh / both",
        "dy = self.y / both",
        r"\byh\b|other|exchanged|swapped|instead|wrong operand|numerator|\bproduct",
        "the derivative by y gives the other vector yh",
        M,
        "made up",
    ),
    (
        "- self.cos * self.yh / self.nyh**2",
        "+ self.cos * self.yh / self.nyh**2",
        SIGN + "|second|quotient",
        "the quotient rule subtracts the second term",
        "transposed|averaged",
        "made up",
    ),
)

ROUND8["pairs of one positive among a batch"] = family(
    """
def forward(q, k):
    s = q @ k.T
    s = s - s.max(axis=1, keepdims=True)
    p = np.exp(s)
    p = p / p.sum(axis=1, keepdims=True)
    reg = 0.02 * (np.sum(q**2) + np.sum(k**2)) / len(q)
    return -np.mean(np.log(np.diag(p))) + reg, (q, k, p)

def backward(dout, cache):
    q, k, p = cache
    N = len(q)
    ds = (p - np.eye(N)) / N
    dq = ds @ k + 0.04 * q / N
    dk = ds.T @ q + 0.04 * k / N
    return dout * dq, dout * dk
""",
    (draw(4, 3), draw(4, 3)),
    (
        "ds.T @ q",
        "ds @ q",
        TRANS,
        "the keys stand in the columns: ds is transposed",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "ds @ k + 0.04 * q / N",
        "ds @ k + 0.02 * q / N",
        r"\b2\b|square|\btwice|\bhalf|factor|regulari|penalty|weight decay|0\.0[24]",
        "the square's 2 is missing in the penalty",
        M,
        "made up",
    ),
    (
        "(p - np.eye(N)) / N",
        "(np.eye(N) - p) / N",
        SIGN + "|exchanged|swapped|order",
        "p minus one hot",
        "transposed|averaged",
        "made up",
    ),
    (
        "ds @ k + 0.04",
        "ds @ q + 0.04",
        r"\bk\b|keys?|other|exchanged|swapped|wrong operand|instead|\bq\b",
        "the derivative by q gives k",
        M,
        "made up",
    ),
    (
        "+ 0.04 * k / N",
        "",
        MISS + r"|penalty|regulari|weight decay|0\.0[24]",
        "the penalty's part is missing for the keys",
        N,
        "made up",
    ),
)

ROUND8["gated unit with joined inputs as a class"] = family(
    """
def sig(v):
    return 1 / (1 + np.exp(-v))

class GRU:
    def forward(self, x, h, Wz, Wr, Wn):
        self.x, self.h, self.Wz, self.Wr, self.Wn = x, h, Wz, Wr, Wn
        self.xh = np.hstack([x, h])
        self.z = sig(self.xh @ Wz)
        self.r = sig(self.xh @ Wr)
        self.xrh = np.hstack([x, self.r * h])
        self.n = np.tanh(self.xrh @ Wn)
        return self.z * h + (1 - self.z) * self.n

    def backward(self, dh):
        D = self.x.shape[1]
        dn = dh * (1 - self.z) * (1 - self.n**2)
        dz = dh * (self.h - self.n) * self.z * (1 - self.z)
        dWn = self.xrh.T @ dn
        dxrh = dn @ self.Wn.T
        dr = dxrh[:, D:] * self.h * self.r * (1 - self.r)
        dWz = self.xh.T @ dz
        dWr = self.xh.T @ dr
        dxh = dz @ self.Wz.T + dr @ self.Wr.T
        dx = dxh[:, :D] + dxrh[:, :D]
        dprev = dxh[:, D:] + dxrh[:, D:] * self.r + dh * self.z
        return dx, dprev, dWz, dWr, dWn

cell = GRU()
forward, backward = cell.forward, cell.backward
""",
    (draw(3, 2), draw(3, 3), draw(5, 3), draw(5, 3), draw(5, 3)),
    (
        "(self.h - self.n) * self.z",
        "(self.n - self.h) * self.z",
        SIGN + r"|exchanged|swapped|order|1 - z",
        "z weights the old state, 1 - z the new one",
        "transposed|averaged",
        "public: PaddlePaddle/Paddle#5493 (both conventions)",
    ),
    (
        "dh * (1 - self.z) * (1 - self.n**2)",
        "dh * self.z * (1 - self.n**2)",
        r"1 - self\.z|1 - z|gate|update|complement|\bz\b|exchanged|swapped",
        "the candidate is weighted with 1 - z",
        M,
        "public: PaddlePaddle/Paddle#5493",
    ),
    (
        " + dh * self.z",
        "",
        MISS + r"|direct|skip|carry|previous|\bz\b|identity",
        "the old state's direct path through z is missing",
        N,
        "made up",
    ),
    (
        "dxrh[:, D:] * self.r + dh",
        "dxrh[:, D:] + dh",
        r"reset|\br\b|gate|factor",
        "the reset gate multiplies the old state in the candidate",
        N,
        "public: cran.r-project.org rnn vignette (reset)",
    ),
    (
        "dWn = self.xrh.T @ dn",
        "dWn = self.xh.T @ dn",
        r"reset|xrh|\br\b|gate|\bxh\b|instead|operand|\binput",
        "the candidate saw the reset state r h",
        M,
        "public: CS students' GRU derivations",
    ),
    (
        "* self.h * self.r * (1 - self.r)",
        "* self.r * (1 - self.r)",
        r"factor|self\.h|\bh\b|old state|previous|product",
        "r multiplies h: the factor h is missing",
        N,
        "made up",
    ),
)

ROUND8["bags of embeddings with weights and offsets"] = family(
    """
ids = np.array([1, 3, 1, 0, 2, 2, 3])
bag = np.array([0, 0, 0, 1, 1, 2, 2])

def forward(table, weight):
    rows = table[ids] * weight[:, None]
    out = np.zeros((3, table.shape[1]), dtype=rows.dtype)
    np.add.at(out, bag, rows)
    return out, (table, weight)

def backward(dout, cache):
    table, weight = cache
    drows = dout[bag]
    dtable = np.zeros_like(table)
    np.add.at(dtable, ids, drows * weight[:, None])
    dweight = (drows * table[ids]).sum(axis=1)
    return dtable, dweight
""",
    (draw(5, 3), positive(7)),
    (
        "np.add.at(dtable, ids, drows * weight[:, None])",
        "dtable[ids] += drows * weight[:, None]",
        r"add\.at|repeat|duplicate|accumul|\+=|same index|twice|occur",
        "an id that occurs twice counts once with +=",
        M,
        "public: numpy's fancy indexing in embedding backwards",
    ),
    (
        "drows * weight[:, None])",
        "drows)",
        r"weight|factor|scale",
        "each row was multiplied with its weight",
        N,
        "made up",
    ),
    (
        "dtable = np.zeros_like(table)\n    np.add.at(dtable, ids, drows * weight[:, None])",
        "dtable = np.zeros_like(table)\n    np.add.at(dtable, bag, drows * weight[:, None])",
        r"\bids\b|\bbag\b|index|indices|wrong rows|wrong place|exchanged|swapped|instead",
        "the gradients go to the rows ids, not to the bags",
        M,
        "made up",
    ),
    (
        "drows * weight[:, None])",
        "drows * weight[:, None] / np.bincount(ids)[ids][:, None])",
        COUNT + r"|freq|occur|bincount|factor|how often|repeat",
        "forward sums: no division by how often an id occurs",
        r"\bsign\b|transposed",
        "public: pytorch/pytorch#190264 (division by frequency)",
    ),
    (
        "(drows * table[ids]).sum(axis=1)",
        "(drows * table[ids]).sum(axis=0)",
        AXIS + "|feature|row|wrong shape",
        "one number per id: sum over the features",
        r"\bsign\b|transposed",
        "made up",
    ),
)

ROUND8["largest of each bag of embeddings"] = family(
    """
ids = np.array([[0, 2, 4], [1, 2, 3], [4, 0, 1]])

def forward(table):
    picked = table[ids]
    win = picked.argmax(axis=1)
    out = np.take_along_axis(picked, win[:, None], axis=1)[:, 0]
    return out, (table, win)

def backward(dout, cache):
    table, win = cache
    dtable = np.zeros_like(table)
    cols = np.arange(table.shape[1])
    for b in range(len(ids)):
        rows = ids[b, win[b]]
        dtable[rows, cols] += dout[b]
    return dtable
""",
    (draw(5, 4),),
    (
        "rows = ids[b, win[b]]\n        dtable[rows, cols] += dout[b]",
        "for i in ids[b]:\n            dtable[i] += dout[b] / 3",
        r"\bmax|winner|win\b|argmax|largest|only|averag|\bmean|share|selected",
        "the whole gradient goes to the winner, not a third to each row",
        r"\bsign\b|transposed",
        "public: flagos-ai/FlagGems#5220",
    ),
    (
        "dtable[rows, cols] += dout[b]",
        "dtable[rows, cols] = dout[b]",
        r"accumul|\+=|overwrit|assign|repeat|several|add|last",
        "a row can win in several bags: add",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "rows = ids[b, win[b]]",
        "rows = win[b]",
        r"\bids\b|\bwin\b|index|position|offset|wrong place|wrong rows|look",
        "win is a position within the bag: look the row up in ids",
        M,
        "made up",
    ),
    (
        "dtable[rows, cols] += dout[b]",
        "dtable[rows] += dout[b]",
        r"column|feature|cols|each|broadcast|index|entire|whole|too many|row",
        "each feature has its own winner: index the columns, too",
        M,
        "made up",
    ),
)

ROUND8["average over all pixels before a linear layer"] = family(
    """
def forward(x, W, b):
    N, C, H, Wd = x.shape
    pooled = x.mean(axis=(2, 3))
    return pooled @ W + b, (x.shape, pooled, W)

def backward(dout, cache):
    shape, pooled, W = cache
    N, C, H, Wd = shape
    dpool = dout @ W.T
    dx = np.ones(shape) * dpool[:, :, None, None] / (H * Wd)
    dW = pooled.T @ dout
    db = dout.sum(0)
    return dx, dW, db
""",
    (draw(2, 3, 2, 3), draw(3, 4), draw(4)),
    (
        " / (H * Wd)",
        "",
        COUNT + r"|pixel|area",
        "each pixel has the share 1 / (H W)",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "/ (H * Wd)",
        "/ H",
        COUNT + r"|pixel|area|Wd|width",
        "both sides of the image count",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "/ (H * Wd)",
        "/ (N * H * Wd)",
        COUNT + r"|pixel|area|batch",
        "the pool does not average over the batch",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "dW = pooled.T @ dout",
        "dW = pooled.T @ dout / N",
        COUNT + "|batch",
        "forward has no mean over the batch",
        r"\bsign\b|transposed",
        "made up",
    ),
)

ROUND8["two layers with swish between"] = family(
    """
def forward(x, A, B):
    z = x @ A
    s = 1 / (1 + np.exp(-z))
    h = z * s
    return h @ B, (x, A, B, z, s, h)

def backward(dout, cache):
    x, A, B, z, s, h = cache
    dh = dout @ B.T
    dz = dh * (h + s * (1 - h))
    return dz @ A.T, x.T @ dz, h.T @ dout
""",
    (draw(4, 3), draw(3, 3), draw(3, 2)),
    (
        "h + s * (1 - h)",
        "s * (1 - s)",
        r"product rule|swish|\bterm|sigmoid|\bh\b|factor|\bz\b|other|slope",
        "this is the sigmoid's slope; swish is z times a sigmoid",
        M,
        "made up",
    ),
    (
        "h + s * (1 - h)",
        "s + z * (1 - s)",
        r"factor|\bs\b|sigmoid|slope|s \* \(1 - s\)|z instead of h",
        "the second term is z s (1 - s): a factor s is missing",
        N,
        "made up",
    ),
    (
        "h + s * (1 - h)",
        "s + h * (1 - h)",
        r"\bs\b|\bh\b|exchanged|swapped|output|sigmoid|value|instead",
        "s and h have exchanged their places in h + s (1 - h)",
        M,
        "public: pytorch/pytorch#110815 (which of both)",
    ),
    (
        "x.T @ dz, h.T @ dout",
        "x.T @ dz, z.T @ dout",
        r"\bh\b|\bz\b|activation|hidden|pre-?activation|swish|output",
        "the second layer saw h, not z",
        M,
        "made up",
    ),
    (
        "dz = dh * (h + s * (1 - h))",
        "dz = dh * s",
        MISS + r"|product rule|second|slope|other",
        "the product rule's second term is missing",
        N,
        "made up",
    ),
)

ROUND8["residual sum of two scaled branches"] = family(
    """
def forward(x, W, V, a, b):
    u = np.tanh(x @ W)
    pre = x @ V
    v = np.where(pre > 0, pre, 0.1 * pre)
    return x + a * u + b * v, (x, W, V, a, b, u, v, pre)

def backward(dout, cache):
    x, W, V, a, b, u, v, pre = cache
    da = np.sum(dout * u, keepdims=True).reshape(1)
    db = np.sum(dout * v, axis=0)
    dpu = a * dout * (1 - u**2)
    dpv = b * dout * np.where(pre > 0, 1, 0.1)
    dW = x.T @ dpu
    dV = x.T @ dpv
    dx = dout + dpu @ W.T + dpv @ V.T
    return dx, dW, dV, da, db
""",
    (draw(4, 3), draw(3, 3), draw(3, 3), positive(1), positive(3)),
    (
        "dx = dout + dpu @ W.T + dpv @ V.T",
        "dx = dout + dpu @ W.T",
        MISS + r"|second|dpv|\bV\b",
        "the second branch's gradient is missing",
        N,
        "made up",
    ),
    (
        "dpu = a * dout",
        "dpu = dout",
        r"\ba\b|scale|factor|gain",
        "the branch's scale a is missing",
        N,
        "made up",
    ),
    (
        "np.where(pre > 0, 1, 0.1)",
        "(pre > 0)",
        r"leaky|0\.1|negative|slope|\brelu|\bmask|side",
        "below zero the slope is 0.1, not zero",
        M,
        "made up",
    ),
    (
        "np.where(pre > 0, 1, 0.1)",
        "np.where(dout > 0, 1, 0.1)",
        r"\bpre\b|\bmask|input|condition|incoming|dout|not linear in dy|compar",
        "the mask comes from the pre-activation, not from the gradient",
        "transposed|averaged",
        "made up",
    ),
    (
        "dx = dout + dpu @ W.T",
        "dx = dpu @ W.T",
        MISS + r"|residual|skip|identity|shortcut|direct",
        "the skip is missing",
        N,
        "made up",
    ),
)

ROUND8["features joined to their layer's output, twice"] = family(
    """
def forward(x, W1, W2):
    h1 = np.maximum(x @ W1, 0)
    c1 = np.concatenate([x, h1], axis=1)
    h2 = np.maximum(c1 @ W2, 0)
    return np.concatenate([c1, h2], axis=1), (x, h1, c1, h2, W1, W2)

def backward(dout, cache):
    x, h1, c1, h2, W1, W2 = cache
    k1, k = c1.shape[1], x.shape[1]
    dc1, dh2 = dout[:, :k1], dout[:, k1:]
    da2 = dh2 * (h2 > 0)
    dW2 = c1.T @ da2
    dc1 = dc1 + da2 @ W2.T
    dx, dh1 = dc1[:, :k], dc1[:, k:]
    da1 = dh1 * (h1 > 0)
    dW1 = x.T @ da1
    dx = dx + da1 @ W1.T
    return dx, dW1, dW2
""",
    (draw(4, 3), draw(3, 2), draw(5, 2)),
    (
        "dc1 = dc1 + da2 @ W2.T",
        "dc1 = da2 @ W2.T",
        MISS + r"|direct|concat|join|skip|copy|identity",
        "c1 also goes into the output directly",
        N,
        "made up",
    ),
    (
        "dx = dx + da1 @ W1.T",
        "dx = da1 @ W1.T",
        MISS + r"|direct|concat|join|skip|copy|identity",
        "x also stands in the joined features",
        N,
        "made up",
    ),
    (
        "da1 = dh1 * (h1 > 0)",
        "da1 = dh1 * (x @ W1 < 0)",
        r"\bmask|condition|relu|opposite|invert|negative|> 0|side|compar|inverse",
        "relu lets positive ones through",
        M,
        "made up",
    ),
    (
        "dc1[:, :k], dc1[:, k:]",
        "dc1[:, -k:], dc1[:, :-k]",
        r"\bslice|order|exchanged|swapped|halves|split|wrong place|\bpart|column|end",
        "x stands first in the joined features",
        M,
        "made up",
    ),
)

ROUND8["word losses of padded sentences"] = family(
    """
words = np.array([[2, 0, 1], [1, 3, 0]])
mask = np.array([[1, 1, 1], [1, 1, 0]], dtype=float)

def forward(h, W):
    s = h @ W
    e = np.exp(s - s.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    picked = np.take_along_axis(p, words[..., None], axis=-1)[..., 0]
    return -np.sum(mask * np.log(picked)) / mask.sum(), (h, W, p)

def backward(dloss, cache):
    h, W, p = cache
    ds = p.copy()
    for n in range(2):
        for t in range(3):
            ds[n, t, words[n, t]] -= 1
    ds *= mask[..., None] / mask.sum() * dloss
    dW = np.einsum("ntd,ntv->dv", h, ds)
    dh = ds @ W.T
    return dh, dW
""",
    (draw(2, 3, 3), draw(3, 4)),
    (
        "ds *= mask[..., None] / mask.sum() * dloss",
        "ds *= 1 / mask.sum() * dloss",
        MASK,
        "padded words do not count: the mask is missing",
        N.replace("|too many", ""),
        "made up",
    ),
    (
        "/ mask.sum() * dloss",
        "/ mask.size * dloss",
        COUNT + r"|\bmask|valid|padding|padded",
        "the mean runs over the valid words",
        r"\bsign\b|transposed",
        "public: huggingface/transformers#46731",
    ),
    (
        "/ mask.sum() * dloss",
        "/ len(h) * dloss",
        COUNT + r"|\bmask|valid|padding|padded|batch|words",
        "the mean runs over the words, not over the sentences",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        'np.einsum("ntd,ntv->dv", h, ds)',
        "h[:, -1].T @ ds[:, -1]",
        r"\btime|step|position|last|\bsum|all|one index|word|only|slice",
        "W is used at all positions: sum over time",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "ds[n, t, words[n, t]] -= 1",
        "ds[n, t, words[n, t]] -= mask.sum()",
        r"\b1\b|one.?hot|count|divi|label|\bmask|constant|subtract",
        "p minus one hot: subtract 1, the division comes after",
        M,
        "made up",
    ),
)

ROUND8["mean of the valid tokens before a layer"] = family(
    """
m = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 1, 1]], dtype=float)

class MaskedMean:
    def forward(self, h, W):
        self.h, self.W = h, W
        self.count = m.sum(axis=1, keepdims=True)
        self.mean = (h * m[:, :, None]).sum(axis=1) / self.count
        self.out = np.tanh(self.mean @ W)
        return self.out

    def backward(self, dout):
        da = dout * (1 - self.out**2)
        dW = self.mean.T @ da
        dmean = da @ self.W.T
        dh = dmean[:, None, :] * m[:, :, None] / self.count[:, :, None]
        return dh, dW

pool = MaskedMean()
forward, backward = pool.forward, pool.backward
""",
    (draw(4, 3, 2), draw(2, 3)),
    (
        " * m[:, :, None]",
        " * np.ones((1, 3, 1))",
        MASK + r"|\bm\b",
        "padded tokens get no gradient",
        N.replace("|too many", ""),
        "made up",
    ),
    (
        "/ self.count[:, :, None]",
        "/ 3",
        COUNT + r"|valid|token|length",
        "divide by the number of valid tokens of each row",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "dW = self.mean.T @ da",
        "dW = self.h[:, 0].T @ da",
        r"\bmean|pool|\binput|\bh\b|token|first|instead|operand|average",
        "the layer saw the mean",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "(1 - self.out**2)",
        "(1 - self.mean @ self.W)",
        r"tanh|slope|square|output|\bout\b|\bpower|derivative|activation|pre-?activation",
        "the slope of tanh is 1 minus its output squared",
        M,
        "made up",
    ),
)

ROUND8["counts under a log rate, masked"] = family(
    """
k = np.array([[0, 3, 1], [2, 0, 5]])
seen = np.array([[1, 1, 0], [1, 1, 1]])

def forward(x, w):
    lam = np.exp(x @ w)
    nll = lam - k * (x @ w)
    return (nll * seen).sum() / seen.sum(), (x, w, lam)

def backward(dout, cache):
    x, w, lam = cache
    dz = dout * (lam - k) * seen / seen.sum()
    dx = dz @ w.T
    dw = x.T @ dz
    return dx, dw
""",
    (0.5 * draw(2, 2), 0.5 * draw(2, 3)),
    (
        "(lam - k)",
        "(1 - k / lam)",
        r"\bexp|lam|chain|inner|factor|\blog|slope|rate",
        "this is the gradient by the rate; the exponential's slope lam is missing",
        N,
        "made up",
    ),
    (
        "(lam - k) * seen",
        "(lam - k)",
        MASK + "|seen",
        "unseen counts do not matter",
        N,
        "made up",
    ),
    (
        "(lam - k)",
        "lam",
        MISS + r"|\bk\b|count|target|subtract|second",
        "the target's term -k is missing",
        N,
        "made up",
    ),
    (
        "dw = x.T @ dz",
        "dw = x.T @ dz / len(x)",
        COUNT + "|batch",
        "the division is in dz already",
        r"\bsign\b|transposed",
        "made up",
    ),
)

# ---------------------------------------------------------------- written after the first look, while names changed

ROUND8["maximum margin of ranked lists"] = family(
    """
good = np.array([0, 2, 1])

def forward(s):
    g = s[np.arange(3), good][:, None]
    viol = np.maximum(0, 0.7 - g + s)
    viol = viol * (np.arange(s.shape[1])[None, :] != good[:, None])
    return viol.sum(axis=1) / (s.shape[1] - 1), viol

def backward(dout, viol):
    N, C = viol.shape
    on = (viol > 0) * dout[:, None] / (C - 1)
    ds = on.copy()
    ds[np.arange(N), good] -= on.sum(axis=1)
    return ds
""",
    (draw(3, 4),),
    ("/ (C - 1)", "/ C", COUNT + r"|\bC\b|C - 1", "the right class does not count: C - 1", M, "made up"),
    ("-= on.sum(axis=1)", "-= on.max(axis=1)", r"max|\bsum|count", "a sum, not a maximum", M, "made up"),
    ("-= on.sum(axis=1)", "-= dout", r"\bsum|\bon\b|count|violat|active", "the number of violated margins counts", M, "made up"),
    (" * dout[:, None]", "", r"dy|dout|incoming|upstream|zero in", "the incoming gradient is missing", M, "made up"),
)
ROUND8["two conv layers in one dimension as closures"] = family(
    """
def conv(x, w):
    n, k = len(x), len(w)
    y = np.zeros(n - k + 1, dtype=np.result_type(x, w))
    for i in range(n - k + 1):
        y[i] = np.sum(x[i:i + k] * w)
    return y

def forward(x, w1, w2):
    a = conv(x, w1)
    h = np.tanh(a)
    return conv(h, w2), (x, w1, w2, h)

def backward(dy, cache):
    x, w1, w2, h = cache
    k2, k1 = len(w2), len(w1)
    dh, dw2 = np.zeros_like(h), np.zeros_like(w2)
    for i in range(len(dy)):
        dh[i:i + k2] += dy[i] * w2
        dw2 += dy[i] * h[i:i + k2]
    da = dh * (1 - h**2)
    dx, dw1 = np.zeros_like(x), np.zeros_like(w1)
    for i in range(len(da)):
        dx[i:i + k1] += da[i] * w1
        dw1 += da[i] * x[i:i + k1]
    return dx, dw1, dw2
""",
    (draw(9), draw(3), draw(2)),
    (
        "dw2 += dy[i] * h[i:i + k2]",
        "dw2 += dy[i] * np.arctanh(h[i:i + k2])",
        r"\bh\b|arctanh|tanh|activation",
        "the second layer saw h",
        M,
        "made up",
    ),
    ("da[i] * w1", "da[i] * w1[::-1]", r"flip|revers", "no flip", M, "made up"),
    ("dh[i:i + k2] += dy[i] * w2", "dh[i:i + k2] = dy[i] * w2", r"accumul|\+=|overwrit", "windows overlap: add", M, "made up"),
    (
        "da[i] * x[i:i + k1]",
        "da[i] * x[i - 1:i - 1 + k1] if i else 0",
        r"off by|shift|position|index|slice|window",
        "the window starts at i",
        M,
        "made up",
    ),
    (
        "range(len(da))",
        "range(len(dy))",
        r"loop|range|len|short|last|size|length",
        "all outputs of the first layer count",
        M,
        "made up",
    ),
)
ROUND8["encoder of a variational pair"] = family(
    """
noise = np.array([[0.3, -1.1], [0.8, 0.2], [-0.5, 1.4]])

def forward(h, Wm, Wl):
    mu = h @ Wm
    logvar = h @ Wl
    std = np.exp(0.5 * logvar)
    z = mu + std * noise
    kl = -0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar), axis=1)
    return np.concatenate([z, kl[:, None]], axis=1), (h, Wm, Wl, mu, logvar, std)

def backward(dout, cache):
    h, Wm, Wl, mu, logvar, std = cache
    dz, dkl = dout[:, :-1], dout[:, -1:]
    dmu = dz + dkl * mu
    dlogvar = 0.5 * dz * noise * std + 0.5 * dkl * (np.exp(logvar) - 1)
    dh = dmu @ Wm.T + dlogvar @ Wl.T
    return dh, h.T @ dmu, h.T @ dlogvar
""",
    (draw(3, 4), draw(4, 2), 0.5 * draw(4, 2)),
    ("0.5 * dz * noise * std", "dz * noise * std", r"0\.5|half|\b2\b|factor", "the half of the exponent", M, "made up"),
    ("0.5 * dkl * (np.exp(logvar) - 1)", "0.5 * dkl * np.exp(logvar)", r"\b1\b|term|- 1", "minus one", N, "made up"),
    ("dz + dkl * mu", "dz", MISS + r"|mu|kl", "the divergence pulls mu, too", N, "made up"),
    ("dz * noise * std", "dz * std", r"noise|factor", "times the noise", N, "made up"),
    ("dz * noise * std", "dz * noise", r"std|factor|exp|deviation", "the exponential's slope is itself", N, "made up"),
    ("+ dlogvar @ Wl.T", "", MISS + r"|Wl|logvar", "h makes logvar, too", N, "made up"),
)
ROUND8["attention of a decoder with concatenated states"] = family(
    """
def forward(enc, dec, W, v):
    T = len(enc)
    joined = np.concatenate([enc, np.repeat(dec[None, :], T, axis=0)], axis=1)
    u = np.tanh(joined @ W)
    e = u @ v
    a = np.exp(e - e.max())
    a = a / a.sum()
    return a @ enc, (enc, dec, W, v, joined, u, a)

def backward(dctx, cache):
    enc, dec, W, v, joined, u, a = cache
    da = enc @ dctx
    denc = np.outer(a, dctx)
    de = a * (da - a @ da)
    dv = u.T @ de
    du = np.outer(de, v) * (1 - u**2)
    dW = joined.T @ du
    dj = du @ W.T
    n = enc.shape[1]
    denc += dj[:, :n]
    ddec = dj[:, n:].sum(axis=0)
    return denc, ddec, dW, dv
""",
    (draw(4, 2), draw(3), draw(5, 3), draw(3)),
    (
        "dj[:, n:].sum(axis=0)",
        "dj[-1, n:]",
        r"\bsum|accumul|last|all|only|repeat|copies|one",
        "dec was repeated: sum",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "denc += dj[:, :n]",
        "denc = dj[:, :n]",
        r"accumul|\+=|overwrit|path|term",
        "two paths",
        N.replace("averaged|", ""),
        "made up",
    ),
    ("denc += dj[:, :n]", "pass", MISS + r"|score|dj", "enc also made the scores", N, "made up"),
    ("a * (da - a @ da)", "a * (1 - a) * da", r"softmax|diagonal|jacobian|sum", "softmax couples", M, "made up"),
    ("a * (da - a @ da)", "da - a @ da", r"factor|\ba\b|softmax", "factor a", N, "made up"),
    ("np.outer(de, v) * (1 - u**2)", "np.outer(de, v)", r"tanh|slope", "slope of tanh", N, "made up"),
)
ROUND8["momentum of a running mean, with a learnt rate"] = family(
    """
def forward(x, beta):
    m = np.zeros(x.shape[1])
    ms = [m]
    for t in range(len(x)):
        m = beta * m + (1 - beta) * x[t]
        ms.append(m)
    return np.stack(ms[1:]), (x, beta, ms)

def backward(dout, cache):
    x, beta, ms = cache
    dx, dbeta, dm = np.zeros_like(x), np.zeros_like(beta), 0
    for t in reversed(range(len(x))):
        dm = dm + dout[t]
        dbeta += np.sum(dm * (ms[t] - x[t]))
        dx[t] = (1 - beta) * dm
        dm = beta * dm
    return dx, dbeta
""",
    (draw(4, 3), np.array([0.7])),
    (
        "(ms[t] - x[t])",
        "ms[t]",
        MISS + r"|\bx\b|1 - beta",
        "beta also stands in 1 - beta",
        N.replace(r"\bsign\b|", ""),
        "made up",
    ),
    ("ms[t] - x[t]", "ms[t + 1] - x[t]", r"index|off by|t \+ 1|previous|step|position", "the old mean", M, "made up"),
    ("dm = beta * dm\n", "dm = (1 - beta) * dm\n", r"beta|1 - beta", "the old mean has beta", M, "made up"),
    (
        "dm = dm + dout[t]",
        "dm = dout[t]",
        r"carr|accumul|later|term|\bdm\b|time|\+=",
        "what later steps carry back",
        N.replace("averaged|", ""),
        "made up",
    ),
    (
        "dx[t] = (1 - beta) * dm",
        "dx[t] = (1 - beta) * dout[t]",
        r"dm|carr|later|time|accumul",
        "later steps saw x, too",
        M,
        "made up",
    ),
)
ROUND8["depth to space, then a bias"] = family(
    """
def forward(x, b):
    N, C, H, W = x.shape
    y = x.reshape(N, C // 4, 2, 2, H, W).transpose(0, 1, 4, 2, 5, 3).reshape(N, C // 4, 2 * H, 2 * W)
    return np.maximum(y + b[:, None, None], 0), (x.shape, y, b)

def backward(dout, cache):
    (N, C, H, W), y, b = cache
    dy = dout * (y + b[:, None, None] > 0)
    db = dy.sum(axis=(0, 2, 3))
    d = dy.reshape(N, C // 4, H, 2, W, 2)
    dx = d.transpose(0, 1, 3, 5, 2, 4).reshape(N, C, H, W)
    return dx, db
""",
    (draw(2, 8, 2, 3), draw(2)),
    (
        "(0, 1, 3, 5, 2, 4)",
        "(0, 1, 5, 3, 2, 4)",
        r"axes|order|transpos|permut|wrong place",
        "the inverse order of the axes",
        r"\bsign\b|averaged",
        "made up",
    ),
    ("(y + b[:, None, None] > 0)", "(y > 0)", r"\bb\b|bias|mask|condition|term", "the bias belongs in the mask", M, "made up"),
    (
        "db = dy.sum(axis=(0, 2, 3))",
        "db = dout.sum(axis=(0, 2, 3))",
        r"relu|mask|slope|dy\b|gate",
        "the slope of relu",
        N,
        "made up",
    ),
    (
        "d.transpose(0, 1, 3, 5, 2, 4).reshape(N, C, H, W)",
        "dy.reshape(N, C, H, W)",
        r"axes|order|transpos|permut|wrong place|reshape",
        "axes must be moved",
        r"\bsign\b|averaged",
        "made up",
    ),
)
ROUND8["l1 and l2 of a masked regression"] = family(
    """
T = np.array([0.4, -0.2, 1.1, 0.3, -0.9])
obs = np.array([1, 1, 0, 1, 1], dtype=float)
l1, l2 = 0.05, 0.3

class Elastic:
    def forward(self, X, w):
        self.X, self.w = X, w
        self.r = (X @ w - T) * obs
        return 0.5 * np.sum(self.r**2) / obs.sum() + l1 * np.abs(w).sum() + 0.5 * l2 * np.sum(w**2)

    def backward(self, dL):
        g = self.r / obs.sum()
        dw = self.X.T @ g + l1 * np.sign(self.w) + l2 * self.w
        dX = np.outer(g, self.w)
        return dL * dX, dL * dw

e = Elastic()
forward, backward = e.forward, e.backward
""",
    (draw(5, 3), draw(3)),
    ("l1 * np.sign(self.w)", "l1 * self.w", r"sign|abs|L1|l1", "the sign of w", "transposed|averaged", "made up"),
    ("l1 * np.sign(self.w)", "l1", r"sign|abs", "the sign of w", "transposed|averaged", "made up"),
    ("+ l2 * self.w", "+ 0.5 * l2 * self.w", r"\b2\b|half|0\.5|factor", "the half cancels", M, "made up"),
    ("+ l1 * np.sign(self.w)", "", MISS + r"|l1|sign|penalty|abs", "the l1 term", N.replace(r"\bsign\b|", ""), "made up"),
    (
        "g = self.r / obs.sum()",
        "g = self.r / len(T)",
        COUNT + r"|obs|mask|valid",
        "the valid ones",
        r"\bsign\b|transposed",
        "made up",
    ),
    ("+ l2 * self.w", "- l2 * self.w", SIGN, "plus", "transposed|averaged", "made up"),
)
ROUND8["quantised softmax with a straight pass"] = family(
    """
def forward(x, scale):
    z = x * scale
    m = z.max(axis=-1, keepdims=True)
    e = np.exp(z - m)
    s = e.sum(axis=-1, keepdims=True)
    p = e / s
    ent = -(p * np.log(p)).sum(axis=-1)
    return ent, (x, scale, p, ent)

def backward(g, cache):
    x, scale, p, ent = cache
    dz = -p * (np.log(p) + ent[..., None]) * g[..., None]
    dx = dz * scale
    dscale = (dz * x).sum(axis=(0, 1))
    return dx, dscale
""",
    (draw(2, 3, 4), positive(4)),
    (
        "np.log(p) + ent[..., None]",
        "np.log(p) + 1",
        r"entropy|ent\b|softmax|term|sum|jacobian|path|1 instead",
        "the entropy in place of the 1",
        M,
        "made up",
    ),
    ("np.log(p) + ent[..., None]", "np.log(p) - ent[..., None]", SIGN, "plus", "transposed|averaged", "made up"),
    ("-p * (", "-(", r"factor|\bp\b", "factor p", N, "made up"),
    ("dx = dz * scale", "dx = dz", r"scale|factor", "inner factor", N, "made up"),
    (
        "(dz * x).sum(axis=(0, 1))",
        "(dz * x).sum(axis=0)[0]",
        AXIS + r"|one index|first|only",
        "sum over all but the last",
        r"\bsign\b|transposed",
        "made up",
    ),
    ("(dz * x).sum(axis=(0, 1))", "(dz * x * scale).sum(axis=(0, 1))", r"scale|factor|extra", "no scale here", M, "made up"),
)
