"""Initialisation and normalisation · 初始化与归一化

Minutes: 30
Exercises: batch_norm, layer_norm, two_norms, broadcasting
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Initialisation", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx import Tensor, initializers, ops
    from tinydx.layers import BatchNormalization
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, card, code, foot, head, number, short, show, term, text
    from tinydx.optimizers import SGD, Adam
    from tinydx.tensor import gradients


@app.cell(hide_code=True)
def _():
    head("initialisation")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - compute how a layer changes the {term("variance")} of its numbers, and choose the {term("initialisation")} that keeps it;
    - write {term("batch normalisation")} and {term("layer normalisation")}, and say what they do to the {term("gradient")};
    - say which mean and variance a network uses in training and which in a test, and when they disagree.

    ## The equations

    A unit adds $n$ products of a weight and a number $h$ of the layer before. With random weights of mean 0, variances add up:

    $$z = \sum_{{i=1}}^{{n}} w_i h_i$$

    $$\mathrm{{Var}}(z) = n \cdot \mathrm{{Var}}(w) \cdot \mathrm{{E}}[h^2]$$

    By numbers: 100 inputs of size 1 and weights of variance 1 give a $z$ of variance 100, so of size 10. The next layer makes it 100, the
    third 1000. With weights of variance 1 / 100, the size stays 1. {term("ReLU")} sets half of the numbers to zero, and with them half of
    $\mathrm{{E}}[h^2]$, so it needs twice the variance. This is He's rule:

    $$\mathrm{{Var}}(w) = 2 / n$$

    On the way back, the gradient adds up over the $m$ units of the layer after. Glorot takes the mean of both, for tanh:

    $$\mathrm{{Var}}(w) = \frac{{2}}{{n + m}}$$

    ## See it: 30 layers

    The weights have variance $s^2 / n$, where $n$ = 100. Move $s$. He's rule is $s = \sqrt{{2}}$, Glorot's is $s = 1$.
    """,
        rf"""
    学完这一课，你能够

    - 算出一层怎样改变数的{term("variance")}，并选出使它保持不变的{term("initialisation")}；
    - 写出{term("batch normalisation")}和{term("layer normalisation")}，并说出它们对{term("gradient")}做了什么；
    - 说出网络训练时用哪个均值和方差，测试时用哪个，以及两者何时不一致。

    ## 公式

    一个单元把 $n$ 个乘积相加，每个是权重乘以前一层的数 $h$。权重随机、均值为 0 时，方差相加：

    $$z = \sum_{{i=1}}^{{n}} w_i h_i$$

    $$\mathrm{{Var}}(z) = n \cdot \mathrm{{Var}}(w) \cdot \mathrm{{E}}[h^2]$$

    用数来算：100 个大小为 1 的输入，权重方差为 1，$z$ 的方差就是 100，大小是 10。下一层变成 100，第三层变成 1000。
    权重的方差取 1 / 100，大小就保持为 1。{term("ReLU")}把一半的数置零，$\mathrm{{E}}[h^2]$ 也减半，所以方差要加倍。
    这就是 He 的规则：

    $$\mathrm{{Var}}(w) = 2 / n$$

    返回时，梯度对后一层的 $m$ 个单元求和。Glorot 取两者的平均，用于双曲正切：

    $$\mathrm{{Var}}(w) = \frac{{2}}{{n + m}}$$

    ## 看一看：30 层

    权重的方差是 $s^2 / n$，其中 $n$ = 100。移动 $s$。He 的规则是 $s = \sqrt{{2}}$，Glorot 的是 $s = 1$。
    """,
    )
    return


@app.cell
def _():
    size = mo.ui.slider(
        0.6, 2.6, step=0.1, value=1.0, label="size of the weights · 权重的大小 s", show_value=True, full_width=True
    )
    bend = mo.ui.dropdown(["relu", "tanh"], value="relu", label="activation · 激活函数", full_width=True)
    norm = mo.ui.dropdown(["none", "batch", "layer"], value="none", label="normalisation · 归一化", full_width=True)
    mo.vstack([size, bend, norm])
    return bend, norm, size


