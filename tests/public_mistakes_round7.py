"""Wrong backwards of kinds that nobody who worked on the names had seen: collected and written apart, sealed until measured.

The format is that of `public_mistakes_reserve.py`: (right, wrong, pattern of fair names, what a teacher would say, pattern of
names that mislead, source).
"""

import numpy as np
from public_mistakes_fresh import family

rng = np.random.default_rng(7077)


def draw(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return np.abs(rng.normal(size=shape)) + 0.3


M = r"\bsign\b|transposed|averaged"  # what misleads in most cases
N = M + "|too many"  # and where something is missing

ROUND7 = {}  # ---------------------------------------------------------------- activations

ROUND7["squareplus with a learnt bend"] = family(
    """
def forward(x, b):
    r = np.sqrt(x * x + b)
    return (x + r) / 2, (x, b, r)

def backward(g, cache):
    x, b, r = cache
    dx = g * (1 + x / r) / 2
    db = (g / (4 * r)).sum(axis=0)
    return dx, db
""",
    (draw(3, 4), positive(4)),
    (
        "g / (4 * r)",
        "g / (2 * r)",
        r"\bhalf|\bhalv|\b[24]\b|0\.5|\bouter|constant|\bscale|\btwice|double|factor",
        "the half in front of the whole formula is missing; the root alone gives 1 / (2 r)",
        N.replace("|too many", ""),
        "made up",
    ),
    (
        "1 + x / r",
        "1 + x / r**2",
        r"\broot|sqrt|\bpower|square|r\*\*2|exponent|\br\b|\bslope",
        "the root's derivative is x / r: r stands squared",
        M,
        "made up",
    ),
    (
        "(1 + x / r)",
        "(x / r)",
        r"\bterm|\b1 \+|identity|direct|\bpath|branch|linear|summand|\bboth|sum rule|\boccur",
        "x also stands alone in front of the root: its 1 is missing",
        N,
        "made up",
    ),
)

ROUND7["concatenated relu"] = family(
    """
def crelu(x):
    return np.hstack([np.maximum(x, 0), np.maximum(-x, 0)]), x

forward = crelu

def backward(dout, x):
    k = x.shape[1]
    dpos, dneg = dout[:, :k], dout[:, k:]
    return dpos * (x > 0) - dneg * (x < 0)
""",
    (draw(3, 4),),
    (
        "- dneg",
        "+ dneg",
        r"\bsign|\bminus|\bnegat|-x|- dneg|\binner|subtract",
        "the second half is a function of -x: its derivative has a minus",
        "transposed|averaged",
        "made up",
    ),
    (
        "(x < 0)",
        "(x > 0)",
        r"\bmask|condition|negative|x < 0|\bside|inverse|invert|opposite|comparison|\bwhere",
        "the second half lets the negative x through: its mask is that of the first half",
        M,
        "made up",
    ),
    (
        "dout[:, k:]",
        "dout[:, :k]",
        r"\bhalf|halves|second|\bslice|\btwice|columns|\bpart|k:|channel|\bsplit",
        "the first half of dout is used twice, the second never",
        M,
        "made up",
    ),
    (
        "(x > 0)",
        "(dpos > 0)",
        r"\bmask|condition|x > 0|\binput|incoming|compar|\bdpos|\bwhere|gradient'?s? sign|linear|not linear in dy",
        "the mask must come from the input x, not from the incoming gradient",
        "transposed|averaged",
        "made up",
    ),
)

ROUND7["inverse square root unit"] = family(
    """
class ISRU:
    def forward(self, x, a):
        self.x, self.a = x, a
        self.q = 1 + a * x**2
        return x / np.sqrt(self.q)

    def backward(self, dy):
        x, q = self.x, self.q
        cube = q**-1.5
        da = np.sum(-0.5 * dy * x**3 * cube)
        return dy * cube, np.array([da])

unit = ISRU()
forward, backward = unit.forward, unit.backward
""",
    (draw(3, 4), positive(1)),
    (
        "return dy * cube",
        "return dy / np.sqrt(q)",
        r"denominator|quotient|product rule|\bterm|depend|\bpower|exponent|1\.5|\bcube|\bq\b|\broot|second",
        "x also stands in the denominator: the quotient rule gives q^-1.5",
        M,
        "made up",
    ),
    (
        "x**3",
        "x**2",
        r"\bpower|exponent|\bx\b|x\*\*3|factor|numerator|square|\bcube",
        "the x of the numerator is missing: x times x squared",
        N,
        "made up",
    ),
    (
        "-0.5 * dy",
        "0.5 * dy",
        r"\bsign|\bminus|\bnegat|-0\.5",
        "a stands under the bar: its derivative is negative",
        "transposed|averaged",
        "made up",
    ),
)

ROUND7["x times its tanh"] = family(
    """
def forward(x):
    t = np.tanh(x)
    return x * t, {"x": x, "t": t}

def backward(grad, memo):
    x, t = memo["x"], memo["t"]
    local = t + x * (1 - t * t)
    return grad * local
""",
    (draw(4, 3),),
    (
        "1 - t * t",
        "1 - x * x",
        r"output|t \* t|\btanh|t\*\*2|\bvalue|\binput|\bx\b|\bslope|activation",
        "the slope of tanh is 1 minus its value squared; here its argument is squared",
        M,
        "public: ooples/AiDotNet.Tensors#185 (input for output)",
    ),
    (
        "x * (1 - t * t)",
        "(1 - t * t)",
        r"factor|product|\bx\b|\binput|\bother",
        "the factor x of the product rule is missing",
        N,
        "made up",
    ),
    (
        "t + x * (1 - t * t)",
        "x * (1 - t * t)",
        r"\bterm|product rule|\bt\b|\+|summand|\bfirst|\boccur|\bboth|\bpath|other factor",
        "one term of the product rule is missing: x has the slope 1",
        N,
        "made up",
    ),
    (
        "t + x",
        "t - x",
        r"\bsign|\bminus|\bnegat|\bplus|\+|\badd",
        "both terms of the product rule are added",
        "transposed|averaged",
        "made up",
    ),
)

ROUND7["ramp with a learnt width"] = family(
    """
def forward(x, w):
    ramp = np.clip((x + w) / (2 * w), 0, 1)
    return ramp, (x, w)

def backward(dy, cache):
    x, w = cache
    inside = np.abs(x) < w
    dx = dy * inside / (2 * w)
    dw = -dy * inside * x / (2 * w**2)
    return dx, dw.sum(axis=0)
""",
    (draw(4, 3), np.array([0.9, 1.4, 0.7])),
    (
        "dx = dy * inside / (2 * w)",
        "dx = dy * inside / w",
        r"\b2\b|\bhalf|\bhalv|constant|\bscale|\bdivi|denominator|factor|\bwidth",
        "the ramp is 2 w wide: its slope is 1 / (2 w)",
        M,
        "public: fangwei123456/spikingjelly#413",
    ),
    (
        "x / (2 * w**2)",
        "x / (2 * w)",
        r"square|\bpower|exponent|w\*\*2|quotient|reciprocal|1 / w|factor|denominator",
        "the derivative of 1 / w is -1 / w squared",
        N,
        "made up",
    ),
    (
        "-dy * inside * x",
        "-dy * x",
        r"\bmask|inside|\bclip|saturat|outside|\bflat|\blimit|\bbound|\bwhere|zero",
        "outside the ramp the function is constant: the mask is missing",
        M,
        "made up",
    ),
    (
        "np.abs(x) < w",
        "x < w",
        r"\bmask|\blower|\babs\b|absolute|\bbelow|\bleft|\bside|condition|\blimit|\bbound|saturat|-w|\bclip|negative",
        "the lower end of the ramp is forgotten",
        M,
        "made up",
    ),
)

ROUND7["dense layer with arctan"] = family(
    """
def forward(X, W, b):
    z = X @ W + b
    return np.arctan(z), (X, W, z)

def backward(dA, cache):
    X, W, z = cache
    dz = dA / (1 + z**2)
    dW = np.dot(X.T, dz)
    db = dz.sum(axis=0)
    dX = np.dot(dz, W.T)
    return dX, dW, db
""",
    (draw(4, 3), draw(3, 3), draw(3)),
    (
        "1 + z**2",
        "1 + dA**2",
        r"\bz\b|pre-?activation|\binput|argument|dA|incoming|\bslope|derivative|not linear in dy",
        "the slope of arctan is due at z, not at the incoming gradient",
        M,
        "public: ooples/AiDotNet#497",
    ),
    (
        "np.dot(dz, W.T)",
        "np.dot(dA, W.T)",
        r"\bslope|\bdz|activation|derivative|arctan|1 \+ z|factor|before|\bafter",
        "the slope of arctan is missing on the way to X: dA stands where dz is due",
        N,
        "made up",
    ),
    (
        "db = dz.sum(axis=0)",
        "db = dA.sum(axis=0)",
        r"\bslope|\bdz|activation|derivative|arctan|1 \+ z|factor|before|\bafter",
        "the bias stands inside arctan: dz is due, not dA",
        N,
        "public: arthurdouillard/deepcourse#6 (h for its preactivation)",
    ),
    (
        "np.dot(dz, W.T)",
        "np.dot(dz, W)",
        r"transpos|\.T|W\.T|\baxis|orientation",
        "W must be transposed on the way back",
        r"\bsign\b|averaged",
        "made up",
    ),
)

# ---------------------------------------------------------------- projections and softmaxes

ROUND7["sparsemax of rows"] = family(
    """
def forward(z):
    z_sorted = -np.sort(-z, axis=1)
    k = np.arange(1, z.shape[1] + 1)
    partial = np.cumsum(z_sorted, axis=1) - 1
    size = (z_sorted * k > partial).sum(axis=1, keepdims=True)
    tau = np.take_along_axis(partial, size - 1, axis=1) / size
    p = np.maximum(z - tau, 0)
    return p, p

def backward(dp, p):
    s = p > 0
    n = np.sum(s, axis=1, keepdims=True)
    v = np.sum(dp * s, axis=1, keepdims=True) / n
    return s * (dp - v)
""",
    (np.array([[0.9, 0.4, -1.3, 0.1], [1.2, -0.5, 0.6, 0.7], [-0.2, 0.3, 0.25, 2.0], [0.5, 0.1, 0.45, -0.9]]),),
    (
        "np.sum(dp * s, axis=1, keepdims=True) / n",
        "np.mean(dp, axis=1, keepdims=True)",
        r"support|\bmask|\bs\b|\bcount|averag|\bmean|zero|\bn\b|active|selected",
        "the mean runs over the support only, not over all classes",
        r"\bsign\b|transposed",
        "public: FluxML/NNlib.jl#364 (rows with zeros)",
    ),
    (
        "s * (dp - v)",
        "s * dp",
        r"\bmean|common|subtract|\bterm|\bv\b|\bcentr|threshold|\btau|depend|\bsum|\bcoupl|\brow|a common term",
        "the threshold depends on all z: the mean over the support is missing",
        N,
        "made up",
    ),
    (
        "np.sum(dp * s, axis=1, keepdims=True)",
        "np.sum(dp * s, axis=0, keepdims=True)",
        r"\baxis|\brow|column|\balong|direction|dimension",
        "the sum runs along the wrong axis",
        r"\bsign\b|averaged",
        "public: deep-spin/entmax#13",
    ),
    (
        "s * (dp - v)",
        "p * (dp - v)",
        r"softmax|\bmask|support|\bp\b|\bs\b|\bslope|factor|output|probab|too many|indicator",
        "this is softmax's factor p: sparsemax has the mask of the support",
        M,
        "made up",
    ),
)

ROUND7["softmax with a sink"] = family(
    """
def forward(x, b):
    top = max(x.max(), b[0])
    e, e0 = np.exp(x - top), np.exp(b[0] - top)
    total = e.sum(axis=1, keepdims=True) + e0
    return e / total, (e / total, e0 / total)

def backward(dy, cache):
    p, p0 = cache
    inner = (dy * p).sum(axis=1, keepdims=True)
    dx = p * (dy - inner)
    db = -np.sum(p0 * inner)
    return dx, np.reshape(db, (1,))
""",
    (draw(3, 4), draw(1)),
    (
        "-np.sum(p0 * inner)",
        "np.sum(p0 * inner)",
        r"\bsign|\bminus|\bnegat|-np|denominator",
        "the sink only stands in the denominator: its derivative is negative",
        "transposed|averaged",
        "made up",
    ),
    (
        "p * (dy - inner)",
        "p * dy",
        r"\binner|\bsum|subtract|\bterm|softmax|jacobian|\bcoupl|denominator|normal|common|\brow|others",
        "the denominator depends on every x: the row's sum is missing",
        N,
        "public: pjreddie/darknet#96 (softmax passed on)",
    ),
    (
        "p0 * inner",
        "inner",
        r"\bp0\b|factor|probab|\bsink|weight|\bexp\b|exponential|\bshare",
        "the sink's own probability p0 is missing",
        N,
        "made up",
    ),
)

ROUND7["soft argmax of positions"] = family(
    """
BETA = 1.7

def forward(x):
    e = np.exp(BETA * (x - x.max(axis=1, keepdims=True)))
    p = e / e.sum(axis=1, keepdims=True)
    where = np.arange(x.shape[1])
    return p @ where, (p, where)

def backward(dy, saved):
    p, where = saved
    mean = (p @ where)[:, None]
    return BETA * dy[:, None] * p * (where - mean)
""",
    (draw(3, 5),),
    (
        "(where - mean)",
        "where",
        r"\bmean|\bcentr|subtract|softmax|jacobian|\bterm|denominator|\bcoupl|expect|normal|common|\bsum",
        "the softmax's denominator is ignored: the mean position must be taken off",
        N,
        "made up",
    ),
    (
        "BETA * dy[:, None]",
        "dy[:, None]",
        r"\bbeta|BETA|1\.7|temperature|\bsharp|\bscale|constant|\binner|factor",
        "the sharpness inside the exponent is missing",
        N,
        "made up",
    ),
    (
        "dy[:, None] * p * (where - mean)",
        "dy[:, None] * (where - mean)",
        r"\bp\b|probab|weight|softmax|factor|\bslope",
        "the probability p of each position is missing",
        N,
        "made up",
    ),
)

ROUND7["gate that keeps the two best"] = family(
    """
def forward(logits):
    best = np.argsort(-logits, axis=1)[:, :2]
    kept = np.take_along_axis(logits, best, axis=1)
    e = np.exp(kept - kept.max(axis=1, keepdims=True))
    w = e / e.sum(axis=1, keepdims=True)
    out = np.zeros_like(logits)
    np.put_along_axis(out, best, w, axis=1)
    return out, (best, w)

def backward(dout, cache):
    best, w = cache
    dw = np.take_along_axis(dout, best, axis=1)
    dkept = w * (dw - (w * dw).sum(axis=1, keepdims=True))
    dlogits = np.zeros_like(dout)
    np.put_along_axis(dlogits, best, dkept, axis=1)
    return dlogits
""",
    (draw(4, 5),),
    (
        "np.put_along_axis(dlogits, best, dkept, axis=1)",
        "dlogits[:, -2:] = dkept",
        r"\bindex|indices|position|\bplace|\bbest|scatter|\border|permut|\bsort|\bwhere|\blast|right numbers in wrong places",
        "the gradients are put at the end of the row and not where the winners stand",
        M,
        "public: ml-explore/mlx#1428",
    ),
    (
        "w * (dw - (w * dw).sum(axis=1, keepdims=True))",
        "w * (1 - w) * dw",
        r"softmax|jacobian|diagonal|\bcoupl|\bother|\bcross|\bsum|off-diag|elementwise|sigmoid",
        "only the diagonal of softmax's Jacobian: the other winner matters too",
        M,
        "made up",
    ),
    (
        "np.take_along_axis(dout, best, axis=1)",
        "dout[:, :2]",
        r"\bindex|position|\bplace|\bbest|gather|\btake|\border|permut|\bsort|\bwhere|\bfirst|right numbers in wrong places",
        "the incoming gradient must be taken where the winners stand",
        M,
        "made up",
    ),
)

ROUND7["softmax within segments"] = family(
    """
SEG = np.array([0, 0, 1, 1, 1, 2, 2])

def forward(x):
    top = np.full(3, -np.inf)
    np.maximum.at(top, SEG, x)
    e = np.exp(x - top[SEG])
    y = e / np.bincount(SEG, e)[SEG]
    return y, y

def backward(dy, y):
    total = np.bincount(SEG, dy * y)
    return y * (dy - total[SEG])
""",
    (draw(7),),
    (
        "total[SEG]",
        "total.sum()",
        r"segment|\bgroup|SEG|\bown|within|\bper\b|bincount|global|\bwhole|wrong sum|too many",
        "the sum over all segments stands where that of the own segment is due",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "np.bincount(SEG, dy * y)",
        "np.bincount(SEG, dy)",
        r"\by\b|weight|probab|dy \* y|softmax|factor|\binner|jacobian",
        "the sum must be weighted with the probabilities y",
        N,
        "made up",
    ),
    (
        "y * (dy - total[SEG])",
        "y * dy",
        r"\bsum|subtract|\bterm|softmax|jacobian|\bcoupl|denominator|normal|common|\btotal|others|segment",
        "the denominator of each segment is ignored",
        N,
        "made up",
    ),
)

ROUND7["two rounds of row and column normalising"] = family(
    """
def forward(x):
    k = np.exp(x)
    r = k.sum(axis=1, keepdims=True)
    a = k / r
    c = a.sum(axis=0, keepdims=True)
    b = a / c
    return b, (k, r, a, c, b)

def backward(db, cache):
    k, r, a, c, b = cache
    da = (db - (db * b).sum(axis=0, keepdims=True)) / c
    dk = (da - (da * a).sum(axis=1, keepdims=True)) / r
    return dk * k
""",
    (draw(4, 4),),
    (
        "dk * k",
        "dk",
        r"\bexp\b|exponential|\bk\b|factor|\bslope|derivative|\binner",
        "the exponential's slope k is missing",
        N,
        "made up",
    ),
    (
        "(db - (db * b).sum(axis=0, keepdims=True)) / c",
        "db / c",
        r"column|\bsum|subtract|\bterm|normal|denominator|depend|\bcoupl|quotient|common|\bc\b",
        "the column sums depend on a as well: their term is missing",
        N,
        "made up",
    ),
    (
        "(da * a).sum(axis=1, keepdims=True)",
        "(da * a).sum(axis=0, keepdims=True)",
        r"\baxis|\brow|column|\balong|direction|dimension",
        "rows were normalised last but one: the sum runs along the wrong axis",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "(da * a)",
        "(da * k)",
        r"\ba\b|\bk\b|normal|before|\bafter|\bdivi|\br\b|quotient|unnormal|factor",
        "the normalised a is due, the raw k stands there",
        M,
        "made up",
    ),
)

# ---------------------------------------------------------------- layers of recommenders and mixtures

ROUND7["soft mixture of experts"] = family(
    """
def forward(x, Wg, E):
    s = x @ Wg
    g = np.exp(s - s.max(axis=1, keepdims=True))
    g /= g.sum(axis=1, keepdims=True)
    h = np.einsum("nd,kdo->nko", x, E)
    y = (g[:, :, None] * h).sum(axis=1)
    return y, (x, Wg, E, g, h)

def backward(dy, cache):
    x, Wg, E, g, h = cache
    dh = g[:, :, None] * dy[:, None, :]
    dg = (dy[:, None, :] * h).sum(axis=2)
    ds = g * (dg - (dg * g).sum(axis=1, keepdims=True))
    dWg = x.T @ ds
    dE = np.einsum("nd,nko->kdo", x, dh)
    dx = np.einsum("nko,kdo->nd", dh, E) + ds @ Wg.T
    return dx, dWg, dE
""",
    (draw(4, 3), draw(3, 2), draw(2, 3, 5)),
    (
        " + ds @ Wg.T",
        "",
        r"\bgate|\bpath|branch|\bterm|router|two ways|\bboth|Wg|second|places|\boccur|\bsum",
        "x also decides the gate: this second path is missing",
        N,
        "public: linkedin/Liger-Kernel#1413 (one of two parts)",
    ),
    (
        "g[:, :, None] * dy[:, None, :]",
        "np.ones_like(h) * dy[:, None, :]",
        r"\bgate|weight|\bg\b|mixture|factor|product|\bother",
        "each expert must be weighted with its gate",
        N,
        "made up",
    ),
    (
        "g * (dg - (dg * g).sum(axis=1, keepdims=True))",
        "g * (1 - g) * dg",
        r"softmax|jacobian|diagonal|\bcoupl|\bother|\bcross|\bsum|off-diag|elementwise|sigmoid",
        "only the diagonal of softmax's Jacobian",
        M,
        "made up",
    ),
    (
        "(dy[:, None, :] * h)",
        "(dh * h)",
        r"\bgate|\bg\b|\btwice|double|\bdh|\bextra|too many|squared|\bdy\b|already",
        "the gate's own value has no place in its derivative: dy is due, not dh",
        M,
        "made up",
    ),
)

ROUND7["low rank adapter"] = family(
    """
SCALE = 1.5

def forward(x, W, A, B):
    h = x @ A
    return x @ W + SCALE * (h @ B), dict(x=x, W=W, A=A, B=B, h=h)

def backward(dy, m):
    dh = SCALE * (dy @ m["B"].T)
    dB = SCALE * (m["h"].T @ dy)
    dA = m["x"].T @ dh
    dW = m["x"].T @ dy
    dx = dy @ m["W"].T + dh @ m["A"].T
    return dx, dW, dA, dB
""",
    (draw(4, 3), draw(3, 5), draw(3, 2), draw(2, 5)),
    (
        'dB = SCALE * (m["h"].T @ dy)',
        'dB = m["h"].T @ dy',
        r"SCALE|\bscale|1\.5|constant|factor|\balpha",
        "the adapter's scale is missing",
        N,
        "made up",
    ),
    (
        'dA = m["x"].T @ dh',
        'dA = SCALE * (m["x"].T @ dh)',
        r"SCALE|\bscale|\btwice|double|squared|1\.5|2\.25|constant|factor|already|too many",
        "the scale is in dh already: it counts twice",
        M,
        "made up",
    ),
    (
        ' + dh @ m["A"].T',
        "",
        r"\bpath|branch|\bterm|adapter|low.rank|two ways|\bboth|\bA\b|\bdh|second|places|\boccur|\bsum",
        "x also enters the adapter: this path is missing",
        N,
        "made up",
    ),
    (
        'dW = m["x"].T @ dy',
        'dW = SCALE * (m["x"].T @ dy)',
        r"SCALE|\bscale|1\.5|constant|factor|\bextra|too many|only the adapter|not scaled",
        "the frozen path has no scale",
        M,
        "made up",
    ),
)

ROUND7["factorisation machine"] = family(
    """
def forward(x, w, V):
    s = x @ V
    pairs = 0.5 * (s**2 - (x**2) @ (V**2)).sum(axis=1)
    return x @ w + pairs, (x, w, V, s)

def backward(dy, cache):
    x, w, V, s = cache
    col = dy[:, None]
    dx = col * (w + s @ V.T - x * (V**2).sum(axis=1))
    dw = x.T @ dy
    dV = x.T @ (col * s) - V * ((x**2).T @ dy)[:, None]
    return dx, dw, dV
""",
    (draw(5, 4), draw(4), draw(4, 3)),
    (
        " - V * ((x**2).T @ dy)[:, None]",
        "",
        r"\bterm|second|square|x\*\*2|diagonal|\bself|\bown|\bpair|subtract|\bminus|\bboth|\boccur|product rule|difference",
        "the second term is missing: no feature pairs with itself",
        "transposed|averaged|too many",
        "public: apache/systemds#696",
    ),
    (
        "(x**2).T",
        "x.T",
        r"square|\bpower|exponent|x\*\*2|factor|\btwice|\bx\b",
        "x enters the second sum squared",
        M,
        "made up",
    ),
    (
        "(w + s @ V.T",
        "(s @ V.T",
        r"linear|\bfirst|\bterm|\bw\b|\bpath|\bboth|\boccur|summand",
        "x also stands in the linear part: w is missing",
        N,
        "made up",
    ),
    (
        "(V**2).sum(axis=1)",
        "V.sum(axis=1)",
        r"square|\bpower|exponent|V\*\*2|factor|\bV\b",
        "the factors enter this sum squared",
        M,
        "made up",
    ),
)

ROUND7["cross layer"] = family(
    """
def forward(x0, x, w, b):
    s = x @ w
    return x0 * s[:, None] + b + x, (x0, x, w, s)

def backward(dy, cache):
    x0, x, w, s = cache
    ds = np.sum(dy * x0, axis=1)
    dx0 = dy * s[:, None]
    dx = np.outer(ds, w) + dy
    dw = x.T @ ds
    db = dy.sum(axis=0)
    return dx0, dx, dw, db
""",
    (draw(4, 3), draw(4, 3), draw(3), draw(3)),
    (
        "np.outer(ds, w) + dy",
        "np.outer(ds, w)",
        r"residual|\bskip|\bpath|direct|branch|\bterm|\+ dy|\bboth|identity|shortcut|summand|\boccur",
        "the skip connection's gradient is missing",
        N,
        "made up",
    ),
    (
        "x.T @ ds",
        "x0.T @ ds",
        r"x0|\bx\b|operand|wrong input|\bother|\bswap|factor|mixed up|in place of",
        "s is x @ w: x is due, x0 stands there",
        M,
        "made up",
    ),
    (
        "np.sum(dy * x0, axis=1)",
        "np.sum(dy, axis=1)",
        r"x0|factor|product|operand|\bother",
        "the factor x0 of the product is missing",
        N,
        "made up",
    ),
)

ROUND7["weighted least squares of word pairs"] = family(
    """
COUNTS = np.log(1.0 + np.arange(1, 17).reshape(4, 4) % 7)
FW = np.array([[0.2, 0.9, 0.5, 1.0], [0.7, 0.1, 0.4, 0.8], [1.0, 0.6, 0.3, 0.2], [0.5, 0.5, 0.9, 0.7]])

def forward(W, C, bw, bc):
    diff = W @ C.T + bw[:, None] + bc - COUNTS
    return np.sum(FW * diff**2), (W, C, diff)

def backward(dJ, cache):
    W, C, diff = cache
    dS = 2 * dJ * FW * diff
    gW = dS @ C
    gC = dS.T @ W
    gbw = np.sum(dS, axis=1)
    gbc = np.sum(dS, axis=0)
    return gW, gC, gbw, gbc
""",
    (draw(4, 3), draw(4, 3), draw(4), draw(4)),
    (
        "dS.T @ W",
        "dS @ W",
        r"transpos|\.T|orientation|rows and columns|\baxis",
        "dS must be transposed: its columns belong to the context words",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "np.sum(dS, axis=1)",
        "np.sum(dS, axis=0)",
        r"\baxis|\brow|column|\balong|direction|\bswap|other bias|dimension",
        "the bias of the rows sums along the columns",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "np.sum(dS, axis=1)",
        "2 * dJ * np.sum(diff, axis=1)",
        r"weight|FW|factor|\bdS\b",
        "the weights FW are missing for the bias",
        N,
        "public: stanfordnlp/GloVe#209 (bias without the factor)",
    ),
    (
        "FW * diff",
        "FW**2 * diff",
        r"weight|FW|\btwice|double|square|\bpower|exponent|factor|too many|\bextra",
        "the weight stands outside the square: it counts once",
        M,
        "made up",
    ),
)

ROUND7["matrix factorisation of observed ratings"] = family(
    """
R = np.array([[5.0, 3.0, 0.0, 1.0], [4.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 5.0]])
SEEN, LAM = R > 0, 0.1

def forward(P, Q):
    E = np.where(SEEN, R - P @ Q.T, 0.0)
    return np.sum(E**2) + LAM * (np.sum(P**2) + np.sum(Q**2)), (P, Q)

def backward(g, factors):
    P, Q = factors
    err = SEEN * (R - P @ Q.T)
    dP = g * (2 * LAM * P - 2 * err @ Q)
    dQ = g * (2 * LAM * Q - 2 * err.T @ P)
    return dP, dQ
""",
    (draw(3, 2), draw(4, 2)),
    (
        "2 * err.T @ P",
        "2 * err.T @ (P - 0.01 * dP)",
        r"\bupdat|\bstale|\bnew|\bP\b|dP|changed|\bstep|\bold|\bmoved|same values|not linear in dy",
        "dQ must use the P of the forward pass, not the P after its step",
        M,
        "public: albertauyeung/matrix-factorization-in-python#3",
    ),
    (
        "SEEN * (R - P @ Q.T)",
        "R - P @ Q.T",
        r"\bmask|SEEN|observed|missing entries|unrated|\bwhere|zero|all entries",
        "entries without a rating have no error: the mask is missing",
        M,
        "made up",
    ),
    (
        "2 * LAM * P - 2 * err @ Q",
        "-2 * err @ Q",
        r"regular|penalty|\bdecay|LAM|\blam|\bterm|P\*\*2|second|\bboth|summand|\boccur",
        "the penalty's part 2 LAM P is missing",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "2 * LAM * Q - 2 * err.T @ P",
        "2 * LAM * Q + 2 * err.T @ P",
        r"\bsign|\bminus|\bnegat|subtract|\binner|\berror|residual",
        "the error is R - P Q: its derivative has a minus",
        "transposed|averaged",
        "made up",
    ),
)

ROUND7["user with implicit items"] = family(
    """
ITEMS = [0, 2, 4]

def forward(p, Y, Q):
    u = p + Y[ITEMS].sum(axis=0) / np.sqrt(len(ITEMS))
    return Q @ u, (p, Y, Q, u)

def backward(dr, cache):
    p, Y, Q, u = cache
    du = Q.T @ dr
    dQ = np.outer(dr, u)
    dY = np.zeros_like(Y)
    dY[ITEMS] += du / np.sqrt(len(ITEMS))
    return du, dY, dQ
""",
    (draw(3), draw(5, 3), draw(4, 3)),
    (
        "du / np.sqrt(len(ITEMS))",
        "du",
        r"\broot|sqrt|\bscale|normal|\bdivi|constant|factor|\blen|number of",
        "the division by the root of the number of items is missing",
        M,
        "public: mlpack/mlpack#1458",
    ),
    (
        "du / np.sqrt(len(ITEMS))",
        "du / len(ITEMS)",
        r"\broot|sqrt|\bscale|normal|\bdivi|constant|factor|\bmean|averag|\bcount|number of|\blen",
        "the forward divides by the root of the number, the backward by the number",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "dY[ITEMS] += du",
        "dY[:] += du",
        r"\bindex|ITEMS|\brows|gather|select|not used|zero|scatter",
        "rows that were not gathered have no gradient",
        M,
        "made up",
    ),
    (
        "np.outer(dr, u)",
        "np.outer(dr, p)",
        r"\bp\b|\bu\b|implicit|\bpart|\bsum|operand|intermediate|\bwhole",
        "Q multiplies the whole user vector u, not p alone",
        M,
        "made up",
    ),
)

ROUND7["ranking of pairs by a logistic loss"] = family(
    """
def forward(u, i, j):
    x = (u * (i - j)).sum(axis=1)
    return np.log1p(np.exp(-x)), (u, i, j, x)

def backward(dL, cache):
    u, i, j, x = cache
    s = 1 / (1 + np.exp(x))
    c = -(dL * s)[:, None]
    du = c * (i - j)
    di = c * u
    dj = -c * u
    return du, di, dj
""",
    (draw(4, 3), draw(4, 3), draw(4, 3)),
    (
        "1 / (1 + np.exp(x))",
        "1 / (1 + np.exp(-x))",
        r"1 - |complement|sigmoid|exp\(|\bnegat|argument|\bsign|exponent|-x",
        "the derivative of log(1 + exp(-x)) is -sigmoid(-x)",
        "transposed|averaged",
        "made up",
    ),
    (
        "dL * s",
        "dL * s * (1 - s)",
        r"\bslope|1 - s|\btwice|\bextra|too many|already|factor|sigmoid|\blog|cancel|superfluous",
        "the slope of the sigmoid cancels with the logarithm: it is too much here",
        M,
        "public: NLPchina/Word2VEC_java#1",
    ),
    (
        "c * (i - j)",
        "c * i",
        r"\bj\b|i - j|difference|\bterm|second|subtract|\bminus|\bpart|\bother",
        "u multiplies the difference: the part of j is missing",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "-c * u",
        "c * u",
        r"\bsign|\bminus|\bnegat|subtract",
        "j is subtracted: its gradient has the other sign",
        "transposed|averaged",
        "made up",
    ),
)

ROUND7["context words averaged before a softmax"] = family(
    """
CONTEXT, TARGET = np.array([1, 3, 1, 0]), 2

def forward(E, O):
    h = E[CONTEXT].mean(axis=0)
    z = O @ h
    z = z - z.max()
    loss = np.log(np.exp(z).sum()) - z[TARGET]
    return loss, (E, O, h, z)

def backward(dloss, cache):
    E, O, h, z = cache
    p = np.exp(z) / np.exp(z).sum()
    p[TARGET] -= 1
    dz = dloss * p
    dO = np.outer(dz, h)
    dh = O.T @ dz
    dE = np.zeros_like(E)
    np.add.at(dE, CONTEXT, dh / len(CONTEXT))
    return dE, dO
""",
    (draw(5, 3), draw(5, 3)),
    (
        "dh / len(CONTEXT)",
        "dh",
        r"\bmean|averag|\bdivi|\blen|number|\bcount|constant|\bscale|\b4\b|factor",
        "the forward takes the mean: the division is missing",
        r"\bsign\b|transposed",
        "public: piskvorky/gensim#1873 (mean of the context)",
    ),
    (
        "np.add.at(dE, CONTEXT, dh / len(CONTEXT))",
        "dE[CONTEXT] += dh / len(CONTEXT)",
        r"repeat|duplicate|\btwice|add\.at|accumul|same index|several|\bfancy|\boverw|\blost|more than once",
        "word 1 stands there twice: += with an index list counts it once",
        M,
        "public: PaddlePaddle/Paddle#17662",
    ),
    (
        "p[TARGET] -= 1",
        "p[TARGET] -= p[TARGET]",
        r"target|\blabel|one.hot|\b1\b|softmax|\bclass|probab|- 1|\bminus|subtract",
        "the right class needs p - 1",
        "transposed|averaged",
        "made up",
    ),
)

# ---------------------------------------------------------------- losses

ROUND7["mean squared error of two variables"] = family(
    """
def forward(x0, x1):
    diff = x0 - x1
    return (diff**2).sum() / len(diff), diff

def backward(gy, diff):
    n = len(diff)
    gx0 = gy * diff * (2.0 / n)
    gx1 = -gx0.sum(axis=0)
    return gx0, gx1
""",
    (draw(4, 3), draw(3)),
    (
        "-gx0.sum(axis=0)",
        "-gx0",
        r"\bshape|broadcast|\bsum|\baxis|\brows|wrong shape",
        "x1 was broadcast over the rows: its gradient is summed over them",
        r"\bsign\b|transposed|averaged",
        "public: oreilly-japan/deep-learning-from-scratch-3#20",
    ),
    (
        "-gx0.sum(axis=0)",
        "0 * gx0.sum(axis=0)",
        r"zero|missing|second|x1|no gradient|\bboth|left out|\bnever|not computed",
        "the second input gets no gradient",
        "transposed|averaged",
        "public: BVLC/caffe#137",
    ),
    (
        "(2.0 / n)",
        "(2.0 / diff.size)",
        r"\bdivi|\bcount|number|\bsize|\blen|\brows|\bn\b|averag|\bmean|constant|\bscale|factor",
        "the forward divides by the number of rows, the backward by that of all entries",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "gy * diff",
        "diff",
        r"\bgy|upstream|incoming|\bouter|\bchain|not linear in dy|\bdy\b|ignored|zero in, not zero out",
        "the incoming gradient gy is left out",
        M,
        "public: BVLC/caffe#5407 (loss weight)",
    ),
)

ROUND7["student t likelihood"] = family(
    """
NU = 3.0
T = np.array([0.4, -1.2, 2.5, 0.3, -0.7])

def forward(m, logs):
    s = np.exp(logs)
    r = (T - m) / s
    nll = logs + 0.5 * (NU + 1) * np.log(1 + r**2 / NU)
    return nll, (s, r)

def backward(dy, cache):
    s, r = cache
    dr = (NU + 1) * r / (NU + r**2)
    dm = -dy * dr / s
    dlogs = dy * (1 - dr * r)
    return dm, dlogs
""",
    (draw(5), 0.5 * draw(5)),
    (
        "-dy * dr / s",
        "-dy * dr",
        r"\bs\b|\bscale|\bdivi|\binner|\bchain|1 / s|factor",
        "r = (t - m) / s: the division by s is missing",
        N,
        "made up",
    ),
    (
        "dy * (1 - dr * r)",
        "-dy * dr * r",
        r"\bterm|\b1\b|\blogs|\bfirst|\bboth|\bpath|direct|summand|\boccur|normal",
        "logs also stands alone in the loss: its 1 is missing",
        N,
        "made up",
    ),
    (
        "(NU + 1) * r / (NU + r**2)",
        "(NU + 1) * r / (1 + r**2 / NU)",
        r"NU|\binner|\bchain|constant|\bscale|factor|\bdivi|1 / NU|denominator",
        "the inner derivative 2 r / NU is not complete: NU stands in the denominator too",
        M,
        "made up",
    ),
    (
        "-dy * dr / s",
        "dy * dr / s",
        r"\bsign|\bminus|\bnegat|\binner",
        "r falls with m: the sign is wrong",
        "transposed|averaged",
        "made up",
    ),
)

ROUND7["tversky loss of logits"] = family(
    """
T = np.array([[1.0, 0, 1, 1, 0], [0, 0, 1, 0, 1]])
A, B = 0.7, 0.3

def forward(x):
    p = 1 / (1 + np.exp(-x))
    tp = (p * T).sum(axis=1)
    fp = (p * (1 - T)).sum(axis=1)
    fn = ((1 - p) * T).sum(axis=1)
    den = tp + A * fp + B * fn
    return 1 - tp / den, (p, tp, den)

def backward(dy, cache):
    p, tp, den = [c if c.ndim == 2 else c[:, None] for c in cache]
    dden = T + A * (1 - T) - B * T
    dp = -(T * den - tp * dden) / den**2
    return dy[:, None] * dp * p * (1 - p)
""",
    (draw(2, 5),),
    (
        "A * (1 - T) - B * T",
        "B * (1 - T) - A * T",
        r"\bswap|exchang|\bA\b|\bB\b|weights|\balpha|\bbeta|mixed up|wrong weight|false pos|false neg|constant",
        "the weights of false positives and false negatives are exchanged",
        M,
        "made up",
    ),
    (
        "(T * den - tp * dden)",
        "(T * den)",
        r"quotient|denominator|\bterm|second|\bdden|subtract|\bboth|numerator",
        "the quotient rule's second term is missing: the denominator depends on p",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        " * p * (1 - p)",
        "",
        r"\bslope|sigmoid|1 - p|derivative|factor|activation|\bchain|\blogit",
        "the slope of the sigmoid is missing",
        N,
        "made up",
    ),
    (
        "- B * T",
        "+ B * T",
        r"\bsign|\bminus|\bnegat|subtract|1 - p|false neg",
        "false negatives count 1 - p: a minus",
        "transposed|averaged",
        "made up",
    ),
)

ROUND7["wing loss"] = family(
    """
W, EPS = 1.5, 0.4
C = W - W * np.log(1 + W / EPS)

def forward(pred, target):
    r = pred - target
    a = np.abs(r)
    return np.where(a < W, W * np.log(1 + a / EPS), a - C), r

def backward(dy, r):
    a = np.abs(r)
    slope = np.where(a < W, W / (EPS + a), 1.0)
    d = dy * slope * np.sign(r)
    return d, -d
""",
    (
        np.array([[0.4, -2.9, 1.3], [2.7, -0.6, 0.1]]),
        np.array([[0.1, 0.2, 0.5], [-0.3, 0.3, 0.9]]),
    ),
    (
        "W / (EPS + a)",
        "W / (1 + a / EPS)",
        r"\binner|EPS|\bchain|constant|\bscale|factor|1 / EPS|\bdivi|0\.4|2\.5",
        "the inner derivative 1 / EPS of the logarithm's argument is missing",
        M,
        "made up",
    ),
    (
        "slope * np.sign(r)",
        "slope",
        r"\bsign|\babs\b|absolute|direction|negative|np\.sign|\bkink",
        "the derivative of the absolute value is the sign of r",
        "transposed|averaged",
        "made up",
    ),
    (
        "a < W",
        "r < W",
        r"\babs\b|absolute|condition|\bmask|branch|\bwhere|both sides|negative|\bside|two-sided|a < W|\bpiece|\bcase",
        "the case is decided by r and not by its absolute value",
        M,
        "made up",
    ),
    (
        "return d, -d",
        "return d, d",
        r"\bsign|\bminus|\bnegat|subtract|target|second",
        "the target is subtracted: its gradient has the other sign",
        "transposed|averaged",
        "made up",
    ),
)

ROUND7["squared hinge over classes"] = family(
    """
Y = np.array([2, 0, 1, 2])
REG = 0.05

def forward(X, W):
    scores = X.dot(W)
    right = scores[np.arange(4), Y][:, None]
    margins = np.maximum(0, scores - right + 1)
    margins[np.arange(4), Y] = 0
    loss = np.sum(margins**2) / 4 + 0.5 * REG * np.sum(W * W)
    return loss, (X, W, margins)

def backward(dloss, cache):
    X, W, margins = cache
    dscores = 2 * margins / 4
    dscores[np.arange(4), Y] = -dscores.sum(axis=1)
    dX = dscores.dot(W.T)
    dW = X.T.dot(dscores) + REG * W
    return dloss * dX, dloss * dW
""",
    (draw(4, 5), draw(5, 3)),
    (
        "2 * margins / 4",
        "2 * (margins > 0) / 4",
        r"margin|square|indicator|\bcount|0 or 1|factor|\bmask|\bhinge|\bslope|\(margins > 0\)",
        "the hinge is squared: its slope is twice the margin, not the indicator",
        M,
        "made up",
    ),
    (
        "-dscores.sum(axis=1)",
        "-np.sum(margins > 0, axis=1) / 4",
        r"\bcount|\bsum|right class|correct class|\blabel|margin|indicator|square|number|\brow|target",
        "the right class loses the sum of the others' slopes, not their number",
        M,
        "made up",
    ),
    (
        "+ REG * W",
        "+ 2 * REG * W",
        r"regular|penalty|\bdecay|\b2\b|\bhalf|REG|\btwice|double|constant",
        "the penalty has a half in front: its derivative is REG W",
        M,
        "made up",
    ),
    (
        "dscores[np.arange(4), Y] = -dscores.sum(axis=1)",
        "dscores[np.arange(4), Y] = 0",
        r"right class|correct class|\blabel|target|\bY\b|zero|\brow|\bsum|one-?hot|\bindex",
        "the right class stands in every margin of its row: its gradient is missing",
        N,
        "made up",
    ),
)

ROUND7["ordered classes with thresholds"] = family(
    """
K = np.array([0, 2, 1, 2, 0])

def sigmoid(x):
    return 1 / (1 + np.exp(-x))

def forward(s, cuts):
    edges = np.concatenate([[-40.0], np.cumsum(np.exp(cuts)) - 1, [40.0]])
    hi, lo = sigmoid(edges[K + 1] - s), sigmoid(edges[K] - s)
    return -np.log(hi - lo), (hi, lo, cuts)

def backward(dy, cache):
    hi, lo, cuts = cache
    dhi = -dy / (hi - lo) * hi * (1 - hi)
    dlo = dy / (hi - lo) * lo * (1 - lo)
    ds = -(dhi + dlo)
    dedges = np.zeros(4)
    np.add.at(dedges, K + 1, dhi)
    np.add.at(dedges, K, dlo)
    inner = dedges[1:-1]
    dcuts = np.cumsum(inner[::-1])[::-1] * np.exp(cuts)
    return ds, dcuts
""",
    (draw(5), 0.4 * draw(2)),
    (
        "-(dhi + dlo)",
        "-dhi",
        r"\bterm|\blower|\blo\b|\bdlo|second|\bboth|\bedge|\btwo|summand|\boccur|\bpath",
        "s stands in both edges: the lower edge's part is missing",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "np.cumsum(inner[::-1])[::-1]",
        "np.cumsum(inner)",
        r"revers|\bflip|\border|direction|from the end|suffix|cumsum|cumulat|wrong places|\blater",
        "the derivative of a running sum runs from the end",
        M,
        "made up",
    ),
    (
        " * np.exp(cuts)",
        "",
        r"\bexp\b|exponential|\bslope|factor|\binner|\bchain|derivative",
        "the exponential's own slope is missing",
        N,
        "made up",
    ),
    (
        "np.add.at(dedges, K, dlo)",
        "dedges[K] += dlo",
        r"repeat|duplicate|\btwice|add\.at|accumul|same index|several|\bfancy|\boverw|\blost|more than once",
        "several rows share an edge: += with an index array counts each once",
        M,
        "made up",
    ),
)

ROUND7["cox partial likelihood"] = family(
    """
EVENT = np.array([1.0, 0.0, 1.0, 1.0, 0.0])  # sorted by time

def forward(s):
    e = np.exp(s)
    risk = np.cumsum(e[::-1])[::-1]
    return np.sum(EVENT * (np.log(risk) - s)), (e, risk)

def backward(g, cache):
    e, risk = cache
    weights = np.cumsum(EVENT / risk)
    return g * (e * weights - EVENT)
""",
    (draw(5),),
    (
        "np.cumsum(EVENT / risk)",
        "np.cumsum((EVENT / risk)[::-1])[::-1]",
        r"revers|\bflip|\border|direction|cumsum|cumulat|from the end|earlier|\blater|running|risk set|suffix|prefix",
        "a subject is at risk in all earlier events: the sum runs from the start",
        M,
        "made up",
    ),
    (
        "EVENT / risk",
        "1 / risk",
        r"EVENT|\bevent|\bmask|censor|weight|factor|condition",
        "censored subjects have no term of their own",
        M,
        "made up",
    ),
    (
        "e * weights - EVENT",
        "e * weights - 1",
        r"EVENT|\bevent|\bmask|censor|indicator|condition|constant|\bterm",
        "the linear term counts for events only",
        M,
        "made up",
    ),
    (
        "e * weights",
        "e * EVENT / risk",
        r"\bsum|\bcumul|\bown|\blater|earlier|\bother|risk set|cumsum|\bterm|running|diagonal|weights",
        "s stands in the risk sets of all earlier events, not in its own alone",
        M,
        "made up",
    ),
)

ROUND7["clipped surrogate of a policy"] = family(
    """
OLD = np.array([-0.9, -1.4, -0.3, -2.0, -1.1, -0.6])
ADV = np.array([1.3, -0.8, -1.7, 0.6, 0.9, -0.4])

def forward(logp):
    ratio = np.exp(logp - OLD)
    a = ratio * ADV
    b = np.clip(ratio, 0.8, 1.2) * ADV
    return -np.mean(np.minimum(a, b)), (ratio, a, b)

def backward(dloss, cache):
    ratio, a, b = cache
    free = a <= b
    dratio = -dloss / len(a) * ADV * free
    return dratio * ratio
""",
    (np.array([-0.4, -2.1, -0.1, -2.05, -1.6, -0.2]),),
    (
        "dratio * ratio",
        "dratio",
        r"\bratio|\bexp\b|exponential|\bslope|factor|derivative|\binner|\bchain",
        "the ratio is an exponential: its slope is the ratio itself",
        N,
        "made up",
    ),
    (
        "ADV * free",
        "ADV",
        r"\bmask|\bclip|minimum|\bfree|\bwhere|condition|constant|zero|saturat|\bmin\b|branch|\bflat",
        "where the clipped value is the smaller one the gradient is zero: the mask is missing",
        M,
        "made up",
    ),
    (
        "free = a <= b",
        "free = np.abs(ratio - 1) <= 0.2",
        r"\bmask|minimum|smaller|condition|advantage|\bsign|\bclip|a <= b|branch|ADV|compar|\bwhere",
        "the minimum decides, not the clip alone: with the wrong sign of the advantage the ratio stays free",
        "transposed|averaged",
        "made up",
    ),
    (
        "dloss / len(a)",
        "dloss",
        r"\bmean|averag|\bdivi|\blen|\bcount|constant|\bscale|number|\bsize|factor",
        "the mean's division is missing",
        r"\bsign\b|transposed",
        "made up",
    ),
)

ROUND7["policy gradient with an entropy bonus"] = family(
    """
ACTIONS, RETURNS, BETA = np.array([1, 0, 2, 1]), np.array([0.5, -1.0, 2.0, 0.8]), 0.3

def forward(logits):
    z = logits - logits.max(axis=1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    p = np.exp(logp)
    entropy = -(p * logp).sum(axis=1)
    chosen = logp[np.arange(4), ACTIONS]
    return -np.mean(RETURNS * chosen) - BETA * np.mean(entropy), (p, logp, entropy)

def backward(g, cache):
    p, logp, entropy = cache
    n = len(p)
    onehot = np.eye(p.shape[1])[ACTIONS]
    dpolicy = RETURNS[:, None] * (p - onehot)
    dentropy = -p * (logp + entropy[:, None])
    return g * (dpolicy - BETA * dentropy) / n
""",
    (draw(4, 3),),
    (
        "dpolicy - BETA * dentropy",
        "dpolicy + BETA * dentropy",
        r"\bsign|\bminus|\bnegat|entropy|subtract|\bbonus",
        "the bonus is subtracted from the loss: its sign is wrong",
        "transposed|averaged",
        "public: pukkapies/dl-imperial-maths#8",
    ),
    (
        "(logp + entropy[:, None])",
        "(logp + 1)",
        r"entropy|\bmean|softmax|jacobian|\brow|\bsum|\bterm|\bcentr|expect|common|normal|\bcoupl|\blogp",
        "that is the derivative by p: softmax's Jacobian turns the 1 into the entropy",
        M,
        "made up",
    ),
    (
        "dentropy = -p * (logp + entropy[:, None])",
        "dentropy = -onehot * p * (logp + entropy[:, None])",
        r"one-?hot|chosen|action|\bmask|\bother|entropy|\bwhole|\bclass",
        "the entropy is that of the whole policy, not of the chosen action alone",
        M,
        "public: noahfarr/rlx#3",
    ),
    (
        "(p - onehot)",
        "(1 - onehot)",
        r"\bp\b|softmax|probab|p - onehot|factor|cross entropy|log softmax|1 -",
        "the derivative of the chosen log-probability is onehot - p",
        M,
        "made up",
    ),
)

ROUND7["distillation with a temperature"] = family(
    """
TEACHER = np.array([[2.0, 0.5, -1.0], [0.1, 1.4, 0.3], [-0.7, 0.2, 1.9], [1.0, 0.9, -0.2]])
LABEL, TEMP, MIX = np.array([0, 1, 2, 1]), 2.5, 0.6

def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)

def forward(student):
    soft, hard = softmax(student / TEMP), softmax(student)
    target = softmax(TEACHER / TEMP)
    kl = np.mean(np.sum(target * np.log(target / soft), axis=1))
    ce = -np.mean(np.log(hard[np.arange(4), LABEL]))
    return MIX * TEMP**2 * kl + (1 - MIX) * ce, (soft, hard, target)

def backward(dout, cache):
    soft, hard, target = cache
    dsoft = MIX * TEMP * (soft - target) / 4
    dhard = (1 - MIX) * (hard - np.eye(3)[LABEL]) / 4
    return dout * (dsoft + dhard)
""",
    (draw(4, 3),),
    (
        "MIX * TEMP * (soft - target)",
        "MIX * TEMP**2 * (soft - target)",
        r"TEMP|temperature|\binner|1 / T|\bscale|constant|factor|square|\bpower|\bdivi|too many|exponent",
        "one of the two temperatures cancels with the inner derivative 1 / T",
        M,
        "public: IntelLabs/distiller#122 (T squared)",
    ),
    (
        "(hard - np.eye(3)[LABEL])",
        "(soft - np.eye(3)[LABEL])",
        r"\bhard|\bsoft|temperature|TEMP|\bswap|\bother|wrong softmax|probab|\bmixed",
        "the hard part has its own softmax without temperature",
        M,
        "made up",
    ),
    (
        "(1 - MIX) * (hard",
        "MIX * (hard",
        r"MIX|1 - |weight|complement|mixture|\bshare|constant|factor|\bscale",
        "the hard part has the weight 1 - MIX",
        M,
        "made up",
    ),
)

ROUND7["moments of class scores matched"] = family(
    """
MEAN, VAR = np.array([0.1, -0.4, 0.6]), np.array([0.8, 1.1, 0.5])

def forward(p):
    m, v = p.mean(axis=0), p.var(axis=0)
    return np.mean((m - MEAN)**2) + np.mean((v - VAR)**2), (p, m, v)

def backward(g, cache):
    p, m, v = cache
    size = p.size
    by_mean = 2 * (m - MEAN) / size
    by_var = 4 * (v - VAR) * (p - m) / size
    return g * (by_mean + by_var)
""",
    (draw(5, 3),),
    (
        "2 * (m - MEAN) / size",
        "(m - MEAN) / size",
        r"\b2\b|square|\bpower|\btwice|factor|constant|\bscale|exponent|\bmean",
        "the factor 2 of the mean's square is missing",
        r"\bsign\b|transposed|averaged over",
        "public: ooples/AiDotNet#437 (the mean's 2)",
    ),
    (
        "4 * (v - VAR)",
        "2 * (v - VAR)",
        r"\b2\b|\b4\b|square|\btwice|factor|constant|\bscale|variance|\binner|\bhalf",
        "two squares, two factors of 2: the variance's own is missing",
        r"\bsign\b|transposed|averaged",
        "public: ooples/AiDotNet#437 (the variance's 4)",
    ),
    (
        "(p - m) / size",
        "p / size",
        r"\bcentr|\bm\b|\bmean|p - m|subtract|variance|offset",
        "the variance is taken around the mean: p - m is due",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
)

ROUND7["cross correlation of two views"] = family(
    """
OFF = 0.2

def forward(a, b):
    n = len(a)
    c = a.T @ b / n
    weight = np.where(np.eye(c.shape[0]) > 0, 1.0, OFF)
    gap = c - np.eye(c.shape[0])
    return (weight * gap**2).sum(), (a, b, weight, gap)

def backward(dl, cache):
    a, b, weight, gap = cache
    dc = 2 * dl * weight * gap
    da = b @ dc.T / len(a)
    db = a @ dc / len(a)
    return da, db
""",
    (draw(5, 3), draw(5, 3)),
    (
        "b @ dc.T",
        "b @ dc",
        r"transpos|\.T|orientation|\baxis|rows and columns",
        "dc must be transposed for the first view",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "weight * gap",
        "gap",
        r"weight|OFF|off-?diag|factor|0\.2|diagonal",
        "the weight of the entries off the diagonal is missing",
        N,
        "made up",
    ),
    (
        "db = a @ dc / len(a)",
        "db = a @ dc",
        r"\bn\b|\blen|\bdivi|\bmean|averag|constant|\bscale|\bcount|number|factor|\brows",
        "the correlation is a mean: the division is missing for b",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "2 * dl * weight * gap",
        "2 * dl * weight * (gap + np.eye(len(gap)))",
        r"\beye|identity|target|\bgap|residual|- 1|diagonal|subtract|offset|\berror",
        "the square's slope is due at c minus the identity",
        M,
        "made up",
    ),
)

ROUND7["correlation coefficient as a loss"] = family(
    """
def forward(x, y):
    xc, yc = x - x.mean(), y - y.mean()
    nx, ny = np.sqrt(xc @ xc), np.sqrt(yc @ yc)
    r = xc @ yc / (nx * ny)
    return 1 - r, (xc, yc, nx, ny, r)

def backward(g, cache):
    xc, yc, nx, ny, r = cache
    dx = -g * (yc / (nx * ny) - r * xc / nx**2)
    dy = -g * (xc / (nx * ny) - r * yc / ny**2)
    return dx, dy
""",
    (draw(6), draw(6)),
    (
        " - r * xc / nx**2",
        "",
        r"\bnorm|\bterm|second|denominator|quotient|subtract|depend|\bnx|project|length|\bboth",
        "the norm of x depends on x: its term is missing",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "r * yc / ny**2",
        "r * yc / ny",
        r"square|\bpower|exponent|\bnorm|ny\*\*2|\bdivi|length|\bscale|factor|constant",
        "the norm stands squared under the bar",
        M,
        "made up",
    ),
    (
        "dx = -g *",
        "dx = g *",
        r"\bsign|\bminus|\bnegat|1 - r",
        "the loss is 1 - r: a minus",
        "transposed|averaged",
        "made up",
    ),
    (
        "(xc / (nx * ny) - r * yc / ny**2)",
        "(xc / (nx * ny) - r * xc / ny**2)",
        r"\byc\b|\bxc\b|\bswap|\bcopy|\bother|operand|wrong input|\bown|\bmixed|vector",
        "copied from the line above: y's own vector is due",
        M,
        "made up",
    ),
)

ROUND7["perplexity of a sequence"] = family(
    """
WORDS = np.array([2, 0, 3, 1, 2])

def forward(z):
    zmax = z.max(1, keepdims=True)
    logp = z - zmax - np.log(np.exp(z - zmax).sum(1, keepdims=True))
    nll = -logp[range(5), WORDS].mean()
    return np.exp(nll), (logp, np.exp(nll))

def backward(dperp, cache):
    logp, perp = cache
    dz = np.exp(logp)
    dz[range(5), WORDS] -= 1
    dz /= len(dz)
    return dperp * perp * dz
""",
    (draw(5, 4),),
    (
        "dperp * perp * dz",
        "dperp * dz",
        r"\bperp|\bexp\b|exponential|\bslope|factor|\bouter|\bchain|constant|\bscale",
        "the outer exponential's slope is the perplexity itself",
        N,
        "made up",
    ),
    (
        "dz /= len(dz)",
        "dz /= dz.size",
        r"\blen|\bsize|\bcount|number|\bmean|averag|\bdivi|constant|\bscale|\brows|entries|factor",
        "the mean runs over the words, not over all scores",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "dz[range(5), WORDS] -= 1",
        "dz[:, WORDS] -= 1",
        r"\bindex|\brow|target|\blabel|one-?hot|\brange|\bpair|\bfancy|WORDS|\bclass|column",
        "the slice takes these columns of all rows: one entry per row is due",
        M,
        "made up",
    ),
)

ROUND7["decoding of boxes"] = family(
    """
ANCHORS = np.array([[0.5, 0.4], [1.0, 0.8], [1.6, 0.3]])  # centre and width

def forward(t):
    c, w = ANCHORS.T
    centre = c + t[:, 0] * w
    width = w * np.exp(t[:, 1])
    return np.stack([centre - width / 2, centre + width / 2], axis=1), width

def backward(dbox, width):
    left, right = dbox[:, 0], dbox[:, 1]
    dcentre = left + right
    dwidth = (right - left) / 2
    return np.stack([dcentre * ANCHORS[:, 1], dwidth * width], axis=1)
""",
    (draw(3, 2),),
    (
        "(right - left) / 2",
        "(right + left) / 2",
        r"\bsign|\bminus|\bnegat|subtract|\bleft|difference",
        "the left edge moves against the width: a minus",
        "transposed|averaged",
        "made up",
    ),
    (
        "(right - left) / 2",
        "right - left",
        r"\bhalf|\b2\b|0\.5|constant|\bscale|\bdivi|factor",
        "each edge moves by half the width",
        M,
        "made up",
    ),
    (
        "dwidth * width",
        "dwidth * ANCHORS[:, 1]",
        r"\bexp\b|exponential|\bwidth|\bslope|factor|output|anchor|\bvalue|\binner|\bown",
        "the exponential's slope is the decoded width, not the anchor's",
        M,
        "made up",
    ),
    (
        "dcentre = left + right",
        "dcentre = left",
        r"\bterm|\bright|\bboth|second|\bsum|\bedge|\bpath|summand|\boccur|accumul|\bpart",
        "the centre moves both edges: the right one's part is missing",
        N,
        "made up",
    ),
)

# ---------------------------------------------------------------- sums over paths

ROUND7["score of a tag sequence under a chain"] = family(
    """
TAGS = [1, 0, 2, 2]

def lse(a, axis):
    m = a.max(axis=axis)
    return m + np.log(np.exp(a - np.expand_dims(m, axis)).sum(axis=axis))

def forward(emit, trans):
    alpha = [emit[0]]
    for t in range(1, len(emit)):
        alpha.append(lse(alpha[-1][:, None] + trans, 0) + emit[t])
    gold = sum(emit[t, y] for t, y in enumerate(TAGS))
    gold += sum(trans[a, b] for a, b in zip(TAGS, TAGS[1:]))
    return lse(alpha[-1], 0) - gold, (emit, trans, np.array(alpha))

def backward(g, cache):
    emit, trans, alpha = cache
    T = len(emit)
    logz = lse(alpha[-1], 0)
    demit, dtrans = np.zeros_like(emit), np.zeros_like(trans)
    beta = np.zeros(emit.shape[1])
    for t in range(T - 1, -1, -1):
        demit[t] = np.exp(alpha[t] + beta - logz)
        demit[t, TAGS[t]] -= 1
        if t > 0:
            ahead = emit[t] + beta
            dtrans += np.exp(alpha[t - 1][:, None] + trans + ahead - logz)
            dtrans[TAGS[t - 1], TAGS[t]] -= 1
            beta = lse(trans + ahead, 1)
    return g * demit, g * dtrans
""",
    (draw(4, 3), draw(3, 3)),
    (
        "ahead = emit[t] + beta",
        "ahead = emit[t - 1] + beta",
        r"\bindex|\btime|\bstep|t - 1|\bshift|emission|off by|position|previous|\bemit",
        "the emission belongs to the step that the transition enters",
        M,
        "public: kajyuuen/pytorch-partial-crf#21",
    ),
    (
        "lse(trans + ahead, 1)",
        "lse(trans.T + ahead, 1)",
        r"transpos|\.T|direction|orientation|\baxis|from and to|rows and columns",
        "the transitions run from row to column: no transposing here",
        r"\bsign\b|averaged",
        "public: LxMLS/lxmls-toolkit#43 (indices of the backward pass)",
    ),
    (
        "            dtrans[TAGS[t - 1], TAGS[t]] -= 1\n",
        "",
        r"\bgold|target|\blabel|TAGS|observed|\bminus|\bterm|subtract|\btrue|expected|- 1|one-?hot|\bpath",
        "the gold path's transitions are not subtracted",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "np.exp(alpha[t] + beta - logz)",
        "np.exp(alpha[t] - lse(alpha[t], 0))",
        r"\bbeta|future|\blater|backward|marginal|remaining|suffix|\bterm|second|\bboth",
        "the later steps' scores beta are missing in the marginals",
        N,
        "made up",
    ),
)

ROUND7["soft time warping of a table of costs"] = family(
    """
GAMMA = 0.5

def forward(D):
    n, m = D.shape
    R = np.full((n + 1, m + 1), 1e6)
    R[0, 0] = 0.0
    P = np.zeros((n, m, 3))
    for i in range(n):
        for j in range(m):
            prev = np.array([R[i, j], R[i, j + 1], R[i + 1, j]])
            e = np.exp(-(prev - prev.min()) / GAMMA)
            P[i, j] = e / e.sum()
            R[i + 1, j + 1] = D[i, j] + prev.min() - GAMMA * np.log(e.sum())
    return R[n, m], P

def backward(g, P):
    n, m, _ = P.shape
    E = np.zeros((n + 1, m + 1))
    E[n, m] = g
    for i in range(n - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            here = E[i + 1, j + 1]
            E[i, j] += here * P[i, j, 0]
            E[i, j + 1] += here * P[i, j, 1]
            E[i + 1, j] += here * P[i, j, 2]
    return E[1:, 1:]
""",
    (np.abs(draw(4, 3)),),
    (
        "E[i, j + 1] += here * P[i, j, 1]",
        "E[i, j + 1] = here * P[i, j, 1]",
        r"\boverw|accumul|\+=|\badd|several|\bsum|\blost|replace|assign",
        "a cell has several successors: their parts add up",
        M,
        "made up",
    ),
    (
        "E[i + 1, j] += here * P[i, j, 2]",
        "E[i + 1, j] += here * P[i, j, 1]",
        r"\bindex|weight|\bcopy|\btwice|\bwrong|P\[|\bthird|predecessor|probab|\bshare|neighbo",
        "copied from the line above: the third predecessor's weight is due",
        M,
        "made up",
    ),
    (
        "range(m - 1, -1, -1)",
        "range(m)",
        r"revers|\border|\bloop|\brange|direction|backwards|from the end|last column|opposite|sequence|too early|before",
        "the columns must run from the last to the first: a cell is passed on before it is complete",
        M,
        "made up",
    ),
)

# ---------------------------------------------------------------- sequences

ROUND7["running log sum of exponentials"] = family(
    """
def forward(x):
    y = np.log(np.cumsum(np.exp(x), axis=1))
    return y, (x, y)

def backward(dy, cache):
    x, y = cache
    w = dy * np.exp(-y)
    tail = np.flip(np.cumsum(np.flip(w, 1), 1), 1)
    return np.exp(x) * tail
""",
    (draw(3, 5),),
    (
        "np.flip(np.cumsum(np.flip(w, 1), 1), 1)",
        "np.cumsum(w, 1)",
        r"revers|\bflip|\border|direction|from the end|suffix|\btail|cumsum|cumulat|\blater|causal",
        "x stands in all later outputs: the sum runs from the end",
        M,
        "public: pytorch/pytorch#32876",
    ),
    (
        "np.exp(x) * tail",
        "np.exp(x) * w",
        r"\bsum|\bcumul|\blater|\bown|diagonal|\btail|cumsum|outputs|accumul|only its|\bterm",
        "x stands in all later outputs, not in its own alone",
        M,
        "made up",
    ),
    (
        "dy * np.exp(-y)",
        "dy",
        r"denominator|normal|exp\(-y\)|\bdivi|1 / |\blog|softmax|probab|factor|\bslope",
        "the logarithm's slope, one over the running sum, is missing",
        N,
        "made up",
    ),
)

ROUND7["diagonal state space scan"] = family(
    """
def forward(u, delta, A, B, C):
    T, h = len(u), np.zeros_like(A)
    hs, keep = [h], np.exp(delta * A)
    for t in range(T):
        h = keep[t] * h + delta[t] * B[t] * u[t]
        hs.append(h)
    hs = np.array(hs)
    return C * hs[1:], (u, delta, A, B, C, keep, hs)

def backward(dy, cache):
    u, delta, A, B, C, keep, hs = cache
    dC = dy * hs[1:]
    dkeep, dinp = np.zeros_like(keep), np.zeros_like(keep)
    dh = np.zeros_like(A)
    for t in reversed(range(len(u))):
        dh = dh + dy[t] * C[t]
        dkeep[t] = dh * hs[t]
        dinp[t] = dh
        dh = dh * keep[t]
    ddelta = dkeep * keep * A + dinp * B * u
    dA = (dkeep * keep * delta).sum(axis=0)
    dB = dinp * delta * u
    du = dinp * delta * B
    return du, ddelta, dA, dB, dC
""",
    (draw(5, 2), positive(5, 2), -positive(2), draw(5, 2), draw(5, 2)),
    (
        "dh = dh * keep[t]",
        "dh = 0 * dh",
        r"\bcarr|\btime|\brecur|through time|previous step|later step|\bstate|history|\bstep|\bdecay|\bkeep|earlier|\bbptt|zero",
        "the gradient must be carried back through the state: each step only sees its own output",
        M,
        "public: state-spaces/mamba#598 (before the reverse scan)",
    ),
    (
        "dkeep * keep * A + dinp * B * u",
        "dinp * B * u",
        r"\bterm|\bboth|\btwo|\bpath|\bdecay|\bkeep|second|\bexp\b|exponential|discreti|\boccur|\bplace|summand",
        "delta also sets the decay: that term is missing",
        N,
        "made up",
    ),
    (
        "dkeep[t] = dh * hs[t]",
        "dkeep[t] = dh * hs[t + 1]",
        r"\bindex|previous|off by|\bstep|\btime|\bshift|t \+ 1|\bstate|\bold|\bnew|before|\bafter",
        "the decay multiplies the previous state, not the new one",
        M,
        "made up",
    ),
    (
        "(dkeep * keep * delta)",
        "(dkeep * delta)",
        r"\bexp\b|exponential|\bkeep|\bslope|factor|\binner|derivative",
        "the exponential's slope, the decay itself, is missing",
        N,
        "made up",
    ),
)

ROUND7["minimal gated recurrence"] = family(
    """
def forward(x, Wz, Wh):
    z = 1 / (1 + np.exp(-(x @ Wz)))
    cand = x @ Wh
    h, hs = np.zeros(Wz.shape[1]), []
    for t in range(len(x)):
        h = (1 - z[t]) * h + z[t] * cand[t]
        hs.append(h)
    return np.stack(hs), (x, Wz, Wh, z, cand, np.stack(hs))

def backward(dhs, cache):
    x, Wz, Wh, z, cand, hs = cache
    dz, dcand = np.zeros_like(z), np.zeros_like(z)
    carry = np.zeros(z.shape[1])
    for t in range(len(x) - 1, -1, -1):
        before = hs[t - 1] if t > 0 else 0.0
        dh = dhs[t] + carry
        dz[t] = dh * (cand[t] - before)
        dcand[t] = dh * z[t]
        carry = dh * (1 - z[t])
    da = dz * z * (1 - z)
    return da @ Wz.T + dcand @ Wh.T, x.T @ da, x.T @ dcand
""",
    (draw(5, 3), draw(3, 2), draw(3, 2)),
    (
        "dh * (cand[t] - before)",
        "dh * cand[t]",
        r"before|previous|1 - z|\bterm|\bboth|second|\btwo|subtract|old state|\bminus|\boccur|\bgate|difference",
        "the gate also keeps 1 - z of the old state: that term is missing",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "carry = dh * (1 - z[t])",
        "carry = dh * z[t]",
        r"1 - z|complement|\bgate|\bcarry|\bkeep|\bstate|wrong gate|\bswap|exchang|previous",
        "the old state was kept with 1 - z, not with z",
        M,
        "made up",
    ),
    (
        "dh = dhs[t] + carry",
        "dh = dhs[t]",
        r"\bcarr|\btime|\brecur|through time|\blater|\bstate|history|\bstep|\bbptt|\bnext|future|\bterm|truncat",
        "the gradient of later steps is not carried back",
        N,
        "public: ooples/AiDotNet#722 (dH set to zero)",
    ),
    (
        "dz * z * (1 - z)",
        "dz",
        r"\bslope|sigmoid|1 - z|derivative|factor|activation",
        "the slope of the sigmoid is missing",
        N,
        "public: CaptainE/RNN-LSTM-in-numpy#2",
    ),
)

ROUND7["recurrent units that see only themselves"] = family(
    """
def forward(x, u, b):
    h = np.zeros(x.shape[1:])
    hist = [h]
    for xt in x:
        h = np.tanh(xt + u * h + b)
        hist.append(h)
    return np.array(hist[1:]), (u, hist)

def backward(dy, cache):
    u, hist = cache
    dx, du, db = np.zeros_like(dy), np.zeros_like(u), np.zeros_like(u)
    dnext = np.zeros(dy.shape[1:])
    for t in range(len(dy) - 1, -1, -1):
        h, old = hist[t + 1], hist[t]
        da = (dy[t] + dnext) * (1 - h**2)
        dx[t] = da
        du += (da * old).sum(axis=0)
        db += da.sum(axis=0)
        dnext = da * u
    return dx, du, db
""",
    (draw(4, 2, 3), draw(3), draw(3)),
    (
        "du += (da * old)",
        "du += (da * h)",
        r"previous|\bold|\bindex|\bstep|\btime|off by|\bnew|before|\bstate|\bshift|current",
        "u multiplies the previous state, not the new one",
        M,
        "made up",
    ),
    (
        "dnext = da * u",
        "dnext = da",
        r"\bu\b|weight|factor|recurren|\bcarr|product",
        "the recurrent weight u is missing on the way to the previous step",
        N,
        "made up",
    ),
    (
        "dnext = da * u",
        "dnext += da * u",
        r"accumul|\boverw|\+=|\breset|\badded|too many|\btwice|already|assign|double|\bcarr|\bstale",
        "the carried gradient is replaced at each step, not added up",
        M,
        "made up",
    ),
    (
        "(1 - h**2)",
        "(1 - old**2)",
        r"previous|\bold|\bindex|\bstep|\btime|off by|\bnew|output|current|\bstate|\bslope|\btanh|\bh\b",
        "the slope of tanh is due at the new state",
        M,
        "made up",
    ),
)

ROUND7["lstm cell whose gates share one number"] = family(
    """
def forward(z, c_old):
    i, o, g = np.split(z, 3, axis=1)
    i, o, g = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-o)), np.tanh(g)
    c = (1 - i) * c_old + i * g
    tc = np.tanh(c)
    return (o * tc, c), (i, o, g, c_old, tc)

def backward(grads, cache):
    dh, dc = grads
    i, o, g, c_old, tc = cache
    do = dh * tc
    dc = dc + dh * o * (1 - tc**2)
    di = dc * (g - c_old)
    dg = dc * i
    dz = np.concatenate([di * i * (1 - i), do * o * (1 - o), dg * (1 - g**2)], axis=1)
    return dz, dc * (1 - i)
""",
    (draw(3, 6), draw(3, 2)),
    (
        "dc * (g - c_old)",
        "dc * g",
        r"c_old|1 - i|forget|couple|\bterm|\bboth|second|\btwo|subtract|previous|\bold|\bminus|\boccur|difference",
        "the input gate also forgets: 1 - i keeps the old cell",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "dc + dh * o * (1 - tc**2)",
        "dh * o * (1 - tc**2)",
        r"\bdc\b|incoming|second output|\bboth|\bcell|\bpath|\bterm|accumul|\bsum|outputs|\btwo|\boverw",
        "the cell is an output too: its incoming gradient is lost",
        N,
        "public: CaptainE/RNN-LSTM-in-numpy#1 (dc of the next step)",
    ),
    (
        "dc * (1 - i)",
        "dc * i",
        r"1 - i|complement|forget|\bgate|\bkeep|wrong gate|\bswap|exchang",
        "the old cell was kept with 1 - i",
        M,
        "made up",
    ),
    (
        "do * o * (1 - o)",
        "do * (1 - o**2)",
        r"sigmoid|\btanh|\bslope|o \* \(1 - o\)|activation|derivative|\bgate",
        "that is the slope of tanh: the gate is a sigmoid",
        M,
        "made up",
    ),
)

ROUND7["discounted returns with a learnt rate"] = family(
    """
def forward(r, gamma):
    G = np.zeros(len(r) + 1)
    for t in reversed(range(len(r))):
        G[t] = r[t] + gamma[0] * G[t + 1]
    return G[:-1], (gamma, G)

def backward(dG, cache):
    gamma, G = cache
    dr = np.zeros_like(dG)
    dgamma, run = 0.0, 0.0
    for t in range(len(dG)):
        run = dG[t] + gamma[0] * run
        dr[t] = run
        dgamma += run * G[t + 1]
    return dr, np.array([dgamma])
""",
    (draw(6), np.array([0.83])),
    (
        "for t in range(len(dG))",
        "for t in reversed(range(len(dG)))",
        r"revers|\border|direction|\bloop|forward in time|backward in time|\btime|\brange|earlier|opposite|\bflip",
        "the forward ran from the end: the backward runs from the start",
        M,
        "made up",
    ),
    (
        "dgamma += run * G[t + 1]",
        "dgamma += run * G[t]",
        r"\bindex|\bnext|off by|\bstep|\btime|t \+ 1|\bshift|\blater|\bown",
        "the rate multiplies the next return, not the own one",
        M,
        "made up",
    ),
    (
        "dgamma += run * G[t + 1]",
        "dgamma += dG[t] * G[t + 1]",
        r"\brun|accumul|\bcarr|through time|\brecur|earlier|\btotal|direct|truncat|partial|\bchain|\bwhole|\blater",
        "the whole gradient of each return is due, not only its own incoming part",
        M,
        "made up",
    ),
)

ROUND7["midpoint step of a differential equation"] = family(
    """
H = 0.4

def forward(x, A):
    k1 = np.tanh(x @ A)
    mid = x + H / 2 * k1
    k2 = np.tanh(mid @ A)
    return x + H * k2, (x, A, k1, mid, k2)

def backward(dy, cache):
    x, A, k1, mid, k2 = cache
    da2 = H * dy * (1 - k2**2)
    dmid = da2 @ A.T
    da1 = H / 2 * dmid * (1 - k1**2)
    dA = mid.T @ da2 + x.T @ da1
    dx = dy + dmid + da1 @ A.T
    return dx, dA
""",
    (draw(4, 3), draw(3, 3)),
    (
        "mid.T @ da2 + x.T @ da1",
        "mid.T @ da2",
        r"shared|\bboth|\btwice|\bterm|second|\bfirst|\btwo|places|\buses|\boccur|\bsum|\bpath|accumul",
        "A is used in both stages: the first one's part is missing",
        N,
        "made up",
    ),
    (
        "dy + dmid + da1 @ A.T",
        "dy + da1 @ A.T",
        r"\bdmid|\bterm|\bpath|\bskip|residual|direct|middle|\bmid|\bboth|branch|summand|\boccur",
        "x also enters the midpoint directly: dmid is missing",
        N,
        "made up",
    ),
    (
        "H / 2 * dmid",
        "H * dmid",
        r"\bhalf|\b2\b|0\.5|\bstep|constant|\bscale|factor|\btwice",
        "the first stage moves by half a step",
        M,
        "made up",
    ),
    (
        "mid.T @ da2",
        "x.T @ da2",
        r"\bmid|\bx\b|intermediate|operand|\binput|\bstage",
        "the second stage multiplies the midpoint, not x",
        M,
        "made up",
    ),
)

ROUND7["scalar kalman update"] = family(
    """
OBS = np.array([0.7, -0.3, 1.9])

def forward(m, P, R):
    K = P / (P + R)
    return (m + K * (OBS - m), (1 - K) * P), (m, P, R, K)

def backward(dout, cache):
    dm2, dP2 = dout
    m, P, R, K = cache
    S = P + R
    dK = dm2 * (OBS - m) - dP2 * P
    dm = dm2 * (1 - K)
    dP = dP2 * (1 - K) + dK * R / S**2
    dR = -dK * P / S**2
    return dm, dP, dR
""",
    (draw(3), positive(3), positive(3)),
    (
        " - dP2 * P",
        "",
        r"\bterm|\bboth|second|\btwo|output|\bP\b|\bpath|\bgain|\boccur|variance|\bsum|dP2",
        "the gain also stands in the second output",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "dm2 * (1 - K)",
        "dm2",
        r"1 - K|\bK\b|innovation|\bterm|subtract|second|\bboth|\boccur|direct|OBS - m",
        "m is also subtracted inside the innovation: 1 - K",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "dK * R / S**2",
        "dK / S",
        r"quotient|denominator|R / S|\bterm|square|depend|P also|S\*\*2|\bboth|numerator",
        "P also stands in the denominator: the quotient rule gives R / S squared",
        M,
        "made up",
    ),
    (
        "dR = -dK",
        "dR = dK",
        r"\bsign|\bminus|\bnegat|denominator",
        "R only stands in the denominator: a minus",
        "transposed|averaged",
        "made up",
    ),
)

# ---------------------------------------------------------------- attention and graphs

ROUND7["attention with grouped queries"] = family(
    """
def forward(q, k, v):
    group = len(q) // len(k)
    kk, vv = np.repeat(k, group, axis=0), np.repeat(v, group, axis=0)
    s = q @ kk.transpose(0, 2, 1) / np.sqrt(q.shape[2])
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return p @ vv, (q, kk, vv, p, group)

def backward(do, cache):
    q, kk, vv, p, group = cache
    dvv = p.transpose(0, 2, 1) @ do
    dp = do @ vv.transpose(0, 2, 1)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True)) / np.sqrt(q.shape[2])
    dq = ds @ kk
    dkk = ds.transpose(0, 2, 1) @ q
    _, n, d = dkk.shape
    dk = dkk.reshape(-1, group, n, d).sum(axis=1)
    dv = dvv.reshape(-1, group, n, d).sum(axis=1)
    return dq, dk, dv
""",
    (draw(4, 3, 2), draw(2, 3, 2), draw(2, 3, 2)),
    (
        "dk = dkk.reshape(-1, group, n, d).sum(axis=1)",
        "dk = dkk.reshape(-1, group, n, d)[:, 0]",
        r"\bsum|\bgroup|repeat|\bheads|\bfirst|accumul|shared|broadcast|\bother|several|\bpart",
        "each key head serves a group of queries: their gradients are summed",
        M,
        "public: marin-community/levanter#449",
    ),
    (
        "dv = dvv.reshape(-1, group, n, d).sum(axis=1)",
        "dv = dvv.reshape(group, -1, n, d).sum(axis=0)",
        r"\border|repeat|\btile|\baxis|\bgroup|\bheads|\bindex|reshape|neighbo|wrong places|interleav|\bsplit|\bsum",
        "heads of a group stand next to each other: this sums as if they were tiled",
        M,
        "public: XunhaoLai/native-sparse-attention-triton#27",
    ),
    (
        "dvv.reshape(-1, group, n, d).sum(axis=1)",
        "dvv.reshape(-1, group, n, d).mean(axis=1)",
        r"\bmean|averag|\bsum|\bdivi|\bgroup|constant|\bcount|factor",
        "the group's gradients are summed, not averaged",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "dq = ds @ kk",
        "dq = ds @ kk / np.sqrt(q.shape[2])",
        r"\bscale|sqrt|\broot|\btwice|double|constant|already|too many|factor|\bdivi|\bextra",
        "the scale is in ds already: it counts twice",
        M,
        "made up",
    ),
)

ROUND7["linear attention with a positive map"] = family(
    """
def phi(x):
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))

def slope(x):
    return np.where(x > 0, 1.0, np.exp(np.minimum(x, 0)))

def forward(q, k, v):
    fq, fk = phi(q), phi(k)
    num, den = fq @ (fk.T @ v), fq @ fk.sum(axis=0)
    return num / den[:, None], (q, k, v, fq, fk, num, den)

def backward(dy, cache):
    q, k, v, fq, fk, num, den = cache
    dnum = dy / den[:, None]
    dden = -(dy * num).sum(axis=1) / den**2
    dfq = dnum @ (v.T @ fk) + np.outer(dden, fk.sum(axis=0))
    dfk = v @ (dnum.T @ fq) + dden @ fq
    dv = fk @ (fq.T @ dnum)
    return dfq * slope(q), dfk * slope(k), dv
""",
    (draw(4, 3), draw(5, 3), draw(5, 2)),
    (
        " + dden @ fq",
        "",
        r"denominator|normal|\bden\b|\bdden|\bterm|\bpath|second|\bboth|quotient|\boccur|\bdivi|\bsum",
        "the keys also stand in the denominator: that path is cut",
        N,
        "public: fla-org/flash-linear-attention#875",
    ),
    (
        "dfq * slope(q)",
        "dfq",
        r"\bslope|\bphi|\bmap|derivative|factor|activation|\belu|\bchain",
        "the slope of the map is missing for q",
        N,
        "made up",
    ),
    (
        "-(dy * num).sum(axis=1) / den**2",
        "(dy * num).sum(axis=1) / den**2",
        r"\bsign|\bminus|\bnegat|denominator|quotient|reciprocal",
        "the derivative of 1 / den is negative",
        "transposed|averaged",
        "made up",
    ),
    (
        "fk @ (fq.T @ dnum)",
        "fk @ (fq.T @ dy)",
        r"denominator|normal|\bden\b|\bdnum|\bdivi|factor|1 / den|quotient",
        "v is divided by the denominator as well: dnum is due",
        N,
        "public: fla-org/flash-linear-attention#6 (values)",
    ),
)

ROUND7["graph attention with dropped edges"] = family(
    """
EDGE = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [1, 1, 1, 0], [1, 0, 1, 1]])
DROP = np.array([[2.0, 0, 2, 2], [2, 2, 0, 2], [0, 2, 2, 2], [2, 2, 2, 0]])

def forward(h, a, b):
    e = (h @ a)[:, None] + (h @ b)[None, :]
    s = np.where(e > 0, e, 0.2 * e)
    s = np.where(EDGE > 0, s, -1e9)
    alpha = np.exp(s - s.max(axis=1, keepdims=True))
    alpha /= alpha.sum(axis=1, keepdims=True)
    kept = alpha * DROP
    return kept @ h, (h, a, b, e, alpha, kept)

def backward(dy, cache):
    h, a, b, e, alpha, kept = cache
    dh = kept.T @ dy
    dalpha = (dy @ h.T) * DROP
    ds = alpha * (dalpha - (dalpha * alpha).sum(axis=1, keepdims=True))
    de = ds * np.where(e > 0, 1.0, 0.2)
    left, right = de.sum(axis=1), de.sum(axis=0)
    dh = dh + np.outer(left, a) + np.outer(right, b)
    return dh, h.T @ left, h.T @ right
""",
    (
        np.array([[0.5, -1.2, 0.3], [1.1, 0.4, -0.8], [-0.7, 0.9, 1.6], [0.2, -0.3, -1.4]]),
        np.array([0.8, -0.5, 0.3]),
        np.array([-0.6, 0.7, 0.4]),
    ),
    (
        "ds = alpha * (dalpha - (dalpha * alpha).sum(axis=1, keepdims=True))",
        "ds = kept * (dalpha - (dalpha * kept).sum(axis=1, keepdims=True))",
        r"\bdrop|\bmask|\balpha|\bkept|softmax|before|\bafter|probab|own output|scaled",
        "softmax's Jacobian needs the probabilities before the dropout",
        M,
        "public: ooples/AiDotNet#1701",
    ),
    (
        "ds * np.where(e > 0, 1.0, 0.2)",
        "ds",
        r"\bslope|\bleaky|0\.2|derivative|factor|activation|negative side|\brelu",
        "the slope of the leaky ReLU is missing",
        N,
        "made up",
    ),
    (
        " + np.outer(left, a) + np.outer(right, b)",
        "",
        r"\bpath|\bscore|attention|\bterm|\bboth|weights|second|branch|\blogit|\boccur|places|\btwo|\balpha",
        "h also decides the scores: these paths are missing",
        N,
        "public: diegoantognini/pyGAT#13 (no gradient through the scores)",
    ),
    (
        "(dy @ h.T) * DROP",
        "dy @ h.T",
        r"\bdrop|\bmask|\bscale|DROP|factor|\b2\b",
        "the dropout's mask is missing on the way back",
        N,
        "made up",
    ),
)

ROUND7["graph convolution with a one-sided norm"] = family(
    """
ADJ = np.array([[1.0, 1, 0, 0], [0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 1]])
S = ADJ / ADJ.sum(axis=1, keepdims=True)

def forward(X, W):
    M = S @ X
    Z = M @ W
    return np.where(Z > 0, Z, 0), (M, W, Z)

def backward(dH, cache):
    M, W, Z = cache
    dZ = np.where(Z > 0, dH, 0)
    dW = M.T @ dZ
    dX = S.T @ dZ @ W.T
    return dX, dW
""",
    (draw(4, 3), draw(3, 3)),
    (
        "S.T @ dZ",
        "S @ dZ",
        r"transpos|\.T|adjacen|orientation|direction|\bedges",
        "the edges are directed: the normalised matrix must be transposed",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "S.T @ dZ",
        "(ADJ / ADJ.sum(axis=0)).T @ dZ",
        r"normal|degree|\brow|column|\baxis|\bdivi|\bS\b|wrong sum|\bscale|factor|weight",
        "the forward divides by the rows' degrees, the backward by the columns'",
        r"\bsign\b",
        "made up",
    ),
    (
        "np.where(Z > 0, dH, 0)",
        "np.where(dH > 0, dH, 0)",
        r"\bmask|condition|\bZ\b|pre-?activation|\binput|incoming|compar|\bwhere|\brelu|not linear in dy",
        "the mask must come from Z, not from the incoming gradient",
        "transposed|averaged",
        "made up",
    ),
    (
        "S.T @ dZ @ W.T",
        "dZ @ W.T",
        r"\bS\b|adjacen|neighbo|aggregat|propagat|\bgraph|factor|matrix|mixing|\bleft",
        "the step over the neighbours is missing",
        N,
        "made up",
    ),
)

ROUND7["messages averaged over incoming edges"] = family(
    """
SRC = np.array([0, 0, 1, 2, 0, 3])
DST = np.array([1, 2, 2, 0, 3, 0])
DEG = np.bincount(DST, minlength=4)[:, None]

def forward(x, w):
    msg = x[SRC] * w[:, None]
    out = np.zeros_like(x)
    np.add.at(out, DST, msg)
    return out / DEG, (x, w)

def backward(dout, cache):
    x, w = cache
    dmsg = (dout / DEG)[DST]
    dw = (dmsg * x[SRC]).sum(axis=1)
    dx = np.zeros_like(x)
    np.add.at(dx, SRC, dmsg * w[:, None])
    return dx, dw
""",
    (draw(4, 3), draw(6)),
    (
        "np.add.at(dx, SRC, dmsg * w[:, None])",
        "dx[SRC] += dmsg * w[:, None]",
        r"repeat|duplicate|\btwice|add\.at|accumul|same index|several|\bfancy|\boverw|\blost|more than once",
        "node 0 sends several messages: += with an index array keeps one",
        M,
        "public: ooples/AiDotNet.Tensors#894",
    ),
    (
        "(dout / DEG)[DST]",
        "dout[DST] / DEG[SRC]",
        r"degree|DEG|DST|SRC|\bindex|\bmean|\bdivi|\bcount|receiver|normal|wrong node|\bscale|gather",
        "the mean is taken at the receiver: its degree is due",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "(dmsg * x[SRC])",
        "(dmsg * x[DST])",
        r"SRC|DST|\bindex|sender|source|wrong node|gather|\bswap|end of the edge|operand|\bmixed",
        "the message carries the sender's x",
        M,
        "made up",
    ),
    (
        "np.add.at(dx, SRC, dmsg * w[:, None])",
        "np.add.at(dx, DST, dmsg * w[:, None])",
        r"SRC|DST|\bindex|sender|source|wrong node|scatter|\bswap|wrong places|position|target",
        "the gradient goes to the sender, not to the receiver",
        M,
        "made up",
    ),
)

# ---------------------------------------------------------------- images and signals

ROUND7["pixel shuffle with gains"] = family(
    """
def forward(x, gain):
    n, crr, h, w = x.shape
    c = crr // 4
    y = x.reshape(n, c, 2, 2, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c, 2 * h, 2 * w)
    return y * gain[:, None, None], (y, gain, x.shape)

def backward(dy, cache):
    y, gain, (n, crr, h, w) = cache
    c = crr // 4
    dgain = np.sum(dy * y, axis=(0, 2, 3))
    d = dy * gain[:, None, None]
    d = d.reshape(n, c, h, 2, w, 2).transpose(0, 1, 3, 5, 2, 4)
    return d.reshape(n, crr, h, w), dgain
""",
    (draw(2, 8, 2, 3), draw(2)),
    (
        "transpose(0, 1, 3, 5, 2, 4)",
        "transpose(0, 1, 4, 2, 5, 3)",
        r"permut|invers|\baxes|transpos|\border|wrong places|reshape|shuffle|layout|right numbers in wrong places",
        "the axes must be put back with the inverse permutation; this is the forward one again",
        r"\bsign\b|averaged",
        "public: pytorch/pytorch#5945 (the inverse permutation)",
    ),
    (
        "d.reshape(n, c, h, 2, w, 2)",
        "d.reshape(n, c, 2, h, 2, w)",
        r"permut|\baxes|\border|wrong places|reshape|shuffle|layout|\bsplit|factor|transpos|right numbers in wrong places",
        "each output row index is h times 2 plus the offset: the axes are split in the wrong order",
        r"\bsign\b|averaged",
        "public: Oneflow-Inc/oneflow#4003 (steps not undone)",
    ),
    (
        "d = dy * gain[:, None, None]",
        "d = dy",
        r"\bgain|factor|\bscale|product",
        "the gain is missing on the way to x",
        N,
        "made up",
    ),
)

ROUND7["bilinear enlargement in loops"] = family(
    """
def taps(k, n):
    pos = min(max((k + 0.5) / 2 - 0.5, 0.0), n - 1.0)
    lo = int(pos)
    return lo, min(lo + 1, n - 1), pos - lo

def forward(x):
    H, W = x.shape
    y = np.zeros((2 * H, 2 * W))
    for i in range(2 * H):
        for j in range(2 * W):
            a, b, u = taps(i, H)
            c, d, v = taps(j, W)
            top = (1 - v) * x[a, c] + v * x[a, d]
            low = (1 - v) * x[b, c] + v * x[b, d]
            y[i, j] = (1 - u) * top + u * low
    return y, x.shape

def backward(dy, shape):
    H, W = shape
    dx = np.zeros(shape)
    for i in range(2 * H):
        for j in range(2 * W):
            a, b, u = taps(i, H)
            c, d, v = taps(j, W)
            dx[a, c] += dy[i, j] * (1 - u) * (1 - v)
            dx[a, d] += dy[i, j] * (1 - u) * v
            dx[b, c] += dy[i, j] * u * (1 - v)
            dx[b, d] += dy[i, j] * u * v
    return dx
""",
    (draw(3, 4),),
    (
        "taps(j, W)",
        "taps(j, H)",
        r"height|\bwidth|\bH\b|\bW\b|column|\bindex|\bcopy|\blimit|\bsize|wrong places|\bclip|position",
        "the columns are limited by the height, copied from the line above",
        M,
        "public: intel/torch-xpu-ops#4380",
    ),
    (
        "dx[a, d] += dy[i, j] * (1 - u) * v",
        "dx[a, d] += dy[i, j] * (1 - v) * u",
        r"weight|\bswap|exchang|\bu\b|\bv\b|1 - |corner|\bcopy|\bmixed|wrong places|neighbo",
        "the weights of this corner are exchanged",
        M,
        "made up",
    ),
    (
        "dx[b, d] += dy[i, j] * u * v",
        "dx[b, d] = dy[i, j] * u * v",
        r"\boverw|accumul|\+=|\badd|several|\bsum|\blost|replace|assign",
        "a pixel feeds several outputs: their parts add up",
        M,
        "made up",
    ),
    (
        "dx[b, c] += dy[i, j] * u * (1 - v)",
        "dx[b, c] += dy[i, j] * u",
        r"1 - v|weight|factor|interpol|corner|\bv\b",
        "the weight 1 - v of this corner is missing",
        N,
        "made up",
    ),
)

ROUND7["signal read at learnt positions"] = family(
    """
def forward(x, p):
    pos = (p + 1) / 2 * (len(x) - 1)
    i = np.floor(pos).astype(int)
    w = pos - i
    return (1 - w) * x[i] + w * x[i + 1], (x, i, w)

def backward(dy, cache):
    x, i, w = cache
    dx = np.zeros_like(x)
    np.add.at(dx, i, dy * (1 - w))
    np.add.at(dx, i + 1, dy * w)
    dpos = dy * (x[i + 1] - x[i])
    return dx, dpos * (len(x) - 1) / 2
""",
    (draw(6), np.array([-0.83, 0.31, -0.65, 0.27, 0.88])),
    (
        "dpos * (len(x) - 1) / 2",
        "dpos",
        r"\bscale|\bsize|\blen|\binner|\bchain|constant|/ 2|factor|2\.5|\bgrid|position",
        "positions run from -1 to 1: the inner derivative (n - 1) / 2 is missing",
        M,
        "public: qassemoquab/stnbhwd#29",
    ),
    (
        "x[i + 1] - x[i]",
        "x[i] - x[i + 1]",
        r"\bsign|\bminus|\bnegat|difference|\border|\bswap|exchang",
        "the weight of the right neighbour grows with the position: the sign is wrong",
        "transposed|averaged",
        "made up",
    ),
    (
        "np.add.at(dx, i, dy * (1 - w))",
        "dx[i] += dy * (1 - w)",
        r"repeat|duplicate|\btwice|add\.at|accumul|same index|several|\bfancy|\boverw|\blost|more than once",
        "two positions fall in one cell: += with an index array keeps one",
        M,
        "made up",
    ),
    (
        "np.add.at(dx, i + 1, dy * w)",
        "np.add.at(dx, i + 1, dy * (1 - w))",
        r"weight|1 - w|\bw\b|complement|\bcopy|\bswap|neighbo|interpol",
        "the right neighbour has the weight w",
        M,
        "made up",
    ),
)

ROUND7["transposed convolution of an image"] = family(
    """
STEP = 2

def forward(x, w, b):
    c, h, v = x.shape
    k = w.shape[1]
    y = np.full((STEP * (h - 1) + k, STEP * (v - 1) + k), b[0])
    for i in range(h):
        for j in range(v):
            r, s = STEP * i, STEP * j
            y[r:r + k, s:s + k] += np.tensordot(x[:, i, j], w, 1)
    return y, (x, w)

def backward(dy, cache):
    x, w = cache
    k = w.shape[1]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            r, s = STEP * i, STEP * j
            patch = dy[r:r + k, s:s + k]
            dx[:, i, j] = (w * patch).sum(axis=(1, 2))
            dw += x[:, i, j][:, None, None] * patch
    return dx, dw, np.array([dy.sum()])
""",
    (draw(2, 2, 3), draw(2, 3, 3), draw(1)),
    (
        "r, s = STEP * i, STEP * j",
        "r, s = i, j",
        r"stride|STEP|\bstep|window|\bindex|position|wrong places|offset|spacing",
        "the windows lie STEP apart: the stride is missing",
        M,
        "public: pytorch/pytorch#63314",
    ),
    (
        "dw += x[:, i, j]",
        "dw = x[:, i, j]",
        r"\boverw|accumul|\+=|\badd|several|\bsum|\blost|replace|assign|\blast",
        "the kernel is used at every pixel: its parts add up",
        M,
        "made up",
    ),
    (
        "np.array([dy.sum()])",
        "np.array([dy.sum() / dy.size])",
        r"\bmean|averag|\bsum|\bdivi|\bsize|constant|\bcount|factor|\bbias|pixels",
        "the bias is added to every pixel: the sum is due",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "(w * patch)",
        "(w[:, ::-1, ::-1] * patch)",
        r"\bflip|revers|\brotat|kernel|orientation|180|turned|mirror|\border",
        "no flipping here: each tap meets the output that it wrote",
        M,
        "made up",
    ),
)

ROUND7["circular convolution by rolling"] = family(
    """
def forward(x, w):
    y = np.zeros_like(x)
    for k, wk in enumerate(w):
        y += wk * np.roll(x, k, axis=1)
    return y, (x, w)

def backward(dy, cache):
    x, w = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for k, wk in enumerate(w):
        dx += wk * np.roll(dy, -k, axis=1)
        dw[k] = np.sum(dy * np.roll(x, k, axis=1))
    return dx, dw
""",
    (draw(4, 4), draw(3)),
    (
        "np.roll(dy, -k, axis=1)",
        "np.roll(dy, k, axis=1)",
        r"revers|direction|\broll|\bshift|-k|opposite|\bback|sign of|\bflip|right numbers in wrong places",
        "the way back rolls in the other direction",
        "transposed|averaged",
        "made up",
    ),
    (
        "np.roll(dy, -k, axis=1)",
        "np.roll(dy, -k, axis=0)",
        r"\baxis|\brow|column|dimension|direction|\balong|wrong places|right numbers in wrong places",
        "the roll runs along the wrong axis",
        r"\bsign\b|averaged",
        "public: pytorch/pytorch#37844",
    ),
    (
        "np.roll(x, k, axis=1)",
        "np.roll(x, -k, axis=1)",
        r"revers|direction|\broll|\bshift|-k|opposite|\bflip|mirror|\border|wrong way",
        "the kernel meets x rolled as in the forward pass",
        "transposed|averaged",
        "made up",
    ),
)

ROUND7["image padded with its border"] = family(
    """
def forward(x):
    return np.pad(x, ((1, 0), (2, 1)), mode="edge")

def backward(dy, x):
    d = dy.copy()
    d[1] += d[0]
    d = d[1:]
    d[:, 2] += d[:, 0] + d[:, 1]
    d[:, -2] += d[:, -1]
    return d[:, 2:-1]
""",
    (draw(3, 4),),
    (
        "d[:, 2:-1]",
        "d[:, 1:-2]",
        r"\bpad|\bright|offset|\bslice|\bshift|\border|\bswap|exchang|\bcrop|\bindex|wrong places|right numbers in wrong places",
        "two columns were added on the left and one on the right, not the other way round",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "d[:, 0] + d[:, 1]",
        "d[:, 1]",
        r"second|\bboth|copies|accumul|\bsum|\bterm|border|\bedge|\bfirst|column|\bpad",
        "the first column was copied twice: one copy's part is missing",
        N,
        "made up",
    ),
    (
        "d[1] += d[0]",
        "d[1] = d[0]",
        r"\boverw|accumul|\+=|\badd|\bsum|\blost|replace|assign|\bown",
        "the copy's gradient is added to the row's own, not put in its place",
        M,
        "made up",
    ),
    (
        "    d[:, -2] += d[:, -1]\n",
        "",
        r"\bright|\blast|border|\bedge|copies|accumul|\bpad|\bterm|column",
        "the right border's copy is dropped",
        M,
        "made up",
    ),
)

ROUND7["squeeze and excitation"] = family(
    """
def forward(x, W1, W2):
    s = x.mean(axis=(2, 3))
    h = np.maximum(s @ W1, 0)
    e = 1 / (1 + np.exp(-(h @ W2)))
    return x * e[:, :, None, None], (x, W1, W2, s, h, e)

def backward(dy, cache):
    x, W1, W2, s, h, e = cache
    area = x.shape[2] * x.shape[3]
    de = np.sum(dy * x, axis=(2, 3))
    da = de * e * (1 - e)
    dh = (da @ W2.T) * (h > 0)
    ds = dh @ W1.T
    dx = dy * e[:, :, None, None] + ds[:, :, None, None] / area
    return dx, s.T @ dh, h.T @ da
""",
    (draw(3, 3, 2, 2), draw(3, 2), draw(2, 3)),
    (
        " + ds[:, :, None, None] / area",
        "",
        r"\bpath|branch|\bgate|squeeze|\bterm|excitation|\bboth|second|\bpool|\boccur|\btwo|attention|statistic|\bmean",
        "x also decides the gates through its means: this path is missing",
        r"\bsign\b|transposed|too many",
        "made up",
    ),
    (
        "ds[:, :, None, None] / area",
        "ds[:, :, None, None]",
        r"\barea|\bmean|averag|\bdivi|pixels|constant|\bscale|\bcount|number|\bsize|factor|\bpool",
        "the squeeze is a mean: the division by the area is missing",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "np.sum(dy * x, axis=(2, 3))",
        "np.sum(dy, axis=(2, 3))",
        r"\bx\b|factor|product|operand|\binput|\bother",
        "the factor x of the product is missing",
        N,
        "made up",
    ),
    (
        " * (h > 0)",
        "",
        r"\bmask|\brelu|h > 0|\bslope|activation|derivative|hidden",
        "the mask of the ReLU is missing",
        M,
        "made up",
    ),
)

ROUND7["one step of haar wavelets"] = family(
    """
R2 = np.sqrt(2.0)

def forward(x, gain):
    low = (x[:, 0::2] + x[:, 1::2]) / R2
    high = (x[:, 0::2] - x[:, 1::2]) / R2
    return np.hstack([low, gain * high]), (gain, high)

def backward(dy, cache):
    gain, high = cache
    n = high.shape[1]
    dlow, dscaled = dy[:, :n], dy[:, n:]
    dgain = (dscaled * high).sum(axis=0)
    dhigh = gain * dscaled
    dx = np.empty_like(dy)
    dx[:, 0::2] = (dlow + dhigh) / R2
    dx[:, 1::2] = (dlow - dhigh) / R2
    return dx, dgain
""",
    (draw(3, 6), draw(3)),
    (
        "(dlow - dhigh) / R2",
        "(dlow + dhigh) / R2",
        r"\bsign|\bminus|\bnegat|subtract|\bodd|difference",
        "the odd samples enter the high band with a minus",
        "transposed|averaged",
        "made up",
    ),
    (
        "(dlow + dhigh) / R2",
        "(dlow + dhigh) / 2",
        r"\broot|sqrt|R2|constant|\bscale|\bhalf|\bdivi|\b2\b|\bnorm|factor",
        "the transform is scaled with the root of 2 both ways",
        M,
        "made up",
    ),
    (
        "dhigh = gain * dscaled",
        "dhigh = dscaled",
        r"\bgain|factor|\bscale|product",
        "the gain is missing on the way to the high band",
        N,
        "made up",
    ),
    (
        "dx[:, 1::2] = (dlow - dhigh) / R2",
        "dx[:, n:] = (dlow - dhigh) / R2",
        r"interleav|\bodd|\bslice|\bindex|position|wrong places|\bhalf|stride|1::2|\border|\beven|right numbers in wrong places",
        "the samples alternate: odd places are due, not the second half",
        M,
        "made up",
    ),
)

# ---------------------------------------------------------------- norms and the rest

ROUND7["rows scaled to between zero and one"] = family(
    """
def forward(x):
    lo, hi = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    y = (x - lo) / (hi - lo)
    return y, (x.argmin(axis=1), x.argmax(axis=1), hi - lo, y)

def backward(dy, cache):
    imin, imax, span, y = cache
    rows = np.arange(len(y))
    dx = dy / span
    dx[rows, imin] -= (dy * (1 - y) / span).sum(axis=1)
    dx[rows, imax] -= (dy * y / span).sum(axis=1)
    return dx
""",
    (draw(3, 5),),
    (
        "    dx[rows, imax] -= (dy * y / span).sum(axis=1)\n",
        "",
        r"\bmax|\bspan|\brange|\bterm|depend|denominator|\bupper|\bhi\b|largest|statistic|constant|quotient",
        "the largest entry sets the span: its part is missing",
        N,
        "made up",
    ),
    (
        "(dy * (1 - y) / span)",
        "(dy / span)",
        r"1 - y|\bspan|\brange|denominator|quotient|\bterm|\bboth|second|\btwice|\bmin\b|minim|depend",
        "the smallest entry also stands in the span: 1 - y is due",
        M,
        "made up",
    ),
    (
        "dx[rows, imax] -= (dy * y / span).sum(axis=1)",
        "dx[:, imax] -= (dy * y / span).sum(axis=1)",
        r"\bindex|\brow|\bpair|\bslice|column|\bfancy|\brows|scatter|all rows|\bplace|arange",
        "the slice hits these columns in all rows: one entry per row is due",
        M,
        "made up",
    ),
    (
        "(dy * y / span)",
        "(dy * y / span**2)",
        r"\bspan|\bpower|square|exponent|\bdivi|\btwice|already|\bscale|factor|\bextra",
        "y is divided by the span already: once more is enough",
        M,
        "made up",
    ),
)

ROUND7["standard scores with one degree less"] = family(
    """
def forward(x, g):
    n = x.shape[0]
    c = x - x.mean(axis=0)
    s = np.sqrt((c**2).sum(axis=0) / (n - 1))
    z = c / s
    return g * z, (g, z, s, n)

def backward(dy, cache):
    g, z, s, n = cache
    dg = (dy * z).sum(axis=0)
    dz = dy * g
    spread = z * (dz * z).sum(axis=0) / (n - 1)
    return (dz - dz.mean(axis=0) - spread) / s, dg
""",
    (draw(5, 3), draw(3)),
    (
        "(dz * z).sum(axis=0) / (n - 1)",
        "(dz * z).mean(axis=0)",
        r"n - 1|Bessel|\bddof|\bcount|\bdivi|\bmean|averag|degree|unbiased|constant|\bsum",
        "the spread was taken with n - 1",
        r"\bsign\b|transposed",
        "public: tinygrad/tinygrad#881 (the divisor of std)",
    ),
    (
        "dz - dz.mean(axis=0) - spread",
        "dz - spread",
        r"\bmean|\bcentr|\bterm|subtract|common|depend|c = x|average|offset|a common term",
        "every x moves the mean: that term is missing",
        r"\bsign\b|transposed|too many",
        "made up",
    ),
    (
        "dz - dz.mean(axis=0) - spread",
        "dz - dz.mean(axis=0)",
        r"spread|\bstd|standard dev|variance|\bnorm|\bterm|denominator|depend|\bscale|quotient|\bs\b",
        "s depends on x as well: the spread's term is missing",
        r"\bsign\b|transposed|too many",
        "made up",
    ),
    (
        "dz = dy * g",
        "dz = dy",
        r"\bgain|\bg\b|factor|\bscale|\bgamma",
        "the gain is missing on the way to x",
        N,
        "made up",
    ),
)

ROUND7["tanh in place of a norm"] = family(
    """
def forward(x, a, g, b):
    t = np.tanh(a * x)
    return g * t + b, (x, a, g, t)

def backward(dy, cache):
    x, a, g, t = cache
    dpre = dy * g * (1 - t * t)
    dx = dpre * a
    da = np.array([(dpre * x).sum()])
    dg = (dy * t).sum(0)
    db = dy.sum(0)
    return dx, da, dg, db
""",
    (draw(4, 3), np.array([0.7]), draw(3), draw(3)),
    (
        "dx = dpre * a",
        "dx = dpre",
        r"\ba\b|\binner|\bchain|\bscale|constant|factor|0\.7|\balpha",
        "the inner factor a is missing",
        N,
        "made up",
    ),
    (
        "dpre = dy * g * (1 - t * t)",
        "dpre = dy * (1 - t * t)",
        r"\bg\b|\bgain|\bgamma|factor|\bouter|\bscale",
        "the gain g is missing on the way in",
        N,
        "made up",
    ),
    (
        "(dy * t).sum(0)",
        "(dy * x).sum(0)",
        r"\bt\b|\bx\b|\btanh|normali|output|before|\bafter|operand|activat",
        "the gain multiplies the tanh, not x",
        M,
        "made up",
    ),
    (
        "(dpre * x).sum()",
        "(dpre * t).sum()",
        r"\bt\b|\bx\b|\btanh|\binput|before|\bafter|operand|\binner",
        "a multiplies x inside the tanh",
        M,
        "made up",
    ),
)

ROUND7["dense layer with standardised weights"] = family(
    """
def forward(x, W):
    m = W.mean(axis=0)
    std = np.sqrt(((W - m)**2).mean(axis=0) + 1e-3)
    Wn = (W - m) / std
    return x @ Wn, (x, Wn, std)

def backward(dy, cache):
    x, Wn, std = cache
    d = x.T @ dy
    dW = d - d.mean(axis=0) - Wn * (d * Wn).mean(axis=0)
    return dy @ Wn.T, dW / std
""",
    (draw(5, 4), draw(4, 4)),
    (
        "dW / std",
        "dW * std",
        r"\bstd|\bdivi|invers|reciprocal|multipl|\bscale|1 / std|deviation|sqrt",
        "the weights were divided by their deviation: the gradient is divided too",
        M,
        "public: huggingface/blog#2484 (rsqrt)",
    ),
    (
        " - Wn * (d * Wn).mean(axis=0)",
        "",
        r"\bstd|spread|variance|deviation|\bterm|denominator|depend|\bnorm|project|quotient|\bscale",
        "the deviation depends on W: its term is missing",
        r"\bsign\b|transposed|too many",
        "made up",
    ),
    (
        "d - d.mean(axis=0)",
        "d - d.mean(axis=1, keepdims=True)",
        r"\baxis|\brow|column|\balong|direction|dimension",
        "the mean runs along the wrong axis",
        r"\bsign\b",
        "made up",
    ),
    (
        "dy @ Wn.T",
        "dy @ (Wn * std).T",
        r"\bWn\b|normali|standardi|\bstd|\bscale|\braw|weight|\bdivi|deviation|factor",
        "x met the standardised weights, not the raw ones",
        M,
        "made up",
    ),
)

ROUND7["weights divided by their largest stretch"] = family(
    """
U = np.array([0.6, 0.0, 0.8])
V = np.array([0.0, 0.28, 0.96])

def forward(x, W):
    sigma = U @ W @ V
    return x @ (W / sigma).T, (x, W, sigma)

def backward(dy, cache):
    x, W, sigma = cache
    dx = dy @ W / sigma
    dWn = dy.T @ x
    dsigma = -np.sum(dWn * W) / sigma**2
    dW = dWn / sigma + dsigma * np.outer(U, V)
    return dx, dW
""",
    (draw(4, 3), draw(3, 3) + 2 * np.outer([0.6, 0, 0.8], [0, 0.28, 0.96])),
    (
        " + dsigma * np.outer(U, V)",
        "",
        r"\bsigma|\bnorm|\bterm|depend|denominator|quotient|second|\bboth|\bpath|detach|constant",
        "sigma depends on W: its term is missing",
        N,
        "public: rdevon/cortex#57",
    ),
    (
        "np.outer(U, V)",
        "np.outer(V, U)",
        r"transpos|\border|\bswap|exchang|orientation|\bouter|\.T|rows and columns",
        "the outer product is transposed",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "-np.sum(dWn * W) / sigma**2",
        "-np.sum(dWn * W) / sigma",
        r"square|\bpower|exponent|sigma\*\*2|quotient|reciprocal|denominator|\bdivi|\bscale|factor",
        "the derivative of 1 / sigma is -1 / sigma squared",
        M,
        "made up",
    ),
    (
        "dx = dy @ W / sigma",
        "dx = dy @ W",
        r"\bsigma|\bnorm|\bdivi|\bscale|constant|factor|1 / sigma|stretch",
        "the weights were divided by sigma: the division is missing for x",
        M,
        "made up",
    ),
)

ROUND7["norm, gate and output layer in one"] = family(
    """
def forward(x, g, w, L):
    inv = 1 / np.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-5)
    n = x * inv
    sig = 1 / (1 + np.exp(-g))
    y = n * w * g * sig
    return y @ L, (x, g, w, L, inv, n, sig, y)

def backward(dout, cache):
    x, g, w, L, inv, n, sig, y = cache
    dL = y.T @ dout
    dy = dout @ L.T
    dg = dy * n * w * sig * (1 + g * (1 - sig))
    dw = (dy * n * g * sig).sum(axis=0)
    dn = dy * w * g * sig
    dx = inv * (dn - n * (dn * n).mean(axis=1, keepdims=True))
    return dx, dg, dw, dL
""",
    (draw(4, 4), draw(4, 4), draw(4), draw(4, 2)),
    (
        "dL = y.T @ dout",
        "dL = (n * w).T @ dout",
        r"\bgate|\by\b|before|\bafter|input of|\bsilu|\bswish|intermediate|factor|g \* sig",
        "the output layer got the gated y, not the value before the gate",
        M,
        "public: fla-org/flash-linear-attention#1071",
    ),
    (
        "inv * (dn - n * (dn * n).mean(axis=1, keepdims=True))",
        "inv * dn",
        r"\brms|\bnorm|\bterm|depend|\bmean|denominator|statistic|project|second|quotient|square",
        "the root mean square depends on x: its term is missing",
        r"\bsign\b|transposed|too many",
        "public: ooples/AiDotNet#695",
    ),
    (
        "(dn * n).mean(axis=1, keepdims=True)",
        "(dn * n).mean(axis=1)",
        r"\baxis|\brow|column|broadcast|keepdims|\bshape|\balong|dimension|direction",
        "without keepdims each row's mean is spread over a column",
        r"\bsign\b",
        "public: BobMcDear/attorch#17",
    ),
    (
        "(1 + g * (1 - sig))",
        "g * (1 - sig)",
        r"\bterm|product rule|\b1 \+|direct|\bfirst|\bboth|\boccur|\bswish|\bsilu|\bslope|summand",
        "g also stands in front of the sigmoid: the 1 of the product rule is missing",
        N,
        "made up",
    ),
)

ROUND7["squash of capsules"] = family(
    """
def forward(s):
    q = np.sum(s**2, axis=1, keepdims=True)
    n = np.sqrt(q)
    return s * n / (1 + q), (s, q, n)

def backward(dv, cache):
    s, q, n = cache
    f = n / (1 + q)
    df = (1 - q) / (1 + q)**2
    along = (dv * s).sum(axis=1, keepdims=True) / n
    return dv * f + s * df * along
""",
    (draw(4, 3),),
    (
        " + s * df * along",
        "",
        r"\bnorm|length|\bterm|depend|second|product rule|\bboth|\bn\b|\bpath|\bscale|project",
        "the length depends on s: the second term is missing",
        N,
        "made up",
    ),
    (
        "df = (1 - q)",
        "df = (1 + q)",
        r"quotient|denominator|\bsign|\bminus|numerator|1 - q|2 \* q|\bterm|\bslope|subtract",
        "the quotient rule gives 1 + q - 2 q = 1 - q",
        "transposed|averaged",
        "made up",
    ),
    (
        ".sum(axis=1, keepdims=True) / n",
        ".sum(axis=1, keepdims=True)",
        r"\bnorm|length|\bdivi|\bn\b|\bunit|1 / n|factor|\broot|\binner|\bchain",
        "the derivative of the length is s / n: the division is missing",
        N,
        "made up",
    ),
)

ROUND7["radial units with learnt widths"] = family(
    """
def forward(x, c, w):
    diff = x[:, None, :] - c[None]
    d2 = (diff**2).sum(axis=2)
    y = np.exp(-w * d2)
    return y, (diff, d2, w, y)

def backward(dy, cache):
    diff, d2, w, y = cache
    dd2 = -dy * y * w
    dw = -(dy * y * d2).sum(axis=0)
    ddiff = 2 * dd2[:, :, None] * diff
    return ddiff.sum(axis=1), -ddiff.sum(axis=0), dw
""",
    (draw(4, 3), draw(2, 3), positive(2)),
    (
        "-(dy * y * d2).sum(axis=0)",
        "np.zeros_like(w)",
        r"zero|\bwidth|\bw\b|missing|no gradient|left out|\bnever|not computed|epsilon",
        "the widths get no gradient",
        M,
        "public: ooples/AiDotNet.Tensors#146 (no gradient for epsilon)",
    ),
    (
        "dd2 = -dy * y * w",
        "dd2 = -dy * d2 * w",
        r"\by\b|\bexp\b|exponential|output|d2|\bswap|argument|\bslope",
        "the exponential's slope is its value y; its argument stands there",
        M,
        "public: ooples/AiDotNet.Tensors#146 (swapped arguments)",
    ),
    (
        "-ddiff.sum(axis=0)",
        "ddiff.sum(axis=0)",
        r"\bsign|\bminus|\bnegat|subtract|centre",
        "the centre is subtracted: its gradient has the other sign",
        "transposed|averaged",
        "made up",
    ),
    (
        "2 * dd2[:, :, None] * diff",
        "dd2[:, :, None] * diff",
        r"\b2\b|square|\bpower|\btwice|constant|factor|\bscale",
        "the factor 2 of the square is missing",
        M,
        "made up",
    ),
)

ROUND7["tag of waves with learnt frequencies"] = family(
    """
def forward(x, F):
    z = x @ F
    return np.hstack([np.sin(z), np.cos(z)]) / np.sqrt(F.shape[1]), (x, F, z)

def backward(dy, cache):
    x, F, z = cache
    m = F.shape[1]
    ds, dc = dy[:, :m], dy[:, m:]
    dz = (ds * np.cos(z) - dc * np.sin(z)) / np.sqrt(m)
    return dz @ F.T, x.T @ dz
""",
    (draw(4, 3), draw(3, 3)),
    (
        "- dc * np.sin(z)",
        "+ dc * np.sin(z)",
        r"\bsign|\bminus|\bnegat|\bcos",
        "the derivative of the cosine is minus the sine",
        "transposed|averaged",
        "made up",
    ),
    (
        "ds * np.cos(z) - dc * np.sin(z)",
        "ds * np.sin(z) - dc * np.cos(z)",
        r"\bsine?\b|\bcos|\bslope|\bswap|exchang|derivative|output|\bvalue",
        "the values stand where the slopes are due: cosine for sine and sine for cosine",
        "transposed|averaged",
        "made up",
    ),
    (
        " / np.sqrt(m)",
        "",
        r"\broot|sqrt|\bscale|constant|\bnorm|\bdivi|factor",
        "the scale of the forward pass is missing",
        M,
        "made up",
    ),
    (
        "ds, dc = dy[:, :m], dy[:, m:]",
        "ds, dc = dy[:, 0::2], dy[:, 1::2]",
        r"interleav|\bhalf|halves|\bslice|\bsplit|\border|\bindex|wrong places|0::2|position|right numbers in wrong places",
        "the halves stand side by side, not in turn",
        M,
        "made up",
    ),
)

ROUND7["distances under a learnt factor"] = family(
    """
def forward(x, mu, L):
    d = x - mu
    e = d @ L
    return np.einsum("ij,ij->i", e, e), (d, e, L)

def backward(dy, cache):
    d, e, L = cache
    de = 2 * dy[:, None] * e
    dd = de @ L.T
    dL = d.T @ de
    dmu = -dd.sum(axis=0)
    return dd, dmu, dL
""",
    (draw(5, 3), draw(3), draw(3, 3)),
    (
        "2 * dy[:, None] * e",
        "dy[:, None] * e",
        r"\b2\b|square|\bpower|\btwice|constant|factor|\bscale|\bboth",
        "the factor 2 of the square is missing",
        M,
        "made up",
    ),
    (
        "d.T @ de",
        "e.T @ de",
        r"\bd\b|\be\b|\binput|operand|before|\bafter|intermediate|\bmixed",
        "L multiplies d, not the product e",
        M,
        "made up",
    ),
    (
        "de @ L.T",
        "de @ L",
        r"transpos|\.T|orientation|\baxis",
        "L must be transposed on the way back",
        r"\bsign\b|averaged",
        "made up",
    ),
)

ROUND7["tensor layer of two vectors"] = family(
    """
def forward(a, T, b):
    return np.einsum("ni,kij,nj->nk", a, T, b), (a, T, b)

def backward(dy, cache):
    a, T, b = cache
    da = np.einsum("nk,kij,nj->ni", dy, T, b)
    db = np.einsum("nk,kij,ni->nj", dy, T, a)
    dT = np.einsum("nk,ni,nj->kij", dy, a, b)
    return da, dT, db
""",
    (draw(4, 3), draw(3, 3, 3), draw(4, 3)),
    (
        '"nk,kij,nj->ni"',
        '"nk,kji,nj->ni"',
        r"\bindex|indices|einsum|letter|transpos|\bswap|\border|\baxes|\bkij|subscript",
        "two letters of T are exchanged",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "dy, T, a)",
        "dy, T, b)",
        r"\ba\b|\bb\b|operand|\bown|wrong input|\bother|\bswap|\bcopy|product|\bmixed",
        "the derivative by b needs the other factor a",
        M,
        "made up",
    ),
    (
        '"nk,ni,nj->kij"',
        '"nk,ni,nj->ikj"',
        r"\bindex|einsum|letter|transpos|\bswap|\border|\baxes|\bkij|subscript|wrong places|right numbers in wrong places",
        "the output's letters are in the wrong order",
        r"\bsign\b|averaged",
        "made up",
    ),
)

ROUND7["sorted rows with weights"] = family(
    """
def forward(x, w):
    order = np.argsort(x, axis=1)
    s = np.take_along_axis(x, order, axis=1)
    return s @ w, (x, w, s, order)

def backward(dy, cache):
    x, w, s, order = cache
    ds = np.outer(dy, w)
    dx = np.zeros_like(ds)
    np.put_along_axis(dx, order, ds, axis=1)
    dw = s.T @ dy
    return dx, dw
""",
    (np.array([[0.3, 1.9, -1.2, 0.8], [2.2, -0.4, 0.5, 1.1], [0.9, -1.5, 1.3, -0.2]]), draw(4)),
    (
        "np.put_along_axis(dx, order, ds, axis=1)",
        "dx = np.take_along_axis(ds, order, axis=1)",
        r"permut|invers|\border|\bput|scatter|gather|\bindex|wrong places|\bsort|\bundo|\btake|right numbers in wrong places",
        "the sorting is applied again and not undone: put, not take",
        M,
        "made up",
    ),
    (
        "np.put_along_axis(dx, order, ds, axis=1)",
        "dx = ds",
        r"permut|invers|\border|\bput|scatter|\bindex|wrong places|\bsort|\bundo|unsort|\bplace|right numbers in wrong places",
        "the gradients stay in sorted order",
        M,
        "made up",
    ),
    (
        "s.T @ dy",
        "x.T @ dy",
        r"\bsort|\border|permut|\bs\b|\bx\b|wrong places|operand|unsorted",
        "the weights meet the sorted values",
        M,
        "made up",
    ),
)

ROUND7["quantile of columns between two ranks"] = family(
    """
def forward(x):
    pos = 0.3 * (len(x) - 1)
    lo, f = int(pos), pos - int(pos)
    rank = np.argsort(x, axis=0)
    cols = np.arange(x.shape[1])
    y = (1 - f) * x[rank[lo], cols] + f * x[rank[lo + 1], cols]
    return y, (x.shape, rank, lo, f)

def backward(dy, cache):
    shape, rank, lo, f = cache
    dx = np.zeros(shape)
    cols = np.arange(shape[1])
    dx[rank[lo], cols] = (1 - f) * dy
    dx[rank[lo + 1], cols] = f * dy
    return dx
""",
    (draw(5, 3),),
    (
        "dx[rank[lo], cols] = (1 - f) * dy",
        "dx[rank[lo], cols] = dy",
        r"1 - f|weight|interpol|fraction|factor|\bshare|\bscale|constant",
        "the lower rank's weight 1 - f is missing",
        M,
        "made up",
    ),
    (
        "    dx[rank[lo + 1], cols] = f * dy\n",
        "",
        r"second|\bupper|\bboth|\brank|\bterm|interpol|neighbo|lo \+ 1|\bnext|left at zero|\bpath|part left at zero",
        "the upper rank's part is missing",
        N,
        "public: PaddlePaddle/Paddle#42385 (which entries count)",
    ),
    (
        "dx[rank[lo + 1], cols]",
        "dx[lo + 1, cols]",
        r"\bindex|\brank|\bsort|\border|permut|wrong places|position|argsort|\bplace|\brow|right numbers in wrong places",
        "the row in sorted order is not the row in x",
        M,
        "made up",
    ),
)

ROUND7["fraction of one exponential"] = family(
    """
def forward(x, w, b):
    e = np.exp(w * x + b)
    top, bot = e - 1, e + 1
    return top / bot, (x, w, e, top, bot)

def backward(dy, cache):
    x, w, e, top, bot = cache
    dtop = dy / bot
    dbot = -dy * top / bot**2
    de = 0.0
    de += dtop
    de += dbot
    du = de * e
    return du * w, (du * x).sum(axis=0), du.sum(axis=0)
""",
    (draw(4, 3), draw(3), draw(3)),
    (
        "du = de * e",
        "du = de * (w * x)",
        r"\bexp\b|exponential|output|\be\b|\bvalue|argument|\bslope|derivative|\binput",
        "the exponential's slope is its value, not its argument",
        M,
        "public: karpathy/nn-zero-to-hero#52",
    ),
    (
        "de += dbot",
        "de = dbot",
        r"\boverw|accumul|\+=|\badd|\bsum|\blost|replace|assign|\btwice|\bboth|\btwo|\bterm|\bpath",
        "e is used twice: the second use overwrites the first",
        M,
        "public: karpathy/nn-zero-to-hero#52 (= for +=)",
    ),
    (
        "-dy * top / bot**2",
        "dy * top / bot**2",
        r"\bsign|\bminus|\bnegat|denominator|quotient|reciprocal",
        "the denominator's derivative is negative",
        "transposed|averaged",
        "made up",
    ),
    (
        "-dy * top / bot**2",
        "-dy / bot**2",
        r"\btop|numerator|factor|quotient|product",
        "the numerator is missing in the quotient rule",
        N,
        "made up",
    ),
)

ROUND7["axes moved with a scale"] = family(
    """
def forward(x, w):
    return x.transpose(1, 2, 0) * w, (x, w)

def backward(dy, cache):
    x, w = cache
    dx = (dy * w).transpose(2, 0, 1)
    dw = (dy * x.transpose(1, 2, 0)).sum(axis=(0, 1))
    return dx, dw
""",
    (draw(3, 3, 3), draw(3)),
    (
        "(dy * w).transpose(2, 0, 1)",
        "(dy * w).transpose(1, 2, 0)",
        r"permut|invers|\baxes|\border|transpos|wrong places|layout|\bundo|right numbers in wrong places",
        "the axes must be moved back with the inverse permutation; this is the forward one again",
        r"\bsign\b|averaged",
        "public: pytorch/pytorch#5945 (the inverse permutation)",
    ),
    (
        "x.transpose(1, 2, 0)",
        "x",
        r"permut|transpos|\baxes|\border|layout|wrong places|before|\bafter|\bx\b",
        "w meets x after the axes were moved",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "axis=(0, 1)",
        "axis=(1, 2)",
        r"\baxis|\baxes|\bsum|dimension|\blast|broadcast",
        "w runs along the last axis: the sum runs over the other two",
        r"\bsign\b|averaged",
        "made up",
    ),
)

ROUND7["encoder with noise of learnt size"] = family(
    """
NOISE = np.array([[0.3, -1.1], [0.8, 0.5], [-0.6, 1.4]])

def forward(mu, logvar, W):
    std = np.exp(0.5 * logvar)
    z = mu + NOISE * std
    return z @ W, (std, z, W)

def backward(dout, cache):
    std, z, W = cache
    dz = dout @ W.T
    dlogvar = dz * NOISE * std * 0.5
    return dz, dlogvar, z.T @ dout
""",
    (draw(3, 2), draw(3, 2), draw(2, 4)),
    (
        "NOISE * std * 0.5",
        "NOISE * std",
        r"0\.5|\bhalf|\b2\b|\binner|\bchain|constant|\bscale|factor|variance",
        "the half inside the exponent is missing",
        M,
        "public: keras-team/keras#3283 (the half)",
    ),
    (
        "NOISE * std * 0.5",
        "NOISE * std**2 * 0.5",
        r"\bstd|\bpower|square|variance|exponent|\broot|deviation|\bexp\b|exponential",
        "the exponential of half the log variance is std, not its square",
        M,
        "public: alecGraves/BVAE-tf#7 (variance for deviation)",
    ),
    (
        "dz * NOISE * std",
        "dz * std",
        r"NOISE|\bnoise|epsilon|factor|random|sample",
        "the noise that multiplies std is missing",
        N,
        "made up",
    ),
    (
        "z.T @ dout",
        "(z - NOISE * std).T @ dout",
        r"\bz\b|\bmu|\bnoise|sample|operand|intermediate|\bmean|NOISE",
        "W multiplied the noisy z, not its mean",
        r"\bsign\b|transposed",
        "made up",
    ),
)

# ---------------------------------------------------------------- as learners write

ROUND7["perceptron with biases appended"] = family(
    """
def sigmoid(a):
    return 1.0 / (1.0 + np.exp(-a))

def forward(x, W1, W2):
    xin = np.append(x, 1.0)
    a = W1 @ xin
    hin = np.append(sigmoid(a), 1.0)
    out = sigmoid(W2 @ hin)
    return out, (xin, hin, out, a, W1, W2)

def backward(dout, cache):
    xin, hin, out, a, W1, W2 = cache
    hid = hin[:-1]
    delta_out = dout * out * (1 - out)
    grad_W2 = np.outer(delta_out, hin)
    delta_hid = hid * (1 - hid) * (W2[:, :-1].T @ delta_out)
    grad_W1 = np.outer(delta_hid, xin)
    grad_x = W1[:, :-1].T @ delta_hid
    return grad_x, grad_W1, grad_W2
""",
    (draw(3), draw(3, 4), draw(2, 4)),
    (
        "delta_out = dout * out * (1 - out)",
        "delta_out = dout",
        r"\bslope|sigmoid|1 - out|derivative|factor|activation|output layer|last layer",
        "the slope of the output's sigmoid is missing",
        N,
        "public: Bot-Academy/NeuralNetworkFromScratch#3",
    ),
    (
        "hid * (1 - hid) *",
        "a * (1 - a) *",
        r"output|activat|pre-?activation|\bhid\b|\ba\b|\bvalue|\bslope|sigmoid|\binput|before|\bafter",
        "the sigmoid's slope needs its value, not its argument",
        M,
        "public: llSourcell/Make_a_neural_network#2",
    ),
    (
        "W2[:, :-1].T @ delta_out",
        "W2[:, 1:].T @ delta_out",
        r"\bbias|column|\bslice|:-1|appended|offset|\bshift|\bindex|\blast|\bfirst|wrong columns|weights",
        "the bias is the last column, not the first",
        M,
        "public: louisjc/mnist-neural-network#1 (the bias column)",
    ),
    (
        "W2[:, :-1].T @ delta_out",
        "(W2 - 0.1 * grad_W2)[:, :-1].T @ delta_out",
        r"\bupdat|\bstale|\bnew|\bW2\b|changed|\bstep|\bold|\bmoved|same values|not linear in dy|forward pass|grad_W2",
        "the hidden layer's error must use the weights of the forward pass, not those after their step",
        M,
        "public: Bot-Academy/NeuralNetworkFromScratch#3 (weights after their step)",
    ),
)

ROUND7["plain recurrence in columns"] = family(
    """
def forward(x, Whh, Wxh):
    T, h = x.shape[1], []
    for t in range(T):
        prev = h[t - 1] if t > 0 else np.zeros(len(Whh))
        h.append(np.tanh(Whh @ prev + Wxh @ x[:, t]))
    return np.array(h), (x, Whh, Wxh, h)

def backward(D, cache):
    x, Whh, Wxh, h = cache
    D_Whh, D_Wxh, D_x = np.zeros_like(Whh), np.zeros_like(Wxh), np.zeros_like(x)
    carried = np.zeros(len(Whh))
    for t in range(x.shape[1] - 1, -1, -1):
        dt = (D[t] + carried) * (1 - h[t] * h[t])
        D_Wxh += np.outer(dt, x[:, t])
        prev = h[t - 1] if t > 0 else np.zeros(len(Whh))
        D_Whh += np.outer(dt, prev)
        D_x[:, t] = Wxh.T @ dt
        carried = np.dot(Whh.T, dt)
    return D_x, D_Whh, D_Wxh
""",
    (draw(2, 4), draw(3, 3), draw(3, 2)),
    (
        "prev = h[t - 1] if t > 0 else np.zeros(len(Whh))",
        "prev = h[t - 1]",
        r"\bindex|first step|t > 0|t = 0|\bstart|initial|-1|\bwrap|last state|negative|previous|zero state|h\[t - 1\]",
        "at the first step h[-1] is the last state: the state before the first is zero",
        "transposed|averaged",
        "public: qixianbiao/RNN#2 (h[t-1] at the first step)",
    ),
    (
        "dt = (D[t] + carried)",
        "dt = D[t]",
        r"\bcarr|\btime|\brecur|through time|\blater|\bstate|history|\bstep|\bbptt|\bnext|future|\bterm|truncat",
        "the gradient of the later state is not handed on",
        N,
        "public: qixianbiao/RNN#2",
    ),
    (
        "np.dot(Whh.T, dt)",
        "np.dot(Whh, dt)",
        r"transpos|\.T|orientation|\baxis",
        "the recurrent matrix must be transposed on the way back",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "np.outer(dt, x[:, t])",
        "np.outer(dt, x[:, t - 1])",
        r"\bindex|\bstep|\btime|off by|\bshift|t - 1|previous|current|wrong column",
        "the input of the same step is due",
        M,
        "made up",
    ),
)

ROUND7["planes convolved one after the other"] = family(
    """
def forward(x, f):
    D, H, W = x.shape
    M, _, k = f.shape
    y = np.zeros((M, H, W - k + 1))
    for m in range(M):
        for d in range(D):
            for c in range(k):
                y[m] += f[m, d, c] * x[d, :, c:c + W - k + 1]
    return y, (x, f)

def backward(dy, cache):
    x, f = cache
    gx, gf = np.zeros_like(x), np.zeros_like(f)
    n = dy.shape[2]
    for m in range(f.shape[0]):
        for d in range(f.shape[1]):
            for c in range(f.shape[2]):
                gx[d, :, c:c + n] += f[m, d, c] * dy[m]
                gf[m, d, c] = np.sum(x[d, :, c:c + n] * dy[m])
    return gx, gf
""",
    (draw(2, 3, 5), draw(2, 2, 3)),
    (
        "gx[d, :, c:c + n]",
        "gx[m, :, c:c + n]",
        r"\bindex|\bd\b|\bm\b|channel|\bplane|wrong places|\bswap|\binput|filter|\bdepth|right numbers in wrong places",
        "the gradient belongs to the input plane d, not to the filter m",
        M,
        "public: NervanaSystems/neon#111",
    ),
    (
        "gx[d, :, c:c + n] +=",
        "gx[d, :, c:c + n] =",
        r"\boverw|accumul|\+=|\badd|several|\bsum|\blost|replace|assign|overlap",
        "windows overlap: their parts add up",
        M,
        "made up",
    ),
    (
        "np.sum(x[d, :, c:c + n] * dy[m])",
        "np.sum(x[d, :, :n] * dy[m])",
        r"window|\bshift|offset|\bindex|\bslice|c:c|\btap|position|same for|\bmoves|\bstart",
        "each tap sees its own shifted window",
        M,
        "made up",
    ),
    (
        "f[m, d, c] * dy[m]",
        "f[m, d, -1 - c] * dy[m]",
        r"\bflip|revers|\brotat|kernel|orientation|180|turned|mirror|\border|\btap|\bindex",
        "the taps are turned round: each meets the outputs that it wrote",
        M,
        "made up",
    ),
)

ROUND7["score plus a row of offsets"] = family(
    """
def forward(x, w, b):
    z = x @ w + b
    return z**2, (x, w, z)

def backward(dy, cache):
    x, w, z = cache
    dz = 2 * z * dy
    db = dz.sum(axis=0, keepdims=True)
    dscore = dz.sum(axis=1, keepdims=True)
    return dscore @ w.T, x.T @ dscore, db
""",
    (draw(4, 2), draw(2, 1), draw(1, 3)),
    (
        "dz.sum(axis=1, keepdims=True)",
        "dz[:, :1]",
        r"broadcast|\bsum|\baxis|column|\bfirst|spread|repeat|reduce|copies",
        "the score was spread over three columns: their gradients are summed",
        M,
        "public: tracel-ai/burn#181 (the same sum over broadcast axes)",
    ),
    (
        "dz.sum(axis=0, keepdims=True)",
        "dz.sum(axis=0)",
        r"\bshape|keepdims|dimension|wrong shape|\baxis",
        "b has two axes: keepdims is missing",
        r"\bsign\b|transposed|averaged",
        "made up",
    ),
    (
        "dz.sum(axis=1, keepdims=True)",
        "dz.mean(axis=1, keepdims=True)",
        r"\bmean|averag|\bsum|\bdivi|columns|constant|factor|broadcast",
        "what was spread by broadcasting is summed, not averaged",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "2 * z * dy",
        "z * dy",
        r"\b2\b|square|\bpower|\btwice|constant|factor|\bscale",
        "the factor 2 of the square is missing",
        M,
        "made up",
    ),
)

ROUND7["classes weighted by their label"] = family(
    """
LABELS = np.array([1, 0, 2, 1, 1])
WEIGHT = np.array([0.5, 2.0, 1.2])

def forward(scores):
    shifted = scores - scores.max(axis=1)[:, None]
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1)[:, None]
    w = WEIGHT[LABELS]
    loss = -np.sum(w * np.log(p[np.arange(5), LABELS])) / w.sum()
    return loss, (p, w)

def backward(dloss, cache):
    p, w = cache
    target = np.eye(3)[LABELS]
    dscores = w[:, None] * (p - target)
    return dloss * dscores / w.sum()
""",
    (draw(5, 3),),
    (
        "w[:, None] * (p - target)",
        "p - w[:, None] * target",
        r"weight|\bw\b|\bboth|\bwhole|softmax|one entry|\blabel|bracket|parenthes|\brow|distribut|factor",
        "the weight of the label multiplies the whole row, not the label's entry alone",
        M,
        "public: shicai/Weighted_Softmax_Loss#1 (one entry weighted)",
    ),
    (
        "w.sum()",
        "len(w)",
        r"\bdivi|sum of|weights|\bcount|number|\bmean|averag|normal|constant|\bscale|\blen|factor",
        "the forward divides by the sum of the weights",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "w[:, None] * (p - target)",
        "WEIGHT * (p - target)",
        r"\bindex|\blabel|LABELS|\brow|column|\baxis|broadcast|per class|example|wrong weight|weight",
        "the weight is that of the row's label, not that of each column",
        M,
        "made up",
    ),
    (
        "(p - target)",
        "(target - p)",
        r"\bsign|\bminus|\bnegat|\border|subtract",
        "softmax minus target, not the other way round",
        "transposed|averaged",
        "made up",
    ),
)

ROUND7["straight line by least squares"] = family(
    """
Y = np.array([1.0, -0.5, 2.0, 0.3])

def forward(X, w, b):
    err = X @ w + b - Y
    mse = np.mean(err**2)
    return mse, (X, w, err, mse)

def backward(up, cache):
    X, w, err, mse = cache
    derr = up * 2 * err / len(err)
    dX = np.outer(derr, w)
    dw = X.T @ derr
    db = np.array([derr.sum()])
    return dX, dw, db
""",
    (draw(4, 2), draw(2), draw(1)),
    (
        "derr = up * 2 * err / len(err)",
        "derr = up * np.full(len(err), mse) / len(err)",
        r"\berr|residual|\bloss|\bmse|scalar|square|\berror|derivative|2 \*",
        "the loss itself stands where its derivative, twice the error of each row, is due",
        M,
        "public: ooples/AiDotNet#1837",
    ),
    (
        "up * 2 * err",
        "up * err",
        r"\b2\b|square|\bpower|\btwice|constant|factor|\bscale",
        "the factor 2 of the square is missing",
        M,
        "public: ooples/AiDotNet#481",
    ),
    (
        "X.T @ derr",
        "X.T @ derr / len(err)",
        r"\bmean|averag|\bdivi|\blen|\bcount|number|\btwice|constant|\bscale|too many|already|factor",
        "the mean's division is in derr already: it counts twice",
        r"\bsign\b|transposed",
        "public: deeplearning.ai forum 221994 (1/m in two places)",
    ),
    (
        "derr.sum()",
        "derr.mean()",
        r"\bmean|averag|\bsum|\bdivi|\bcount|constant|\bscale|factor",
        "the bias gets the sum over the rows",
        r"\bsign\b|transposed",
        "made up",
    ),
)

ROUND7["categories against the uniform"] = family(
    """
def forward(a):
    p = np.exp(a - a.max(axis=-1, keepdims=True))
    p = p / p.sum(axis=-1, keepdims=True)
    inner = np.log(p) + np.log(p.shape[-1])
    return np.sum(p * inner, axis=-1), (p, inner)

def backward(dkl, cache):
    p, inner = cache
    kl = np.sum(p * inner, axis=-1, keepdims=True)
    return dkl[..., None] * p * (inner - kl)
""",
    (draw(2, 3, 4),),
    (
        "(inner - kl)",
        "(kl - inner)",
        r"\bsign|\bminus|\bnegat|\border|subtract|revers",
        "the divergence grows with log p: the sign is wrong",
        "transposed|averaged",
        "public: Kaixhin/Autoencoders#9",
    ),
    (
        "(inner - kl)",
        "(inner + 1)",
        r"\bmean|expect|kl\b|softmax|jacobian|\bcentr|\bsum|subtract|common|\bterm|\b1\b|\bcoupl|normal",
        "that is the derivative by p: softmax's Jacobian takes off the mean",
        M,
        "made up",
    ),
    (
        "p * (inner - kl)",
        "(inner - kl)",
        r"\bp\b|probab|softmax|factor|weight|\bslope",
        "the factor p of softmax is missing",
        N,
        "made up",
    ),
)

ROUND7["total variation from a target"] = family(
    """
Q = np.array([[0.1, 0.6, 0.3], [0.4, 0.4, 0.2], [0.25, 0.05, 0.7]])

def forward(z):
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return 0.5 * np.abs(p - Q).sum(axis=1), p

def backward(dy, p):
    dp = 0.5 * np.sign(p - Q) * dy[:, None]
    return p * (dp - (p * dp).sum(axis=1, keepdims=True))
""",
    (draw(3, 3),),
    (
        "p * (dp - (p * dp).sum(axis=1, keepdims=True))",
        "p * (1 - p) * dp",
        r"softmax|jacobian|diagonal|\bcoupl|\bother|\bcross|\bsum|off-diag|elementwise|sigmoid",
        "only the diagonal of softmax's Jacobian",
        M,
        "public: wkcn/mobula#3 (softmax)",
    ),
    (
        "np.sign(p - Q)",
        "(p - Q)",
        r"\bsign|\babs\b|absolute|square|\bslope|\bkink|magnitude|derivative",
        "the derivative of the absolute value is the sign, not the difference",
        "transposed|averaged",
        "made up",
    ),
    (
        "0.5 * np.sign(p - Q)",
        "np.sign(p - Q)",
        r"\bhalf|0\.5|\b2\b|constant|\bscale|factor",
        "the half of the forward pass is missing",
        r"transposed|averaged",
        "made up",
    ),
    (
        "(p * dp).sum(axis=1, keepdims=True)",
        "(p * dp).sum(axis=0, keepdims=True)",
        r"\baxis|\brow|column|\balong|direction|dimension",
        "the sum runs along the wrong axis",
        r"\bsign\b|averaged",
        "made up",
    ),
)

ROUND7["samples one by one"] = family(
    """
def forward(x, W):
    y = np.zeros((len(x), len(W)))
    for n in range(len(x)):
        y[n] = np.tanh(W @ x[n])
    return y, (x, W, y)

def backward(dy, cache):
    x, W, y = cache
    dx = np.zeros_like(x)
    dW = np.zeros_like(W)
    for n in range(len(x)):
        da = dy[n] * (1 - y[n]**2)
        dx[n] = W.T @ da
        dW += np.outer(da, x[n])
    return dx, dW
""",
    (draw(4, 3), draw(3, 3)),
    (
        "    return dx, dW",
        "        return dx, dW",
        r"\bloop|\bfirst|indent|return|\bearly|sample|others|one index only|part left at zero|after the loop|iteration",
        "the return stands inside the loop: only the first sample is done",
        M,
        "made up",
    ),
    (
        "    for n in range(len(x)):",
        "    for n in range(1, len(x)):",
        r"\bfirst|\brange|off by one|\bloop|\bstart|sample|\bskipp|one index only|part left at zero|index 0|zero",
        "the loop leaves out the first sample",
        M,
        "made up",
    ),
    (
        "        da = dy[n]",
        "        dW = np.zeros_like(W)\n        da = dy[n]",
        r"\breset|\bloop|\blast|accumul|\boverw|inside|\bsum|sample|\bzeros|\badd|\blost",
        "dW is set to zero anew for each sample: only the last one is left",
        M,
        "made up",
    ),
    (
        "np.outer(da, x[n])",
        "np.outer(x[n], da)",
        r"transpos|\border|\bswap|exchang|\bouter|orientation|\.T",
        "the outer product is transposed",
        r"\bsign\b|averaged",
        "made up",
    ),
)

ROUND7["wave packet of two inputs"] = family(
    """
def forward(a, b):
    return a * np.cos(b), (a, b)

def backward(g, cache):
    a, b = cache
    d = g.copy()
    d *= np.cos(b)
    grad_b = -g * a * np.sin(b)
    return d, grad_b
""",
    (draw(3, 3), draw(3, 3)),
    (
        "return d, grad_b",
        "return grad_b, d",
        r"\bswap|\border|exchang|return|wrong input|interchang|position|\bmixed",
        "the two gradients are returned in the wrong order",
        M,
        "made up",
    ),
    (
        "-g * a * np.sin(b)",
        "-g * a * np.cos(b)",
        r"\bsine?\b|\bcos|\bslope|derivative|itself|function",
        "the derivative of the cosine is minus the sine",
        "transposed|averaged",
        "made up",
    ),
    (
        "-g * a * np.sin(b)",
        "-g * np.sin(b)",
        r"\ba\b|factor|product|\bother|operand",
        "the factor a is missing",
        N,
        "made up",
    ),
    (
        "d = g.copy()",
        "d = g",
        r"in place|in-place|\bcopy|\balias|\boverw|\bmutat|\bchang|\bmodif|same array|\btwice|\bcos|\*=|writes",
        "d is g itself: d *= changes g before its second use",
        "transposed|averaged",
        "made up",
    ),
)

ROUND7["winners of pairs by assignment"] = family(
    """
def forward(x):
    pairs = x.reshape(len(x), -1, 2)
    return pairs.max(axis=2), pairs

def backward(dy, pairs):
    dx = np.zeros(pairs.shape)
    best = pairs.argmax(axis=2)
    for r in range(dy.shape[0]):
        for c in range(dy.shape[1]):
            dx[r, c, best[r, c]] = dy[r, c]
    return dx.reshape(len(dx), -1)
""",
    (draw(3, 6),),
    (
        "np.zeros(pairs.shape)",
        "np.zeros(pairs.shape, dtype=int)",
        r"\bint\b|\bdtype|\btrunc|\bround|\bwhole|\bfloat|\btype|integer|fraction",
        "a buffer of integers cuts off the fractions",
        M,
        "made up",
    ),
    (
        "pairs.argmax(axis=2)",
        "pairs.argmin(axis=2)",
        r"\bargm|\bmax|\bmin\b|minim|\bloser|winner|\bother|\bswap|\bindex|\bmask|right numbers in wrong places|smaller",
        "the gradient goes to the loser",
        M,
        "made up",
    ),
    (
        "dx[r, c, best[r, c]] = dy[r, c]",
        "dx[r, c] = dy[r, c]",
        r"\bbest|winner|argmax|\bindex|\bboth|\bmask|\broute|\bmax",
        "both of the pair get the gradient: only the winner should",
        M,
        "made up",
    ),
)

ROUND7["length of rows under weights"] = family(
    """
def forward(x, w):
    y = np.sqrt((w * x * x).sum(axis=1) + 0.1)
    return y, (x, w, y)

def backward(g, cache):
    x, w, y = cache
    ds = g / (2 * y)
    dx = ds[:, None] * 2 * w * x
    dw = (ds[:, None] * x * x).sum(axis=0)
    return dx, dw
""",
    (draw(3, 3), positive(3)),
    (
        "g / (2 * y)",
        "g / 2 * y",
        r"parenthes|precedence|bracket|\bdivi|2 \* y|/ y|denominator|\broot|sqrt|numerator|\by\b|multipl",
        "without brackets this multiplies by y instead of dividing",
        M,
        "public: apache/tvm#7340 (parentheses)",
    ),
    (
        "dx = ds[:, None] * 2",
        "dx = ds * 2",
        r"broadcast|\baxis|None|column|\brow|\balong|\bshape|dimension|wrong axis",
        "each row has its own ds: without the new axis it is spread over the columns",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "(ds[:, None] * x * x)",
        "(ds[:, None] * w * x * x)",
        r"\bw\b|weight|\bextra|too many|itself|\bown|factor|already|\btwice",
        "the weight's own value has no place in its derivative",
        M,
        "made up",
    ),
    (
        "2 * w * x",
        "w * x",
        r"\b2\b|square|\bpower|\btwice|constant|factor|\bscale",
        "the factor 2 of the square is missing",
        M,
        "made up",
    ),
)

ROUND7["batch of sequences through one matrix"] = family(
    """
def forward(x, W):
    n, t, d = x.shape
    flat = x.reshape(n * t, d)
    z = flat @ W
    return np.log1p(np.exp(z)).reshape(n, t, -1), (flat, W, z, x.shape)

def backward(dy, cache):
    flat, W, z, shape = cache
    dz = dy.reshape(z.shape) / (1 + np.exp(-z))
    dW = flat.T @ dz
    dx = dz @ W.T
    return dx.reshape(shape), dW
""",
    (draw(2, 3, 4), draw(4, 2)),
    (
        "flat.T @ dz",
        "flat.reshape(flat.shape[1], -1) @ dz",
        r"reshape|transpos|\.T|\border|layout|\bmixed",
        "reshape is no transposing: the numbers stay in their order",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        "(1 + np.exp(-z))",
        "(1 + np.exp(z))",
        r"sigmoid|1 - |complement|exp\(|argument|\bnegat|-z|\bslope|\bsign|exponent",
        "the slope of softplus is sigmoid(z), not sigmoid(-z)",
        "transposed|averaged",
        "made up",
    ),
    (
        "dy.reshape(z.shape)",
        "dy.transpose(1, 0, 2).reshape(z.shape)",
        r"transpos|\border|\baxes|reshape|wrong places|layout|permut|\brows|\bmixed|right numbers in wrong places",
        "the rows of dy are brought into another order than those of x",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        " / (1 + np.exp(-z))",
        "",
        r"\bslope|softplus|sigmoid|derivative|factor|activation|\bchain",
        "the slope of softplus is missing",
        N,
        "made up",
    ),
)
