"""160 more wrong backwards, which nobody who worked on the names had seen before they were measured once.

The format is that of `public_mistakes_reserve.py`: (right, wrong, pattern of fair names, what a teacher would say, pattern of
names that mislead, source).
"""

import numpy as np
from public_mistakes_fresh import family

rng = np.random.default_rng(1616)


def draw(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return np.abs(rng.normal(size=shape)) + 0.3


M = r"\bsign\b|transposed|averaged"  # what misleads in most cases
N = M + "|too many"  # and where something is missing

ROUND6 = {}  # ---------------------------------------------------------------- activations

ROUND6["gated linear unit by split"] = family(
    """
def glu(x):
    a, b = np.split(x, 2, axis=1)
    gate = 1 / (1 + np.exp(-b))
    return a * gate, (a, gate)

forward = glu

def backward(dout, cache):
    a, gate = cache
    da = dout * gate
    db = dout * a * gate * (1 - gate)
    return np.concatenate([da, db], axis=1)
""",
    (draw(3, 6),),
    (
        "np.concatenate([da, db], axis=1)",
        "np.concatenate([db, da], axis=1)",
        "order|swap|exchang|halves|half|wrong places|concat",
        "the two halves are joined in the wrong order",
        M,
        "public: unslothai/unsloth#3314 (the stores)",
    ),
    (
        "gate * (1 - gate)",
        "gate",
        r"slope|sigmoid|1 - |derivative|gate",
        "the gate's slope is missing: its value stands alone",
        N,
        "made up",
    ),
    (
        "db = dout * a * gate",
        "db = dout * gate",
        r"product|factor|other|value|branch|input|half",
        "the factor a of the product rule is missing",
        N,
        "made up",
    ),
    (
        "da = dout * gate",
        "da = dout * a",
        r"gate|swap|other|product|operand|factor",
        "the own factor stands where the other one is due: d(a g)/da = g",
        M,
        "made up",
    ),
)

ROUND6["hard swish"] = family(
    """
class HardSwish:
    def forward(self, x):
        self.x = x
        return x * np.minimum(np.maximum(x + 3, 0), 6) / 6

    def backward(self, dy):
        x = self.x
        middle = (x > -3) & (x < 3)
        slope = np.where(middle, (2 * x + 3) / 6, 1.0 * (x >= 3))
        return dy * slope

hs = HardSwish()
forward, backward = hs.forward, hs.backward
""",
    (np.array([[-4.1, -2.2, -0.6, 0.7], [1.9, 3.8, 5.0, -3.7], [2.6, -1.3, 0.2, 4.4]]),),
    (
        "1.0 * (x >= 3)",
        "0.0",
        "mask|upper|above|large|side|right|saturat|identity|slope|> ?3|linear|part left at zero",
        "above 3 the function is x: its slope 1 is missing",
        N,
        "made up",
    ),
    (
        "(2 * x + 3) / 6",
        "(x + 3) / 6",
        r"product rule|\b2\b|term|\bx\b|factor|second|half",
        "one term of the product rule is missing: x also stands before the clip",
        N,
        "made up",
    ),
    ("(2 * x + 3) / 6", "2 * x + 3", r"\b6\b|divi|scale|constant|factor", "the division by 6 is missing", N, "made up"),
    (
        "(x > -3) & (x < 3)",
        "(x > -3)",
        "mask|upper|above|limit|bound|side|condition|< ?3",
        "the upper limit of the middle piece is forgotten",
        N,
        "public: tenstorrent/tt-metal#6534 (limits)",
    ),
)

ROUND6["gelu by its tanh formula"] = family(
    """
def forward(x):
    k = np.sqrt(2 / np.pi)
    u = k * (x + 0.044715 * x ** 3)
    t = np.tanh(u)
    return 0.5 * x * (1 + t), (x, t, k)

def backward(grad, cache):
    x, t, k = cache
    du = k * (1 + 3 * 0.044715 * x ** 2)
    return grad * (0.5 * (1 + t) + 0.5 * x * (1 - t ** 2) * du)
""",
    (draw(3, 4),),
    (
        "0.5 * (1 + t) + 0.5 * x * (1 - t ** 2) * du",
        "0.5 * (1 + t)",
        "product rule|second|term|tanh|part|sech|1 - t",
        "the second term of the product rule is missing",
        N,
        "public: ravin-d-27/PyDeepFlow#89 (the symptom)",
    ),
    (
        "(1 - t ** 2) * du",
        "(1 - t ** 2)",
        r"inner|chain|\bdu\b|argument|slope|polynomial",
        "the inner derivative of tanh's argument is missing",
        N,
        "made up",
    ),
    (
        "3 * 0.044715",
        "0.044715",
        r"\b3\b|cube|power|factor|exponent|derivative of x",
        "the 3 of the cube's derivative is missing",
        N,
        "made up",
    ),
    (
        "0.5 * x * (1 - t ** 2) * du",
        "0.5 * x * 1 - t ** 2 * du",
        "parenthes|bracket|precedence|1 - t|tanh|slope|minus",
        "the parentheses around tanh's slope are missing",
        N,
        "public: apache/tvm#7340",
    ),
)

ROUND6["softplus with beta"] = family(
    """
def softplus_forward(x, beta=1.7):
    y = np.log1p(np.exp(beta * x)) / beta
    return y, (x, y, beta)

def forward(x):
    return softplus_forward(x)

def backward(dy, cache):
    x, y, beta = cache
    return dy / (1 + np.exp(-beta * x))
""",
    (draw(4, 3),),
    (
        "np.exp(-beta * x)",
        "np.exp(-beta * y)",
        r"\by\b|output|input|instead of x|in place",
        "the output stands where the input is due",
        M,
        "public: zserge/nanonn#4",
    ),
    ("np.exp(-beta * x)", "np.exp(-x)", "beta|scale|factor|inner", "beta is missing inside the sigmoid", N, "made up"),
    (
        "dy / (1 + np.exp(-beta * x))",
        "dy * beta / (1 + np.exp(-beta * x))",
        "beta|constant factor|cancel|factor|too many|inner",
        "beta too many: it cancels with the 1/beta outside",
        r"\bsign\b|transposed|averaged|missing",
        "made up",
    ),
    (
        "np.exp(-beta * x)",
        "np.exp(beta * x)",
        "sign|minus|negat|1 - |complement|sigmoid",
        "the sign in the exponent: that is the sigmoid of -x",
        "transposed|averaged",
        "made up",
    ),
)

ROUND6["silu as a quotient"] = family(
    """
def forward(x):
    e = np.exp(-x)
    return x / (1 + e)

def backward(g, x):
    e = np.exp(-x)
    return g * (1 + e + x * e) / (1 + e) ** 2
""",
    (draw(3, 5),),
    (
        "(1 + e + x * e) / (1 + e) ** 2",
        "(1 + e + x * e / (1 + e) ** 2)",
        "parenthes|bracket|precedence|divi|denominator|numerator|quotient|square",
        "parentheses are missing: only the last term is divided",
        N,
        "public: chelsea0x3b/dfdx#915",
    ),
    (
        "(1 + e + x * e)",
        "(1 + e - x * e)",
        "sign|minus|plus|negat",
        "the sign of the second term: the derivative of exp(-x) is negative, and the quotient rule subtracts it",
        "transposed|averaged",
        "made up",
    ),
    (
        "(1 + e + x * e)",
        "(1 + e)",
        "term|quotient|product rule|second|numerator|denominator|part",
        "the derivative of the denominator is left out",
        N,
        "made up",
    ),
)

ROUND6["elu with a learned alpha"] = family(
    """
def forward(x, alpha):
    pos = x > 0
    return np.where(pos, x, alpha * (np.exp(x) - 1)), (x, alpha, pos)

def backward(dz, cache):
    x, alpha, pos = cache
    neg = np.exp(x)
    dx = np.where(pos, dz, dz * alpha * neg)
    dalpha = np.where(pos, 0, dz * (neg - 1)).sum()
    return dx, np.array(dalpha)
""",
    (draw(4, 5), np.array(1.3)),
    (
        "dz * alpha * neg)",
        "dz * alpha * (neg - 1))",
        r"\by\b|output|- 1|minus one|\bexp\b|exponential|slope|derivative",
        "the value of the function instead of its slope: the constant -1 has no derivative",
        M,
        "made up",
    ),
    (
        "np.where(pos, 0, dz * (neg - 1)).sum()",
        "(dz * (neg - 1)).sum()",
        "mask|positive|negative|side|condition|where",
        "positive inputs do not depend on alpha: the mask is missing",
        N,
        "made up",
    ),
    (
        "np.where(pos, dz,",
        "np.where(~pos, dz,",
        "mask|invert|sides|swap|exchang|condition|wrong way|side",
        "the two sides are exchanged",
        M,
        "public: f-dangel/backpack#76",
    ),
)

ROUND6["tanh shrink"] = family(
    """
def shrink(features):
    bent = np.tanh(features)
    return features - bent, bent

forward = shrink

def backward(grad_out, bent):
    grad_in = grad_out * bent ** 2
    return grad_in
""",
    (draw(2, 6),),
    (
        "grad_out * bent ** 2",
        "grad_out * (1 - bent ** 2)",
        r"identity|1 - |tanh|complement|\bx\b|slope|term|minus|features",
        "the slope of tanh alone: the features outside are forgotten",
        "transposed|averaged|too many",
        "made up",
    ),
    (
        "grad_out * bent ** 2",
        "grad_out * (1 - 1 - bent ** 2)",
        "sign|parenthes|bracket|minus|negat",
        "the parentheses around 1 - tanh^2 are missing: a sign",
        "transposed|averaged",
        "public: apache/tvm#7340 (parentheses)",
    ),
    (
        "bent ** 2",
        "bent",
        "square|power|squared|tanh|exponent",
        "the square is missing: 1 - (1 - tanh^2) is tanh^2",
        N,
        "made up",
    ),
)

# ---------------------------------------------------------------- losses

ROUND6["cross entropy of probabilities with sample weights"] = family(
    """
y = np.array([1.0, 0, 0, 1, 1])
sw = np.array([0.5, 1.0, 2.0, 1.5, 0.7])

def forward(p):
    return -(sw * (y * np.log(p) + (1 - y) * np.log(1 - p))).sum() / sw.sum(), p

def backward(g, p):
    dp = -(y / p - (1 - y) / (1 - p))
    return g * sw * dp / sw.sum()
""",
    (rng.uniform(0.2, 0.8, size=5),),
    (
        "y / p - (1 - y) / (1 - p)",
        "y / p + (1 - y) / (1 - p)",
        "sign|minus|plus|second|negat",
        "the second sign: 1 - p has the derivative -1",
        "transposed|averaged",
        "public: deeplearning.ai forum, dAL in L_model_backward",
    ),
    (
        "/ sw.sum()",
        "/ p.size",
        "weight|normal|mean|count|constant factor|size|sum of",
        "divided by the number of examples, while the forward divides by the sum of the weights",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "dp = -(y / p - (1 - y) / (1 - p))",
        "dp = p - y",
        r"logit|sigmoid|p\(1 ?- ?p\)|1 - p|denominator|divi|softmax|probabilit",
        "that is the gradient for the logits: the division by p (1 - p) is missing",
        N,
        "public: ai.SE 35741 (logits or probabilities)",
    ),
    ("g * sw * dp", "g * dp", r"weight|\bsw\b|factor", "the weights of the examples are missing", N, "made up"),
)

ROUND6["multiclass hinge with weights"] = family(
    """
labels = np.array([2, 0, 1, 1, 0])

def forward(X, W):
    S = X @ W
    rows = np.arange(5)
    margins = np.maximum(0, S - S[rows, labels][:, None] + 1)
    margins[rows, labels] = 0
    return margins.sum() / 5, (X, W, margins)

def backward(up, cache):
    X, W, margins = cache
    D = (margins > 0) * 1.0
    D[np.arange(5), labels] -= D.sum(axis=1)
    D = D * up / 5
    return D @ W.T, X.T @ D
""",
    (draw(5, 4), draw(4, 3)),
    (
        "labels] -= D.sum(axis=1)",
        "labels] -= 1",
        "count|number|sum|margin|correct class|label|how many",
        "the correct class gets minus the number of violated margins, not minus one",
        M,
        "public: mantasu/cs231n#9",
    ),
    (
        "    D[np.arange(5), labels] -= D.sum(axis=1)\n",
        "",
        "correct class|label|true class|term|right class|count|sum",
        "the correct class's part is missing",
        N,
        "public: mantasu/cs231n#9",
    ),
    (
        "labels] -= D.sum(axis=1)",
        "labels] += D.sum(axis=1)",
        "sign|minus|negat|correct class|label",
        "the correct class's score is subtracted: its sign",
        "transposed|averaged",
        "made up",
    ),
    (
        "D = (margins > 0) * 1.0",
        "D = margins * 1.0",
        "mask|indicator|hinge|value|square|slope|> 0|margin|step",
        "the margin itself instead of 1 where it is violated: that is the squared hinge's gradient",
        M,
        "made up",
    ),
)

ROUND6["focal loss of a softmax"] = family(
    """
who = np.array([1, 0, 2, 1])

class FocalLoss:
    gamma = 2.0

    def forward(self, z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        self.p = e / e.sum(axis=1, keepdims=True)
        self.pt = self.p[np.arange(4), who][:, None]
        return (-((1 - self.pt) ** self.gamma) * np.log(self.pt)).sum()

    def backward(self, g):
        pt, gam = self.pt, self.gamma
        onehot = np.eye(3)[who]
        dpt = gam * (1 - pt) ** (gam - 1) * np.log(pt) - (1 - pt) ** gam / pt
        return g * dpt * pt * (onehot - self.p)

loss = FocalLoss()
forward, backward = loss.forward, loss.backward
""",
    (draw(4, 3),),
    (
        "gam * (1 - pt) ** (gam - 1) * np.log(pt) - ",
        "-",
        "detach|weight|modulat|factor|constant|term|log|first|product rule|focal",
        "the factor (1 - pt)^gamma is taken for a constant: its derivative is missing",
        N,
        "public: kuangliu/pytorch-retinanet#12",
    ),
    (
        "g * dpt * pt * (onehot - self.p)",
        "g * dpt * onehot",
        "softmax|jacobian|probabilit|logit|p \\* \\(1|chain|inner|1 - p",
        "stops at the probability: the softmax's derivative is missing",
        N,
        "public: rahowa/catboost_focal_loss#2",
    ),
    (
        "(onehot - self.p)",
        "(onehot - pt)",
        r"\bpt\b|p_j|other class|i ?!= ?j|softmax|\bown\b|each class|probabilit|label",
        "pt stands for every class's own p",
        M,
        "public: unsky/focal-loss#1",
    ),
    (
        "(1 - pt) ** (gam - 1)",
        "(1 - pt) ** gam",
        "power|exponent|gamma|- 1",
        "the exponent of the factor's derivative is gamma - 1",
        M,
        "made up",
    ),
    (
        "np.log(pt) - (1 - pt)",
        "np.log(pt) + (1 - pt)",
        "sign|minus|plus|negat",
        "the sign of the log's term",
        "transposed|averaged",
        "public: zimenglan-sysu-512/Focal-Loss#2",
    ),
)

ROUND6["contrastive loss of pairs"] = family(
    """
same = np.array([1, 0, 0, 1, 0])[:, None]

def forward(a, b):
    m = 2.5
    diff = a - b
    d = np.sqrt((diff ** 2).sum(axis=1, keepdims=True))
    short = np.maximum(m - d, 0)
    return 0.5 * (same * d ** 2 + (1 - same) * short ** 2).sum() / len(a), (diff, d, short)

def backward(gy, cache):
    diff, d, short = cache
    da = gy / len(d) * (same * diff - (1 - same) * short * diff / d)
    return da, -da
""",
    (0.7 * draw(5, 3), 0.7 * draw(5, 3)),
    (
        "short * diff / d",
        "short * diff",
        r"\bd\b|distance|norm|root|divi|1/d|unit",
        "the root's derivative: the difference must be divided by the distance",
        N,
        "public: BVLC/caffe#4438",
    ),
    (
        "short * diff / d",
        "short * np.ones_like(diff) / d",
        "diff|difference|a - b|factor|direction",
        "the difference is missing in the dissimilar pairs' gradient",
        N,
        "public: BVLC/caffe#7100",
    ),
    (
        "same * diff - (1 - same)",
        "same * diff + (1 - same)",
        "sign|minus|plus|negat|push|attract",
        "dissimilar pairs must be pushed apart: the sign",
        "transposed|averaged",
        "made up",
    ),
    (
        "return da, -da",
        "return da, da",
        "sign|minus|negat|\\bb\\b",
        "b is subtracted: the minus is missing in db",
        "transposed|averaged",
        "made up",
    ),
    (
        "same * diff - (1 - same) * short * diff / d",
        "diff",
        "label|same|mask|condition|similar|pairs|term",
        "all pairs are taken for similar ones: the label is ignored",
        M,
        "public: happynear/caffe-windows#12",
    ),
)

ROUND6["log-cosh loss"] = family(
    """
def forward(pred, target):
    return np.log(np.cosh(pred - target)).mean(axis=1), (pred, target)

def backward(d, cache):
    pred, target = cache
    dpred = d[:, None] * np.tanh(pred - target) / pred.shape[1]
    return dpred, -dpred
""",
    (draw(3, 4), draw(3, 4)),
    (
        "np.tanh(pred - target)",
        "np.sinh(pred - target)",
        "cosh|log|divi|tanh|1/cosh|denominator|inner",
        "the log's 1/cosh is missing",
        N,
        "made up",
    ),
    (
        " / pred.shape[1]",
        " / pred.shape[0]",
        "axis|mean|size|columns|batch|shape|constant factor|count|divi",
        "divided by the number of rows, while the mean goes over the columns",
        r"\bsign\b|transposed",
        "public: kakaobrain/trident#66",
    ),
)

ROUND6["cosine embedding loss"] = family(
    """
t = np.array([1.0, -1.0, 1.0, -1.0])

def forward(u, v):
    nu, nv = np.sqrt((u ** 2).sum(1)), np.sqrt((v ** 2).sum(1))
    cos = (u * v).sum(1) / (nu * nv)
    return np.where(t > 0, 1 - cos, np.maximum(0, cos + 0.9)), (u, v, nu, nv, cos)

def backward(g, c):
    u, v, nu, nv, cos = c
    dcos = g * np.where(t > 0, -1.0, 1.0 * (cos > -0.9))
    du = dcos[:, None] * (v / (nu * nv)[:, None] - (cos / nu ** 2)[:, None] * u)
    dv = dcos[:, None] * (u / (nu * nv)[:, None] - (cos / nv ** 2)[:, None] * v)
    return du, dv
""",
    (draw(4, 3), draw(4, 3)),
    (
        " - (cos / nu ** 2)[:, None] * u)",
        ")",
        "norm|length|term|normal|second|project|cos",
        "the norm depends on u as well: that term is missing",
        N,
        "made up",
    ),
    (
        "(cos / nu ** 2)",
        "(cos / nu)",
        "square|power|norm|exponent|length|squared",
        "the norm is due squared",
        M,
        "public: tyandzx/caffe#3 (1/norm)",
    ),
    (
        "np.where(t > 0, -1.0, 1.0 * (cos > -0.9))",
        "1.0 * (cos > -0.9)",
        "sign|minus|negat|label|pairs|condition|target",
        "pairs with label 1 have 1 - cos: their minus is missing",
        "transposed|averaged",
        "made up",
    ),
)

ROUND6["contrast of each row with all others"] = family(
    """
def forward(A, B):
    S = A @ B.T / 0.5
    m = S.max(axis=1, keepdims=True)
    lse = m[:, 0] + np.log(np.exp(S - m).sum(axis=1))
    return (lse - np.diag(S)).mean(), (A, B, S)

def backward(dl, cache):
    A, B, S = cache
    P = np.exp(S - S.max(axis=1, keepdims=True))
    P /= P.sum(axis=1, keepdims=True)
    dS = (P - np.eye(len(A))) * dl / len(A)
    return dS @ B / 0.5, dS.T @ A / 0.5
""",
    (draw(4, 3), draw(4, 3)),
    (
        "dS @ B / 0.5, dS.T @ A / 0.5",
        "dS @ B * 0.5, dS.T @ A * 0.5",
        "temperature|inverse|divi|multipl|constant factor|0\\.5|reciprocal|scale",
        "multiplied by the temperature, where a division is due",
        M,
        "public: AI-Hypercomputer/maxtext#1370 (reversed scale)",
    ),
    ("dS.T @ A", "dS @ A", r"transpos|\bdS\b", "dS must be transposed for the other side", "averaged", "made up"),
    (
        "(P - np.eye(len(A)))",
        "P",
        "diagonal|eye|positive|label|target|identity|one-hot|term",
        "the positives on the diagonal are not subtracted",
        N,
        "made up",
    ),
)

ROUND6["Gaussian likelihood with a log variance"] = family(
    """
def forward(mu, logvar, y):
    r = y - mu
    return 0.5 * (logvar + r ** 2 * np.exp(-logvar)), (r, logvar)

def backward(g, cache):
    r, logvar = cache
    prec = np.exp(-logvar)
    dmu = -g * r * prec
    dlogvar = 0.5 * g * (1 - r ** 2 * prec)
    return dmu, dlogvar, -dmu
""",
    (draw(2, 4), draw(2, 4), draw(2, 4)),
    (
        "(1 - r ** 2 * prec)",
        "(1 + r ** 2 * prec)",
        "sign|minus|plus|negat",
        "the derivative of exp(-logvar) is negative: the sign",
        "transposed|averaged",
        "made up",
    ),
    (
        "(1 - r ** 2 * prec)",
        "(prec - r ** 2 * prec ** 2)",
        r"log|\bexp\b|exponential|variance|chain|inner|var|power|square",
        "that is the derivative for the variance itself, not for its log",
        M,
        "made up",
    ),
    (
        "0.5 * g * (1 - r ** 2 * prec)",
        "g * (0.5 - r ** 2 * prec)",
        r"half|0\.5|factor|second term|square|\b2\b|doubl|quadratic",
        "the 1/2 is missing before the quadratic term",
        N,
        "public: y0ast/VAE-Torch#13",
    ),
)

ROUND6["mean squared error over the valid steps"] = family(
    """
valid = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], dtype=float)

def forward(out, target):
    e = (out - target) * valid
    return (e ** 2).sum() / valid.sum(), e

def backward(up, e):
    dout = 2 * up * e / valid.sum()
    return dout, -dout
""",
    (draw(3, 4), draw(3, 4)),
    (
        "e / valid.sum()",
        "e / valid.size",
        "mask|valid|count|normal|size|mean|pad|constant factor|number",
        "divided by all steps, while only the valid ones count",
        r"\bsign\b|transposed",
        "public: pytorch/pytorch#73205 (ignored samples)",
    ),
    ("2 * up * e", "up * e", r"constant factor|\b2\b|square|factor|power", "the 2 of the square is missing", N, "made up"),
    (
        "return dout, -dout",
        "return dout, dout",
        "sign|minus|negat|target",
        "the target is subtracted: its sign",
        "transposed|averaged",
        "public: dvgodoy/PyTorchStepByStep#21 (signs)",
    ),
)

# ---------------------------------------------------------------- softmax, dense, broadcasting

ROUND6["softmax with a learned temperature"] = family(
    """
def forward(z, tau):
    s = z / tau
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return p, (z, tau, p)

def backward(dp, cache):
    z, tau, p = cache
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    dz = ds / tau
    dtau = -(ds * z).sum() / tau ** 2
    return dz, np.array(dtau)
""",
    (draw(3, 4), np.array(1.7)),
    (
        "dz = ds / tau",
        "dz = ds",
        r"temperature|\btau\b|constant factor|divi|inner|scale",
        "the inner derivative 1/tau is missing",
        N,
        "made up",
    ),
    (
        "ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))",
        "ds = p * (1 - p) * dp",
        "diagonal|jacobian|sigmoid|off-diagonal|coupling|sum|normal",
        "only the diagonal of the Jacobian, as if it were a sigmoid",
        M,
        "public: eriklindernoren/ML-From-Scratch#71",
    ),
    (
        "-(ds * z).sum() / tau ** 2",
        "(ds * z).sum() / tau ** 2",
        "sign|minus|negat",
        "the derivative of 1/tau is negative",
        "transposed|averaged",
        "made up",
    ),
    (
        "/ tau ** 2",
        "/ tau",
        r"square|power|\btau\b|exponent|temperature|squared",
        "the derivative of 1/tau has tau squared",
        M,
        "made up",
    ),
)

ROUND6["log softmax along the first axis"] = family(
    """
class LogSoftmax:
    dim = 0

    def forward(self, scores):
        shifted = scores - scores.max(axis=self.dim)
        self.logp = shifted - np.log(np.exp(shifted).sum(axis=self.dim))
        return self.logp

    def backward(self, upstream):
        total = np.ones(len(upstream)) @ upstream
        return upstream - np.exp(self.logp) * total

layer = LogSoftmax()
forward, backward = layer.forward, layer.backward
""",
    (draw(4, 3),),
    (
        "np.exp(self.logp) * total",
        "(upstream * self.logp).sum(axis=0)",
        r"\bexp\b|exponential|softmax|probabilit|inner product|dot|sum|weight|output",
        "the sum of dy times the softmax is due, not the inner product with the output",
        M,
        "public: uxlfoundation/oneDNN#616",
    ),
    (
        "np.exp(self.logp) * total",
        "self.logp * total",
        r"\bexp\b|exponential|softmax|probabilit|log|output",
        "the log probabilities stand where the probabilities are due: exp is missing",
        N,
        "public: uxlfoundation/oneDNN#616",
    ),
    (
        "np.ones(len(upstream)) @ upstream",
        "upstream.sum(axis=1)[:, None]",
        "axis|row|column|sum",
        "summed over the wrong axis",
        M,
        "made up",
    ),
)

ROUND6["linear layer on sequences"] = family(
    """
class Linear:
    def forward(self, x, W, b):
        self.x, self.W = x, W
        return np.einsum("nti,oi->nto", x, W) + b

    def backward(self, dout):
        dx = np.einsum("nto,oi->nti", dout, self.W)
        dW = np.einsum("nto,nti->oi", dout, self.x)
        db = dout.sum(axis=(0, 1))
        return dx, dW, db

fc = Linear()
forward, backward = fc.forward, fc.backward
""",
    (draw(2, 3, 4), draw(5, 4), draw(5)),
    (
        "dout.sum(axis=(0, 1))",
        "dout.sum(axis=0)",
        "wrong shape|axis|time|step|sum|broadcast",
        "summed over the batch only: the steps share the bias, too",
        M,
        "made up",
    ),
    (
        "dout.sum(axis=(0, 1))",
        "np.full(dout.shape[-1], dout.sum())",
        "axis|sum|each unit|all units|outputs|broadcast|single|total|over everything|one number",
        "one sum over everything for all biases: each output has its own",
        M,
        "public: rasbt/stat453-deep-learning-ss21#5",
    ),
    (
        'np.einsum("nto,nti->oi", dout, self.x)',
        'np.einsum("nto,nsi->oi", dout, self.x)',
        "index|time|step|pair|einsum|sum|cross|all steps",
        "two different time indices: every step is paired with every other",
        M,
        "made up",
    ),
)

ROUND6["linear and sigmoid in a dictionary"] = family(
    """
def forward(A_prev, W, b):
    Z = np.dot(W, A_prev) + b
    A = 1 / (1 + np.exp(-Z))
    return A, {"A_prev": A_prev, "W": W, "Z": Z, "A": A}

def backward(dA, cache):
    s = cache["A"]
    dZ = dA * s * (1 - s)
    dW = np.dot(dZ, cache["A_prev"].T)
    db = np.sum(dZ, axis=1, keepdims=True)
    return np.dot(cache["W"].T, dZ), dW, db
""",
    (draw(3, 5), draw(2, 3), draw(2, 1)),
    (
        "dA * s * (1 - s)",
        'dA * cache["Z"] * (1 - cache["Z"])',
        r"\bZ\b|sigmoid|activation|output|input|before|x\(1",
        "Z stands where the sigmoid of Z is due",
        M,
        "public: kyle8998/Sudo-Productivity#3",
    ),
    (
        'np.dot(dZ, cache["A_prev"].T)',
        'np.dot(dA, cache["A_prev"].T)',
        r"slope|sigmoid|\bdZ\b|\bdA\b|activation|derivative",
        "dA instead of dZ in dW: the slope is missing there",
        N,
        "made up",
    ),
    (
        'np.dot(cache["W"].T, dZ), dW',
        'np.dot(cache["W"].T, dA), dW',
        r"slope|sigmoid|\bdZ\b|\bdA\b|activation|derivative",
        "dA instead of dZ goes back: the slope is missing in dA_prev",
        N,
        "made up",
    ),
)

ROUND6["quotient with broadcasting"] = family(
    """
def forward(a, b):
    return a / b, (a, b)

def backward(g, saved):
    a, b = saved
    ga = g / b
    gb = (-g * a / b ** 2).sum(axis=0)
    return ga, gb
""",
    (draw(4, 3), positive(3)),
    (
        "ga = g / b",
        "ga = g * b",
        "divi|1/|reciprocal|inverse|multipl|power",
        "multiplied by b, where a division is due",
        M,
        "public: apache/singa#484",
    ),
    (
        "(-g * a / b ** 2)",
        "(g * a / b ** 2)",
        "sign|minus|negat",
        "the minus of the reciprocal's derivative",
        "transposed|averaged",
        "public: apache/singa#484",
    ),
    ("a / b ** 2", "a / b", "square|power|exponent|squared", "b is due squared", M, "made up"),
)

ROUND6["power with a learned exponent"] = family(
    """
def forward(x, n):
    y = x ** n
    return y, (x, n, y)

def backward(dy, cache):
    x, n, y = cache
    return dy * n * x ** (n - 1), (dy * y * np.log(x)).sum(axis=0)
""",
    (positive(4, 2), positive(2)),
    (
        "dy * n * x ** (n - 1)",
        "dy * n * n ** (x - 1)",
        r"base|exponent|swap|operand|exchang|power",
        "base and exponent are exchanged",
        M,
        "public: tenstorrent/tt-metal#52144",
    ),
    (
        "y * np.log(x)",
        "y * np.log(n)",
        r"log|base|\bx\b|\bn\b|swap|exponent",
        "the log of the base is due, not of the exponent",
        M,
        "made up",
    ),
)

# ---------------------------------------------------------------- convolution, pooling, resampling

ROUND6["dilated causal conv1d"] = family(
    """
def forward(x, w):
    # x: (batch, channels, time), w: (filters, channels, taps); looks back in steps of two
    taps, dil = w.shape[2], 2
    xp = np.pad(x, ((0, 0), (0, 0), ((taps - 1) * dil, 0)))
    T = x.shape[2]
    y = sum(np.einsum("nct,fc->nft", xp[:, :, k * dil:k * dil + T], w[:, :, k]) for k in range(taps))
    return y, (xp, w, dil)

def backward(dy, cache):
    xp, w, dil = cache
    T, taps = dy.shape[2], w.shape[2]
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for k in range(taps):
        part = slice(k * dil, k * dil + T)
        dxp[:, :, part] += np.einsum("nft,fc->nct", dy, w[:, :, k])
        dw[:, :, k] = np.einsum("nft,nct->fc", dy, xp[:, :, part])
    return dxp[:, :, (taps - 1) * dil:], dw
""",
    (draw(2, 2, 6), draw(3, 2, 3)),
    (
        "slice(k * dil, k * dil + T)",
        "slice(k, k + T)",
        "dilat|step|spacing|tap|shift|position|window",
        "the dilation is forgotten",
        N,
        "made up",
    ),
    (
        "dxp[:, :, (taps - 1) * dil:], dw",
        "dxp[:, :, :T], dw",
        r"pad|crop|shift|causal|\bend\b|offset|slice|trim|front",
        "the padding is cut off at the wrong end",
        M,
        "public: pytorch/pytorch#188344 (padding offset)",
    ),
    (
        "dxp[:, :, part] += ",
        "dxp[:, :, part] = ",
        "accumul|overwrit|overlap|assign|\\+=|added",
        "overwritten, not accumulated: the taps overlap",
        r"transposed|averaged",
        "made up",
    ),
)

ROUND6["grouped conv1d by slices"] = family(
    """
def forward(x, w):
    N, C, T = x.shape
    F, Cg, K = w.shape
    G = C // Cg
    xg = x.reshape(N, G, Cg, T)
    wg = w.reshape(G, F // G, Cg, K)
    L = T - K + 1
    y = sum(np.einsum("ngct,gfc->ngft", xg[..., k:k + L], wg[..., k]) for k in range(K))
    return y.reshape(N, F, L), (xg, wg)

def backward(dy, cache):
    xg, wg = cache
    N, G, Cg, T = xg.shape
    _, Fg, _, K = wg.shape
    L = T - K + 1
    d = dy.reshape(N, G, Fg, L)
    dx, dw = np.zeros_like(xg), np.zeros_like(wg)
    for k in range(K):
        dx[..., k:k + L] += np.einsum("ngft,gfc->ngct", d, wg[..., k])
        dw[..., k] = np.einsum("ngft,ngct->gfc", d, xg[..., k:k + L])
    return dx.reshape(N, -1, T), dw.reshape(-1, Cg, K)
""",
    (draw(2, 4, 5), draw(6, 2, 2)),
    (
        "d = dy.reshape(N, G, Fg, L)",
        "d = dy.reshape(N, Fg, G, L).swapaxes(1, 2)",
        "group|interleav|reshape|order|axes|channels|wrong places",
        "the groups are interleaved: the filters of a group lie side by side",
        r"\bsign\b|averaged",
        "made up",
    ),
    (
        'np.einsum("ngft,ngct->gfc", d, xg',
        'np.einsum("ngft,nhct->gfc", d, xg',
        "group|index|sum|all groups|cross|einsum|mix",
        "summed over all groups: a filter sees its own group only",
        M,
        "made up",
    ),
    (
        "dx[..., k:k + L] += np",
        "dx[..., k:k + L] = np",
        "accumul|overwrit|overlap|assign|\\+=|added",
        "overwritten, not accumulated: the taps overlap",
        r"transposed|averaged",
        "made up",
    ),
)

ROUND6["conv2d by columns"] = family(
    """
def im2col(x, k, s):
    N, C, H, W = x.shape
    h, w = (H - k) // s + 1, (W - k) // s + 1
    cols = np.zeros((N, h, w, C, k, k), dtype=x.dtype)
    for i in range(h):
        for j in range(w):
            cols[:, i, j] = x[:, :, i * s:i * s + k, j * s:j * s + k]
    return cols.reshape(N * h * w, -1), (h, w)

def forward(x, w, b):
    k, s = w.shape[-1], 2
    cols, (h, v) = im2col(x, k, s)
    y = cols @ w.reshape(len(w), -1).T + b
    return y.reshape(len(x), h, v, -1).transpose(0, 3, 1, 2), (x.shape, cols, w, s)

def backward(dout, cache):
    shape, cols, w, s = cache
    N, F, h, v = dout.shape
    k = w.shape[-1]
    d = dout.transpose(0, 2, 3, 1).reshape(-1, F)
    dw = (d.T @ cols).reshape(w.shape)
    dcols = (d @ w.reshape(F, -1)).reshape(N, h, v, shape[1], k, k)
    dx = np.zeros(shape)
    for i in range(h):
        for j in range(v):
            dx[:, :, i * s:i * s + k, j * s:j * s + k] += dcols[:, i, j]
    return dx, dw, d.sum(axis=0)
""",
    (draw(2, 2, 5, 7), draw(3, 2, 3, 3), draw(3)),
    (
        "d = dout.transpose(0, 2, 3, 1).reshape(-1, F)",
        "d = dout.reshape(-1, F)",
        "transpos|reshape|channel|axes|order|layout|wrong places",
        "reshaped without the transpose: channels and pixels are mixed up",
        r"\bsign\b|averaged",
        "public: jsbaan/transformer-from-scratch#6 (reshape without permute)",
    ),
    (
        "dx[:, :, i * s:i * s + k, j * s:j * s + k]",
        "dx[:, :, i:i + k, j:j + k]",
        "stride|window|position|step|shift",
        "the stride is forgotten when the columns are put back",
        N,
        "public: enggen/Deep-Learning-Coursera#7",
    ),
    (
        "dcols[:, i, j]",
        "dcols[:, i, j].swapaxes(2, 3)",
        "transpos|swap|axes|row|column|order|exchang",
        "rows and columns of the window are exchanged",
        r"\bsign\b|averaged",
        "made up",
    ),
)

ROUND6["max pooling with overlapping windows"] = family(
    """
def forward(x):
    N, C, H, W = x.shape
    k, s = 3, 1
    y = np.zeros((N, C, H - 2, W - 2), dtype=x.dtype)
    for i in range(H - 2):
        for j in range(W - 2):
            y[:, :, i, j] = x[:, :, i:i + k, j:j + k].max(axis=(2, 3))
    return y, (x, k, s)

def backward(dout, cache):
    x, k, s = cache
    dx = np.zeros_like(x)
    N, C, h, w = dout.shape
    for n in range(N):
        for c in range(C):
            for i in range(h):
                for j in range(w):
                    win = x[n, c, i * s:i * s + k, j * s:j * s + k]
                    r, q = np.unravel_index(win.argmax(), win.shape)
                    dx[n, c, i * s + r, j * s + q] += dout[n, c, i, j]
    return dx
""",
    (draw(2, 2, 4, 5),),
    (
        "+= dout[n, c, i, j]",
        "= dout[n, c, i, j]",
        "accumul|overwrit|overlap|assign|\\+=|added|last",
        "one pixel can win several windows: their gradients must be added",
        r"transposed|averaged",
        "public: 0809zheng/CS231n-assignment2019#19",
    ),
    (
        "dx[n, c, i * s + r, j * s + q] += dout[n, c, i, j]",
        "dx[n, c, r, q] += dout[n, c, i, j]",
        "offset|position|window|index|shift|start|corner|stride",
        "the window's own start is forgotten: positions inside of the window",
        N,
        "made up",
    ),
    (
        "dx[n, c, i * s + r, j * s + q] += dout",
        "dx[n, c, i * s + q, j * s + r] += dout",
        "swap|row|column|index|transpos|exchang|order|axes",
        "row and column of the winner are exchanged",
        r"\bsign\b|averaged",
        "made up",
    ),
)

ROUND6["average pooling 1-D with padding that counts not"] = family(
    """
def spans(T):
    return [(max(0, t - 1), min(T, t + 2)) for t in range(0, T, 2)]

def forward(x):
    return np.stack([x[:, a:b].mean(axis=1) for a, b in spans(x.shape[1])], axis=1), x.shape

def backward(dy, shape):
    dx = np.zeros(shape)
    for k, (a, b) in enumerate(spans(shape[1])):
        dx[:, a:b] += dy[:, k, None] / (b - a)
    return dx
""",
    (draw(3, 6),),
    (
        "/ (b - a)",
        "/ 3",
        "pad|count|size|border|edge|window|clipp|divis|width|length",
        "the clipped windows at the border have fewer elements: divided by the full size",
        r"\bsign\b|transposed",
        "public: pytorch/pytorch#198119",
    ),
    (
        "dx[:, a:b] += ",
        "dx[:, a + 1:b] += ",
        "offset|shift|pad|window|start|first|border|index|edge",
        "the window starts one too late",
        M,
        "made up",
    ),
    (
        "dx[:, a:b] += ",
        "dx[:, a:b] = ",
        "accumul|overwrit|overlap|assign|\\+=|added",
        "the windows overlap: their parts must be added",
        r"transposed|averaged",
        "made up",
    ),
)

ROUND6["linear upsampling of a signal, corners aligned"] = family(
    """
def grid(n, m):
    pos = np.arange(m) * (n - 1) / (m - 1)
    lo = np.minimum(pos.astype(int), n - 2)
    return lo, pos - lo

def forward(x):
    lo, f = grid(x.shape[1], 7)
    return x[:, lo] * (1 - f) + x[:, lo + 1] * f, (x.shape, lo, f)

def backward(dy, cache):
    shape, lo, f = cache
    dx = np.zeros(shape)
    for j in range(dy.shape[1]):
        dx[:, lo[j]] += dy[:, j] * (1 - f[j])
        dx[:, lo[j] + 1] += dy[:, j] * f[j]
    return dx
""",
    (draw(2, 4),),
    (
        "dy[:, j] * (1 - f[j])\n        dx[:, lo[j] + 1] += dy[:, j] * f[j]",
        "dy[:, j] * f[j]\n        dx[:, lo[j] + 1] += dy[:, j] * (1 - f[j])",
        "weight|swap|exchang|1 - f|left|right|neighbour|interpol",
        "the weights of both neighbours are exchanged",
        M,
        "made up",
    ),
    (
        "        dx[:, lo[j] + 1] += dy[:, j] * f[j]\n",
        "",
        "neighbour|right|second|term|upper|part|weight|other",
        "the right neighbour's part is missing",
        N,
        "public: flagos-ai/FlagGems#5218 (dropped terms)",
    ),
    (
        "dx[:, lo[j]] += dy",
        "dx[:, lo[j]] = dy",
        "accumul|overwrit|assign|\\+=|added|several",
        "overwritten: several outputs use the same input",
        r"transposed|averaged",
        "made up",
    ),
)

ROUND6["reflecting pad of a row"] = family(
    """
def forward(x):
    return np.pad(x, ((0, 0), (2, 2)), mode="reflect"), x.shape[1]

def backward(dy, n):
    dx = dy[:, 2:2 + n].copy()
    dx[:, 1:3] += dy[:, 1::-1]
    dx[:, n - 3:n - 1] += dy[:, :n + 1:-1]
    return dx
""",
    (draw(3, 5),),
    (
        "    dx[:, 1:3] += dy[:, 1::-1]\n    dx[:, n - 3:n - 1] += dy[:, :n + 1:-1]\n",
        "",
        "pad|border|reflect|copies|edge|mirror|margin|accumul|sum",
        "the mirrored copies' gradients are thrown away, as with zeros",
        M,
        "made up",
    ),
    (
        "dx[:, 1:3] += dy[:, 1::-1]",
        "dx[:, 1:3] += dy[:, :2]",
        "revers|mirror|order|flip|reflect",
        "not mirrored: the order of the copies is reversed",
        M,
        "made up",
    ),
    (
        "dx[:, 1:3] += dy[:, 1::-1]",
        "dx[:, 0:2] += dy[:, 1::-1]",
        "edge|border|shift|offset|symmetric|index|position|reflect|off by one",
        "reflect does not repeat the edge: the copies belong one further in",
        M,
        "made up",
    ),
)

# ---------------------------------------------------------------- normalisation

ROUND6["layer normalisation of rank three"] = family(
    """
def forward(x, g, b):
    mu = x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    norm = (x - mu) * rstd
    return norm * g + b, (norm, rstd, g)

def backward(dout, cache):
    norm, rstd, g = cache
    dg = np.zeros_like(g)
    db = np.zeros_like(g)
    dx = np.zeros_like(norm)
    B, T, C = norm.shape
    for i in range(B):
        for t in range(T):
            dn = dout[i, t] * g
            dg += dout[i, t] * norm[i, t]
            db += dout[i, t]
            dx[i, t] = (dn - dn.mean() - norm[i, t] * (dn * norm[i, t]).mean()) * rstd[i, t]
    return dx, dg, db
""",
    (draw(2, 3, 5), draw(5), draw(5)),
    (
        "dn - dn.mean() - norm",
        "dn - norm",
        "mean|term|path|centr|first|statistic",
        "the path through the mean is missing",
        N,
        "public: mlpack/mlpack#2474",
    ),
    (
        "(dn * norm[i, t]).mean()",
        "dn.mean() * norm[i, t].mean()",
        "mean of the product|product|mean|norm|variance|inner|separate|order",
        "the mean of a product is not the product of the means",
        M,
        "made up",
    ),
    (
        "dg += dout[i, t] * norm[i, t]",
        "dg = dout[i, t] * norm[i, t]",
        r"accumul|overwrit|last|\+=|assign|sum|\bone\b",
        "only the last position is left in dg",
        r"transposed|averaged",
        "public: tenstorrent/tt-metal#34760",
    ),
    (") * rstd[i, t]", ")", "std|rstd|scale|1/|divi|factor|sigma|deviation", "the factor 1/std is missing", N, "made up"),
)

ROUND6["instance normalisation without parameters"] = family(
    """
def forward(x):
    axes = (2, 3)
    mu = x.mean(axis=axes, keepdims=True)
    var = ((x - mu) ** 2).mean(axis=axes, keepdims=True)
    return (x - mu) / np.sqrt(var + 1e-3), (x, mu, var)

def backward(dy, cache):
    x, mu, var = cache
    axes, M = (2, 3), x.shape[2] * x.shape[3]
    inv = 1 / np.sqrt(var + 1e-3)
    dvar = (dy * (x - mu)).sum(axis=axes, keepdims=True) * -0.5 * inv ** 3
    dmu = -inv * dy.sum(axis=axes, keepdims=True)
    return dy * inv + dvar * 2 * (x - mu) / M + dmu / M
""",
    (draw(2, 2, 3, 4),),
    (
        "M = (2, 3), x.shape[2] * x.shape[3]",
        "M = (2, 3), x.shape[0] * x.shape[2] * x.shape[3]",
        r"batch|size|count|\bM\b|\bN\b|number|pixels|divis|mean|elements",
        "the number of elements counts the batch, which has its own statistics",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "-0.5 * inv ** 3",
        "-0.5 * inv",
        "power|cube|exponent|-3/2|1\\.5|three|inv",
        "the power -3/2 of the variance is due",
        M,
        "public: jax-ml/jax#442 (a power)",
    ),
    (
        "-0.5 * inv ** 3",
        "0.5 * inv ** 3",
        "sign|minus|negat",
        "the sign: the power's derivative is negative",
        "transposed|averaged",
        "made up",
    ),
    (" + dmu / M", "", r"mean|\bmu\b|term|path|centr", "the path through the mean is missing", N, "made up"),
)

ROUND6["weight normalisation"] = family(
    """
def forward(x, v, g):
    norm = np.sqrt((v ** 2).sum(axis=0))
    w = g * v / norm
    return x @ w, (x, v, g, norm, w)

def backward(dy, cache):
    x, v, g, norm, w = cache
    dw = x.T @ dy
    dg = (dw * v / norm).sum(axis=0)
    dv = g / norm * (dw - v * (dw * v).sum(axis=0) / norm ** 2)
    return dy @ w.T, dv, dg
""",
    (draw(5, 4), draw(4, 3), draw(3)),
    (
        "dv = g / norm * (dw - v * (dw * v).sum(axis=0) / norm ** 2)",
        "dv = g / norm * dw",
        "norm|project|term|length|detach|second|direction",
        "the norm depends on v as well: the projection is missing",
        N,
        "made up",
    ),
    (
        "(dw * v).sum(axis=0) / norm ** 2",
        "(dw * v).sum(axis=0) / norm",
        "square|power|norm|squared|exponent|length",
        "the norm is due squared in the projection",
        M,
        "made up",
    ),
    (
        "return dy @ w.T, dv",
        "return dy @ v.T, dv",
        r"\bw\b|\bv\b|norm|scaled|effective|\braw\b|g / norm|weight",
        "x meets the normalised weights w, not v",
        M,
        "made up",
    ),
    (
        "dg = (dw * v / norm)",
        "dg = (dw * v)",
        "norm|divi|unit|1/|length|scale",
        "the division by the norm is missing in dg",
        N,
        "made up",
    ),
)

ROUND6["batch normalisation of images"] = family(
    """
class SpatialBN:
    def forward(self, x, gamma, beta):
        self.gamma = gamma.reshape(1, -1, 1, 1)
        self.mu = x.mean(axis=(0, 2, 3), keepdims=True)
        self.std = np.sqrt(x.var(axis=(0, 2, 3), keepdims=True) + 1e-5)
        self.xhat = (x - self.mu) / self.std
        return self.gamma * self.xhat + beta.reshape(1, -1, 1, 1)

    def backward(self, dout):
        ax = (0, 2, 3)
        m = dout.size // dout.shape[1]
        dgamma = (dout * self.xhat).sum(axis=ax)
        dbeta = dout.sum(axis=ax)
        mix = dbeta.reshape(1, -1, 1, 1) + self.xhat * dgamma.reshape(1, -1, 1, 1)
        dx = self.gamma / self.std * (dout - mix / m)
        return dx, dgamma, dbeta

bn = SpatialBN()
forward, backward = bn.forward, bn.backward
""",
    (draw(3, 2, 2, 3), draw(2), draw(2)),
    (
        "m = dout.size // dout.shape[1]",
        "m = dout.shape[0]",
        r"batch|pixels|spatial|count|number|\bm\b|\bN\b|size|elements|divis|mean",
        "m counts the examples only: the pixels belong to the statistics, too",
        r"\bsign\b|transposed",
        "made up",
    ),
    (
        "(dout - mix / m)",
        "dout",
        "statistic|mean|variance|detach|constant|running|path|term|mix",
        "the statistics are taken for constants, as at test time",
        M,
        "made up",
    ),
    (
        " + self.xhat * dgamma.reshape(1, -1, 1, 1)",
        "",
        "variance|var|xhat|term|std|path|second",
        "the path through the variance is missing",
        N,
        "made up",
    ),
)

# ---------------------------------------------------------------- recurrent

ROUND6["GRU over time"] = family(
    """
def sg(a):
    return 1 / (1 + np.exp(-a))

def forward(x, W, U):
    # the three blocks of W and U: update z, reset r, candidate n
    N, T, D = x.shape
    H = U.shape[0]
    h = np.zeros((N, H))
    out, tape = [], []
    for t in range(T):
        a, u = x[:, t] @ W, U
        z = sg(a[:, :H] + h @ U[:, :H])
        r = sg(a[:, H:2 * H] + h @ U[:, H:2 * H])
        n = np.tanh(a[:, 2 * H:] + (r * h) @ U[:, 2 * H:])
        new = (1 - z) * n + z * h
        tape.append((h, z, r, n))
        out.append(new)
        h = new
    return np.stack(out, axis=1), (x, W, U, tape)

def backward(dout, cache):
    x, W, U, tape = cache
    H = U.shape[0]
    dx, dW, dU = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U)
    dh = np.zeros_like(dout[:, 0])
    for t in reversed(range(x.shape[1])):
        h, z, r, n = tape[t]
        dh = dh + dout[:, t]
        dz = dh * (h - n) * z * (1 - z)
        dn = dh * (1 - z) * (1 - n ** 2)
        drh = dn @ U[:, 2 * H:].T
        dr = drh * h * r * (1 - r)
        da = np.concatenate([dz, dr, dn], axis=1)
        dx[:, t] = da @ W.T
        dW += x[:, t].T @ da
        dU[:, :2 * H] += h.T @ da[:, :2 * H]
        dU[:, 2 * H:] += (r * h).T @ dn
        dh = dh * z + drh * r + dz @ U[:, :H].T + dr @ U[:, H:2 * H].T
    return dx, dW, dU
""",
    (draw(2, 3, 2), draw(2, 9), draw(3, 9)),
    (
        "dh * (h - n) * z",
        "dh * (n - h) * z",
        "sign|minus|order|swap|h - n|exchang|negat|convention",
        "the update gate mixes the other way round: the sign of h - n",
        "transposed|averaged",
        "public: ageron/handson-ml#563",
    ),
    (
        "(r * h).T @ dn",
        "h.T @ dn",
        r"reset|\br\b|r \* h|gate|factor|candidate",
        "the candidate sees r * h: the reset gate is missing in dU",
        N,
        "public: zhiyongc/GRU-D#2",
    ),
    (
        "drh * r + dz",
        "drh + dz",
        r"reset|\br\b|gate|factor|r \* h",
        "the reset gate is missing on the way back to h",
        N,
        "made up",
    ),
    (
        "dh = dh * z + drh",
        "dh = drh",
        r"carry|direct|\bz\b|skip|term|path|update|copied|through",
        "the part of h that is carried over by z is missing",
        N,
        "made up",
    ),
    (
        "drh * h * r * (1 - r)",
        "drh * r * (1 - r)",
        r"\bh\b|state|factor|product|previous|reset",
        "the state h that the reset gate multiplies is missing in its gradient",
        N,
        "made up",
    ),
)

ROUND6["LSTM with joined weights"] = family(
    """
def s(a):
    return 1 / (1 + np.exp(-a))

def forward(x, W, b):
    # rows of W: [h, x]; columns: forget, input, candidate, output
    T, N, D = x.shape
    H = W.shape[1] // 4
    h = c = np.zeros((N, H))
    hs, tape = [], []
    for t in range(T):
        joint = np.concatenate([h, x[t]], axis=1)
        a = joint @ W + b
        f, i, g, o = s(a[:, :H]), s(a[:, H:2 * H]), np.tanh(a[:, 2 * H:3 * H]), s(a[:, 3 * H:])
        old, c = c, f * c + i * g
        h = o * np.tanh(c)
        tape.append((joint, f, i, g, o, old, c))
        hs.append(h)
    return np.stack(hs), (x, W, tape)

def backward(dhs, cache):
    x, W, tape = cache
    H = W.shape[1] // 4
    dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros(4 * H)
    dh = dc = np.zeros_like(dhs[0])
    for t in range(len(x) - 1, -1, -1):
        joint, f, i, g, o, old, c = tape[t]
        dh = dh + dhs[t]
        do = dh * np.tanh(c)
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        df, di, dg = dc * old, dc * g, dc * i
        da = np.concatenate([df * f * (1 - f), di * i * (1 - i), dg * (1 - g ** 2), do * o * (1 - o)], axis=1)
        dW += joint.T @ da
        db += da.sum(axis=0)
        djoint = da @ W.T
        dh, dx[t] = djoint[:, :H], djoint[:, H:]
        dc = dc * f
    return dx, dW, db
""",
    (draw(3, 2, 2), draw(5, 12), draw(12)),
    (
        "        dc = dc * f\n",
        "",
        r"forget|\bf\b|gate|carry|cell|factor",
        "the cell's carry is not multiplied by the forget gate",
        N,
        "public: CaptainE/RNN-LSTM-in-numpy#1 (dc_next)",
    ),
    (
        "dc = dc + dh * o * (1 - np.tanh(c) ** 2)",
        "dc = dc + dh * o * (1 - c ** 2)",
        "tanh|slope|cell|1 - c",
        "tanh is missing inside its slope: c is not yet squashed",
        N,
        "made up",
    ),
    (
        "dc = dc + dh * o",
        "dc = dh * o",
        "carry|next|time|accumul|later|cell|through|recurren",
        "the cell's gradient of later steps is thrown away",
        M,
        "made up",
    ),
    (
        "db += da.sum(axis=0)",
        "db += np.tile(da[:, :H].sum(axis=0), 4)",
        "gate|forget|bias|same|block|copied|instead|wrong",
        "all four biases get the forget gate's gradient",
        M,
        "public: hanbt/learn_dl#53",
    ),
    (
        "df, di, dg = dc * old, dc * g, dc * i",
        "df, di, dg = dc * old, dc * i, dc * g",
        "swap|exchang|input gate|candidate|other|product|\\bi\\b|\\bg\\b",
        "the input gate and the candidate are exchanged in the product rule",
        M,
        "made up",
    ),
)

ROUND6["RNN that returns its last state"] = family(
    """
def forward(x, h0, Wx, Wh):
    hs = [h0]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ Wx + hs[t] @ Wh))
    return hs[-1], (x, hs, Wx, Wh)

def backward(dlast, cache):
    x, hs, Wx, Wh = cache
    T = x.shape[1]
    dx, dWx, dWh = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh)
    dh = dlast
    for t in range(T)[::-1]:
        da = dh * (1 - hs[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += hs[t].T @ da
        dh = da @ Wh.T
    return dx, dh, dWx, dWh
""",
    (draw(3, 4, 2), draw(3, 3), draw(2, 3), draw(3, 3)),
    (
        "(1 - hs[t + 1] ** 2)",
        "(1 - hs[t] ** 2)",
        r"h\[t|shift|previous|state|index|step|off by one|\bnew\b|current",
        "the previous state stands in the slope where the new one is due",
        M,
        "made up",
    ),
    (
        "dh = da @ Wh.T",
        "dh = dh @ Wh.T",
        r"slope|tanh|\bda\b|\bdz\b|activation|derivative|1 - h",
        "the slope of tanh is missing on the way back",
        N,
        "made up",
    ),
    ("dh = da @ Wh.T", "dh = da @ Wh", r"transpos|\bWh\b", "the recurrent weights are not transposed", "averaged", "made up"),
    (
        "dh * (1 - hs[t + 1] ** 2)",
        "dh / (1 - hs[t + 1] ** 2)",
        "divi|multipl|inverse|reciprocal|1/|slope|tanh",
        "divided by the slope of tanh, where it must be multiplied",
        M,
        "public: oreilly-japan/deep-learning-from-scratch-2#26",
    ),
)

# ---------------------------------------------------------------- attention, embedding

ROUND6["multi-head self-attention"] = family(
    """
def heads(a, h):
    N, T, D = a.shape
    return a.reshape(N, T, h, D // h).transpose(0, 2, 1, 3)

def merge(a):
    N, h, T, d = a.shape
    return a.transpose(0, 2, 1, 3).reshape(N, T, h * d)

def forward(x, Wq, Wk, Wv):
    q, k, v = heads(x @ Wq, 2), heads(x @ Wk, 2), heads(x @ Wv, 2)
    sc = q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1])
    e = np.exp(sc - sc.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return merge(p @ v), (x, Wq, Wk, Wv, q, k, v, p)

def backward(dy, cache):
    x, Wq, Wk, Wv, q, k, v, p = cache
    do = heads(dy, 2)
    dv = p.transpose(0, 1, 3, 2) @ do
    dp = do @ v.transpose(0, 1, 3, 2)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    dq, dk = ds @ k, ds.transpose(0, 1, 3, 2) @ q
    dq, dk, dv = merge(dq), merge(dk), merge(dv)
    dx = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T
    back = lambda d: np.einsum("nti,nto->io", x, d)
    return dx, back(dq), back(dk), back(dv)
""",
    (draw(2, 3, 4), draw(4, 4), draw(4, 4), draw(4, 4)),
    (
        "do = heads(dy, 2)",
        "do = dy.reshape(q.shape)",
        "transpos|reshape|heads|axes|split|order|wrong places",
        "reshaped without the transpose: heads and positions are mixed up",
        r"\bsign\b|averaged",
        "public: reczoo/FuxiCTR#30",
    ),
    (
        "dq @ Wq.T + dk @ Wk.T + dv @ Wv.T",
        "dq @ Wq.T",
        "path|key|value|term|sum|branch|accumul|all three|\\bk\\b|\\bv\\b",
        "x makes keys and values, too: two paths are missing",
        N,
        "made up",
    ),
    (
        "ds.transpose(0, 1, 3, 2) @ q",
        "ds @ q",
        r"transpos|\bdS\b|\bds\b|key",
        "the scores' gradient is not transposed for the keys",
        r"\bsign\b|averaged",
        "public: huggingface/diffusers#14341 (transposes)",
    ),
    (
        "np.sqrt(q.shape[-1])",
        "np.sqrt(x.shape[-1])",
        "scale|sqrt|head|dimension|width|\\bd\\b|constant factor|size|model",
        "the root of the model's width, where a head's width is due",
        M,
        "made up",
    ),
)

ROUND6["attention with a learned distance penalty"] = family(
    """
def forward(q, k, v, slope):
    T, d = q.shape
    dist = np.abs(np.arange(T)[:, None] - np.arange(T)[None])
    s = q @ k.T / np.sqrt(d) - slope * dist
    w = np.exp(s - s.max(axis=1, keepdims=True))
    w = w / w.sum(axis=1, keepdims=True)
    return w @ v, (q, k, v, dist, w)

def backward(do, cache):
    q, k, v, dist, w = cache
    dw = do @ v.T
    ds = w * (dw - np.sum(w * dw, axis=1, keepdims=True))
    dslope = -np.sum(ds * dist)
    ds = ds / np.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, w.T @ do, np.array(dslope)
""",
    (draw(4, 3), draw(4, 3), draw(4, 3), np.array(0.4)),
    (
        "-np.sum(ds * dist)",
        "np.sum(ds * dist)",
        "sign|minus|negat",
        "the penalty is subtracted: the sign of its gradient",
        "transposed|averaged",
        "made up",
    ),
    (
        "-np.sum(ds * dist)",
        "-np.sum(ds * dist) / np.sqrt(q.shape[1])",
        "scale|sqrt|constant factor|root|too many|divi|after",
        "the penalty is added after the scaling: its gradient has no 1/sqrt(d)",
        r"\bsign\b|transposed|averaged|missing",
        "public: tenstorrent/tt-metal#53207 (scale in one pass only)",
    ),
    (
        "ds = w * (dw -",
        "ds = (dw -",
        r"softmax|weights|\bw\b|factor|probabilit|jacobian",
        "the weights before the bracket are missing in the softmax's backward",
        N,
        "made up",
    ),
)

ROUND6["additive attention"] = family(
    """
def forward(keys, query, v):
    u = np.tanh(keys + query)
    s = u @ v
    e = np.exp(s - s.max())
    a = e / e.sum()
    return a @ keys, (keys, u, v, a)

def backward(dctx, cache):
    keys, u, v, a = cache
    da = keys @ dctx
    ds = a * (da - da @ a)
    dv = u.T @ ds
    dpre = np.outer(ds, v) * (1 - u ** 2)
    dkeys = dpre + np.outer(a, dctx)
    return dkeys, dpre.sum(axis=0), dv
""",
    (draw(4, 3), draw(3), draw(3)),
    (
        "dkeys = dpre + np.outer(a, dctx)",
        "dkeys = np.outer(a, dctx)",
        "score|path|term|both|key|energy|second|twice|part",
        "the keys also make the scores: that path is missing",
        N,
        "made up",
    ),
    (
        "dpre.sum(axis=0)",
        "dpre[0]",
        r"sum|broadcast|first|\bone\b|accumul|shared|every|one index only",
        "the query is added to every key: a sum is due",
        M,
        "made up",
    ),
    (
        "(1 - u ** 2)",
        "u",
        "tanh|slope|derivative|1 - |output|activation",
        "tanh itself instead of its slope",
        M,
        "public: andersbll/nnet#4 (tanh_d)",
    ),
)

ROUND6["bags of embeddings, averaged"] = family(
    """
bags = [np.array([0, 3, 3]), np.array([1]), np.array([2, 0])]

def forward(E):
    return np.stack([E[b].mean(axis=0) for b in bags]), E.shape

def backward(dy, shape):
    dE = np.zeros(shape)
    for d, b in zip(dy, bags):
        for i in b:
            dE[i] += d / len(b)
    return dE
""",
    (draw(4, 2),),
    (
        "d / len(b)",
        "d",
        "size|mean|length|divi|count|bag|1/|sum",
        "the mean's division by the bag's size is missing",
        r"\bsign\b|transposed|too many",
        "made up",
    ),
    (
        "dE[i] += d",
        "dE[i] = d",
        "accumul|overwrit|repeat|\\+=|assign|duplicate|twice|added",
        "overwritten: rows occur more than once",
        r"transposed|averaged",
        "public: pytorch/pytorch#1631 (repeated indices)",
    ),
    (
        "d / len(b)",
        "d / len(bags)",
        "size|number|length|bag|count|batch|divis|mean",
        "divided by the number of bags, not by the bag's size",
        r"\bsign\b|transposed",
        "public: pytorch/pytorch#190063",
    ),
)

# ---------------------------------------------------------------- other functions

ROUND6["logaddexp of two arrays"] = family(
    """
def forward(a, b):
    m = np.maximum(a, b)
    return m + np.log(np.exp(a - m) + np.exp(b - m)), (a, b)

def backward(g, ab):
    a, b = ab
    wa = 1 / (1 + np.exp(b - a))
    return g * wa, g * (1 - wa)
""",
    (draw(3, 4), draw(3, 4)),
    (
        "np.exp(b - a)",
        "np.exp(a - b)",
        "swap|exchang|sign|order|a - b|operand|negat|complement",
        "a and b are exchanged: the larger one must get the larger share",
        "transposed|averaged",
        "made up",
    ),
    (
        "g * (1 - wa)",
        "g * wa * (1 - wa)",
        r"sigmoid|slope|factor|\bwa\b|too many|derivative",
        "a factor too many: the share, not the sigmoid's slope",
        r"\bsign\b|transposed|averaged|missing",
        "made up",
    ),
    (
        "wa = 1 / (1 + np.exp(b - a))",
        "wa = 1.0 * (a > b)",
        r"max|smooth|mask|hard|share|softmax|\bexp\b|exponential|weights",
        "the whole gradient goes to the larger one, as for a maximum",
        M,
        "public: tensorflow/tensorflow#127232 (the maximum's branch)",
    ),
)

ROUND6["running maximum"] = family(
    """
def forward(x):
    return np.maximum.accumulate(x, axis=1), x

def backward(g, x):
    dx = np.zeros_like(x)
    for r in range(len(x)):
        best = 0
        for t in range(x.shape[1]):
            if x[r, t] > x[r, best]:
                best = t
            dx[r, best] += g[r, t]
    return dx
""",
    (np.array([[0.3, -1.2, 0.9, 0.1, 1.4], [1.1, 0.2, -0.4, 0.6, -0.7], [-0.5, 0.8, 0.4, 1.9, 1.2]]),),
    (
        "dx[r, best] += g[r, t]",
        "dx[r, best] = g[r, t]",
        "accumul|overwrit|last|sum|\\+=|assign|added",
        "a maximum that lasts is used again: its gradients must be added",
        r"transposed|averaged",
        "public: pytorch/pytorch#26637",
    ),
    (
        "dx[r, best] += g[r, t]",
        "dx[r, t] += g[r, t]",
        r"position|index|\bown\b|best|argmax|max|identity|winner",
        "the gradient stays at its own place, not where the maximum came from",
        M,
        "made up",
    ),
)

ROUND6["product along a row"] = family(
    """
def forward(x):
    return np.prod(x, axis=1), x

def backward(dy, x):
    dx = np.zeros_like(x)
    for i in range(x.shape[1]):
        dx[:, i] = dy * np.prod(np.delete(x, i, axis=1), axis=1)
    return dx
""",
    (draw(3, 4),),
    (
        "np.prod(np.delete(x, i, axis=1), axis=1)",
        "np.prod(x, axis=1)",
        r"\bown\b|divi|other|factor|delete|itself|exclud|1/x|without",
        "the own factor is not left out",
        M,
        "made up",
    ),
    (
        "np.prod(np.delete(x, i, axis=1), axis=1)",
        "np.delete(x, i, axis=1).sum(axis=1)",
        "product|sum|multipl|others",
        "the sum of the others, where their product is due",
        M,
        "made up",
    ),
)

ROUND6["scaled power of two"] = family(
    """
def ldexp(m, e):
    return m * 2 ** e

def forward(m, e):
    return ldexp(m, e), (m, e)

def backward(grad, cache):
    m, e = cache
    gm = grad * 2 ** e
    ge = grad * m * 2 ** e * np.log(2)
    return gm, ge
""",
    (draw(2, 3), draw(2, 3)),
    (
        "ge = grad * m * 2 ** e * np.log(2)",
        "ge = gm * grad * m * np.log(2)",
        "not linear in dy|grad|twice|\\bdy\\b|dout|upstream|square|too many",
        "gm already has the incoming gradient: it is multiplied twice",
        r"\bsign\b|transposed|averaged|missing",
        "public: tenstorrent/tt-metal#6542",
    ),
    (" * np.log(2)", "", r"log|constant factor|\bln\b|0\.69|base|factor", "the log of the base is missing", N, "made up"),
    (
        "gm = grad * 2 ** e",
        "gm = 2 ** e",
        "not linear in dy|zero in, not zero out|grad|\\bdy\\b|dout|upstream|incoming|ignor",
        "the incoming gradient is not used",
        M,
        "public: tenstorrent/tt-metal#6533",
    ),
)

ROUND6["quadratic form and trace"] = family(
    """
def forward(A, X):
    return np.trace(X.T @ A @ X), (A, X)

def backward(g, cache):
    A, X = cache
    dA = X @ X.T
    dX = (A + A.T) @ X
    return g * dA, g * dX
""",
    (draw(3, 3), draw(3, 2)),
    (
        "(A + A.T) @ X",
        "2 * A @ X",
        "symmetr|transpos|A\\.T|both|quadratic",
        "2 A X holds for a symmetric A only",
        r"averaged",
        "public: HIPS/autograd#156 (symmetry)",
    ),
    (
        "(A + A.T) @ X",
        "A @ X",
        "transpos|symmetr|term|both|second|A\\.T|product rule|twice|path",
        "X stands on both sides: the other term is missing",
        "averaged|too many",
        "made up",
    ),
    (
        "dA = X @ X.T",
        "dA = np.diag(np.diag(X @ X.T))",
        r"diagonal|trace|\boff\b|outer|all entries|part left at zero",
        "only the diagonal: the trace reaches all entries of A",
        M,
        "made up",
    ),
)

ROUND6["elastic net penalty on a table"] = family(
    """
def forward(w):
    n = w.shape[0]
    size = np.where(w < 0, -w, w)
    return 0.3 * size.sum() + 0.2 * (w ** 2).sum(), w

def backward(g, w):
    return g * (0.3 * np.sign(w) + 0.4 * w)
""",
    (draw(3, 4),),
    (
        "np.sign(w)",
        "np.abs(w)",
        "sign|abs|L1|modulus|slope",
        "the derivative of |w| is its sign",
        "transposed|averaged",
        "public: bashardudin/Epita-SCIA-OCVX#1",
    ),
    (
        "0.4 * w",
        "0.4",
        r"\bw\b|L2|square|factor|constant|weights|derivative",
        "w is missing in the derivative of the square",
        N,
        "public: rasbt/python-machine-learning-book-2nd-edition#94",
    ),
    (
        "0.3 * np.sign(w) + 0.4 * w",
        "0.3 * np.sign(w) - 0.4 * w",
        "sign|minus|plus|negat|weight decay",
        "the sign of the square's part: it is added to the gradient",
        "transposed|averaged|too many",
        "public: andersbll/nnet#4",
    ),
)

ROUND6["dropout on whole channels"] = family(
    """
rate = 0.4
alive = np.array([[1, 0, 1], [1, 1, 0]], dtype=float)

def forward(x):
    return x * alive[:, :, None] / (1 - rate), x.shape

def backward(dy, shape):
    dx = np.empty(shape)
    for n in range(shape[0]):
        for c in range(shape[1]):
            dx[n, c] = dy[n, c] * alive[n, c] / (1 - rate)
    return dx
""",
    (draw(2, 3, 4),),
    (
        "/ (1 - rate)",
        "/ rate",
        r"\brate\b|keep|1 - |scale|constant factor|divi|probab",
        "divided by the rate of dropping, not of keeping",
        M,
        "public: rasbt/LLMs-from-scratch#431",
    ),
    (
        "* alive[n, c] / (1 - rate)",
        "/ (1 - rate)",
        "mask|alive|drop|zero|channel",
        "the mask is missing: dropped channels get a gradient",
        N,
        "public: kaldi-asr/kaldi#3890",
    ),
    (
        " / (1 - rate)",
        "",
        r"scale|keep|\brate\b|constant factor|divi|invert|1/",
        "the scale 1/keep is missing",
        N,
        "public: rohitg00/ai-engineering-from-scratch#17",
    ),
)

ROUND6["interleaving two sequences"] = family(
    """
def forward(a, b):
    return np.stack([a, 2 * b], axis=2).reshape(a.shape[0], -1), a.shape

def backward(dy, shape):
    d = dy.reshape(*shape, 2)
    return d[..., 0], 2 * d[..., 1]
""",
    (draw(3, 4), draw(3, 4)),
    (
        "d = dy.reshape(*shape, 2)",
        "d = dy.reshape(shape[0], 2, shape[1]).swapaxes(1, 2)",
        "interleav|stack|concat|axis|order|reshape|halves|wrong places|split",
        "split as if the two were joined end to end",
        r"\bsign\b|averaged",
        "public: Oneflow-Inc/oneflow#8194 (stack's backward)",
    ),
    (
        "return d[..., 0], 2 * d[..., 1]",
        "return d[..., 1], 2 * d[..., 0]",
        "swap|exchang|order|other|halves|wrong input",
        "the two sequences are exchanged",
        M,
        "made up",
    ),
    ("2 * d[..., 1]", "d[..., 1]", r"\b2\b|constant factor|factor|doubl|inner", "the factor 2 of b is forgotten", N, "made up"),
)
