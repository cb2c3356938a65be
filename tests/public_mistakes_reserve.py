"""87 more wrong backwards of the kinds of `public_mistakes_fresh.py`: for the round after the one that measures `last`.

The format is that of the fresh corpus, and so are the kinds; the functions, the ways of writing and the mistakes are others.
"""

import numpy as np
from public_mistakes_fresh import family

rng = np.random.default_rng(1603)


def draw(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return np.abs(rng.normal(size=shape)) + 0.3


RESERVE = {}  # ---------------------------------------------------------------- activations

RESERVE["prelu with a slope for each channel"] = family(
    """
def forward(x, alpha):
    return np.where(x > 0, x, alpha * x), (x, alpha)

def backward(dy, cache):
    x, alpha = cache
    neg = x <= 0
    dx = dy * np.where(neg, alpha, 1)
    dalpha = (dy * x * neg).sum(axis=0)
    return dx, dalpha
""",
    (draw(5, 4), -positive(4)),
    (
        "neg = x <= 0",
        "neg = np.where(x > 0, x, alpha * x) <= 0",
        r"\by\b|output|mask|condition|input|instead of x",
        "the mask looks at the output: with a negative slope the output is positive on both sides",
        "sign|transposed|averaged",
        "PaddlePaddle/Paddle#12538",
    ),
    (
        "(dy * x * neg)",
        "(dy * x)",
        "neg|mask|side|condition|factor neg",
        "only negative inputs tell anything about the slope: the mask is missing",
        "sign|transposed|averaged",
        "tfjs#1072",
    ),
    (
        "(dy * x * neg)",
        "(dy * neg)",
        r"\bx\b",
        "the factor x is missing: y = alpha x there",
        "sign|transposed|averaged",
        "made up",
    ),
    (
        "(dy * x * neg).sum(axis=0)",
        "(dy * x * neg).mean(axis=0)",
        "averaged|mean|batch",
        "averaged over the batch, where a sum is due",
        "sign|transposed",
        "made up",
    ),
)

RESERVE["mish"] = family(
    """
def forward(x):
    sp = np.log1p(np.exp(x))
    return x * np.tanh(sp), (x, sp)

def backward(g, cache):
    x, sp = cache
    t = np.tanh(sp)
    sig = 1 / (1 + np.exp(-x))
    return g * (t + x * (1 - t**2) * sig)
""",
    (draw(3, 4),),
    (
        "(1 - t**2) * sig",
        "(1 - t**2)",
        "sig|softplus|inner|chain",
        "the inner derivative, that of softplus, is missing",
        "transposed|averaged",
        "made up",
    ),
    (
        "(1 - t**2) * sig",
        "sig",
        "tanh|1 - t|slope",
        "the slope of tanh is missing in the chain",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "t + x * (1 - t**2) * sig",
        "x * (1 - t**2) * sig",
        "\\bt\\b|product rule|term",
        "product rule: the derivative of x itself is missing",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "np.exp(-x)",
        "np.exp(-sp)",
        r"sp instead of x|\bsp\b|softplus|\bx\b",
        "the sigmoid of x is meant, not that of softplus",
        "transposed|averaged|sign",
        "made up",
    ),
)

RESERVE["clip of a product"] = family(
    """
lo, hi = -0.8, 0.9

def forward(a, b):
    p = a * b
    return np.clip(p, lo, hi), (a, b, p)

def backward(grad, cache):
    a, b, p = cache
    keep = (p > lo) & (p < hi)
    dp = grad * keep
    return dp * b, dp * a
""",
    (draw(4, 3), draw(4, 3)),
    (
        "dp = grad * keep",
        "dp = grad * (grad * keep)",
        r"grad|\bdy\b|twice|too many|square|not linear",
        "the incoming gradient is multiplied in twice",
        "transposed|averaged|sign",
        "elixir-nx/nx#1779",
    ),
    (
        "(p > lo) & (p < hi)",
        "(a > lo) & (a < hi)",
        r"\ba\b|\bp\b",
        "the limits hold for the product, not for a",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "(p > lo) & (p < hi)",
        "(p > lo) | (p < hi)",
        r"\bor\b|mask|and|keep|condition|limit|clip|saturat",
        "and, not or: with or nothing is ever clipped",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "dp = grad * keep",
        "dp = np.clip(grad, lo, hi)",
        r"clip|keep|mask|grad|not linear|\bdy\b",
        "the gradient itself is clipped instead of masked where the product was",
        "transposed|averaged|sign",
        "made up",
    ),
)

# ---------------------------------------------------------------- losses

RESERVE["modified huber for classes"] = family(
    """
y = np.array([1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0])

def forward(f):
    m = y * f
    loss = np.where(m < -1, -4 * m, np.where(m < 1, (1 - m) ** 2, 0))
    return loss.sum(), m

def backward(g, m):
    slope = np.where(m < -1, -4, np.where(m < 1, -2 * (1 - m), 0))
    return g * slope * y
""",
    (2 * draw(7),),
    (
        "-2 * (1 - m)",
        "-(1 - m)",
        r"\b2\b|twice|half",
        "the square's factor 2 is missing in the middle",
        "transposed|averaged|batch|sign",
        "stdlib-js/stdlib#13111",
    ),
    (
        "np.where(m < 1, -2 * (1 - m), 0)",
        "-2 * (1 - m)",
        r"m < 1|condition|zero|mask|hinge|margin|case|\b0\b",
        "beyond the margin the slope is zero: that case is missing",
        "transposed|averaged|batch|sign",
        "stdlib-js/stdlib#15317",
    ),
    (
        "g * slope * y",
        "g * slope",
        r"\by\b|sign|label",
        "the inner derivative y is missing: it turns the sign for the other class",
        "transposed|averaged|batch",
        "made up",
    ),
    (
        "-2 * (1 - m)",
        "2 * (1 - m)",
        "sign",
        "wrong sign in the middle: the loss falls there",
        "transposed|averaged|batch",
        "made up",
    ),
)

RESERVE["kl divergence of a softmax to a target, reversed"] = family(
    """
q = np.array([[0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.4, 0.4, 0.2]])

def forward(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return (p * np.log(p / q)).sum(), p

def backward(g, p):
    d = np.log(p / q) + 1
    return g * p * (d - (p * d).sum(axis=1, keepdims=True))
""",
    (draw(3, 3),),
    (
        "p * (d - (p * d).sum(axis=1, keepdims=True))",
        "d",
        r"softmax|jacobian|\bp\b|chain|slope|derivative",
        "the softmax's derivative is missing: this is the gradient to p",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "(p * d).sum(axis=1, keepdims=True)",
        "d.sum(axis=1, keepdims=True)",
        r"\bp\b|weight|factor p|common term",
        "the sum is weighted by p",
        "transposed|averaged|sign",
        "made up",
    ),
    ("np.log(p / q) + 1", "p / q + 1", "log", "the logarithm is missing", "transposed|averaged|sign", "made up"),
)

RESERVE["pairs ranked by a hinge"] = family(
    """
margin = 1.0

def forward(s_pos, s_neg):
    gap = margin - s_pos[:, None] + s_neg[None, :]
    return np.maximum(gap, 0).sum() / gap.size, gap

def backward(dloss, gap):
    on = dloss * (gap > 0) / gap.size
    return -on.sum(axis=1), on.sum(axis=0)
""",
    (draw(4), draw(3)),
    (
        "return -on.sum(axis=1), on.sum(axis=0)",
        "return on.sum(axis=1), on.sum(axis=0)",
        "sign",
        "wrong sign: the score of the positives lowers the loss",
        "transposed|averaged|axis",
        "xiaolonw/caffe-video_triplet#3",
    ),
    (
        "dloss * (gap > 0)",
        "dloss * gap * (gap > 0)",
        "gap|too many|square|slope",
        "the slope of the hinge is 1, not the gap",
        "transposed|averaged|sign|axis",
        "made up",
    ),
    (
        "dloss * (gap > 0)",
        "dloss * (gap > margin)",
        r"margin|\b0\b|threshold|mask|condition|gap",
        "the margin is in gap already: compare with 0",
        "transposed|averaged|sign|axis",
        "made up",
    ),
    (
        "-on.sum(axis=1)",
        "-on.max(axis=1)",
        "max|sum",
        "the maximum over the pairs, where their sum is due",
        "transposed|sign",
        "made up",
    ),
)

RESERVE["distance to centres"] = family(
    """
which = np.array([1, 0, 1, 2, 1])

def forward(feat, centres):
    diff = feat - centres[which]
    return 0.5 * (diff**2).sum() / len(feat), (diff, centres.shape)

def backward(grad_output, cache):
    diff, shape = cache
    dfeat = grad_output * diff / len(diff)
    dcentres = np.zeros(shape)
    np.add.at(dcentres, which, -dfeat)
    return dfeat, dcentres
""",
    (draw(5, 2), draw(3, 2)),
    (
        "grad_output * diff / len(diff)",
        "grad_output * diff",
        "averaged|mean|batch|division|1/5|len|sum instead",
        "forward takes the mean over the batch: the division is missing",
        "sign|transposed",
        "jxgu1016/MNIST_center_loss_pytorch#9",
    ),
    (
        "np.add.at(dcentres, which, -dfeat)",
        "np.add.at(dcentres, which, -dfeat / np.bincount(which)[which][:, None])",
        "count|averaged|mean|division|bincount|too many",
        "averaged over the examples of a centre: the gradient is their sum",
        "sign|transposed",
        "jxgu1016/MNIST_center_loss_pytorch#9",
    ),
    (
        "np.add.at(dcentres, which, -dfeat)",
        "dcentres[which] -= dfeat",
        r"accumulat|repeat|duplicat|add\.at|once|last",
        "examples with the same centre are counted once: np.add.at",
        "sign|transposed",
        "HIPS/autograd#263",
    ),
    ("which, -dfeat", "which, dfeat", "sign", "wrong sign: centres enter with a minus", "transposed|averaged", "made up"),
)

# ---------------------------------------------------------------- softmax and relatives

RESERVE["softmax with a temperature"] = family(
    """
tau = 2.5

def forward(x):
    z = x / tau
    z = z - z.max(axis=1, keepdims=True)
    prob = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return prob, prob

def backward(dprob, prob):
    inner = np.einsum("nk,nk->n", dprob, prob)
    return prob * (dprob - inner[:, None]) / tau
""",
    (draw(3, 4),),
    (
        "/ tau",
        "* tau",
        "tau|temperature|divi|multipl",
        "multiplied by the temperature, where dividing is due",
        "transposed|averaged|sign|batch",
        "made up",
    ),
    (
        "prob * (dprob - inner[:, None])",
        "prob * dprob - inner[:, None]",
        "prob|bracket|precedence|common term|outside",
        "brackets: prob multiplies both terms",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        '"nk,nk->n", dprob, prob',
        '"nk,jk->n", dprob, prob',
        r"sum|row|index|cross|too much|other|\bj\b",
        "every row is paired with all rows: the sum must stay in its row",
        "transposed|averaged|sign",
        "made up",
    ),
)

RESERVE["log softmax and picked classes"] = family(
    """
c = np.array([3, 1, 1])

def forward(z):
    ls = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return ls[range(3), c], ls

def backward(dout, ls):
    dz = -np.exp(ls) * dout[:, None]
    dz[range(3), c] += dout
    return dz
""",
    (draw(3, 4),),
    (
        "dz[range(3), c] += dout",
        "dz[range(3), c] = dout",
        "\\+=|accumulat|overwrit|add",
        "the probability's part is overwritten: add",
        "transposed|averaged|sign",
        "mlpack#2360",
    ),
    (
        "dz[range(3), c] += dout",
        "dz[:, c] += dout[:, None]",
        "index|pair|row|range|fancy|column|wrong places|right numbers in wrong places",
        "every row gets every class: one index for each row is meant",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "dz[range(3), c] += dout",
        "dz[range(3), c - 1] += dout",
        "off by one|index|shift|label",
        "the classes are off by one",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "dz[range(3), c] += dout",
        "dz[range(3), c] += 1",
        r"dout|\bdy\b|upstream|not linear|zero in|chain",
        "the incoming gradient is missing: 1 instead of dout",
        "transposed|averaged|sign",
        "cs231n assignments, softmax loss reused as a layer",
    ),
)

# ---------------------------------------------------------------- dense layers and broadcasting

RESERVE["hidden layer with a preactivation"] = family(
    """
def forward(x, Wh, Wy):
    htilde = x @ Wh
    h = np.maximum(htilde, 0)
    return h @ Wy, (x, htilde, h, Wh, Wy)

def backward(grad_y, cache):
    x, htilde, h, Wh, Wy = cache
    grad_Wy = h.T @ grad_y
    grad_h = grad_y @ Wy.T
    grad_htilde = grad_h * (htilde > 0)
    grad_Wh = x.T @ grad_htilde
    return grad_htilde @ Wh.T, grad_Wh, grad_Wy
""",
    (draw(4, 3), draw(3, 5), draw(5, 2)),
    (
        "grad_Wh = x.T @ grad_htilde",
        "grad_Wh = x.T @ grad_h",
        "grad_h|relu|mask|slope|preactivation",
        "the gradient before the relu is meant: its mask is missing here",
        "transposed|averaged|sign",
        "arthurdouillard/deepcourse#6",
    ),
    (
        "grad_Wy = h.T @ grad_y",
        "grad_Wy = htilde.T @ grad_y",
        "htilde instead of h|htilde|relu|activation|mask",
        "the layer saw h, not the value before the relu",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "grad_h * (htilde > 0)",
        "grad_h * (grad_h > 0)",
        "grad_h|mask|relu|htilde|condition|not linear",
        "the mask looks at the gradient instead of the preactivation",
        "transposed|averaged|sign",
        "made up",
    ),
    (
        "grad_h * (htilde > 0)",
        "grad_h * htilde",
        "relu|slope|mask|> 0|htilde|step|derivative",
        "the relu's slope is 0 or 1, not its input",
        "transposed|averaged|sign",
        "oreilly-japan/deep-learning-from-scratch#43",
    ),
)

RESERVE["mask times a sequence"] = family(
    """
def forward(h, m):
    return h * m, (h, m)

def backward(dout, cache):
    h, m = cache
    dh = dout * m
    dm = (dout * h).sum(axis=2, keepdims=True)
    return dh, dm
""",
    (draw(2, 3, 4), draw(2, 3, 1)),
    (
        "(dout * h).sum(axis=2, keepdims=True)",
        "dout * h",
        "sum|broadcast|axis|wrong shape",
        "m was broadcast: sum over the last axis",
        "averaged|transposed|sign",
        "tenstorrent/tt-metal#40008",
    ),
    (
        "(dout * h).sum(axis=2, keepdims=True)",
        "dout.sum(axis=2, keepdims=True)",
        r"\bh\b",
        "the factor h is missing",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "(dout * h).sum(axis=2, keepdims=True)",
        "(dout * h)[:, :, :1]",
        "first|sum|slice|index",
        "only the first feature is counted: sum over all",
        "averaged|transposed|sign",
        "made up",
    ),
)

RESERVE["difference of all pairs"] = family(
    """
def forward(a, b):
    diff = a[:, None] - b[None, :]
    return diff**2, diff

def backward(g, diff):
    d = 2 * g * diff
    return d.sum(axis=1), -d.sum(axis=0)
""",
    (draw(3), draw(3)),
    (
        "return d.sum(axis=1), -d.sum(axis=0)",
        "return d.sum(axis=0), -d.sum(axis=1)",
        "axis|axes|order|exchang|swap|transpose",
        "the axes of the two sums are exchanged",
        "averaged|sign",
        "made up",
    ),
    (
        "return d.sum(axis=1), -d.sum(axis=0)",
        "return d.sum(axis=1), d.sum(axis=0)",
        "sign",
        "wrong sign: b is subtracted",
        "averaged|transposed|axis",
        "minitorch, Sub",
    ),
    (
        "2 * g * diff",
        "2 * g * np.abs(diff)",
        "abs|sign",
        "no absolute value: the derivative of a square keeps the sign",
        "averaged|transposed|axis",
        "made up",
    ),
    (
        "d.sum(axis=1)",
        "np.diag(d)",
        "diagonal|sum|axis",
        "only the diagonal is taken, where the row's sum is due",
        "averaged|transposed|sign",
        "made up",
    ),
)

# ---------------------------------------------------------------- convolution and pooling

RESERVE["dilated causal convolution"] = family(
    """
dil = 2

def forward(x, w):
    T = x.shape[1]
    xp = np.pad(x, ((0, 0), (dil, 0)))
    return w[0] * xp[:, :T] + w[1] * x, (x, xp, w)

def backward(g, cache):
    x, xp, w = cache
    T = x.shape[1]
    dx = w[1] * g
    dx[:, : T - dil] += w[0] * g[:, dil:]
    dw = np.array([(g * xp[:, :T]).sum(), (g * x).sum()])
    return dx, dw
""",
    (draw(2, 6), draw(2)),
    (
        "dx[:, : T - dil] += w[0] * g[:, dil:]",
        "dx[:, dil:] += w[0] * g[:, : T - dil]",
        "shift|direction|order|time|index|slice|swap|exchang|wrong places|future|offset|right numbers in wrong places",
        "shifted the wrong way: the past gets gradients from the future",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "dx[:, : T - dil] += w[0] * g[:, dil:]",
        "dx[:, : T - 1] += w[0] * g[:, 1:]",
        "dil|shift|step|offset|index|slice",
        "the shift is the dilation, not one",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "w[0] * g[:, dil:]",
        "w[1] * g[:, dil:]",
        r"w\[1\] instead|w\[0\]|index|weight|\bw\b|tap",
        "the wrong tap of the kernel",
        "sign|averaged|transposed",
        "made up",
    ),
)

RESERVE["pooling with both ways"] = family(
    """
def forward(x):
    n, h, w = x.shape
    blocks = x.reshape(n, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 2, 4).reshape(n, h // 2, w // 2, 4)
    return blocks.max(axis=3) + blocks.mean(axis=3), blocks

def backward(dy, blocks):
    n, h, w, _ = blocks.shape
    mask = blocks == blocks.max(axis=3, keepdims=True)
    d = dy[..., None] * (mask + 0.25)
    return d.reshape(n, h, w, 2, 2).transpose(0, 1, 3, 2, 4).reshape(n, 2 * h, 2 * w)
""",
    (draw(2, 4, 6),),
    (
        "(mask + 0.25)",
        "(mask + 1)",
        r"0\.25|\b4\b|averaged|mean|window|size|division",
        "the mean's factor 1/4 is missing",
        "sign|batch",
        "marsggbo/deeplearning.ai_JupyterNotebooks#10",
    ),
    ("(mask + 0.25)", "mask", "0\\.25|mean|term|average", "the mean's part is missing", "sign|batch", "made up"),
    (
        ".transpose(0, 1, 3, 2, 4)",
        "",
        "transpose|axes|axis|order|layout|wrong places|reshape|right numbers in wrong places",
        "the axes of the blocks are not put back before the reshape",
        "sign|averaged|batch",
        "made up",
    ),
)

# ---------------------------------------------------------------- normalisation

RESERVE["batch norm with shift, unrolled"] = family(
    """
eps = 1e-3

def forward(Z, beta):
    n = len(Z)
    mean = Z.sum(axis=0) / n
    c = Z - mean
    var = (c**2).sum(axis=0) / (n - 1)
    inv = (var + eps) ** -0.5
    return c * inv + beta, (c, inv)

def backward(dout, cache):
    c, inv = cache
    n = len(c)
    dbeta = dout.sum(axis=0)
    dinv = (dout * c).sum(axis=0)
    dc = dout * inv
    dvar = -0.5 * inv**3 * dinv
    dc += 2 / (n - 1) * c * dvar
    dZ = dc - dc.sum(axis=0) / n
    return dZ, dbeta
""",
    (draw(5, 2), draw(2)),
    (
        "2 / (n - 1) * c",
        "2 / n * c",
        r"n - 1|Bessel|unbiased|division|\bn\b",
        "forward divides by n - 1",
        "sign|transposed|batch sum",
        "karpathy's makemore, Bessel's correction",
    ),
    (
        "2 / (n - 1) * c",
        "1 / (n - 1) * c",
        r"\b2\b|twice|square",
        "the square's factor 2 is missing",
        "sign|transposed|averaged",
        "made up",
    ),
    (
        "-0.5 * inv**3",
        "0.5 * inv**3",
        "sign",
        "wrong sign: the derivative of a negative power",
        "transposed|averaged",
        "mlpack#1923",
    ),
    (
        "dc += 2 / (n - 1)",
        "dc = 2 / (n - 1)",
        "\\+=|accumulat|overwrit|term|dout \\* inv|direct",
        "the direct path is overwritten: both must be added",
        "sign|transposed|averaged",
        "zhenlinluo, apache/mxnet#4057, = for +=",
    ),
    (
        "dc.sum(axis=0) / n",
        "dc.sum(axis=0)",
        r"\bn\b|averaged|mean|division|batch|sum instead",
        "the mean's 1/n is missing",
        "sign|transposed",
        "made up",
    ),
)

# ---------------------------------------------------------------- recurrent nets, attention, words

RESERVE["recurrent net with relu and a shared bias"] = family(
    """
def forward(x, U, W, b):
    h = np.zeros((x.shape[0], len(b)))
    pre = []
    hs = [h]
    for t in range(x.shape[1]):
        z = x[:, t] @ U + h @ W + b
        h = np.maximum(z, 0)
        pre.append(z)
        hs.append(h)
    return h, (x, U, W, pre, hs)

def backward(dh, cache):
    x, U, W, pre, hs = cache
    dx, dU, dW, db = np.zeros_like(x), 0 * U, 0 * W, 0 * U[0]
    for t in range(x.shape[1] - 1, -1, -1):
        dz = dh * (pre[t] > 0)
        dU += x[:, t].T @ dz
        dW += hs[t].T @ dz
        db += dz.sum(axis=0)
        dx[:, t] = dz @ U.T
        dh = dz @ W.T
    return dx, dU, dW, db
""",
    (draw(3, 3, 2), draw(2, 4), 0.6 * draw(4, 4), 0.5 + positive(4)),
    (
        "dh = dz @ W.T",
        "dh = dz @ W",
        "transpose|W\\.T|\\.T|order",
        "W must be transposed on the way back",
        "sign|averaged",
        "made up",
    ),
    (
        "db += dz.sum(axis=0)",
        "db = dz.sum(axis=0)",
        "\\+=|accumulat|overwrit|time|step|last|first|sum",
        "the bias is shared by all steps: accumulate",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "range(x.shape[1] - 1, -1, -1)",
        "range(x.shape[1] - 1, 0, -1)",
        "first|loop|short|step|left out|range|t = 0|time|zero|off by one",
        "the loop stops before the first step",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "dW += hs[t].T @ dz",
        "dW += hs[t + 1].T @ dz",
        "previous|index|off by one|shift|t \\+ 1|time|step|state",
        "the state before the step belongs here: hs[t]",
        "sign|averaged|transposed",
        "made up",
    ),
)

RESERVE["attention that pools"] = family(
    """
def forward(h, u):
    s = np.tanh(h) @ u
    a = np.exp(s) / np.exp(s).sum()
    return a @ h, (h, u, a)

def backward(g, cache):
    h, u, a = cache
    th = np.tanh(h)
    da = h @ g
    ds = a * (da - a @ da)
    dh = np.outer(a, g) + np.outer(ds, u) * (1 - th**2)
    du = th.T @ ds
    return dh, du
""",
    (draw(5, 3), draw(3)),
    (
        "np.outer(a, g) + np.outer(ds, u) * (1 - th**2)",
        "np.outer(a, g)",
        r"term|path|score|\bds\b|weights|used twice|constant",
        "h is used twice: the path through the weights is missing",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "np.outer(a, g) + np.outer(ds, u) * (1 - th**2)",
        "np.outer(ds, u) * (1 - th**2)",
        r"term|path|direct|value|\ba\b|used twice",
        "h is used twice: its path as a value is missing",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "np.outer(ds, u) * (1 - th**2)",
        "np.outer(ds, u)",
        "tanh|1 - th|slope",
        "the slope of tanh is missing",
        "sign|averaged|transposed",
        "made up",
    ),
    (
        "du = th.T @ ds",
        "du = h.T @ ds",
        r"tanh|\bth\b|h instead",
        "the scores see tanh(h), not h",
        "sign|averaged|transposed",
        "made up",
    ),
)

# ---------------------------------------------------------------- residuals, penalties, compositions

RESERVE["residual scaled by a learnt number"] = family(
    """
def forward(x, a, w):
    f = np.tanh(x * w)
    return x + a * f, (x, a, w, f)

def backward(dy, cache):
    x, a, w, f = cache
    df = dy * a * (1 - f**2)
    dx = dy + df * w
    da = np.array([(dy * f).sum()])
    dw = (df * x).sum(axis=0)
    return dx, da, dw
""",
    (draw(4, 3), np.array([0.7]), draw(3)),
    (
        "dx = dy + df * w",
        "dx = dy * (df * w)",
        r"\bdy\b|sum|product|multipl|\+|not linear|plus",
        "paths are added, not multiplied",
        "averaged|transposed",
        "made up",
    ),
    (
        "dx = dy + df * w",
        "dx = 1 + df * w",
        r"\bdy\b|\b1\b|identity|zero in|upstream|not linear",
        "the shortcut passes dy, not 1",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "df = dy * a * (1 - f**2)",
        "df = dy * (1 - f**2)",
        r"\ba\b",
        "the factor a is missing",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "(df * x).sum(axis=0)",
        "(df * f).sum(axis=0)",
        r"f instead of x|\bx\b|\bf\b",
        "the argument of tanh is x * w: the factor is x, not its output",
        "averaged|transposed|sign",
        "made up",
    ),
)

RESERVE["penalty of orthogonality"] = family(
    """
mu = 0.1

def forward(W):
    G = W.T @ W - np.eye(W.shape[1])
    return mu * (G**2).sum(), (W, G)

def backward(g, cache):
    W, G = cache
    return g * 4 * mu * W @ G
""",
    (draw(4, 3),),
    (
        "4 * mu",
        "2 * mu",
        r"\b2\b|twice|both|symmetr",
        "W is in the product twice: 4, not 2",
        "averaged|transposed|sign",
        "made up",
    ),
    ("W @ G", "W @ G.T @ G", r"\bG\b|too many|power", "G once: its square was differentiated", "averaged|sign", "made up"),
    ("W @ G", "W", r"\bG\b", "the factor G is missing", "averaged|sign|transposed", "made up"),
)

RESERVE["local response normalisation"] = family(
    """
k, alpha, beta = 1.5, 0.4, 0.75

def forward(a):
    s = k + alpha * (a**2).sum(axis=1, keepdims=True)
    return a * s**-beta, (a, s)

def backward(g, cache):
    a, s = cache
    dot = (g * a).sum(axis=1, keepdims=True)
    return g * s**-beta - 2 * alpha * beta * a * dot * s ** (-beta - 1)
""",
    (draw(3, 4),),
    (
        "s ** (-beta - 1)",
        "s**-1.0",
        r"beta|power|exponent|scale|\bs\b",
        "the power is -beta - 1",
        "averaged|transposed|sign",
        "BVLC/caffe#5105",
    ),
    (
        "2 * alpha * beta * a",
        "2 * alpha * a",
        "beta|power|exponent",
        "the exponent must come down as a factor: beta is missing",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "dot * s",
        "g * a * s",
        "sum|dot|diagonal|cross|jacobian",
        "the sum over the channels is missing",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "g * s**-beta - 2",
        "g * s**-beta + 2",
        "sign",
        "wrong sign of the second term: the exponent is negative",
        "averaged|transposed",
        "made up",
    ),
)

# ---------------------------------------------------------------- own functions

RESERVE["exponential and logarithm in a row"] = family(
    """
def forward(x, y):
    e = np.exp(x)
    s = e + y**2
    return np.log(s) * x, (x, y, e, s)

def backward(grad, cache):
    x, y, e, s = cache
    ds = grad * x / s
    dx = grad * np.log(s) + ds * e
    dy = ds * 2 * y
    return dx, dy
""",
    (draw(4), draw(4)),
    (
        "ds * e",
        "ds * x",
        r"exp|\be\b|x instead of e|output",
        "the derivative of exp is exp itself",
        "averaged|transposed|sign",
        "karpathy/nn-zero-to-hero#52",
    ),
    (
        "grad * np.log(s) + ds * e",
        "ds * e",
        "product rule|term|log|used twice|path",
        "product rule: x is also a factor outside",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "ds = grad * x / s",
        "ds = grad * x * s",
        "divi|multipl|\\bs\\b|log|inverse|power",
        "the derivative of a logarithm divides",
        "averaged|transposed|sign",
        "made up",
    ),
    (
        "ds * 2 * y",
        "ds * y",
        "\\b2\\b|twice|square|half",
        "the square's factor 2 is missing",
        "averaged|transposed|sign|batch",
        "made up",
    ),
)

RESERVE["outer product and its trace"] = family(
    """
def forward(u, v):
    M = np.outer(u, v)
    return M + np.trace(M), (u, v)

def backward(G, cache):
    u, v = cache
    H = G + G.sum() * np.eye(len(u))
    return H @ v, H.T @ u
""",
    (draw(3), draw(3)),
    ("H.T @ u", "H @ u", "transpose|\\.T", "H must be transposed for v", "averaged|sign", "made up"),
    (
        "G + G.sum() * np.eye(len(u))",
        "G + np.trace(G) * np.eye(len(u))",
        "sum|trace|diagonal",
        "the trace was added to every entry: all of G is summed, not its diagonal",
        "averaged|sign|transposed",
        "made up",
    ),
    (
        "G + G.sum() * np.eye(len(u))",
        "G",
        "trace|term|eye|diagonal|path",
        "the trace's path is missing",
        "averaged|sign|transposed",
        "made up",
    ),
    (
        "G + G.sum() * np.eye(len(u))",
        "G + G.sum()",
        "eye|identity|diagonal",
        "the trace sees the diagonal only: the identity is missing",
        "averaged|sign|transposed",
        "made up",
    ),
)

RESERVE["a polynomial by its coefficients"] = family(
    """
def forward(x, c):
    powers = x[:, None] ** np.arange(4)
    return powers @ c, (x, c, powers)

def backward(g, cache):
    x, c, powers = cache
    dx = g * (powers[:, :3] @ (np.arange(1, 4) * c[1:]))
    dc = g @ powers
    return dx, dc
""",
    (draw(5), draw(4)),
    (
        "np.arange(1, 4) * c[1:]",
        "c[1:]",
        "power|exponent|arange|degree",
        "the exponents must come down as factors",
        "averaged|sign|transposed",
        "made up",
    ),
    (
        "np.arange(1, 4) * c[1:]",
        "np.arange(3) * c[1:]",
        "off by one|index|exponent|arange|shift|power",
        "the factors are off by one: 1, 2, 3",
        "averaged|sign|transposed",
        "made up",
    ),
    (
        "powers[:, :3]",
        "powers[:, 1:]",
        "power|exponent|shift|off by one|index|slice|column|\\bx\\b",
        "the powers must fall by one",
        "averaged|sign|transposed",
        "made up",
    ),
    (
        "dc = g @ powers",
        "dc = g @ powers / len(x)",
        "averaged|mean|len|division|batch|1/5",
        "averaged over the points, where a sum is due",
        "sign|transposed",
        "made up",
    ),
)

# ---------------------------------------------------------------- more of all kinds
