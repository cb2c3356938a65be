"""Several processes: one batch, many ranks · 多进程训练

Minutes: 35
Exercises: all_reduce
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Several processes", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np
    from matplotlib.patches import Rectangle

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx import Tensor, ops
    from tinydx.distributed import sharing
    from tinydx.distributed.sharing import rows_of
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, code, foot, head, number, short, show, term, text
    from tinydx.tasks.scale import Bytes, Constants, step_time


@app.cell(hide_code=True)
def _():
    head("processes")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - train one network with several processes, and say why they compute what one process computes;
    - follow an {term("all-reduce")} around its ring, step by step;
    - estimate what 2 or 1,000 processes gain, and what limits them.

    ## The equation

    In {term("data parallelism")}, each {term("rank")} has all weights and computes its share of the batch. The loss is a mean over $n$ examples, so
    its gradient is a mean, too:

    $$g = \frac{{1}}{{n}} \sum_{{i=1}}^{{n}} g_i$$

    A sum can be cut into pieces. Rank $r$ has $n_r$ of the examples and computes $g_r$, the mean over them. Then

    $$g = \sum_{{r=1}}^{{P}} \frac{{n_r}}{{n}}\, g_r$$

    This is no approximation. But each rank must count by its examples: where the shares are uneven, the mean of the means is another number.
    In a few lines, with all ranks in one process, as everywhere in this lesson:
    """,
        rf"""
    学完这一课，你能够

    - 用几个进程训练同一个网络，并说出它们为什么算得与一个进程相同；
    - 沿着环一步步看懂{term("all-reduce")}；
    - 估计 2 个或 1,000 个进程能得到什么，又受什么限制。

    ## 公式

    在{term("data parallelism")}中，每个{term("rank")}都有全部权重，计算每批中自己的那一份。损失是 $n$ 个样本的平均，
    所以它的梯度也是平均：

    $$g = \frac{{1}}{{n}} \sum_{{i=1}}^{{n}} g_i$$

    求和可以拆成几块。进程 $r$ 有其中 $n_r$ 个样本，算出它们的平均 $g_r$。于是

    $$g = \sum_{{r=1}}^{{P}} \frac{{n_r}}{{n}}\, g_r$$

    这不是近似。但每个进程都要按自己的样本数来计：份额不均时，平均的平均是另一个数。
    写出来只有几行；和这一课其他地方一样，所有进程都放在一个进程里模拟：
    """,
    )
    return


@app.function
def gradient_of_ranks(gradient, x, y, ranks):
    total = 0
    for rank in range(ranks):
        rows = rows_of(len(x), rank, ranks)
        share = (rows.stop - rows.start) / len(x)
        total = total + share * gradient(x[rows], y[rows])
    return total


@app.cell(hide_code=True)
def _():
    short(gradient_of_ranks)
    return


@app.cell
def _():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 12)), rng.integers(0, 2, (10, 1)).astype(float)
    weights = [rng.normal(size=shape) / 3 for shape in ((12, 16), (16,), (16, 1), (1,))]

    def gradient(x, y, of=weights):
        """The gradient of a small network's mean loss, all weights in one flat array."""
        w, b, v, c = tensors = [Tensor(a, requires_grad=True) for a in of]
        p = ops.sigmoid(ops.relu(x @ w + b) @ v + c)
        ops.binary_crossentropy(p, target=y).backward()
        return np.concatenate([t.grad.ravel() for t in tensors])

    whole = gradient(x, y)
    of_mean = {}
    for ranks in (2, 3, 4, 7):
        assert np.abs(gradient_of_ranks(gradient, x, y, ranks) - whole).max() < 1e-12 * np.abs(whole).max()
        _parts = [rows_of(len(x), r, ranks) for r in range(ranks)]
        _unweighted = np.mean([gradient(x[rows], y[rows]) for rows in _parts], axis=0)
        of_mean[ranks] = float(np.abs(_unweighted - whole).max() / np.abs(whole).max())
    assert of_mean[2] < 1e-12 and min(of_mean[3], of_mean[4], of_mean[7]) > 1e-3  # 10 examples: 5 + 5, but 3 + 3 + 4
    return gradient, of_mean, weights, whole


