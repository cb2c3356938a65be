"""Optimizers and the learning rate · 优化器与学习率

Minutes: 30
Exercises: sgd, adam, learning_rate, own_optimizer
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Optimizers", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx import Tensor, ops
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, card, foot, head, number, short, show, term, text
    from tinydx.optimizers import SGD, Adam, RMSprop
    from tinydx.optimizers.schedules import CosineDecay, PiecewiseConstantDecay
    from tinydx.tensor import gradients


@app.cell(hide_code=True)
def _():
    head("optimizers")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - write gradient descent, {term("momentum")} and Adam, and say what each remembers between two steps;
    - compute which {term("learning rate")} is too large for a valley, and recognise it in a training curve;
    - choose a learning rate by trying several, and lower it by a {term("learning-rate schedule")}.

    ## The equations

    An {term("optimizer")} turns the {term("gradient")} $g$ of a weight $\theta$ into its next value. Gradient descent remembers nothing:

    $$\theta' = \theta - \eta g$$

    Momentum keeps a velocity $m$, which sums up earlier gradients:

    $$m' = \mu m - \eta g, \quad \theta' = \theta + m'$$

    RMSprop divides by the size that the gradient had lately, a root mean square for every weight:

    $$v' = \rho v + (1 - \rho) g^2$$

    $$\theta' = \theta - \eta \frac{{g}}{{\sqrt{{v' + \epsilon}}}}$$

    Adam ({term("adaptive moment estimation")}) does both: a mean gradient, divided by its root mean square.

    $$m' = \beta_1 m + (1 - \beta_1) g$$

    $$v' = \beta_2 v + (1 - \beta_2) g^2$$

    $$\theta' = \theta - \eta \frac{{\hat m}}{{\sqrt{{\hat v}} + \epsilon}}$$

    with $\hat m = m' / (1 - \beta_1^t)$ and $\hat v = v' / (1 - \beta_2^t)$ in step $t$, because $m$ and $v$ start at zero and are too
    small at first.

    ## A valley, by numbers

    A loss with two weights, $u$ and $w$, is a long valley. It is 20 times as steep across as it is along:

    $$L = (u^2 + 20 w^2) / 2$$

    Its gradient is $(u, 20 w)$, so one step of gradient descent multiplies $u$ by $1 - \eta$ and $w$ by $1 - 20 \eta$.
    """,
        rf"""
    学完这一课，你能够

    - 写出梯度下降、{term("momentum")}和 Adam，并说出它们在两步之间各记住什么；
    - 算出对一个山谷来说多大的{term("learning rate")}是过大的，并从训练曲线上认出来；
    - 试几个学习率再选定，并用{term("learning-rate schedule")}把它降下来。

    ## 公式

    {term("optimizer")}由权重 $\theta$ 的{term("gradient")} $g$ 得到它的下一个值。梯度下降什么也不记：

    $$\theta' = \theta - \eta g$$

    动量法保留一个速度 $m$，它累积以前的梯度：

    $$m' = \mu m - \eta g, \quad \theta' = \theta + m'$$

    RMSprop 除以梯度最近的大小，即每个权重各自的均方根：

    $$v' = \rho v + (1 - \rho) g^2$$

    $$\theta' = \theta - \eta \frac{{g}}{{\sqrt{{v' + \epsilon}}}}$$

    Adam 即{term("adaptive moment estimation")}，两样都做：梯度的均值除以它的均方根。

    $$m' = \beta_1 m + (1 - \beta_1) g$$

    $$v' = \beta_2 v + (1 - \beta_2) g^2$$

    $$\theta' = \theta - \eta \frac{{\hat m}}{{\sqrt{{\hat v}} + \epsilon}}$$

    在第 $t$ 步，$\hat m = m' / (1 - \beta_1^t)$，$\hat v = v' / (1 - \beta_2^t)$，因为 $m$ 和 $v$ 从零开始，起初太小。

    ## 一个山谷，用数来算

    有两个权重 $u$ 和 $w$ 的损失函数是一条长长的山谷，横向的陡度是纵向的 20 倍：

    $$L = (u^2 + 20 w^2) / 2$$

    它的梯度是 $(u, 20 w)$，所以梯度下降的一步把 $u$ 乘以 $1 - \eta$，把 $w$ 乘以 $1 - 20 \eta$。
    """,
    )
    return