@app.cell
def _():
    LAYERS, UNITS = 30, 100
    _rng = np.random.default_rng(0)
    inputs, directions = _rng.normal(size=(64, UNITS)), _rng.normal(size=(64, UNITS))
    drawn = _rng.normal(size=(LAYERS, UNITS, UNITS)) / np.sqrt(UNITS)  # of variance 1 / n
    normalisations = {
        "none": lambda x: x,
        "batch": lambda x: ops.batch_normalization(x, np.ones(x.shape[-1]), np.zeros(x.shape[-1])),
        "layer": lambda x: ops.layer_normalization(x, np.ones(x.shape[-1]), np.zeros(x.shape[-1])),
    }

    def rms(x):
        """The root mean square: the typical size of an array's numbers."""
        return float(np.sqrt((x**2).mean()))

    def through(size, bend="relu", norm="none"):
        """The rms of the input and of every layer, and that of the gradient with respect to each; (2, layers+1)."""
        h = Tensor(inputs, requires_grad=True)
        passed = [h]
        for w in drawn:
            h = getattr(ops, bend)(normalisations[norm](h @ (size * w)))
            passed.append(h)
        loss = (h * directions).sum()
        return np.array([[rms(h.data) for h in passed], [rms(g) for g in gradients(loss, passed)]])

    return LAYERS, UNITS, normalisations, rms, through


@app.cell
def _(UNITS, bend, norm, size, through):
    forward, back = through(size.value, bend.value, norm.value)
    tried = {name: through(s) for name, s in (("0.7", 0.7), ("1", 1.0), ("√2", np.sqrt(2)), ("2.5", 2.5))}
    assert 0.2 < tried["√2"][0, -1] < 5 and 0.1 < tried["√2"][1, 0] < 10
    assert tried["1"][0, -1] < 1e-3 and tried["2.5"][0, -1] > 1e5

    _normalised = [through(s, norm="batch") for s in (0.7, 2.5)]
    by_batch = _normalised[0][1, 0] / _normalised[0][1, -1]
    np.testing.assert_allclose(_normalised[0][0], _normalised[1][0], rtol=0.02)

    tinydx.set_seed(0)
    of_he = initializers.he_normal((UNITS, 400)).var() * UNITS
    of_glorot = initializers.glorot_uniform((UNITS, UNITS)).var() * UNITS
    assert 1.9 < of_he < 2.1 and 0.9 < of_glorot < 1.1
    return back, by_batch, forward, of_glorot, of_he, tried


@app.cell(hide_code=True)
def _(LAYERS, back, bend, forward, norm, size):
    _figure, _axis = canvas(height=2.8)
    _axis.semilogy(np.maximum(forward, 1e-30), "o-", color=BLUE, markersize=3, label="activations")
    _axis.semilogy(np.maximum(back, 1e-30), "s--", color=RED, markersize=3, label="gradients")
    _axis.axhline(1, color=GREY, linewidth=0.8)
    _axis.set(title=f"{bend.value}, s = {size.value:g}, normalisation: {norm.value}", xlabel="layer", xlim=(0, LAYERS))
    _axis.set(ylabel="root mean square (no unit)", ylim=(1e-12, 1e12))
    _axis.legend(loc="upper left", frameon=False)
    show(
        _figure,
        "The size of the activations after each of 30 layers, and of the gradient with respect to them, on a logarithmic scale.",
        "30 层中每一层之后激活值的大小，以及对它们的梯度的大小，对数坐标。",
    )
    return