@app.cell(hide_code=True)
def _(of_mean, whole):
    text(
        f"""
    A network of {len(whole)} weights and a batch of 10 examples, in float64. On 2, 3, 4 and 7 ranks the weighted sum is the gradient of the whole batch,
    but for rounding. Without the weights $n_r / n$ it would be wrong: by {of_mean[3]:.1%} of the largest number on 3 ranks (3 + 3 + 4 examples), by
    {of_mean[4]:.1%} on 4, and by {of_mean[7]:.1%} on 7. On 2 ranks nobody would notice, because 5 + 5 is even. The last batch of an epoch rarely is.

    ## See it: the ring

    Now all ranks need the sum. If all sent their arrays to one rank, it would receive $P - 1$ arrays, and the more ranks, the longer it would take.
    In a ring, everyone sends and receives at the same time. The array is cut into $P$ parts; in each step, every rank sends one part to the next:

    - in $P - 1$ steps, the receiver **adds** what comes; then each rank has one part that is complete;
    - in $P - 1$ more steps, the receiver **replaces** its own by the complete part that comes.

    Each rank sends $2 (P - 1)$ parts of one $P$-th of the array. So it sends

    $$\\frac{{2 (P - 1)}}{{P}}$$

    times the array: never more than twice, however many ranks there are.
    """,
        f"""
    网络有 {len(whole)} 个权重，一批 10 个样本，用 float64。在 2、3、4、7 个进程上，加权和就是整批的梯度，
    只差舍入误差。不乘 $n_r / n$ 就错了：3 个进程（3 + 3 + 4 个样本）错最大数的 {of_mean[3]:.1%}，
    4 个错 {of_mean[4]:.1%}，7 个错 {of_mean[7]:.1%}。2 个进程时没人会发现，因为 5 + 5 是均匀的。一个轮次的最后一批却很少均匀。

    ## 看一看：环

    现在每个进程都需要总和。如果大家都把数组发给一个进程，它要收 $P - 1$ 个数组，进程越多，时间越长。
    在环中，每个进程同时收发。数组切成 $P$ 段；每一步，每个进程都把一段发给下一个进程：

    - 前 $P - 1$ 步，接收者把收到的**加上**；这时每个进程都有一段是完整的；
    - 再走 $P - 1$ 步，接收者用收到的完整的一段**换掉**自己的。

    每个进程发送 $2 (P - 1)$ 段，每段是数组的 $P$ 分之一。所以它发送的是数组的

    $$\\frac{{2 (P - 1)}}{{P}}$$

    倍：不管进程有多少，都不超过两倍。
    """,
    )
    return


@app.cell
def _():
    step = mo.ui.slider(0, 10, value=2, label="steps done · 已走步数", show_value=True, full_width=True)
    size = mo.ui.slider(2, 6, value=4, label="P, ranks · 进程数", show_value=True, full_width=True)
    mo.vstack([step, size])
    return size, step