@app.cell
def _():
    rate = mo.ui.slider(0.01, 0.11, step=0.01, value=0.09, label="learning rate · 学习率 η", show_value=True, full_width=True)
    share = mo.ui.slider(0, 0.95, step=0.05, value=0.7, label="momentum · 动量 μ", show_value=True, full_width=True)
    mo.vstack([rate, share])
    return rate, share


@app.cell
def _():
    STEEPNESS, START = np.array([1.0, 20.0]), (-4.0, 1.0)

    def height(place):
        return float((STEEPNESS * place**2).sum() / 2)

    def walk(optimizer, steps=30, times=1.0):
        """The places that an optimizer of the engine visits where the loss is `times` that of the valley, (steps+1,2)."""
        place = Tensor(np.array(START), requires_grad=True)
        visited = [place.data.copy()]
        for _ in range(steps):
            optimizer.apply([times * STEEPNESS * place.data], [place])
            visited.append(place.data.copy())
        return np.array(visited)

    return START, STEEPNESS, height, walk


@app.cell
def _(START, STEEPNESS, height, rate, share, walk):
    plain, moving = walk(SGD(rate.value)), walk(SGD(rate.value, momentum=share.value))
    factors = 1 - rate.value * STEEPNESS
    np.testing.assert_allclose(plain[3], np.array(START) * factors**3)
    assert height(walk(SGD(0.09), 200)[-1]) < 1e-6 and height(walk(SGD(0.11), 200)[-1]) > 1e6
    return factors, moving, plain


@app.cell(hide_code=True)
def _(STEEPNESS, moving, plain):
    _u, _w = np.meshgrid(np.linspace(-5, 3, 81), np.linspace(-2, 2, 81))
    _figure, _axis = canvas(height=2.8)
    _axis.contour(_u, _w, (_u**2 + STEEPNESS[1] * _w**2) / 2, levels=[0.1, 1, 4, 10, 20, 40], colors=GREY, linewidths=0.6)
    _axis.plot(*plain.T, "o-", color=RED, markersize=3, linewidth=1, label="gradient descent")
    _axis.plot(*moving.T, "o-", color=BLUE, markersize=3, linewidth=1, label="with momentum")
    _axis.set(xlabel="u (no unit)", ylabel="w (no unit)", xlim=(-5, 3), ylim=(-2, 2))
    _axis.legend(loc="upper right", frameon=False)
    show(
        _figure,
        "Lines of equal loss of the valley, and 30 steps of gradient descent with and without momentum.",
        "山谷的等高线，以及梯度下降 30 步的路径，带动量与不带动量。",
    )
    return


