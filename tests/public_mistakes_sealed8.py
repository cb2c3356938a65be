"""Wrong backwards of an eighth round, its sealed half: written with the open one, measured once, after the last change.

The format is that of `public_mistakes_round7.py`. `public_mistakes_round8.py` is the other half, drawn by chance.
"""

import numpy as np
from public_mistakes_fresh import family
from public_mistakes_round8 import AXIS, COUNT, MASK, MISS, POWER, SIGN, TRANS, M, N

rng = np.random.default_rng(8089)


def draw(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return np.abs(rng.normal(size=shape)) + 0.3


SEALED8 = {}

SEALED8["group norm of signals by reshaping"] = family(
    """
G = 2
def forward(x, gamma, beta):
    N, C, L = x.shape
    xg = x.reshape(N, G, -1)
    mu = xg.mean(axis=2, keepdims=True)
    var = xg.var(axis=2, keepdims=True)
    std = np.sqrt(var + 1e-5)
    xhat = ((xg - mu) / std).reshape(N, C, L)
    return xhat * gamma[:, None] + beta[:, None], (xhat, std, gamma)

def backward(dout, cache):
    xhat, std, gamma = cache
    N, C, L = dout.shape
    dbeta = dout.sum(axis=(0, 2))
    dgamma = (dout * xhat).sum(axis=(0, 2))
    dxhat = (dout * gamma[:, None]).reshape(N, G, -1)
    xh = xhat.reshape(N, G, -1)
    m = dxhat.shape[2]
    s1 = dxhat.sum(axis=2, keepdims=True)
    s2 = (dxhat * xh).sum(axis=2, keepdims=True)
    dx = (dxhat - s1 / m - xh * s2 / m) / std
    return dx.reshape(N, C, L), dgamma, dbeta
""",
    (draw(2, 4, 3), positive(4), draw(4)),
    (
        "m = dxhat.shape[2]",
        "m = L",
        COUNT + r"|\bm\b|group|channels|elements",
        "a group has C / G times L numbers: m is that, not L",
        r"\bsign\b|transposed",
        "public: linkedin/Liger-Kernel#1376",
    ),
    (
        "- s1 / m - xh * s2 / m",
        "- xh * s2 / m",
        MISS + r"|\bmean|\bmu\b|s1|centr|first|a common term",
        "the path through the mean is missing",
        N.replace("|averaged", ""),
        "public: mlpack/mlpack#3028 (mistakes in backward)",
    ),
    (
        "(dxhat * xh).sum(axis=2, keepdims=True)",
        "(dout * xhat).reshape(N, G, -1).sum(axis=2, keepdims=True)",
        r"gamma|gain|factor|scale|dxhat|dout",
        "s2 needs the gradient of xhat, with gamma; here it is that of the output",
        M,
        "made up",
    ),
    (
        "(dout * xhat).sum(axis=(0, 2))",
        "(dout * xhat).sum(axis=0)[:, 0]",
        r"\bsum|axis|position|one index|first|length|accumul|\btime|broadcast|slice|\[:, 0\]|axes",
        "gamma is shared by all positions: sum over them, too",
        r"\bsign\b|transposed",
        "made up",
    ),
)

SEALED8["instance norm of images with affine parameters"] = family(
    """
def forward(X, w, b):
    mean = X.mean(axis=(2, 3), keepdims=True)
    c = X - mean
    var = (c**2).mean(axis=(2, 3), keepdims=True)
    istd = (var + 1e-5) ** -0.5
    Z = c * istd
    return w.reshape(1, -1, 1, 1) * Z + b.reshape(1, -1, 1, 1), (c, istd, Z, w)

def backward(dY, cache):
    c, istd, Z, w = cache
    M = c.shape[2] * c.shape[3]
    dw = np.sum(dY * Z, axis=(0, 2, 3))
    db = np.sum(dY, axis=(0, 2, 3))
    dZ = dY * w.reshape(1, -1, 1, 1)
    dvar = np.sum(dZ * c, axis=(2, 3), keepdims=True) * -0.5 * istd**3
    dc = dZ * istd + dvar * 2 * c / M
    dX = dc - dc.mean(axis=(2, 3), keepdims=True)
    return dX, dw, db
""",
    (draw(2, 2, 3, 2), positive(2), draw(2)),
    (
        "-0.5 * istd**3",
        "-0.5 * istd**2",
        POWER + r"|istd|1\.5|factor",
        "the derivative of var^-1/2 is -1/2 var^-3/2: istd cubed",
        N,
        "made up",
    ),
    (
        "dX = dc - dc.mean(axis=(2, 3), keepdims=True)",
        "dX = dc",
        MISS + r"|\bmean|centr|subtract|a common term",
        "the mean is subtracted in forward: its gradient is subtracted, too",
        N.replace("|averaged", ""),
        "made up",
    ),
    (
        "dc.mean(axis=(2, 3), keepdims=True)",
        "dc.mean(axis=(0, 2, 3), keepdims=True)",
        AXIS + r"|batch|\bmean|example|image|statistic|each",
        "each image has its own mean: no mean over the batch",
        r"\bsign\b|transposed",
        "public: BBuf/giantpandacv.com#54 (how its gradient differs from batch norm's)",
    ),
    (
        "M = c.shape[2] * c.shape[3]",
        "M = c.shape[0] * c.shape[2] * c.shape[3]",
        COUNT + r"|\bM\b|batch|images|example",
        "the variance averages over one image's pixels: no batch size in M",
        r"\bsign\b|transposed",
        "made up",
    ),
)

SEALED8["halfway divergence of two distributions"] = family(
    """
def forward(p, q):
    m = (p + q) / 2
    js = 0.5 * np.sum(p * np.log(p / m), axis=-1) + 0.5 * np.sum(q * np.log(q / m), axis=-1)
    return js, (p, q, m)

def backward(g, cache):
    p, q, m = cache
    g = g[:, None]
    dp = 0.5 * g * np.log(p / m)
    dq = 0.5 * g * np.log(q / m)
    return dp, dq
""",
    (rng.uniform(0.1, 0.9, (3, 4)), rng.uniform(0.1, 0.9, (3, 4))),
    (
        "dp = 0.5 * g * np.log(p / m)",
        "dp = 0.5 * g * (np.log(p / m) + 1)",
        r"\bterm|cancel|\+ 1|\bm\b|depend|through|middle|constant|\bpath|summand|offset",
        "the +1 of the log cancels against m's own dependence on p",
        M,
        "made up",
    ),
    (
        "dq = 0.5 * g * np.log(q / m)",
        "dq = g * np.log(q / m)",
        r"\b2\b|\bhalf|0\.5|constant|factor",
        "the half in front of each divergence is missing",
        M,
        "made up",
    ),
    (
        "np.log(q / m)",
        "np.log(m / q)",
        SIGN + "|quotient|inverse|upside|exchanged|swapped|fraction|reciprocal",
        "the fraction is upside down, which changes the sign",
        "transposed|averaged",
        "made up",
    ),
    (
        "np.log(p / m)",
        "np.log(p / q)",
        r"\bm\b|middle|mixture|\bq\b|instead|denominator|average|\bmean",
        "p is compared with the mixture m, not with q",
        r"\bsign\b|transposed",
        "made up",
    ),
)

SEALED8["smoothed labels with padding to ignore"] = family(
    """
y = np.array([2, -1, 0, 3, -1])
eps = 0.1

def forward(scores):
    shifted = scores - scores.max(axis=1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    keep = y >= 0
    K = scores.shape[1]
    hard = -logp[np.arange(len(y)), np.where(keep, y, 0)]
    soft = -logp.sum(axis=1) / K
    total = ((1 - eps) * hard + eps * soft) * keep
    return total.sum() / keep.sum(), (logp, keep)

def backward(dloss, cache):
    logp, keep = cache
    N, K = logp.shape
    q = np.full((N, K), eps / K)
    q[np.arange(N)[keep], y[keep]] += 1 - eps
    grad = (np.exp(logp) - q) * keep[:, None]
    return dloss * grad / keep.sum()
""",
    (draw(5, 4),),
    (
        "+= 1 - eps",
        "= 1 - eps",
        r"\beps|smooth|\+=|label|true class|assign|accumul|share|uniform|target",
        "the true class keeps its share eps / K as well: add, do not assign",
        M,
        "public: TimDettmers/ConvE#55 (kind)",
    ),
    (
        "eps / K)",
        "1 / K)",
        r"\beps|smooth|uniform|factor|target|share",
        "the uniform part is weighted with eps",
        N,
        "public: TimDettmers/ConvE#55",
    ),
    (
        "/ keep.sum()",
        "/ len(keep)",
        COUNT + r"|keep|valid|padding|\bmask|ignored",
        "the mean runs over the rows that count",
        r"\bsign\b|transposed",
        "public: huggingface/transformers#46731",
    ),
    (
        " * keep[:, None]",
        "",
        MASK + "|keep",
        "ignored rows get no gradient",
        N,
        "made up",
    ),
    (
        "eps / K)",
        "eps / (K - 1))",
        r"\beps|smooth|\bK\b|uniform|class|share|count|divi|K - 1|target",
        "the uniform part is spread over all K classes here",
        r"\bsign\b|transposed",
        "public: pytorch/pytorch#7455 (both conventions)",
    ),
)

SEALED8["focal loss of classes from log softmax"] = family(
    """
y = np.array([0, 2, 1, 1])
alpha = np.array([0.4, 1.0, 1.6])
gamma = 2.0

def forward(z):
    lse = np.log(np.exp(z).sum(axis=1, keepdims=True))
    logp = z - lse
    r = np.arange(len(y))
    logpt = logp[r, y]
    pt = np.exp(logpt)
    loss = -alpha[y] * (1 - pt) ** gamma * logpt
    return loss.mean(), (logp, logpt, pt)

def backward(dloss, cache):
    logp, logpt, pt = cache
    r = np.arange(len(y))
    dlogpt = -alpha[y] * ((1 - pt) ** gamma - gamma * (1 - pt) ** (gamma - 1) * pt * logpt)
    onehot = np.zeros_like(logp)
    onehot[r, y] = 1
    dz = dlogpt[:, None] * (onehot - np.exp(logp))
    return dloss * dz / len(y)
""",
    (draw(4, 3),),
    (
        "((1 - pt) ** gamma - gamma * (1 - pt) ** (gamma - 1) * pt * logpt)",
        "(1 - pt) ** gamma",
        MISS + r"|modulat|focal|weight|gamma|constant|second",
        "the factor (1 - pt)^gamma depends on z, too",
        N,
        "public: kuangliu/pytorch-retinanet#12",
    ),
    (
        "- gamma * (1 - pt) ** (gamma - 1) * pt",
        "+ gamma * (1 - pt) ** (gamma - 1) * pt",
        SIGN + r"|inner|1 - pt",
        "1 - pt has an inner minus",
        "transposed|averaged",
        "public: jhwjhw0123/Imbalance-XGBoost#1",
    ),
    (
        "(gamma - 1) * pt * logpt",
        "(gamma - 1) * logpt",
        r"\bpt\b|factor|inner|chain|exp",
        "pt is the exponential of logpt: the factor pt is missing",
        N,
        "public: unsky/focal-loss#18",
    ),
    (
        "-alpha[y] * (",
        "-(",
        r"alpha|weight|factor",
        "the classes' weights are missing",
        N,
        "made up",
    ),
    (
        "(onehot - np.exp(logp))",
        "onehot",
        MISS + r"|softmax|normali|\blse|jacobian|log.?sum|exp|other classes|zero|subtract|coupl",
        "log softmax subtracts the log sum: every class gets -p",
        N,
        "made up",
    ),
)

SEALED8["huber loss of two arrays with a delta"] = family(
    """
delta = 0.8

def forward(pred, target):
    e = pred - target
    a = np.abs(e)
    quad = 0.5 * e**2
    lin = delta * (a - 0.5 * delta)
    return np.where(a <= delta, quad, lin).mean(), e

def backward(dout, e):
    small = np.abs(e) <= delta
    g = np.where(small, e, delta * np.sign(e))
    dpred = dout * g / e.size
    dtarget = -dpred
    return dpred, dtarget
""",
    (draw(4, 3), draw(4, 3)),
    (
        "small = np.abs(e) <= delta",
        "small = e <= delta",
        r"\babs\b|absolute|negative|\bside|both|condition|\bmask|-delta|compar|lower",
        "the error's absolute value is compared, so that large negative ones are linear, too",
        M,
        "public: marlbenchmark/on-policy#47",
    ),
    (
        "delta * np.sign(e)",
        "np.sign(e)",
        r"delta|factor|slope|linear",
        "the linear part has the slope delta",
        N,
        "public: torch/nn#579 (smooth L1 with delta 1)",
    ),
    (
        "delta * np.sign(e)",
        "delta",
        r"\bsign|direction|\babs|negative",
        "the sign of the error is missing on the linear part",
        "transposed|averaged",
        "made up",
    ),
    (
        "np.where(small, e,",
        "np.where(small, 2 * e,",
        r"\b2\b|\btwice|double|\bhalf|0\.5|factor|constant",
        "the half in forward cancels the 2",
        M,
        "made up",
    ),
    (
        "dtarget = -dpred",
        "dtarget = dpred",
        SIGN,
        "the target is subtracted",
        "transposed|averaged",
        "made up",
    ),
)

SEALED8["support vector loss of a course in loops"] = family(
    """
y = np.array([1, 0, 2, 1])
reg = 0.3

def forward(W, X):
    loss = 0.0
    for i in range(len(X)):
        scores = X[i] @ W
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            margin = scores[j] - scores[y[i]] + 1
            if margin > 0:
                loss += margin
    loss /= len(X)
    return loss + reg * np.sum(W * W), (W, X)

def backward(dout, cache):
    W, X = cache
    dW, dX = np.zeros_like(W), np.zeros_like(X)
    for i in range(len(X)):
        scores = X[i] @ W
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            if scores[j] - scores[y[i]] + 1 > 0:
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
                dX[i] += W[:, j] - W[:, y[i]]
    dW = dW / len(X) + 2 * reg * W
    return dout * dW, dout * dX / len(X)
""",
    (draw(3, 3), draw(4, 3)),
    (
        "dW[:, y[i]] -= X[i]",
        "dW[:, y[i]] = -X[i]",
        r"accumul|-=|overwrit|assign|last|\badd|sum",
        "each violated margin subtracts once: assigning keeps only the last",
        M,
        "public: questions on cs231n's svm_loss_naive",
    ),
    (
        "dW[:, y[i]] -= X[i]",
        "pass",
        MISS + r"|true class|correct|label|y\[i\]|part left|zero",
        "the true class's score stands in each margin, too",
        M,
        "public: questions on cs231n's svm_loss_naive",
    ),
    (
        "2 * reg * W",
        "reg * W",
        r"\b2\b|\bhalf|\btwice|factor|constant|regulari|penalty|reg\b|weight decay",
        "the square gives a 2, and forward has no half",
        M,
        "public: cs231n (both conventions)",
    ),
    (
        "dW / len(X) + 2 * reg * W",
        "(dW + 2 * reg * W) / len(X)",
        r"regulari|penalty|reg\b|averag|divi|\bmean|len\(X\)|weight decay|\bN\b",
        "the penalty is not divided by the number of examples",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "+ 1 > 0",
        "> 0",
        r"margin|\bdelta|\+ 1|condition|threshold|\b1\b|\bmask",
        "the margin 1 is missing in the comparison",
        M,
        "made up",
    ),
)

SEALED8["support vector loss with vectors"] = family(
    """
labels = np.array([2, 0, 1, 1, 2])

def forward(scores):
    n = len(scores)
    right = scores[np.arange(n), labels][:, None]
    margins = np.maximum(0, scores - right + 1.0)
    margins[np.arange(n), labels] = 0
    return margins.sum() / n, margins

def backward(dout, margins):
    n = len(margins)
    b = (margins > 0).astype(float)
    count = b.sum(axis=1)
    b[np.arange(n), labels] = -count
    return dout * b / n
""",
    (draw(5, 3),),
    (
        "= -count",
        "= -1",
        r"\bcount|number|how many|violat|\bsum|each|true class|label",
        "the true class gets minus the number of violated margins",
        M,
        "public: errorhandle.ai on the vectorised hinge (the count)",
    ),
    (
        "= -count",
        "= count",
        SIGN + "|label|true class|correct",
        "the true score is subtracted in each margin",
        "transposed|averaged",
        "made up",
    ),
    (
        "= -count",
        "= 0",
        MISS + r"|true class|correct|label|count|zero|subtract|right",
        "the true score stands in each margin, too",
        M,
        "public: questions on cs231n's vectorised svm_loss",
    ),
    (
        "(margins > 0).astype(float)",
        "margins.copy()",
        r"\bmask|indicator|slope|margin|compar|> 0|derivative|step|value|0 and 1|ones",
        "the hinge's slope is 0 or 1, not the margin itself",
        M,
        "made up",
    ),
)

SEALED8["contrast of two views of a batch"] = family(
    """
tau = 0.4

def forward(z):
    n = np.sqrt((z**2).sum(axis=1, keepdims=True))
    u = z / n
    s = u @ u.T / tau
    e = np.exp(s) * (1 - np.eye(len(z)))
    p = e / e.sum(axis=1, keepdims=True)
    half = len(z) // 2
    mate = (np.arange(len(z)) + half) % len(z)
    loss = -np.log(p[np.arange(len(z)), mate]).mean()
    return loss, (u, n, p, mate)

def backward(dl, cache):
    u, n, p, mate = cache
    N = len(u)
    ds = p.copy()
    ds[np.arange(N), mate] -= 1
    ds = dl * ds / N
    du = (ds + ds.T) @ u / tau
    dz = (du - u * (du * u).sum(axis=1, keepdims=True)) / n
    return dz
""",
    (draw(6, 3),),
    (
        "(ds + ds.T) @ u",
        "ds @ u",
        r"transpos|\bboth|\btwice|\bterm|ds\.T|symmetr|occur|\bpath|second|operand|summand",
        "u stands on both sides of the product: ds.T @ u belongs to it",
        M.replace("transposed|", ""),
        "made up",
    ),
    (
        "u / tau",
        "u",
        r"\btau|temperature|factor|divi|scale|constant",
        "the temperature divides the scores",
        M,
        "made up",
    ),
    (
        "(du - u * (du * u).sum(axis=1, keepdims=True)) / n",
        "du / n",
        MISS + r"|\bnorm|length|project|unit|radial|through",
        "the rows were brought to length one: the projection is missing",
        N,
        "made up",
    ),
    (
        "ds[np.arange(N), mate] -= 1",
        "ds[np.arange(N), np.arange(N)] -= 1",
        r"label|\bmate|positive|target|index|diagonal|wrong place|pair|arange",
        "the positive of a row is its mate in the other half, not itself",
        M,
        "made up",
    ),
    (
        "dl * ds / N",
        "dl * ds / (2 * N)",
        COUNT + r"|\b2\b|half|factor",
        "the mean runs over all N rows",
        r"\bsign\b|transposed",
        "made up",
    ),
)

SEALED8["triplets of squared distances, averaged"] = family(
    """
margin = 1.0

def forward(A, P, Nn):
    dp = ((A - P) ** 2).sum(axis=1)
    dn = ((A - Nn) ** 2).sum(axis=1)
    l = np.maximum(dp - dn + margin, 0)
    return l.mean(), (A, P, Nn, l)

def backward(dloss, cache):
    A, P, Nn, l = cache
    on = (l > 0)[:, None] * dloss / len(l)
    dA = on * 2 * (Nn - P)
    dP = on * -2 * (A - P)
    dN = on * 2 * (A - Nn)
    return dA, dP, dN
""",
    (draw(5, 3), draw(5, 3), draw(5, 3)),
    (
        "dA = on * 2 * (Nn - P)",
        "dA = on * 2 * (A - P)",
        MISS + r"|\bNn?\b|negative|second|distance|dn",
        "the anchor stands in both distances",
        N.replace(r"\bsign\b|", ""),
        "public: community.deeplearning.ai 22269",
    ),
    (
        "dP = on * -2 * (A - P)",
        "dP = on * 2 * (A - P)",
        SIGN + "|inner",
        "P is subtracted: an inner minus",
        "transposed|averaged",
        "made up",
    ),
    (
        "(l > 0)[:, None] * dloss",
        "np.ones((len(l), 1)) * dloss",
        MASK + r"|hinge|margin|active|slope|inside|l > 0|relu|clip",
        "triplets within the margin give no gradient",
        M,
        "public: errorhandle.ai on the triplet's gradient",
    ),
    (
        "dN = on * 2 * (A - Nn)",
        "dN = on * (A - Nn)",
        r"\b2\b|square|\btwice|\bhalf|factor|constant",
        "the square's 2 is missing",
        M,
        "made up",
    ),
)

SEALED8["triplets by their cosines"] = family(
    """
def unit(v):
    length = np.sqrt((v * v).sum(-1, keepdims=True))
    return v / length, length

def unit_back(du, u, length):
    return (du - u * (u * du).sum(-1, keepdims=True)) / length

def forward(a, p, n):
    (ua, la), (up, lp), (un, ln) = unit(a), unit(p), unit(n)
    hinge = np.maximum(0.6 - (ua * up).sum(-1) + (ua * un).sum(-1), 0)
    return hinge.sum(), (ua, la, up, lp, un, ln, hinge)

def backward(dout, cache):
    ua, la, up, lp, un, ln, hinge = cache
    g = dout * (hinge > 0)[:, None]
    da = unit_back(g * (un - up), ua, la)
    dp = unit_back(-g * ua, up, lp)
    dn = unit_back(g * ua, un, ln)
    return da, dp, dn
""",
    (draw(4, 3), draw(4, 3), draw(4, 3)),
    (
        "da = unit_back(g * (un - up), ua, la)",
        "da = unit_back(g * (up - un), ua, la)",
        SIGN + "|exchanged|swapped|order",
        "the positive's cosine is subtracted",
        "transposed|averaged",
        "made up",
    ),
    (
        "dp = unit_back(-g * ua, up, lp)",
        "dp = unit_back(-g * ua, up, la)",
        r"\blp\b|\bla\b|length|norm|exchanged|swapped|instead|divi|factor|other",
        "the positive's own length is due, not the anchor's",
        M,
        "made up",
    ),
    (
        "dn = unit_back(g * ua, un, ln)",
        "dn = g * ua",
        MISS + r"|norm|length|project|unit|through|radial|\bln\b|slope|factor",
        "the way through the unit length is missing",
        N,
        "made up",
    ),
    (
        "dn = unit_back(g * ua, un, ln)",
        "dn = unit_back(g * un, un, ln)",
        r"\bua\b|anchor|other|zero|wrong operand|instead|\bitself",
        "the derivative by the negative gives the anchor",
        M,
        "made up",
    ),
)

SEALED8["gated units over time in columns"] = family(
    """
def sigma(a):
    return 1 / (1 + np.exp(-a))

def forward(X, U, W):
    H = W.shape[1]
    h = np.zeros((H, X.shape[2]))
    steps = []
    for t in range(len(X)):
        a = U @ X[t]
        z = sigma(a[:H] + W[:H] @ h)
        c = np.tanh(a[H:] + W[H:] @ h)
        steps.append((h, z, c))
        h = (1 - z) * h + z * c
    return h, (X, U, W, steps)

def backward(dh, cache):
    X, U, W, steps = cache
    H = W.shape[1]
    dX, dU, dW = np.zeros_like(X), np.zeros_like(U), np.zeros_like(W)
    for t in range(len(X) - 1, -1, -1):
        h, z, c = steps[t]
        dz = dh * (c - h) * z * (1 - z)
        dc = dh * z * (1 - c * c)
        d = np.vstack([dz, dc])
        dU += d @ X[t].T
        dW += d @ h.T
        dX[t] = U.T @ d
        dh = dh * (1 - z) + W.T @ d
    return dX, dU, dW
""",
    (draw(3, 2, 4), draw(6, 2), draw(6, 3)),
    (
        "dh = dh * (1 - z) + W.T @ d",
        "dh = W.T @ d",
        MISS + r"|direct|skip|carry|1 - z|previous|identity",
        "the state's direct path (1 - z) is missing",
        N,
        "made up",
    ),
    (
        "dh = dh * (1 - z) + W.T @ d",
        "dh = dh * (1 - z)",
        MISS + r"|recurrent|\bW\b|gates?\b|previous|W\.T|time|carr",
        "the old state also goes into both gates through W",
        N,
        "made up",
    ),
    (
        "dW += d @ h.T",
        "dW = d @ h.T",
        r"accumul|\+=|overwrit|sum|time|step|assign|last|first",
        "W is shared by all steps: add up",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "dz = dh * (c - h) * z * (1 - z)",
        "dz = dh * c * z * (1 - z)",
        MISS + r"|\bh\b|1 - z|old state|subtract|c - h",
        "z also stands in 1 - z: minus h is missing",
        N.replace(r"\bsign\b|", ""),
        "made up",
    ),
    (
        "dh * z * (1 - c * c)",
        "dh * z",
        r"tanh|slope|derivative|activation|1 - c|factor",
        "the slope of tanh is missing",
        N,
        "made up",
    ),
)

SEALED8["gated unit whose reset comes after the product, with biases"] = family(
    """
def s(v):
    return 1.0 / (1.0 + np.exp(-v))

def forward(h, gx, V, b):
    gh = h @ V + b
    k = h.shape[1]
    r = s(gx[:, :k] + gh[:, :k])
    u = s(gx[:, k:2 * k] + gh[:, k:2 * k])
    m = gh[:, 2 * k:]
    n = np.tanh(gx[:, 2 * k:] + r * m)
    return (1 - u) * n + u * h, (h, V, r, u, m, n)

def backward(dout, cache):
    h, V, r, u, m, n = cache
    dn = dout * (1 - u) * (1 - n * n)
    du = dout * (h - n) * u * (1 - u)
    dr = dn * m * r * (1 - r)
    dgx = np.concatenate([dr, du, dn], axis=1)
    dgh = np.concatenate([dr, du, dn * r], axis=1)
    dV = h.T @ dgh
    db = dgh.sum(axis=0)
    dh = dgh @ V.T + dout * u
    return dh, dgx, dV, db
""",
    (draw(3, 2), draw(3, 6), draw(2, 6), draw(6)),
    (
        "np.concatenate([dr, du, dn * r], axis=1)",
        "np.concatenate([dr, du, dn], axis=1)",
        r"reset|\br\b|gate|factor",
        "the state's part of the candidate is multiplied with r",
        N,
        "made up",
    ),
    (
        "dr = dn * m * r * (1 - r)",
        "dr = dn * h * r * (1 - r)",
        r"\bm\b|reset|product|\bh\b|after|before|instead|operand",
        "r multiplies m = h V + b, not h",
        M,
        "made up",
    ),
    (
        "dgx = np.concatenate([dr, du, dn], axis=1)",
        "dgx = np.concatenate([du, dr, dn], axis=1)",
        r"exchanged|swapped|order|gate|block|wrong place|\bslice|permut|part",
        "the gates stand in the order r, u, n",
        M,
        "made up",
    ),
    (
        "dV = h.T @ dgh",
        "dV = h.T @ dgx",
        r"\bdgh\b|\bdgx\b|reset|\br\b|gate|factor|instead",
        "V belongs to the state's side: dgh",
        M,
        "made up",
    ),
    (
        "(h - n) * u * (1 - u)",
        "(h - n) * (1 - u)",
        r"sigmoid|slope|factor|\bu\b|derivative|s \* \(1 - s\)|activation",
        "the sigmoid's slope is u (1 - u)",
        N,
        "made up",
    ),
)

SEALED8["relu recurrence with a mask of valid steps"] = family(
    """
valid = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]], dtype=float)

def forward(x, Wx, Wh, b):
    N, T, D = x.shape
    h = np.zeros((N, len(b)))
    trace = []
    for t in range(T):
        a = x[:, t] @ Wx + h @ Wh + b
        new = np.maximum(a, 0)
        m = valid[:, t:t + 1]
        trace.append((h, a, m))
        h = m * new + (1 - m) * h
    return h, (x, Wx, Wh, trace)

def backward(dh, cache):
    x, Wx, Wh, trace = cache
    dx, dWx, dWh, db = np.zeros_like(x), 0, 0, 0
    for t in reversed(range(len(trace))):
        h, a, m = trace[t]
        da = dh * m * (a > 0)
        dx[:, t] = da @ Wx.T
        dWx = dWx + x[:, t].T @ da
        dWh = dWh + h.T @ da
        db = db + da.sum(axis=0)
        dh = dh * (1 - m) + da @ Wh.T
    return dx, dWx, dWh, db
""",
    (draw(3, 4, 2), draw(2, 3), 0.7 * draw(3, 3), draw(3)),
    (
        "da = dh * m * (a > 0)",
        "da = dh * (a > 0)",
        MASK + r"|\bm\b|skip",
        "padded steps change nothing: the mask is missing",
        N,
        "made up",
    ),
    (
        "dh = dh * (1 - m) + da @ Wh.T",
        "dh = da @ Wh.T",
        MISS + r"|1 - m|carry|padding|padded|\bmask|skip|direct",
        "padded steps hand the state on: (1 - m) dh is missing",
        N,
        "made up",
    ),
    (
        "dh = dh * (1 - m) + da @ Wh.T",
        "dh = dh + da @ Wh.T",
        MASK + r"|1 - m|carry|\bm\b|skip",
        "only padded steps hand the state on unchanged",
        M,
        "made up",
    ),
    (
        "da @ Wh.T",
        "da @ Wh",
        TRANS,
        "Wh is transposed on the way back",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "db = db + da.sum(axis=0)",
        "db = da.sum(axis=0)",
        r"accumul|\+=|overwrit|sum|time|step|assign|last|first",
        "the bias is shared by all steps",
        r"\bsign\b|transposed",
        "made up",
    ),
)

SEALED8["log softmax and a loss, one function each"] = family(
    """
y = np.array([1, 0, 2, 1])
cw = np.array([1.0, 2.0, 0.5])

def log_softmax(z):
    m = z.max(axis=1, keepdims=True)
    return z - m - np.log(np.exp(z - m).sum(axis=1, keepdims=True))

def log_softmax_backward(dlp, lp):
    return dlp - np.exp(lp) * dlp.sum(axis=1, keepdims=True)

def forward(z):
    lp = log_softmax(z)
    w = cw[y]
    return -(w * lp[np.arange(4), y]).sum() / w.sum(), lp

def backward(dloss, lp):
    w = cw[y]
    dlp = np.zeros_like(lp)
    dlp[np.arange(4), y] = -dloss * w / w.sum()
    sums = dlp.sum(axis=1, keepdims=True)
    return dlp - np.exp(lp) * sums
""",
    (draw(4, 3),),
    (
        "np.exp(lp) * sums",
        "lp * sums",
        r"\bexp|probab|softmax|\blog|\blp\b",
        "the softmax exp(lp) is due, not its logarithm",
        M,
        "made up",
    ),
    (
        "w / w.sum()",
        "w / len(w)",
        COUNT + "|weight",
        "forward divides by the sum of the weights",
        r"\bsign\b|transposed",
        "public: torch's weighted mean in cross entropy",
    ),
    (
        "dlp - np.exp(lp) * sums",
        "dlp - np.exp(lp)",
        r"\bsum|weight|factor|incoming|dlp|upstream|linear|zero in",
        "the softmax is multiplied with the sum of the incoming gradients",
        N,
        "public: log softmax backward written for one-hot gradients",
    ),
    (
        "dlp - np.exp(lp) * sums",
        "dlp - np.exp(lp) * dlp",
        r"\bsum|axis|row|other classes|coupl|diagonal|jacobian|keepdims",
        "the sum runs over the row: other classes count, too",
        M,
        "made up",
    ),
    (
        "dlp - np.exp(lp) * sums",
        "np.exp(lp) * (dlp - np.sum(dlp * np.exp(lp), axis=1, keepdims=True))",
        r"\blog|softmax|confus|instead|another|exp",
        "this is the softmax's backward; log softmax has another one",
        M,
        "made up",
    ),
)

SEALED8["log softmax along the first axis with a temperature"] = family(
    """
tau = 1.7

def forward(z):
    u = z / tau
    u = u - u.max(axis=0)
    lse = np.log(np.exp(u).sum(axis=0))
    return u - lse, np.exp(u - lse)

def backward(dy, p):
    total = dy.sum(axis=0)
    return (dy - p * total) / tau
""",
    (draw(3, 3),),
    (
        "/ tau",
        "* tau",
        r"\btau|temperature|factor|divi|multipl|inverse|reciprocal|constant",
        "the temperature divides here as well",
        M,
        "made up",
    ),
    (
        "dy.sum(axis=0)",
        "dy.sum(axis=1)",
        AXIS + "|first|class|column",
        "the classes stand along the first axis",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "(dy - p * total)",
        "p * (dy - total)",
        r"\bp\b|softmax|\bfirst|factor|bracket|parenthes|probab|distribut|\bterm",
        "p multiplies the sum only",
        M,
        "made up",
    ),
    (
        "(dy - p * total)",
        "(dy - total / len(dy))",
        r"softmax|\bp\b|probab|\bmean|uniform|weight|averag|share",
        "each class gets its share p of the sum, not the same",
        r"\bsign\b|transposed",
        "made up",
    ),
)

SEALED8["self attention in heads with four matrices"] = family(
    """
H = 2

def split(a):
    n, d = a.shape
    return a.reshape(n, H, d // H).transpose(1, 0, 2)

def join(a):
    h, n, d = a.shape
    return a.transpose(1, 0, 2).reshape(n, h * d)

def forward(x, Wq, Wk, Wv, Wo):
    q, k, v = split(x @ Wq), split(x @ Wk), split(x @ Wv)
    c = 1 / np.sqrt(q.shape[-1])
    s = q @ k.transpose(0, 2, 1) * c
    e = np.exp(s - s.max(-1, keepdims=True))
    a = e / e.sum(-1, keepdims=True)
    o = join(a @ v)
    return o @ Wo, (x, Wq, Wk, Wv, Wo, q, k, v, a, o, c)

def backward(dy, cache):
    x, Wq, Wk, Wv, Wo, q, k, v, a, o, c = cache
    dWo = o.T @ dy
    do = split(dy @ Wo.T)
    da = do @ v.transpose(0, 2, 1)
    dv = a.transpose(0, 2, 1) @ do
    ds = a * (da - (da * a).sum(-1, keepdims=True)) * c
    dq = ds @ k
    dk = ds.transpose(0, 2, 1) @ q
    dq, dk, dv = join(dq), join(dk), join(dv)
    dx = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T
    return dx, x.T @ dq, x.T @ dk, x.T @ dv, dWo
""",
    (draw(3, 4), draw(4, 4), draw(4, 4), draw(4, 4), draw(4, 4)),
    (
        "keepdims=True)) * c",
        "keepdims=True))",
        r"scale|sqrt|root|factor|\bc\b|constant|head",
        "the scale 1 / sqrt(d) is missing",
        N.replace("|too many", ""),
        "public: rezazad68/TMUnet#13 (the scale per head)",
    ),
    (
        "dk = ds.transpose(0, 2, 1) @ q",
        "dk = ds @ q",
        TRANS,
        "the keys stand in the columns of the scores: transpose ds",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "a * (da - (da * a).sum(-1, keepdims=True))",
        "a * (1 - a) * da",
        r"softmax|jacobian|\bsum|row|coupl|diagonal|other|sigmoid|\bterm",
        "softmax couples a row: a (1 - a) is only its diagonal",
        M,
        "made up",
    ),
    (
        "dq @ Wq.T + dk @ Wk.T + dv @ Wv.T",
        "dq @ Wq.T + dk @ Wk.T",
        MISS + r"|\bdv\b|values?\b|Wv|third",
        "x also makes the values",
        N,
        "made up",
    ),
    (
        "do = split(dy @ Wo.T)",
        "do = split(dy)",
        r"\bWo\b|output|project|factor|layer|matrix|missing",
        "the output matrix is missing on the way back",
        N,
        "made up",
    ),
    (
        "dq, dk, dv = join(dq), join(dk), join(dv)",
        "dq, dk, dv = dq.reshape(x.shape), dk.reshape(x.shape), dv.reshape(x.shape)",
        r"head|reshape|transpos|order|wrong place|axes|axis|permut|mixed|join",
        "the heads' axis must go behind the positions before reshaping",
        r"\bsign\b|averaged",
        "made up",
    ),
)

SEALED8["cross attention in heads over padded keys"] = family(
    """
pad = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], dtype=bool)

def forward(q, k, v):
    d = q.shape[-1]
    s = np.einsum("bhqd,bhkd->bhqk", q, k) / np.sqrt(d)
    s = np.where(pad[:, None, None, :], s, -1e9)
    p = np.exp(s - s.max(axis=-1, keepdims=True))
    p = p / p.sum(axis=-1, keepdims=True)
    return np.einsum("bhqk,bhkd->bhqd", p, v), (q, k, v, p)

def backward(do, cache):
    q, k, v, p = cache
    d = q.shape[-1]
    dv = np.einsum("bhqk,bhqd->bhkd", p, do)
    dp = np.einsum("bhqd,bhkd->bhqk", do, v)
    ds = p * (dp - np.sum(dp * p, axis=-1, keepdims=True))
    ds = ds / np.sqrt(d)
    dq = np.einsum("bhqk,bhkd->bhqd", ds, k)
    dk = np.einsum("bhqk,bhqd->bhkd", ds, q)
    return dq, dk, dv
""",
    (draw(2, 2, 3, 2), draw(2, 2, 4, 2), draw(2, 2, 4, 2)),
    (
        "ds = ds / np.sqrt(d)",
        "ds = ds / d",
        r"sqrt|root|\bpower|scale|factor|constant",
        "the root of d divides, not d",
        M,
        "made up",
    ),
    (
        "np.sum(dp * p, axis=-1, keepdims=True)",
        "np.sum(dp * p, axis=-2, keepdims=True)",
        AXIS + "|keys|quer|row|softmax",
        "the softmax runs over the keys, the last axis",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "p * (dp - np.sum(dp * p, axis=-1, keepdims=True))",
        "p * (dp - np.sum(dp, axis=-1, keepdims=True))",
        r"factor|\bp\b|weight|softmax|inner|missing",
        "the sum is weighted with p",
        M,
        "made up",
    ),
    (
        "ds, q)",
        "ds / np.sqrt(d), q)",
        r"\btwice|double|scale|sqrt|root|extra|too many|factor|constant",
        "the scale is applied twice for the keys",
        M,
        "made up",
    ),
)

SEALED8["enlarged by repeating, then mixed"] = family(
    """
class UpBlock:
    def forward(self, x, w):
        self.x, self.w = x, w
        self.up = x.repeat(2, axis=2).repeat(3, axis=3)
        return np.einsum("nchw,oc->nohw", self.up, w)

    def backward(self, dout):
        N, C, Hh, Ww = self.x.shape
        dup = np.einsum("nohw,oc->nchw", dout, self.w)
        dw = np.einsum("nohw,nchw->oc", dout, self.up)
        dx = dup.reshape(N, C, Hh, 2, Ww, 3).sum(axis=(3, 5))
        return dx, dw

block = UpBlock()
forward, backward = block.forward, block.backward
""",
    (draw(2, 2, 2, 2), draw(3, 2)),
    (
        ".sum(axis=(3, 5))",
        ".mean(axis=(3, 5))",
        COUNT,
        "each pixel was copied six times: the gradients add up",
        r"\bsign\b|transposed",
        "public: davisking/dlib#336",
    ),
    (
        "dx = dup.reshape(N, C, Hh, 2, Ww, 3).sum(axis=(3, 5))",
        "dx = dup[:, :, ::2, ::3]",
        r"\bsum|accumul|copies|repeat|one index|block|only|slice|first|corner|\badd",
        "all six copies count, not only the first",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "Hh, 2, Ww, 3).sum(axis=(3, 5))",
        "2, Hh, 3, Ww).sum(axis=(2, 4))",
        r"reshape|order|axis|axes|tile|wrong place|interleav|repeat|block|permut",
        "repeat keeps the copies next to each other: the copies' axis is the inner one",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        'np.einsum("nohw,nchw->oc", dout, self.up)',
        'np.einsum("nohw,nchw->oc", dout[:, :, ::2, ::3], self.x)',
        r"\bup\b|enlarg|copies|input|repeat|\bx\b|slice|position|\bsum|only",
        "the mixing saw the enlarged image: all its pixels count",
        r"\bsign\b|transposed",
        "made up",
    ),
)

SEALED8["row enlarged by two, halves between pixels"] = family(
    """
def forward(x):
    n = x.shape[1]
    left = x[:, np.maximum(np.arange(n) - 1, 0)]
    right = x[:, np.minimum(np.arange(n) + 1, n - 1)]
    out = np.zeros((len(x), 2 * n), dtype=x.dtype)
    out[:, 0::2] = 0.75 * x + 0.25 * left
    out[:, 1::2] = 0.75 * x + 0.25 * right
    return out, n

def backward(dout, n):
    even, odd = dout[:, 0::2], dout[:, 1::2]
    dx = 0.75 * (even + odd)
    dx[:, :-1] += 0.25 * even[:, 1:]
    dx[:, 0] += 0.25 * even[:, 0]
    dx[:, 1:] += 0.25 * odd[:, :-1]
    dx[:, -1] += 0.25 * odd[:, -1]
    return dx
""",
    (draw(2, 5),),
    (
        "    dx[:, 0] += 0.25 * even[:, 0]\n",
        "",
        r"border|edge|first|clip|\bend|corner|boundar|one index|index|\bterm|left",
        "the clipped index hands the quarter to the first pixel",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "dx[:, :-1] += 0.25 * even[:, 1:]",
        "dx[:, 1:] += 0.25 * even[:, :-1]",
        r"shift|direction|\bslice|left|right|neighbour|wrong place|\bby one|index|off by|exchanged|moved",
        "forward reads the left neighbour: its gradient comes from the right",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "0.75 * (even + odd)",
        "0.75 * even",
        MISS + r"|\bodd\b|second|copies",
        "each pixel goes into both of its outputs",
        N,
        "made up",
    ),
    (
        "dx[:, 1:] += 0.25 * odd[:, :-1]",
        "dx[:, 1:] += 0.75 * odd[:, :-1]",
        r"0\.25|0\.75|weight|factor|constant|quarter",
        "the neighbour's weight is a quarter",
        M,
        "made up",
    ),
)

SEALED8["transposed convolution of signals with channels"] = family(
    """
stride, pad = 2, 1

def forward(x, w, b):
    N, C, L = x.shape
    _, F, K = w.shape
    full = np.zeros((N, F, (L - 1) * stride + K), dtype=np.result_type(x, w))
    for i in range(L):
        full[:, :, i * stride:i * stride + K] += np.einsum("nc,cfk->nfk", x[:, :, i], w)
    return full[:, :, pad:full.shape[2] - pad] + b[:, None], (x, w)

def backward(dout, cache):
    x, w = cache
    L, K = x.shape[2], w.shape[2]
    dfull = np.pad(dout, ((0, 0), (0, 0), (pad, pad)))
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(L):
        piece = dfull[:, :, i * stride:i * stride + K]
        dx[:, :, i] = np.einsum("nfk,cfk->nc", piece, w)
        dw += np.einsum("nc,nfk->cfk", x[:, :, i], piece)
    db = dout.sum(axis=(0, 2))
    return dx, dw, db
""",
    (draw(2, 2, 3), draw(2, 3, 4), draw(3)),
    (
        "piece = dfull[:, :, i * stride:i * stride + K]",
        "piece = dfull[:, :, i:i + K]",
        r"stride|step|position|index|window|wrong place",
        "the windows are a stride apart",
        r"\bsign\b|transposed|averaged",
        "public: pytorch/pytorch#63314",
    ),
    (
        "((0, 0), (0, 0), (pad, pad))",
        "((0, 0), (0, 0), (0, 2 * pad))",
        r"\bpad|shift|offset|cut|border|crop|position|wrong place|one side",
        "forward cut both ends: put zeros back on both",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        'np.einsum("nfk,cfk->nc", piece, w)',
        'np.einsum("nfk,cfk->nc", piece, w[:, :, ::-1])',
        r"flip|revers|rotat|mirror|kernel",
        "no kernel is flipped: each tap meets the number that it made",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "dw += np.einsum",
        "dw = np.einsum",
        r"accumul|\+=|overwrit|last|assign|sum|position",
        "w is used at each position: add up",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "dout.sum(axis=(0, 2))",
        "dout.sum(axis=0).mean(axis=1)",
        COUNT,
        "the bias is added at each position: a sum",
        r"\bsign\b|transposed",
        "made up",
    ),
)

SEALED8["pool between mean and maximum"] = family(
    """
r = 2.5

def forward(x):
    n = x.shape[-1]
    e = np.exp(r * x)
    total = e.sum(axis=-1)
    return np.log(total / n) / r, (e, total)

def backward(g, cache):
    e, total = cache
    return g[..., None] * e / total[..., None]
""",
    (draw(2, 3, 4),),
    (
        "e / total[..., None]",
        "e / total[..., None] / r",
        r"\br\b|cancel|factor|extra|constant|sharp|scale|2\.5|0\.4",
        "r inside and 1 / r outside cancel",
        M,
        "made up",
    ),
    (
        "e / total[..., None]",
        "e / total[..., None] / e.shape[-1]",
        COUNT + "|cancel",
        "the n inside the log is a constant summand and has no slope",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "e / total[..., None]",
        "1 / total[..., None] * np.ones(e.shape)",
        r"\be\b|\bexp|factor|inner|softmax|chain",
        "the exponential's own slope e is missing",
        N,
        "made up",
    ),
    (
        "e / total[..., None]",
        "e / total[..., None] ** 2",
        POWER + r"|total|factor|\blog|denominator",
        "log has the slope 1 / total, once",
        M,
        "made up",
    ),
)

SEALED8["gaussian whose deviation comes from a softplus"] = family(
    """
obs = np.array([0.3, -1.2, 0.8, 2.0, -0.4])

def forward(mu, raw):
    sigma = np.log1p(np.exp(raw)) + 1e-3
    d = (obs - mu) / sigma
    return (0.5 * d**2 + np.log(sigma)).mean(), (mu, raw, sigma, d)

def backward(dout, cache):
    mu, raw, sigma, d = cache
    n = len(obs)
    dmu = -d / sigma
    dsigma = 1 / sigma - d**2 / sigma
    draw_ = dsigma / (1 + np.exp(-raw))
    return dout * dmu / n, dout * draw_ / n
""",
    (draw(5), draw(5)),
    (
        "dsigma / (1 + np.exp(-raw))",
        "dsigma / (1 + np.exp(raw))",
        r"sigmoid|\bsign|argument|-raw|\bminus|negat|softplus|1 - ",
        "the slope of softplus is the sigmoid of raw, not of minus raw",
        "transposed|averaged",
        "public: NVlabs/tiny-cuda-nn#130 (softplus)",
    ),
    (
        "draw_ = dsigma / (1 + np.exp(-raw))",
        "draw_ = dsigma",
        r"softplus|sigmoid|slope|derivative|activation|factor|chain",
        "the slope of softplus is missing",
        N,
        "made up",
    ),
    (
        "dsigma = 1 / sigma - d**2 / sigma",
        "dsigma = -(d**2) / sigma",
        MISS + r"|\blog|normali|first|1 / sigma",
        "log(sigma) gives 1 / sigma",
        N.replace(r"\bsign\b|", ""),
        "made up",
    ),
    (
        "dmu = -d / sigma",
        "dmu = -d",
        r"sigma|factor|divi|inner|chain|denominator",
        "d has the inner factor 1 / sigma",
        N,
        "made up",
    ),
    (
        "- d**2 / sigma",
        "- 0.5 * d**2 / sigma",
        r"\b2\b|\bhalf|0\.5|square|factor|constant|\btwice",
        "the half cancels the square's 2",
        M,
        "made up",
    ),
)

SEALED8["x times the tanh of an exponential"] = family(
    """
def forward(x):
    e = np.exp(x)
    t = np.tanh(e)
    return x * t, (x, e, t)

def backward(g, cache):
    x, e, t = cache
    return g * (t + x * e * (1 - t**2))
""",
    (draw(3, 4),),
    (
        "x * e * (1 - t**2)",
        "x * (1 - t**2)",
        r"\be\b|\bexp|inner|chain|factor",
        "the inner exponential's slope e is missing",
        N,
        "made up",
    ),
    (
        "(1 - t**2)",
        "(1 - t)",
        POWER + r"|tanh|slope|\bt\b",
        "the slope of tanh is 1 - t squared",
        M,
        "made up",
    ),
    (
        "(1 - t**2)",
        "(1 - e**2)",
        r"output|\bt\b|tanh|\bvalue|\be\b|\binput|argument|slope",
        "tanh's value is squared, not its argument",
        M,
        "made up",
    ),
    (
        "t + x * e",
        "t * x * e",
        r"\bplus|\+|\badd|\bsum|product rule|multipl|\bterm|factor",
        "the product rule adds its two terms",
        M,
        "made up",
    ),
)

SEALED8["mean square of each sequence, then of all"] = family(
    """
lengths = np.array([3, 1, 4])

def forward(x, y):
    m = (np.arange(x.shape[1])[None, :] < lengths[:, None]).astype(float)
    each = (m * (x - y) ** 2).sum(axis=1) / lengths
    return each.mean(), (x, y, m)

def backward(dout, cache):
    x, y, m = cache
    d = 2 * m * (x - y) / lengths[:, None]
    dx = dout * d / len(x)
    return dx, -dx
""",
    (draw(3, 4), draw(3, 4)),
    (
        "/ lengths[:, None]",
        "/ x.shape[1]",
        COUNT + r"|length|\bvalid|padded",
        "each sequence is divided by its own length",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "2 * m * (x - y)",
        "2 * (x - y)",
        MASK + r"|\bm\b|length",
        "steps behind the end do not count",
        N,
        "made up",
    ),
    (
        "d / len(x)",
        "d / lengths.sum()",
        COUNT + r"|length",
        "the second mean runs over the sequences",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "return dx, -dx",
        "return dx, dx",
        SIGN,
        "y is subtracted",
        "transposed|averaged",
        "made up",
    ),
)

SEALED8["two layers of a course in columns with a penalty"] = family(
    """
lambd = 0.7

def forward(X, W1, b1, W2, b2):
    Z1 = W1 @ X + b1
    A1 = np.maximum(0, Z1)
    Z2 = W2 @ A1 + b2
    A2 = 1 / (1 + np.exp(-Z2))
    m = X.shape[1]
    Y = (np.arange(m) % 2)[None, :]
    cost = -np.sum(Y * np.log(A2) + (1 - Y) * np.log(1 - A2)) / m
    cost = cost + lambd / (2 * m) * (np.sum(W1**2) + np.sum(W2**2))
    return cost, (X, Z1, A1, A2, W1, W2, Y)

def backward(dcost, cache):
    X, Z1, A1, A2, W1, W2, Y = cache
    m = X.shape[1]
    dZ2 = dcost * (A2 - Y)
    dW2 = 1 / m * dZ2 @ A1.T + dcost * lambd / m * W2
    db2 = 1 / m * np.sum(dZ2, axis=1, keepdims=True)
    dZ1 = (W2.T @ dZ2) * (A1 > 0)
    dW1 = 1 / m * dZ1 @ X.T + dcost * lambd / m * W1
    db1 = 1 / m * np.sum(dZ1, axis=1, keepdims=True)
    dX = W1.T @ dZ1 / m
    return dX, dW1, db1, dW2, db2
""",
    (draw(3, 5), draw(4, 3), draw(4, 1), draw(1, 4), draw(1, 1)),
    (
        "dZ1 @ X.T + dcost * lambd / m * W1",
        "dZ1 @ X.T",
        MISS + r"|penalty|regulari|weight decay|lambd",
        "the penalty's gradient is missing",
        N,
        "public: deeplearning.ai, regularisation assignment",
    ),
    (
        "lambd / m * W2",
        "lambd / (2 * m) * W2",
        r"\b2\b|\bhalf|\btwice|square|factor|constant|penalty|regulari|weight decay",
        "the square's 2 cancels the half",
        M,
        "public: deeplearning.ai, regularisation assignment",
    ),
    (
        "lambd / m * W1",
        "lambd * W1",
        COUNT + r"|\bm\b|penalty|regulari|weight decay|lambd",
        "the penalty is divided by m, too",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "db1 = 1 / m * np.sum(dZ1, axis=1, keepdims=True)",
        "db1 = np.sum(dZ1, axis=1, keepdims=True)",
        COUNT + r"|\bm\b",
        "dZ1 has no 1 / m in it: it belongs to the bias, too",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "(W2.T @ dZ2) * (A1 > 0)",
        "(W2.T @ dZ2) * A1 * (1 - A1)",
        r"relu|sigmoid|slope|activation|derivative|\bmask|another",
        "the hidden layer has relu, not a sigmoid",
        M,
        "made up",
    ),
)