@app.cell(hide_code=True)
def _(LAYERS, back, by_batch, forward, of_glorot, of_he, tried):
    _table = "\n    ".join(f"| {name} | {sizes[0, -1]:.1g} | {sizes[1, 0]:.1g} |" for name, sizes in tried.items())
    text(
        f"""
    Chosen above: after {LAYERS} layers the activations have size {forward[-1]:.1g}, and the gradient reaches the input with size
    {back[0]:.1g} of the {back[-1]:.1g} with which it started. For ReLU without normalisation:

    | $s$ | activations after {LAYERS} layers | gradient at the input |
    |---|---|---|
    {_table}

    A straight line on this scale is the same factor at every layer: $s / \\sqrt{{2}}$ for ReLU. With $s$ = 1 that is {0.5**0.5:.2f},
    and {0.5**0.5:.2f} to the power of {LAYERS} is {0.5 ** (LAYERS / 2):.1g}. Both directions multiply by the same weights, so what vanishes forwards
    vanishes backwards. With tanh nothing grows beyond 1, but where it saturates, its slope is near 0. And with a normalisation
    after each layer, the activations keep their size whatever $s$ is: try it. The gradient does not keep quite that still: for ReLU with
    batch normalisation it grows {by_batch:.0f}-fold on its way through {LAYERS} layers.

    The engine's initializers, times $n$ = 100: He {of_he:.2f}, Glorot (with $m$ = 100, too) {of_glorot:.2f}. Glorot is Keras's default, also before
    ReLU; with few layers that does little harm.
    """,
        f"""
    上面所选的设置：{LAYERS} 层之后激活值的大小是 {forward[-1]:.1g}，梯度到达输入时的大小是 {back[0]:.1g}，出发时是 {back[-1]:.1g}。
    对没有归一化的 ReLU：

    | $s$ | {LAYERS} 层之后的激活值 | 输入处的梯度 |
    |---|---|---|
    {_table}

    这种坐标上的直线，说明每层乘以同一个因子：对 ReLU 是 $s / \\sqrt{{2}}$。$s$ = 1 时是 {0.5**0.5:.2f}，
    {0.5**0.5:.2f} 的 {LAYERS} 次方是 {0.5 ** (LAYERS / 2):.1g}。两个方向乘的是同样的权重，所以向前消失的，返回时也消失。
    双曲正切使任何数都不超过 1，但在饱和处斜率接近 0。如果每层之后都归一化，不管 $s$ 是多少，激活值的大小都不变：试一试。
    梯度却没有这么稳定：对带批归一化的 ReLU，它经过 {LAYERS} 层增大到 {by_batch:.0f} 倍。

    引擎的初始化函数，乘以 $n$ = 100：He 是 {of_he:.2f}，Glorot（$m$ = 100 时）是 {of_glorot:.2f}。Glorot 是 Keras 的默认值，
    ReLU 之前也用它；层数少时没有多大害处。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(initializers.he_normal, initializers.glorot_uniform)
    return


@app.cell(hide_code=True)
def _():
    text(
        r"""
    ## Normalisation

    Training changes the weights, so a good start does not last. Normalisation keeps the size in every step:

    $$n = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}$$

    $$y = \gamma n + \beta$$

    **Batch** normalisation takes $\mu$ and $\sigma$ over the examples, for each feature: the column 1, 3, 3, 5 has the mean 3 and the variance
    2, and becomes -1.41, 0, 0, 1.41. **Layer** normalisation takes them over the features, for each example. Training learns $\gamma$
    and $\beta$, which can undo it all.

    ## The code

    One function does both: axis 0 for the batch, axis 1 for the layer.
    """,
        r"""
    ## 归一化

    训练会改变权重，所以好的开始保持不住。归一化在每一步都保持数的大小：

    $$n = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}$$

    $$y = \gamma n + \beta$$

    **批**归一化对每个特征，在各样本上求 $\mu$ 和 $\sigma$：一列 1、3、3、5，均值是 3，方差是 2，变成 -1.41、0、0、1.41。
    **层**归一化对每个样本，在各特征上求。$\gamma$ 和 $\beta$ 由训练学得，可以把这一切都还原。

    ## 代码

    一个函数就够了：批归一化取轴 0，层归一化取轴 1。
    """,
    )
    return


@app.cell
def _():
    def normalise(x, axis, gamma=1.0, beta=0.0, eps=1e-3):
        mean = x.mean(axis=axis, keepdims=True)
        variance = x.var(axis=axis, keepdims=True)
        return gamma * (x - mean) / np.sqrt(variance + eps) + beta

    return (normalise,)


@app.cell(hide_code=True)
def _(normalise):
    _rng = np.random.default_rng(0)
    _x, _gamma, _beta = _rng.normal(2, 3, (8, 5)), _rng.normal(size=5), _rng.normal(size=5)
    np.testing.assert_allclose(normalise(_x, 0, _gamma, _beta), ops.batch_normalization(_x, _gamma, _beta))
    np.testing.assert_allclose(normalise(_x, 1, _gamma, _beta), ops.layer_normalization(_x, _gamma, _beta))
    np.testing.assert_allclose(normalise(np.array([[1.0], [3], [3], [5]]), 0, eps=0).ravel().round(2), [-1.41, 0, 0, 1.41])
    short(normalise)
    return


@app.cell(hide_code=True)
def _():
    card("batch_normalization", "backward")
    return


@app.cell
def _(rms):
    def gradient_through(x, dy):
        """dx of batch normalisation without gamma and beta, and with an eps so small that it does not count."""
        _, saved = ops.batch_normalization.forward(x, np.ones(x.shape[1]), np.zeros(x.shape[1]), eps=1e-12)
        return ops.batch_normalization.backward(dy, saved)[0]

    _rng = np.random.default_rng(0)
    features, upstream = _rng.normal(size=(64, 10)), _rng.normal(size=(64, 10))
    scaled = {scale: rms(gradient_through(scale * features, upstream)) for scale in (0.1, 1, 10)}
    _dx = gradient_through(features, upstream)
    np.testing.assert_allclose(_dx.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose((_dx * features).mean(axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(scaled[0.1] / scaled[10], 100, rtol=1e-6)
    return scaled, upstream


@app.cell(hide_code=True)
def _(rms, scaled, upstream):
    _table = "\n    ".join(f"| {scale:g} | {gradient:.3f} |" for scale, gradient in scaled.items())
    text(
        f"""
    ## What it does to the gradient

    A change of one $x$ moves $\\mu$ and $\\sigma$, and with them all other results. The backward function collects these three ways; bars are
    means over the same axis as $\\mu$, and $dn = \\gamma \\, dy$:

    $$dx = \\frac{{dn - \\overline{{dn}} - n \\cdot \\overline{{dn \\cdot n}}}}{{\\sqrt{{\\sigma^2 + \\epsilon}}}}$$

    So $dx$ has the mean 0, because a common shift of all $x$ changes nothing. It has no part along $n$, because a common stretch changes
    nothing, either. And it is divided by the size of $x$. For a $dy$ of size {rms(upstream):.3f}:

    | size of $x$ | size of $dx$ |
    |---|---|
    {_table}

    Weights that are 10 times too large get a gradient that is 10 times too small: their scale no longer matters forwards, and the
    steps adapt to it. One row of $\\gamma$ and $\\beta$ serves all examples, so their gradients are sums over the batch, like that of every
    bias: NumPy's broadcasting, read backwards.

    ## Does it help?

    A network with 10 layers of 32 ReLU units learns which points lie inside a circle: 100 steps of SGD (learning rate 0.03) or
    Adam (0.003), loss of the training points, median of 3 seeds. Guessing has a loss of about $\\ln 2$ = {np.log(2):.3f}.
    """,
        f"""
    ## 它对梯度做了什么

    一个 $x$ 改变，$\\mu$ 和 $\\sigma$ 就跟着变，其他所有结果也跟着变。反向函数把这三条路合在一起；横线表示在与 $\\mu$ 相同的轴上求平均，
    $dn = \\gamma \\, dy$：

    $$dx = \\frac{{dn - \\overline{{dn}} - n \\cdot \\overline{{dn \\cdot n}}}}{{\\sqrt{{\\sigma^2 + \\epsilon}}}}$$

    所以 $dx$ 的均值是 0，因为全部 $x$ 一起平移，什么也不变。它没有沿 $n$ 的部分，因为一起拉伸，也什么都不变。
    它还除以 $x$ 的大小。对大小为 {rms(upstream):.3f} 的 $dy$：

    | $x$ 的大小 | $dx$ 的大小 |
    |---|---|
    {_table}

    权重变成 10 倍，得到的梯度就变成 10 分之一：向前时它们的尺度不再要紧，步长也随之调整。$\\gamma$ 和 $\\beta$ 各一行供全部样本使用，
    所以它们的梯度是对整批求和，和每个偏置一样：这就是反过来读的 NumPy 广播机制。

    ## 有用吗？

    一个网络有 10 层，每层 32 个 ReLU 单元，学习哪些点在圆内：用 SGD（学习率 0.03）或
    Adam（0.003）走 100 步，取训练点的损失，3 个种子的中位数。随机猜测的损失约为 $\\ln 2$ = {np.log(2):.3f}。
    """,
    )
    return


@app.cell
def _(normalisations):
    tinydx.set_threads(1)  # such small matrices are fastest on one core
    _rng = np.random.default_rng(0)
    points = _rng.normal(size=(128, 2)).astype("float32")
    inside = (np.hypot(*points.T) < 1.18).astype("float32")[:, None]

    def loss_after(optimizer, scale, norm, seed):
        """The training loss of a network whose layers begin with weights of variance scale ** 2 / n, and biases of 0."""
        rng, weights = np.random.default_rng(seed), []
        for n, m in [(2, 32), *[(32, 32)] * 9, (32, 1)]:
            size = scale if m > 1 else 1.0
            weights += [size * rng.normal(size=(n, m)) / np.sqrt(n), np.zeros(m)]
        weights = [Tensor(w.astype("float32"), requires_grad=True) for w in weights]
        for _ in range(100):
            h = points
            for k in range(0, 20, 2):
                h = ops.relu(normalisations[norm](ops.dense(h, *weights[k : k + 2])))
            loss = ops.sigmoid_binary_crossentropy(ops.dense(h, *weights[20:]), target=inside)
            try:
                optimizer.apply(gradients(loss, weights), weights)
            except FloatingPointError:
                return np.inf  # the engine refuses a step that would put NaN into the weights
        return float(loss.data)

    sizes = {"0.5": 0.5, "√2": np.sqrt(2), "3": 3.0}
    kinds = {"SGD": lambda: SGD(0.03), "Adam": lambda: Adam(0.003)}
    with np.errstate(all="ignore"):  # where training diverges, numbers overflow
        ends = {
            (kind, name, norm): float(np.median([loss_after(optimizer(), s, norm, seed) for seed in range(3)]))
            for kind, optimizer in kinds.items()
            for name, s in sizes.items()
            for norm in normalisations
        }
    return ends, kinds, sizes


@app.cell(hide_code=True)
def _(ends, kinds, normalisations, sizes):
    _table = "\n    ".join(
        f"| {kind}, {name} | " + " | ".join(f"{ends[kind, name, norm]:.2g}".replace("inf", "∞") for norm in normalisations) + " |"
        for kind in kinds
        for name in sizes
    )
    _learned = {
        (kind, norm): sum(ends[kind, name, norm] < np.log(2) / 2 for name in sizes) for kind in kinds for norm in normalisations
    }
    _adam = both("Adam did not need it here", "Adam 在这里并不需要归一化")
    if _learned["Adam", "none"] < max(_learned["Adam", "batch"], _learned["Adam", "layer"]):
        _adam = both("Adam gained from it here, too", "Adam 在这里也因归一化而受益")
    text(
        f"""
    | optimizer, $s$ | none | batch | layer |
    |---|---|---|---|
    {_table}

    Count the starts, of {len(sizes)}, from which the loss fell below half of guessing. SGD: {_learned["SGD", "none"]} without normalisation,
    {_learned["SGD", "batch"]} with that of the batch, {_learned["SGD", "layer"]} with that of the layer. Adam: {_learned["Adam", "none"]},
    {_learned["Adam", "batch"]} and {_learned["Adam", "layer"]}. {_adam.en}: it divides by the gradient's size itself (lesson
    {number("optimizers")}). With 3 seeds and one learning rate for each optimizer this is no ranking.

    Layer normalisation has a handicap here. It takes the size of a point's 32 numbers away, and without biases this is its distance
    from the centre, on which the label depends: only the biases, which begin at 0, can bring it back.

    ## Training and test

    In training, batch normalisation makes a patient's result depend on who else is in the batch. In a test that must not be: the layer
    then uses a {term("moving average")} of the means and variances of the training batches, with the momentum $\\rho$, which is 0.99 in Keras:

    $$a' = \\rho a + (1 - \\rho) \\bar x$$

    It starts at 0, and below it follows a feature whose mean is 5. Move the momentum.
    """,
        f"""
    | 优化器，$s$ | 无 | 批 | 层 |
    |---|---|---|---|
    {_table}

    数一数在 {len(sizes)} 个起点中，有几个使损失降到随机猜测的一半以下。SGD：没有归一化时 {_learned["SGD", "none"]} 个，
    批归一化 {_learned["SGD", "batch"]} 个，层归一化 {_learned["SGD", "layer"]} 个。Adam：依次是 {_learned["Adam", "none"]}、
    {_learned["Adam", "batch"]} 和 {_learned["Adam", "layer"]} 个。{_adam.zh}：它自己就除以梯度的大小（第
    {number("optimizers")} 课）。只有 3 个种子，每个优化器一个学习率，这不是排名。

    层归一化在这里有个不利之处：它去掉了一个点的 32 个数的大小，没有偏置时这就是点到中心的距离，而标签正取决于它；
    只有从 0 开始的偏置能把它找回来。

    ## 训练与测试

    训练时，批归一化使一个病人的结果取决于批中还有谁。测试时绝不能这样：这时该层用训练各批的均值和方差的{term("moving average")}，
    动量 $\\rho$ 在 Keras 中是 0.99：

    $$a' = \\rho a + (1 - \\rho) \\bar x$$

    它从 0 开始，下图中它跟踪一个均值为 5 的特征。移动动量。
    """,
    )
    return


@app.cell
def _():
    kept = mo.ui.slider(
        steps=[0.5, 0.8, 0.9, 0.95, 0.98, 0.99], value=0.98, label="momentum · 动量 ρ", show_value=True, full_width=True
    )
    kept
    return (kept,)


@app.cell
def _(kept):
    BATCHES = 150
    patients = np.random.default_rng(1).normal(5, 2, (BATCHES, 16, 1)).astype("float32")

    def followed(momentum):
        """The layer that saw all batches, and its moving mean after each."""
        layer, means = BatchNormalization(momentum=momentum), []
        for batch in patients:
            layer(batch, training=True)
            means.append(layer.moving_mean.numpy().item())
        return layer, np.array(means)

    means = followed(kept.value)[1]
    ready, slow = followed(0.9)[0], followed(0.99)[1]
    patient = np.float32([[7.0]])
    in_test = ready(patient, training=False).numpy().item()
    among = {}
    for _n in (1, 2, 4, 16):
        _results = [ready(np.vstack([patient, batch[: _n - 1]]), training=True).numpy()[0, 0] for batch in patients]
        among[_n] = min(_results), max(_results)
    assert among[1] == (0.0, 0.0)  # a batch of one is its own mean
    assert abs(slow[49] / 5 - (1 - 0.99**50)) < 0.05
    return among, in_test, means, patients, slow


@app.cell(hide_code=True)
def _(kept, means, patients):
    _batches = np.arange(1, len(means) + 1)
    _figure, _axis = canvas(height=2.4)
    _axis.plot(_batches, patients.mean(axis=(1, 2)), ".", color=GREY, markersize=3, label="mean of a batch of 16")
    _axis.plot(_batches, means, color=BLUE, label="moving mean")
    _axis.axhline(5, color=RED, linewidth=0.8, label="true mean")
    _axis.set(title=f"momentum {kept.value:g}", xlabel="batches", ylabel="mean (no unit)", ylim=(0, 8.5))
    _axis.legend(loc="upper center", frameon=False, ncols=3, fontsize=8)
    show(
        _figure,
        "The moving mean of a feature over the batches: it rises from 0 to the true mean of 5, the slower the larger its momentum.",
        "一个特征的滑动平均随批数的变化：它从 0 升到真实均值 5，动量越大升得越慢。",
    )
    return


@app.cell(hide_code=True)
def _(among, in_test, slow):
    _table = "\n    ".join(f"| {n} | {low:.2f} | {high:.2f} |" for n, (low, high) in among.items())
    text(
        f"""
    With a momentum of 0.99, the moving mean has reached {slow[49]:.2f} after 50 batches: $0.99^{{50}}$ = {0.99**50:.2f} of it is still the zero
    from which it started. A network that trains for a few batches only is then wrong in the test, although its training loss is good.

    Here is one patient, whose feature is 7, in training mode, among different others; in test mode the result is always {in_test:.2f}.

    | batch of | lowest | highest |
    |---|---|---|
    {_table}

    Alone, the patient is the batch's mean, and every patient's result is $\\beta$ = 0. Layer normalisation has no such second mode. Networks
    for texts, whose lengths differ, use it for that reason.

    ## A question

    Layer normalisation of *two* features, without $\\gamma$ and $\\beta$: what does it leave of them? And batch normalisation in a batch of two?

    /// details | Answer
    Of two numbers, one is as far above their mean as the other is below, so the results are -1 and 1 (for a small $\\epsilon$). Only
    *which is larger* is left; how large they are, and how far apart, is lost. With a batch of two the same happens to every feature, between the two
    patients. So normalise over many numbers, and never diagnose with batch statistics.
    ///
    """,
        f"""
    动量为 0.99 时，50 批之后滑动平均到了 {slow[49]:.2f}：其中 $0.99^{{50}}$ = {0.99**50:.2f} 仍是出发时的零。
    只训练几批的网络，训练损失虽好，测试时却是错的。

    下面是一个病人，特征值为 7，在训练模式下与不同的人同批；在测试模式下结果总是 {in_test:.2f}。

    | 批的大小 | 最低 | 最高 |
    |---|---|---|
    {_table}

    单独一人时，病人就是批的均值，每个病人的结果都是 $\\beta$ = 0。层归一化没有这样的第二种模式。
    文本长短不一，所以处理文本的网络用它。

    ## 一个问题

    对*两个*特征作层归一化，不带 $\\gamma$ 和 $\\beta$：还剩下什么？对两个样本的批作批归一化呢？

    /// details | 答案
    两个数中，一个比均值高多少，另一个就低多少，所以结果是 -1 和 1（$\\epsilon$ 很小时）。只剩下*哪个更大*；
    它们有多大、相差多少，都丢失了。批中只有两个样本时，每个特征在这两个病人之间也是这样。
    所以要在许多数上归一化，而且绝不要用批统计量来诊断。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("initialisation")
    return


if __name__ == "__main__":
    app.run()