@app.cell(hide_code=True)
def _(factors, height, moving, plain, rate):
    _across = abs(factors[1])
    _told = both("the steps swing from side to side, but shrink", "每步左右摆动，但越来越小")
    if _across > 1 + 1e-9:
        _told = both("the steps swing further and further: training **diverges**", "每步摆动越来越大：训练**发散**")
    elif _across > 1 - 1e-9:
        _told = both("the steps swing for ever", "每步永远摆动下去")
    elif factors[1] >= -1e-9:
        _told = both("the steps do not swing", "每步不摆动")
    _better = both("With momentum the loss is smaller", "带动量时损失更小")
    if height(moving[-1]) >= height(plain[-1]):
        _better = both("With this momentum the loss is no smaller", "用这个动量，损失并没有更小")
    text(
        f"""
    With a learning rate of {rate.value:g}, each step multiplies $u$ by {factors[0]:.2f} and $w$ by {factors[1]:.2f}: {_told.en}.

    | step | $u$ | $w$ | $L$ |
    |---|---|---|---|
    | 0 | {plain[0, 0]:.3f} | {plain[0, 1]:.3f} | {height(plain[0]):.3f} |
    | 1 | {plain[1, 0]:.3f} | {plain[1, 1]:.3f} | {height(plain[1]):.3f} |
    | 2 | {plain[2, 0]:.3f} | {plain[2, 1]:.3f} | {height(plain[2]):.3f} |
    | 30 | {plain[30, 0]:.3f} | {plain[30, 1]:.3f} | {height(plain[30]):.3f} |

    The steep direction sets the limit: $|1 - 20 \\eta|$ is below 1 as long as $\\eta$ < 2 / 20 = {2 / 20:g}. The flat direction then has to
    live with it: near the limit, $u$ still shrinks by only a tenth in a step. {_better.en}: after 30 steps {height(moving[-1]):.2g}
    against {height(plain[-1]):.2g}. Along the valley all gradients point the same way and add up; across it they alternate and cancel.

    ## The code

    Momentum, and with a momentum of 0 gradient descent:
    """,
        f"""
    学习率为 {rate.value:g} 时，每步把 $u$ 乘以 {factors[0]:.2f}，把 $w$ 乘以 {factors[1]:.2f}：{_told.zh}。

    | 步 | $u$ | $w$ | $L$ |
    |---|---|---|---|
    | 0 | {plain[0, 0]:.3f} | {plain[0, 1]:.3f} | {height(plain[0]):.3f} |
    | 1 | {plain[1, 0]:.3f} | {plain[1, 1]:.3f} | {height(plain[1]):.3f} |
    | 2 | {plain[2, 0]:.3f} | {plain[2, 1]:.3f} | {height(plain[2]):.3f} |
    | 30 | {plain[30, 0]:.3f} | {plain[30, 1]:.3f} | {height(plain[30]):.3f} |

    极限由陡的方向决定：只要 $\\eta$ < 2 / 20 = {2 / 20:g}，$|1 - 20 \\eta|$ 就小于 1。平缓的方向只好将就：
    接近极限时，$u$ 每步也只缩小十分之一。{_better.zh}：30 步之后是 {height(moving[-1]):.2g}，
    而不带动量是 {height(plain[-1]):.2g}。沿着山谷，梯度都指向同一边，越加越大；横着山谷，它们正负交替，互相抵消。

    ## 代码

    动量法；动量为 0 时就是梯度下降：
    """,
    )
    return


@app.cell
def _():
    def descend(place, gradient, rate, momentum, steps):
        velocity = np.zeros_like(place)
        for _ in range(steps):
            velocity = momentum * velocity - rate * gradient(place)
            place = place + velocity
        return place

    return (descend,)


@app.cell(hide_code=True)
def _(START, STEEPNESS, descend, moving, plain, rate, share):
    for _momentum, _path in ((0.0, plain), (share.value, moving)):
        np.testing.assert_allclose(
            descend(np.array(START), lambda p: STEEPNESS * p, rate.value, _momentum, 30), _path[-1], rtol=1e-9
        )
    short(descend)
    return


@app.cell(hide_code=True)
def _():
    card("momentum_update", "forward")
    return


@app.cell(hide_code=True)
def _():
    card("adam_update", "forward")
    return


@app.cell
def _(height, walk):
    seen = [{"g": 20 * w} for w in walk(Adam(0.3), 30)[:, 1]]
    _m = _v = 0.0
    for _t, _step in enumerate(seen, 1):
        _m, _v = 0.9 * _m + 0.1 * _step["g"], 0.999 * _v + 0.001 * _step["g"] ** 2
        _step |= {"mean": _m / (1 - 0.9**_t), "root": np.sqrt(_v / (1 - 0.999**_t))}
        _step["move"] = -0.3 * _step["mean"] / _step["root"]

    settings = {"GD 0.09": lambda: SGD(0.09), "momentum 0.09": lambda: SGD(0.09, momentum=0.7)}
    settings |= {"RMSprop 0.1": lambda: RMSprop(0.1), "Adam 0.3": lambda: Adam(0.3)}
    reached = {name: [height(walk(optimizer(), 40, times)[-1]) for times in (1, 1000)] for name, optimizer in settings.items()}
    np.testing.assert_allclose(walk(Adam(0.3), 1)[1], [-3.7, 0.7], rtol=1e-6)  # its first step has the length of the rate
    np.testing.assert_allclose(walk(Adam(0.3), 30, 1000), walk(Adam(0.3), 30), atol=1e-4)
    assert reached["GD 0.09"][1] > 1e6 and reached["momentum 0.09"][1] > 1e6
    return reached, seen