@app.cell
def _():
    def ring_step(parts, t):
        """parts (P,P,...), by rank and part -> the same after step t, the first one being 0."""
        new, ranks = parts.copy(), len(parts)
        for rank in range(ranks):
            part, receiver = (rank - t) % ranks, (rank + 1) % ranks
            new[receiver, part] = parts[rank, part] + (parts[receiver, part] if t < ranks - 1 else 0)
        return new

    def ring_sum(arrays):
        """The sum of the ranks' arrays (P,D), as each of them has it in the end (P,D)."""
        ranks, length = arrays.shape
        parts = np.zeros((ranks, ranks, -(-length // ranks)), arrays.dtype)
        parts.reshape(ranks, -1)[:, :length] = arrays
        for t in range(2 * (ranks - 1)):
            parts = ring_step(parts, t)
        return parts.reshape(ranks, -1)[:, :length]

    return ring_step, ring_sum


@app.cell
def _(ring_step, size, step):
    done = min(step.value, 2 * (size.value - 1))
    counts = np.zeros((size.value, size.value, size.value), int)  # by rank and part: how often each rank's number is in it
    counts[np.arange(size.value), :, np.arange(size.value)] = 1
    for _t in range(done):
        counts = ring_step(counts, _t)
    complete = int((counts == 1).all(axis=2).sum())
    assert counts.max() == 1  # nothing is added twice
    assert done < 2 * (size.value - 1) or complete == size.value**2
    return complete, counts, done


@app.cell(hide_code=True)
def _(counts, done, size):
    _ranks = size.value
    _figure, _axis = canvas(height=3.0)
    _image = _axis.imshow(counts.sum(axis=2), cmap="Blues", vmin=0, vmax=1.4 * _ranks, aspect="auto")
    for _rank, _part in np.ndindex(_ranks, _ranks):
        _whose = "+".join(str(_k) for _k in np.flatnonzero(counts[_rank, _part]))
        _whole = counts[_rank, _part].all()
        _axis.text(
            _part, _rank, "all" if _whole else _whose, ha="center", va="center", fontsize=8, weight="bold" if _whole else "normal"
        )
    for _rank in range(_ranks if done < 2 * (_ranks - 1) else 0):
        _sent = (_rank - done) % _ranks
        _axis.add_patch(Rectangle((_sent - 0.46, _rank - 0.46), 0.92, 0.92, fill=False, edgecolor=RED, linewidth=1.5))
    _axis.set(
        title=f"after {done} of {2 * (_ranks - 1)} steps; red: sent next, to the rank below",
        xlabel="part of the array", ylabel="rank", xticks=range(_ranks), yticks=range(_ranks),
    )  # fmt: skip
    show(
        _figure,
        "A table of ranks and parts: whose numbers are added up in each part after the chosen number of steps, and what is sent next.",
        "进程与段的表：走了所选步数之后，每一段里加进了哪些进程的数，以及下一步发送什么。",
    )
    return


@app.cell(hide_code=True)
def _(complete, done, size):
    text(
        f"""
    After {done} steps, {complete} of the {size.value**2} parts are complete. Rank {size.value - 1} sends to rank 0.

    ## The weights stay equal, bit for bit

    Nobody ever sends weights. All ranks begin with the same ones, add the same step, and so they must stay the same: an error in the last bit would grow
    over the steps. Addition in a computer depends on its order, though. In the ring each part is added up **once**, on its way, and everybody gets a copy of
    this one result. If instead each rank got all arrays and added them up beginning with its own, the sums would differ.
    """,
        f"""
    走了 {done} 步之后，{size.value**2} 段中有 {complete} 段完整。进程 {size.value - 1} 发给进程 0。

    ## 权重逐位相同

    从来没有谁发送权重。所有进程从同样的权重开始，走同样的步，所以必须一直相同：最后一位上的误差会一步步变大。
    但计算机里的加法取决于次序。在环中，每一段只在路上加**一次**，大家得到的都是这一个结果的副本。
    如果每个进程各自收到全部数组，从自己的那个开始加，和就会不同。
    """,
    )
    return


@app.cell
def _(gradient, ring_sum, weights):
    def in_own_order(arrays):
        """What each rank would get if it added up all arrays beginning with its own (P,D)."""
        ranks = len(arrays)
        return np.stack([sum(arrays[(r + k) % ranks] for k in range(1, ranks)) + arrays[r] for r in range(ranks)])

    def trained(ranks, add_up, steps=60):
        """The weights that each rank has after some steps (P,D), in float32; every batch has 50 examples."""
        rng = np.random.default_rng(1)
        held = np.tile(np.concatenate([w.ravel() for w in weights]).astype(np.float32), (ranks, 1))
        ends = np.cumsum([w.size for w in weights])[:-1]
        shapes = [w.shape for w in weights]
        for _ in range(steps):
            x = rng.normal(size=(50, 12)).astype(np.float32)
            y = (x[:, :1] * x[:, 1:2] > 0).astype(np.float32)
            shares = []
            for r in range(ranks):
                own, rows = [a.reshape(s) for a, s in zip(np.split(held[r], ends), shapes, strict=True)], rows_of(50, r, ranks)
                shares.append(np.float32((rows.stop - rows.start) / 50) * gradient(x[rows], y[rows], own).astype(np.float32))
            held = held - np.float32(0.3) * add_up(np.stack(shares))
        return held

    one, by_ring, by_order = trained(1, ring_sum), trained(7, ring_sum), trained(7, in_own_order)
    assert (by_ring == by_ring[0]).all()  # the same bits on all ranks
    apart = int((by_order != by_order[0]).any(axis=0).sum())
    gap = float(np.abs(by_ring[0] - one[0]).max())
    assert gap < 1e-3
    return apart, by_ring, gap, one


@app.cell(hide_code=True)
def _(apart, by_ring, gap, one):
    _different = both(
        f"{apart} of the {by_ring.shape[1]} weights are no longer the same on all ranks",
        f"{by_ring.shape[1]} 个权重中有 {apart} 个在各进程上不再相同",
    )
    if not apart:
        _different = both(
            "here the roundings happened to agree, which nobody can rely on", "在这里舍入碰巧一致，但谁也不能指望它"
        )
    text(
        f"""
    After 60 steps on 7 ranks (7 or 8 of 50 examples each, float32), the ring leaves the same bits on all ranks. With a sum in each
    rank's own order, {_different.en}. MPI may add up on another path than
    this ring; tinydx does not rely on it, but compares a 32-bit fingerprint of the weights over all ranks after every epoch and stops where they differ.

    One process gives the same up to rounding: its weights differ from those of 7 ranks by at most {gap:.0e}, where the largest weight is
    {np.abs(one).max():.1f}. So a run on 7 ranks repeats to the last bit on 7 ranks, not on 8.

    ## What a batch normalisation sees

    One layer breaks the equality: batch normalisation uses mean and variance of **the examples that it sees**, which are those of its rank. Of $m$
    examples, the variance comes out too small, on average by the factor

    $$1 - \\frac{{1}}{{m}}$$

    because their own mean lies in their middle. So 64 examples on 32 ranks are normalised like 32 batches of 2.
    """,
        f"""
    在 7 个进程上走 60 步（50 个样本，每个进程 7 或 8 个，float32）之后，环使所有进程的每一位都相同。如果各按自己的次序相加，
    {_different.zh}。MPI 相加的路线可能与这个环不同；tinydx 不依赖它，而是在每个轮次之后比较所有进程的权重的 32 位指纹，不同就停下。

    一个进程的结果在舍入误差内相同：它的权重与 7 个进程的最多相差 {gap:.0e}，而最大的权重是
    {np.abs(one).max():.1f}。所以 7 个进程上的一次训练，在 7 个进程上能重复到最后一位，在 8 个上不能。

    ## 批归一化看到什么

    有一种层会打破这种相等：批归一化用的是**它看到的样本**的均值和方差，也就是本进程的样本。$m$ 个样本的方差平均偏小，
    只有真值的

    $$1 - \\frac{{1}}{{m}}$$

    倍，因为它们自己的均值就在它们中间。所以 32 个进程上的 64 个样本，就像 32 个只有 2 个样本的批那样归一化。
    """,
    )
    return


@app.cell
def _():
    _rng = np.random.default_rng(2)
    _batch = _rng.normal(size=(400, 64))  # 400 features, 64 examples
    of_ranks = np.array([1, 2, 4, 8, 16, 32])
    seen = np.array([_batch.reshape(400, p, 64 // p).var(axis=2).mean() for p in of_ranks])
    expected = 1 - of_ranks / 64
    assert np.abs(seen - expected).max() < 0.03
    return expected, of_ranks, seen


@app.cell(hide_code=True)
def _(expected, of_ranks, seen):
    _figure, _axis = canvas(height=2.3)
    _axis.semilogx(of_ranks, expected, "-", color=GREY, label="1 - 1/m", base=2)
    _axis.semilogx(of_ranks, seen, "o", color=BLUE, label="seen", base=2)
    _axis.set(
        xlabel="ranks that share 64 examples", ylabel="variance (true: 1)", ylim=(0, 1.1), xticks=of_ranks, xticklabels=of_ranks
    )
    _axis.legend(frameon=False, loc="lower left")
    show(
        _figure,
        "The variance that a batch normalisation sees, against the number of ranks that share a batch of 64 examples.",
        "批归一化看到的方差，随分担一批 64 个样本的进程数的变化。",
    )
    return


@app.cell(hide_code=True)
def _(seen):
    text(
        rf"""
    With 32 ranks the variance is {seen[-1]:.2f} instead of {seen[0]:.2f}. PyTorch and Keras do the same unless told otherwise. The remedy is enough examples on each rank, 16
    or more; or a normalisation that does not look at other examples, as in lesson {number("transformer")}.

    ## See it: what it costs

    A step on $P$ ranks takes the time to compute, plus the time to move bytes at the {term("bandwidth")} of the connection, plus
    the {term("latency")} of each exchange:

    $$t = a + b\, \frac{{n}}{{P}}$$

    $$t_{{\mathrm{{move}}}} = \frac{{2 (P-1)}}{{P}} \cdot \frac{{\mathrm{{bytes}}}}{{\mathrm{{bandwidth}}}}$$

    $$t_{{\mathrm{{wait}}}} = 3\, \log_2 P \cdot \mathrm{{latency}}$$

    A ring waits $2 (P-1)$ times, which suits long arrays; for short ones MPI takes a tree, whose depth is $\log_2 P$. The model takes the better of both.

    $a$ is what every rank must do whatever its share is, such as moving all weights in the optimizer's step. The efficiency is the gain in speed divided by $P$.
    Either each rank keeps $n$ examples (*weak* scaling: larger batches), or all ranks divide $n$ examples (*strong* scaling: shorter steps).
    """,
        rf"""
    32 个进程时，方差是 {seen[-1]:.2f}，而不是 {seen[0]:.2f}。PyTorch 和 Keras 如不另行设置，也是这样。补救的办法是每个进程有足够的样本，
    16 个以上；或者用不看其他样本的归一化，如第 {number("transformer")} 课。

    ## 看一看：代价是多少

    $P$ 个进程走一步的时间，是计算的时间，加上以连接的{term("bandwidth")}传送字节的时间，再加上每次交换的{term("latency")}：

    $$t = a + b\, \frac{{n}}{{P}}$$

    $$t_{{\mathrm{{move}}}} = \frac{{2 (P-1)}}{{P}} \cdot \frac{{\mathrm{{bytes}}}}{{\mathrm{{bandwidth}}}}$$

    $$t_{{\mathrm{{wait}}}} = 3\, \log_2 P \cdot \mathrm{{latency}}$$

    环要等 $2 (P-1)$ 次，适合长数组；短数组 MPI 用树，树的深度是 $\log_2 P$。模型取两者之长。

    $a$ 是不管份额多少每个进程都要做的事，例如在优化器的一步里更新全部权重。效率是速度的增益除以 $P$。
    要么每个进程保持 $n$ 个样本（*弱*扩展：批更大），要么所有进程分 $n$ 个样本（*强*扩展：步更短）。
    """,
    )
    return


@app.cell
def _():
    examples = mo.ui.slider(
        steps=[8, 16, 32, 64, 128, 256, 512, 1024], value=64, label="n, examples · 样本数", show_value=True, full_width=True
    )
    gigabytes = mo.ui.slider(
        steps=[0.1, 0.5, 1, 5, 12.5, 25, 100], value=12.5, label="bandwidth, GB/s · 带宽", show_value=True, full_width=True
    )
    microseconds = mo.ui.slider(
        steps=[1, 2, 5, 10, 50, 100, 500], value=2, label="latency, µs · 延迟", show_value=True, full_width=True
    )
    mo.vstack([examples, gigabytes, microseconds])
    return examples, gigabytes, microseconds


@app.cell
def _(examples, gigabytes, microseconds):
    FIXED, ROW, WEIGHTS = 14.8e-3, 2.439e-3, 76e6  # the document's network on one core: seconds, seconds, bytes
    ranks_to_1000 = np.unique(np.round(np.logspace(0, 3, 40)).astype(int))

    def efficiency(p, n, weak):
        """The gain in speed over one rank, divided by the number of ranks."""
        c = Constants(FIXED, ROW, 0, microseconds.value * 1e-6, gigabytes.value * 1e9, gigabytes.value * 1e9, 1)
        moved = Bytes(int(WEIGHTS), 0, 0)
        return (
            step_time(c, moved, n, 1) / step_time(c, moved, n * p, p)
            if weak
            else step_time(c, moved, n, 1) / p / step_time(c, moved, n, p)
        )

    weak, strong = (np.array([efficiency(int(p), examples.value, w) for p in ranks_to_1000]) for w in (True, False))
    assert weak[0] == strong[0] == 1 and (weak >= strong - 1e-12).all()
    return FIXED, ROW, WEIGHTS, ranks_to_1000, strong, weak


@app.cell(hide_code=True)
def _(examples, ranks_to_1000, strong, weak):
    _figure, _axis = canvas(height=2.6)
    _axis.semilogx(ranks_to_1000, weak, color=BLUE, label=f"weak: {examples.value} each")
    _axis.semilogx(ranks_to_1000, strong, color=RED, label=f"strong: {examples.value} in all")
    _axis.axhline(0.9, color=GREY, linewidth=0.8, linestyle=":")
    _axis.set(
        xlabel="ranks P",
        ylabel="efficiency (1: all gained)",
        ylim=(0, 1.05),
        xticks=[1, 10, 100, 1000],
        xticklabels=[1, 10, 100, 1000],
    )
    _axis.legend(frameon=False, loc="lower left")
    show(
        _figure,
        "The predicted efficiency of 1 to 1,000 ranks, with as many examples for each rank, and with one batch divided among all.",
        "预测的 1 到 1,000 个进程的效率：每个进程样本数不变，或把一批分给所有进程。",
    )
    return


@app.cell(hide_code=True)
def _(ROW, WEIGHTS, examples, gigabytes, microseconds, strong, weak):
    _moving, _computing = 2 * WEIGHTS / gigabytes.value / 1e9, ROW * examples.value
    _limit = both("most of the time goes into computing", "大部分时间用于计算")
    if _moving > _computing:
        _limit = both("moving takes longer than computing the share", "传送比计算自己那一份还久")
    _left = both("most ranks have no example left", "多数进程一个样本也分不到")
    if examples.value > 1000:
        _left = both("each rank has one or two examples left", "每个进程只剩一两个样本")
    text(
        f"""
    With {examples.value} examples, {gigabytes.value:g} GB/s and {microseconds.value} µs, 1,000 ranks keep {weak[-1]:.0%} in weak scaling, where {_limit.en}, and
    {strong[-1]:.1%} in strong scaling: there {_left.en}, and $a$ remains. This is the document's network, {WEIGHTS / 1e6:.0f} MB of weights, on one
    core for each rank. The model assumes that all ranks are equally fast and that reading costs nothing: the curves are upper limits.

    ## Measured

    On two cores that share one memory, tinydx measured (`python -m tinydx.tasks.scale`; docs/scale.md has everything about it):
    """,
        f"""
    取 {examples.value} 个样本、{gigabytes.value:g} GB/s、{microseconds.value} µs，1,000 个进程在弱扩展中保持 {weak[-1]:.0%}，其中{_limit.zh}；
    强扩展中保持 {strong[-1]:.1%}：那时{_left.zh}，而 $a$ 还在。这是文中的网络，{WEIGHTS / 1e6:.0f} MB 的权重，
    每个进程一个核。模型假设所有进程一样快，读数据不花时间：所以曲线是上限。

    ## 实测

    在共用一个内存的两个核上，tinydx 测得（`python -m tinydx.tasks.scale`；全部说明在 docs/scale.md）：
    """,
    )
    return


@app.cell
def _():
    # of docs/scale.md, as measured there: its name in Chinese, one rank, two, efficiency, that of two programs that do not talk
    MEASURED = {
        "document, strong, 32 examples": ("文中网络，强扩展，32 个样本", "92.6 ms", "65.2 ms", "71%", "91%"),
        "document, weak, 64 examples": ("文中网络，弱扩展，64 个样本", "92.6 ms", "107.0 ms", "86%", "91%"),
        "blocks, strong, 64 examples": ("blocks，强扩展，64 个样本", "77.4 ms", "46.2 ms", "84%", "94%"),
        "blocks, weak, 128 examples": ("blocks，弱扩展，128 个样本", "77.4 ms", "83.7 ms", "92%", "94%"),
    }
    return (MEASURED,)


@app.cell(hide_code=True)
def _(MEASURED):
    _table = lambda rows: "\n    ".join(f"| {' | '.join(row)} |" for row in rows)  # noqa: E731
    _english = _table([(name, *row[1:]) for name, row in MEASURED.items()])
    _rows = both(_english, _table(MEASURED.values()))
    _control = MEASURED["document, weak, 64 examples"]
    text(
        f"""
    | network, batch | 1 rank | 2 ranks | efficiency | control |
    |---|---|---|---|---|
    {_rows.en}

    The control is two programs that know nothing of each other: {_control[4]} is all that two cores with one memory give this network, and two ranks reach {_control[3]}.
    The document's network has 19,034,177 weights, *blocks* is the small network of `tinydx diagnose`. Try it with your own cores:

        pip install 'tinydx[mpi]'
        mpirun -n 2 tinydx diagnose

    The report comes once. A program of your own begins with `distributed.start()`.

    ## The code

    The engine's shares: which rows of a batch are a rank's, and how much its mean counts: by its examples, and with padded sequences by
    their real time steps.
    """,
        f"""
    | 网络，批 | 1 个进程 | 2 个进程 | 效率 | 对照 |
    |---|---|---|---|---|
    {_rows.zh}

    对照是两个互不知道的程序：共用一个内存的两个核，给这个网络的总共就是 {_control[4]}，两个进程达到 {_control[3]}。
    文中的网络有 19,034,177 个权重，*blocks* 是 `tinydx diagnose` 的小网络。用你自己的核试一试：

        pip install 'tinydx[mpi]'
        mpirun -n 2 tinydx diagnose

    报告只有一份。你自己的程序以 `distributed.start()` 开头。

    ## 代码

    引擎的份额：一批中哪些行归一个进程，它的平均怎样计数：按样本数，填充过的序列再按真实的时间步计。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(rows_of, sharing._share_of_mean)
    return


@app.cell(hide_code=True)
def _(FIXED, ROW):
    _weak = (FIXED + ROW * 32) / (FIXED + ROW * 64)
    _fast = {n: (FIXED + ROW * n) / 8 / (FIXED + ROW * n / 8) for n in (32, 1024)}
    assert _fast[32] < _fast[1024]
    text(
        rf"""
    ## A question

    Eight ranks with a perfect connection, no bytes and no latency, divide a batch of 32 examples. Why are they not eight times as fast? Would a batch of 1,024
    be divided better, and what would that change about the training?

    /// details | Answer
    The fixed part $a$ = {FIXED * 1e3:.1f} ms is done by every rank. With 32 examples the efficiency is {_fast[32]:.0%}, with 1,024 it is {_fast[1024]:.0%}: the larger the share, the less $a$
    counts. But then an epoch has fewer steps, each with a more exact gradient. The learning rate that was good for 32 examples is too small for 1,024, and past some
    size a larger batch saves no steps at all. Scaling the hardware is the easy part.
    ///
    """,
        rf"""
    ## 一个问题

    八个进程之间的连接是完美的，没有字节也没有延迟，它们分一批 32 个样本。为什么不是八倍快？1,024 个样本的批会分得更好吗？
    这对训练又有什么影响？

    /// details | 答案
    固定部分 $a$ = {FIXED * 1e3:.1f} ms 每个进程都要做。32 个样本时效率是 {_fast[32]:.0%}，1,024 个时是 {_fast[1024]:.0%}：份额越大，$a$ 越不重要。
    但这样一个轮次的步数就少了，每步的梯度更精确。适合 32 个样本的学习率，对 1,024 个来说太小；批大到一定程度，再大也省不了步数。
    扩展硬件是容易的部分。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("processes")
    return


if __name__ == "__main__":
    app.run()