@app.cell(hide_code=True)
def _(reached, seen):
    _shown = "\n    ".join(
        f"| {t} | {seen[t - 1]['g']:.2f} | {seen[t - 1]['mean']:.2f} | {seen[t - 1]['root']:.2f} | {seen[t - 1]['move']:.2f} |"
        for t in (1, 2, 5, 10, 30)
    )
    _table = "\n    ".join(
        f"| {name} | {once:.1g} | {f'{large:.1g}' if large < 1e6 else '∞'} |" for name, (once, large) in reached.items()
    )
    text(
        f"""
    ## What Adam divides by

    Here is Adam on the same valley, with $\\eta$ = 0.3, in the steep direction $w$. In the first step $\\hat m = g$ and
    $\\hat v = g^2$, so it divides $g$ by its own size, and the step is 0.3 whatever the gradient is. Later, as $g$ changes its sign,
    $\\hat m$ becomes smaller than the root of $\\hat v$, and so do the steps.

    | step | $g$ | $\\hat m$ | $\\sqrt{{\\hat v}}$ | change of $w$ |
    |---|---|---|---|---|
    {_shown}

    So the unit of the loss cancels. This table has $L$ after 40 steps (of the valley itself), and the same where the loss, and with it
    every gradient, is 1000 times as large:

    | optimizer, $\\eta$ | $L$ | with 1000 $L$ |
    |---|---|---|
    {_table}

    Nothing is free: steps that do not shrink with the gradient do not come to rest in the minimum while the rate is fixed. That is one
    reason for schedules, below.

    ## On a network

    Now a small network, with 16 and 16 ReLU units, learns which points lie inside a circle. Of the labels, 5 % are wrong. Each
    optimizer trains for 150 steps with batches of 32, from the same weights and on the same batches, once for each learning rate and seed.
    """,
        f"""
    ## Adam 除以什么

    下面是 Adam 在同一个山谷中，$\\eta$ = 0.3，看陡的方向 $w$。第一步 $\\hat m = g$，$\\hat v = g^2$，
    所以它把 $g$ 除以它自己的大小，不管梯度多大，步长都是 0.3。后来 $g$ 变号，$\\hat m$ 变得小于 $\\hat v$ 的平方根，步长也随之变小。

    | 步 | $g$ | $\\hat m$ | $\\sqrt{{\\hat v}}$ | $w$ 的变化 |
    |---|---|---|---|---|
    {_shown}

    于是损失的单位约掉了。下表是 40 步之后的 $L$（山谷本身的），以及损失连同每个梯度都增大到 1000 倍时的结果：

    | 优化器，$\\eta$ | $L$ | 损失为 1000 $L$ 时 |
    |---|---|---|
    {_table}

    天下没有免费的午餐：步长不随梯度变小，学习率又不变，就停不到最低点。这是需要学习率调度的一个原因，见下文。

    ## 换成神经网络

    现在让一个小网络学习哪些点在圆内，它有两层 ReLU 单元，16 个和 16 个。标签有 5 % 是错的。每个优化器用 32 个样本的批训练 150 步，
    权重的初值和各批相同，每个学习率、每个种子各训练一次。
    """,
    )
    return


@app.cell
def _():
    _rng = np.random.default_rng(0)
    points = _rng.normal(size=(256, 2)).astype("float32")
    inside = (np.hypot(*points.T) < 1.1) ^ (_rng.random(256) < 0.05)
    labels = inside.astype("float32")[:, None]
    guessing = float(-np.mean(np.log(np.where(inside, inside.mean(), 1 - inside.mean()))))

    def network(seed):
        """The weights and biases of three layers, with He's initial values."""
        rng = np.random.default_rng(seed)
        arrays = []
        for fan_in, units in ((2, 16), (16, 16), (16, 1)):
            arrays += [rng.normal(size=(fan_in, units)) * np.sqrt(2 / fan_in), np.zeros(units)]
        return [Tensor(a.astype("float32"), requires_grad=True) for a in arrays]

    def loss_of(weights, x, y):
        h = ops.relu(ops.dense(x, *weights[:2]))
        h = ops.relu(ops.dense(h, *weights[2:4]))
        return ops.sigmoid_binary_crossentropy(ops.dense(h, *weights[4:]), target=y)

    def trained(optimizer, seed, steps=150, batch=32):
        """The loss of all points after every 10 steps; infinite from where a gradient is not finite."""
        weights, rng, losses = network(seed), np.random.default_rng(seed), np.full(steps // 10, np.inf)
        for step in range(steps):
            rows = rng.integers(0, len(points), batch)
            try:
                optimizer.apply(gradients(loss_of(weights, points[rows], labels[rows]), weights), weights)
            except FloatingPointError:
                break  # the engine refuses a step that would put NaN into the weights
            if step % 10 == 9:
                losses[step // 10] = loss_of(weights, points, labels).data
        return np.where(np.isnan(losses), np.inf, losses)

    return guessing, trained


@app.cell
def _(trained):
    tinydx.set_threads(1)  # such small matrices are fastest on one core
    rates = 10.0 ** np.arange(-4, 2)
    kinds = {
        "SGD": SGD,
        "momentum": lambda rate: SGD(rate, momentum=0.9),
        "RMSprop": RMSprop,
        "Adam": Adam,
    }
    with np.errstate(all="ignore"):  # the largest rates overflow: that is the point
        curves = {name: np.array([[trained(kind(r), seed) for seed in range(3)] for r in rates]) for name, kind in kinds.items()}
    middle = {name: np.median(runs, axis=1) for name, runs in curves.items()}  # over the seeds: (rates, times)
    return kinds, middle, rates


@app.cell
def _():
    power = mo.ui.slider(
        -4, 1, step=1, value=-2, label="learning rate, power of 10 · 学习率，10 的幂", show_value=True, full_width=True
    )
    power
    return (power,)


@app.cell(hide_code=True)
def _(guessing, middle, power, rates):
    _styles = {"SGD": (RED, "-"), "momentum": (RED, "--"), "RMSprop": (BLUE, "--"), "Adam": (BLUE, "-")}
    _figure, (_top, _bottom) = canvas(2, 1, height=4.6)
    for _name, (_color, _line) in _styles.items():
        _style = {"color": _color, "linestyle": _line, "label": _name}
        _top.semilogx(rates, np.minimum(middle[_name][:, -1], 1.1), marker="o", markersize=3, **_style)
        _times = 10 * np.arange(1, middle[_name].shape[1] + 1)
        _bottom.plot(_times, np.minimum(middle[_name][power.value + 4], 1.1), **_style)
    for _axis in (_top, _bottom):
        _axis.axhline(guessing, color=GREY, linewidth=0.8)
        _axis.set(ylabel="loss (nats)", ylim=(0.15, 1.12))
    _top.axvline(10.0**power.value, color=GREY, linewidth=0.8, linestyle=":")
    _top.text(10**-1.9, guessing + 0.02, "guessing", color=GREY)
    _top.set(title="after 150 steps", xlabel="learning rate (no unit)")
    _top.legend(loc="upper left", frameon=False, fontsize=8, ncols=2)
    _bottom.set(title=f"learning rate {10.0**power.value:g}", xlabel="steps")
    show(
        _figure,
        "Above, the loss after 150 steps against the learning rate, for four optimizers: high on both sides, low in between. "
        "Below, the loss over the steps with the chosen learning rate. Larger losses are drawn at 1.1.",
        "上图：150 步之后的损失随学习率的变化，共四个优化器：两边高，中间低。下图：所选学习率下损失随步数的变化。更大的损失画在 1.1 处。",
    )
    return


@app.cell(hide_code=True)
def _(guessing, middle, rates):
    _rows = []
    for _name, _losses in middle.items():
        _last = _losses[:, -1]
        _wide = int((_last < 1.25 * _last.min()).sum())
        _rows.append(f"| {_name} | {rates[_last.argmin()]:g} | {_last.min():.3f} | {_wide} |")
    _table = "\n    ".join(_rows)
    _best = {name: rates[losses[:, -1].argmin()] for name, losses in middle.items()}
    _differ = both("Each needs its own rate", "各需要各的学习率")
    if len(set(_best.values())) == 1:
        _differ = both("Here they happen to like the same rate", "这里它们碰巧喜欢同一个学习率")
    text(
        f"""
    Median of 3 seeds; guessing has a loss of {guessing:.3f}. The last column counts the rates, of {len(rates)}, whose loss is within 25 % of the best.

    | optimizer | best rate | loss | good rates |
    |---|---|---|---|
    {_table}

    {_differ.en}: comparing two optimizers at one common rate says little. To the left, the rate is **too small**: the curve falls, but
    slowly. To the right it is **too large**: it jumps, or stays at guessing, or ends where a gradient is no longer a number.
    So try rates a factor of 10 apart, then a factor of 3, on training and validation data; take the largest that still falls smoothly.

    ## A schedule

    Large steps are good at first, small ones at the end. A warm-up begins small, because the first gradients of a new network are the
    wildest. We compare Adam with a constant rate to two schedules, 300 steps with batches of 16, over 8 seeds.
    """,
        f"""
    3 个种子的中位数；随机猜测的损失是 {guessing:.3f}。最后一列是 {len(rates)} 个学习率中，损失与最佳值相差在 25 % 以内的有几个。

    | 优化器 | 最佳学习率 | 损失 | 好的学习率 |
    |---|---|---|---|
    {_table}

    {_differ.zh}：在同一个学习率下比较两个优化器，说明不了什么。左边学习率**过小**：曲线在降，但很慢。
    右边**过大**：曲线乱跳，或者停在随机猜测的水平，或者在梯度不再是数的地方中断。
    所以先试相差 10 倍的学习率，再试相差 3 倍的，看训练数据和验证数据；取仍能平稳下降的最大值。

    ## 学习率调度

    开始时步子大好，最后步子小好。预热从小开始，因为新网络最初的梯度最不稳定。
    我们用 Adam 比较固定学习率与两种调度，每次 300 步，每批 16 个样本，共 8 个种子。
    """,
    )
    return


@app.cell
def _(trained):
    plans = {
        "0.1": 0.1,
        "0.03": 0.03,
        "cosine": CosineDecay(0.0, 270, warmup_target=0.1, warmup_steps=30),
        "staircase": PiecewiseConstantDecay([150, 225], [0.1, 0.03, 0.01]),
    }
    by_plan = {name: np.array([trained(Adam(plan), seed, 300, 16) for seed in range(8)]) for name, plan in plans.items()}

    def gain(name, than):
        """By how much less a plan's last loss is, over the seeds: mean and 95 % interval (Student's t with 7 degrees)."""
        differences = by_plan[than][:, -1] - by_plan[name][:, -1]
        half = 2.365 * differences.std(ddof=1) / np.sqrt(len(differences))
        return differences.mean(), differences.mean() - half, differences.mean() + half

    def verdict(low, high):
        if low > 0:
            return both("better", "更好")
        return both("worse", "更差") if high < 0 else both("can't tell", "无法判断")

    gains = {(name, than): gain(name, than) for name in ("cosine", "staircase") for than in ("0.1", "0.03")}
    return by_plan, gains, plans, verdict


@app.cell(hide_code=True)
def _(by_plan, plans):
    _styles = {"0.1": (RED, "-"), "0.03": (GREY, "-"), "cosine": (BLUE, "-"), "staircase": (BLUE, "--")}
    _figure, (_top, _bottom) = canvas(2, 1, height=3.8, sharex=True)
    for _name, (_color, _line) in _styles.items():
        _plan = plans[_name]
        _rates = [_plan(step) if callable(_plan) else _plan for step in range(300)]
        _top.plot(_rates, color=_color, linestyle=_line, label=_name)
        _bottom.plot(10 * np.arange(1, 31), by_plan[_name].mean(axis=0), color=_color, linestyle=_line)
    _top.set(ylabel="learning rate (no unit)", ylim=(0, 0.155))
    _top.legend(loc="upper center", frameon=False, ncols=4, fontsize=8)
    _bottom.set(xlabel="steps", ylabel="mean loss (nats)", ylim=(0.15, 0.6))
    show(
        _figure,
        "Above, the learning rate over 300 steps: two constants, a cosine with a warm-up, and a staircase. Below, the mean loss with each.",
        "上图：300 步中的学习率：两个常数、带预热的余弦、阶梯。下图：各自的平均损失。",
    )
    return


@app.cell(hide_code=True)
def _(by_plan, gains, verdict):
    _en = "\n    ".join(
        f"| {name}, {than} | {mean:.3f} ({low:.3f} to {high:.3f}) | {verdict(low, high).en} |"
        for (name, than), (mean, low, high) in gains.items()
    )
    _zh = "\n    ".join(
        f"| {name}, {than} | {mean:.3f}（{low:.3f} 至 {high:.3f}） | {verdict(low, high).zh} |"
        for (name, than), (mean, low, high) in gains.items()
    )
    _ends = {name: losses[:, -1].mean() for name, losses in by_plan.items()}
    _table = both(_en, _zh)
    _fair = min(("0.1", "0.03"), key=_ends.get)
    text(
        f"""
    The constants end at a mean loss of {_ends["0.1"]:.3f} and {_ends["0.03"]:.3f}, the cosine at {_ends["cosine"]:.3f}, the staircase at
    {_ends["staircase"]:.3f}. The pairs below share seeds; a gain counts only if its 95 % interval excludes 0.

    | schedule, constant | gain | here |
    |---|---|---|
    {_table.en}

    Of the constants, {_fair} is the better one here, and the fair comparison is with it. All losses are those of the training points;
    what new points say is the subject of lesson {number("overfitting")}.

    ## A question

    Somebody sums the loss over a batch of 64 images instead of averaging it. Which learning rate has to change, that of gradient
    descent or that of Adam? And which term added to the loss would spoil the answer?

    /// details | Answer
    Every gradient becomes 64 times as large. Gradient descent needs a rate 64 times as small, and momentum, too. RMSprop and Adam
    divide by the gradient's own size and go on as before, as the table with 1000 $L$ shows (up to $\\epsilon$). A penalty such as L2
    that is *not* multiplied by 64 loses its weight against the loss. And Adam divides the penalty's gradient, too: this is why
    `AdamW` takes weight decay out of the gradient, as you do in the exercise on an optimizer of your own.
    ///
    """,
        f"""
    固定学习率最后的平均损失是 {_ends["0.1"]:.3f} 和 {_ends["0.03"]:.3f}，余弦是 {_ends["cosine"]:.3f}，阶梯是
    {_ends["staircase"]:.3f}。下面每对的种子相同；95 % 区间不含 0，才算有改进。

    | 调度，常数 | 改进 | 这里 |
    |---|---|---|
    {_table.zh}

    两个常数中，这里 {_fair} 较好，与它比才公平。这些都是训练点的损失；新的点怎么说，是第 {number("overfitting")} 课的内容。

    ## 一个问题

    有人对一批 64 张图像的损失求和，而不是取平均。哪个学习率必须改，梯度下降的还是 Adam 的？
    在损失里再加上哪一项，会使答案不再成立？

    /// details | 答案
    每个梯度都变成 64 倍。梯度下降的学习率要缩小到 64 分之一，动量法也一样。RMSprop 和 Adam
    除以梯度自己的大小，照旧进行，损失为 1000 $L$ 的那一栏就是例子（$\\epsilon$ 的影响除外）。像 L2 这样*没有*乘以 64
    的惩罚项，相对于损失就失去了分量。而且 Adam 把惩罚项的梯度也除了：所以 `AdamW` 把权重衰减从梯度里拿出来，
    就像你在自己写优化器的练习中做的那样。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("optimizers")
    return


if __name__ == "__main__":
    app.run()
