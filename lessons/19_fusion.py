"""Several modalities, and the patient's own data · 多模态与病人自己的数据

Minutes: 40
Exercises: shapley
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Fusion", css_file="lesson.css")

with app.setup:
    from itertools import permutations

    import marimo as mo
    import numpy as np

    import tinydx

    tinydx.use("numpy")  # needs no compilation

    from tinydx import fusion
    from tinydx.datasets.several import exclusive_or, one_noise, two_signals
    from tinydx.evaluation import brier_score, roc_auc
    from tinydx.explain.shapley import shares
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, code, foot, head, short, show, term, text
    from tinydx.personal import shrunken_least_squares


@app.cell(hide_code=True)
def _():
    head("fusion")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - join an image, a sound and a few numbers in three ways, and say where one of them must fail;
    - answer for a patient who lacks a {term("modality")}, and give each modality its fair share of an answer;
    - decide how far to trust a patient's own few recordings.

    ## The equations

    {term("early fusion")} puts all numbers side by side before one classifier. {term("intermediate fusion")} gives each modality
    an encoder, and trains all together. {term("late fusion")} adds answers: $z_m$ is the {term("logit")} of modality $m$'s own
    model, $\pi$ the share of the ill, which is in every answer and must count once.

    $$z = \ln \frac{{\pi}}{{1 - \pi}} + \sum_m \left( z_m - \ln \frac{{\pi}}{{1 - \pi}} \right)$$

    That is Bayes's rule for modalities that are independent given the disease. A missing modality is a term left out.

    ## See it: what a sum cannot say

    Two findings. A patient is ill if **exactly one** of them is there. Choose how many patients there are to learn from.
    """,
        rf"""
    学完这一课，你能够

    - 用三种方式把图像、声音和几个数合在一起，并说出其中哪一种在哪里必然失败；
    - 病人缺少某种{term("modality")}时仍能回答，并给每种模态算出它在回答中的公平份额；
    - 决定对病人自己的少数几次记录信任到什么程度。

    ## 公式

    {term("early fusion")}把全部的数并排放在一个分类器之前。{term("intermediate fusion")}给每种模态一个编码器，
    一起训练。{term("late fusion")}把回答相加：$z_m$ 是模态 $m$ 自己的模型的{term("logit")}，
    $\pi$ 是患者的比例，它包含在每个回答里，只能算一次。

    $$z = \ln \frac{{\pi}}{{1 - \pi}} + \sum_m \left( z_m - \ln \frac{{\pi}}{{1 - \pi}} \right)$$

    如果在给定疾病时各模态相互独立，这就是贝叶斯公式。缺少的模态就是去掉的一项。

    ## 看一看：求和说不出的事

    有两个征象。**恰好有一个**征象的病人患病。选择有多少病人可供学习。
    """,
    )
    return


@app.cell
def _():
    count = mo.ui.slider(
        steps=[50, 100, 200, 400, 800], value=400, label="training patients · 训练的病人数", show_value=True, full_width=True
    )
    count
    return (count,)


@app.cell
def _():
    def drawn(make, seed, train=400):
        """Made-up patients to train on, to validate with, and to test on."""
        sizes = (train, 200, 600)
        made = [make(n, seed=10 * seed + k) for k, n in enumerate(sizes)]
        return [fusion.Cases(part.x, part.y) for part in made]

    def fused(how, parts, seed=0):
        """A fused model of these patients after 10 epochs."""
        return fusion.fit(how, *parts[:2], epochs=10, seed=seed)

    def area(model, cases):
        """The area under the ROC curve of a model."""
        return roc_auc(cases.y, fusion.probabilities(model, cases)[:, 1])

    return area, drawn, fused


@app.cell
def _(count, drawn, fused):
    seen = drawn(exclusive_or, 0, count.value)
    pictures = {how: fused(how, seen) for how in fusion.FUSIONS}
    return pictures, seen


@app.cell(hide_code=True)
def _(area, pictures, seen):
    _line = np.linspace(-3, 9, 40, dtype="float32")
    _first, _second = (v.reshape(-1, 1) for v in np.meshgrid(_line, _line))
    _plane = fusion.Cases({"first": _first, "second": _second}, np.zeros(1600, int))
    _test = seen[2]
    _figure, _axes = canvas(1, 3, height=2.2, sharey=True)
    for _axis, (_how, _model) in zip(_axes, pictures.items(), strict=True):
        _p = fusion.probabilities(_model, _plane)[:, 1].reshape(40, 40)
        _axis.imshow(_p, origin="lower", extent=(-3, 9, -3, 9), cmap="RdBu_r", vmin=0, vmax=1, alpha=0.6)
        for _ill, _colour in ((0, BLUE), (1, RED)):
            _rows = np.flatnonzero(_test.y == _ill)[:60]
            _axis.plot(_test.x["first"][_rows, 0], _test.x["second"][_rows, 0], ".", color=_colour, markersize=3)
        _axis.set(title=f"{_how}\nAUC {area(_model, _test):.2f}", xlabel="first finding", xticks=[0, 6], yticks=[0, 6])
    _axes[0].set(ylabel="second finding")
    show(
        _figure,
        "Patients in four groups by two findings, those with exactly one of them ill; the background is what each of the three fusions "
        "answers at every place, red for ill.",
        "病人按两个征象分成四组，恰好有一个征象的患病；背景是三种融合在每个位置的回答，红色表示患病。",
    )
    return


@app.cell
def _(area, drawn, fused):
    STUDENT, SEEDS = 2.776, 5  # times the standard error of five seeds: 95 %

    def interval(values):
        """The mean over seeds, and half its 95 % interval."""
        return np.mean(values), STUDENT * np.std(values, ddof=1) / np.sqrt(len(values))

    worlds = {"two signals": two_signals, "exclusive or": exclusive_or, "one is noise": one_noise}
    table, brier = {}, {"complete": [], "missing, said": [], "missing, filled in": [], "first alone": []}
    for _name, _make in worlds.items():
        for _seed in range(SEEDS):
            _parts = drawn(_make, _seed)
            _test = _parts[2]
            _models = {how: fused(how, _parts, _seed) for how in fusion.FUSIONS}
            _answers = {how: area(model, _test) for how, model in _models.items()}
            for _one, _other in (("first", "second"), ("second", "first")):  # late fusion of one modality is its own model
                _answers[_one] = area(_models["late"], _test.without(_other))
            for _who, _area in _answers.items():
                table.setdefault((_name, _who), []).append(_area)
            if _name == "two signals":
                _filled = fusion.Cases({**_test.x, "second": np.zeros_like(_test.x["second"])}, _test.y)
                for _way, _model, _cases in (
                    ("complete", _models["early"], _test),
                    ("missing, said", _models["early"], _test.without("second")),
                    ("missing, filled in", _models["early"], _filled),
                    ("first alone", _models["late"], _test.without("second")),
                ):
                    brier[_way].append(brier_score(_test.y, fusion.probabilities(_model, _cases)[:, 1]))
    assert np.mean(table["exclusive or", "late"]) < 0.65 < 0.85 < np.mean(table["exclusive or", "early"])
    return brier, interval, table, worlds


@app.cell(hide_code=True)
def _(brier, interval, table, worlds):
    def _words(values, digits=2):
        mean, half = interval(values)
        return f"{mean:.{digits}f} ± {half:.{digits}f}"

    def _rows(names):
        who = ("first", "second", *fusion.FUSIONS)
        lines = [
            "| " + " | ".join([name, *(_words(table[world, one]) for world in worlds)]) + " |"
            for one, name in zip(who, names, strict=True)
        ]
        return "\n    ".join(lines)

    _names = both(
        _rows(("first alone", "second alone", "early", "intermediate", "late")),
        _rows(("只用第一种", "只用第二种", "早期", "中期", "晚期")),
    )

    def _against(world, how):
        """Whether a fusion is better than the better of both alone, from paired differences."""
        best = np.maximum(*(np.mean(table[world, one]) for one in ("first", "second")))
        alone = next(table[world, one] for one in ("first", "second") if np.mean(table[world, one]) == best)
        mean, half = interval(np.array(table[world, how]) - alone)
        if mean - half > 0:
            return both("better", "更好")
        return both("worse", "更差") if mean + half < 0 else both("can't tell", "分不清")

    _two, _noise = _against("two signals", "late"), _against("one is noise", "late")
    _mean, _half = interval(np.array(brier["missing, filled in"]) - brier["missing, said"])
    _filled = both("cannot be told from it", "与它分不清")
    if abs(_mean) > _half:
        _filled = both("is worse", "更差") if _mean > 0 else both("is better", "更好")
    text(
        f"""
    Late fusion adds one number of each modality, and no sum of a function of the first and a function of the second is an
    exclusive or. So it guesses, however many patients there are.

    | AUC | two signals | exclusive or | one is noise |
    |---|---|---|---|
    {_names.en}

    (Five seeds of made-up patients, mean and 95 % interval.) With two independent signals, late fusion beside the better modality
    alone is: **{_two.en}**. Where the second is noise: **{_noise.en}**. Fusion helps where modalities know different things, and nowhere
    else.

    ## A modality is missing

    The second signal is missing. The network can be told so, by a number beside the zeros, or the gap can be filled in with a
    typical value of the healthy, 0, as if it had been measured. The Brier score, the mean squared error of a probability
    (lower is better):

    | both there | missing, and said so | filled in | first alone |
    |---|---|---|---|
    | {_words(brier["complete"], 3)} | {_words(brier["missing, said"], 3)} | {_words(brier["missing, filled in"], 3)} | {_words(brier["first alone"], 3)} |

    Filling in, compared with saying so: {_mean:+.3f} ± {_half:.3f}, it {_filled.en}.

    ## Who said what: Shapley values

    What did a modality contribute to an answer? That depends on who spoke before it. The {term("Shapley value")} takes the mean
    over all $M!$ orders in which modalities can join:

    $$\\phi_m = \\frac{{1}}{{M!}} \\sum_{{orders}} \\left( s(S \\cup m) - s(S) \\right)$$

    $S$ are those who joined before $m$, and $s(S)$ is the model's log-odds with them.

    ## The code
    """,
        f"""
    晚期融合从每种模态只取一个数相加，而第一种的函数与第二种的函数之和永远不是异或。
    所以不管有多少病人，它都在瞎猜。

    | AUC | 两个信号 | 异或 | 一个是噪声 |
    |---|---|---|---|
    {_names.zh}

    （五个种子的虚构病人，平均值和 95 % 区间。）有两个独立的信号时，晚期融合与较好的单一模态相比：
    **{_two.zh}**。第二种是噪声时：**{_noise.zh}**。只有各模态知道不同的事，融合才有帮助，别处没有。

    ## 缺少一种模态

    缺少第二个信号。可以在零旁边用一个数告诉网络，也可以用健康者的典型值 0 填进去，好像测到了一样。
    布赖尔分数是概率的均方误差（越低越好）：

    | 都有 | 缺少并说明 | 填进去 | 只用第一种 |
    |---|---|---|---|
    | {_words(brier["complete"], 3)} | {_words(brier["missing, said"], 3)} | {_words(brier["missing, filled in"], 3)} | {_words(brier["first alone"], 3)} |

    填进去与说明相比：{_mean:+.3f} ± {_half:.3f}，{_filled.zh}。

    ## 谁说了什么：沙普利值

    一种模态对回答贡献了多少？这取决于谁在它之前发言。{term("Shapley value")}对各模态加入的全部 $M!$ 种次序取平均：

    $$\\phi_m = \\frac{{1}}{{M!}} \\sum_{{orders}} \\left( s(S \\cup m) - s(S) \\right)$$

    $S$ 是在 $m$ 之前加入的模态，$s(S)$ 是模型有了它们时的对数几率。

    ## 代码
    """,
    )
    return


@app.cell
def _():
    def fair_shares(score, count):
        orders = list(permutations(range(count)))
        found = np.zeros(count)
        for order in orders:
            for i, m in enumerate(order):
                found[m] += score({*order[:i], m}) - score({*order[:i]})
        return found / len(orders)

    return (fair_shares,)


@app.cell(hide_code=True)
def _(fair_shares):
    _scores = np.random.default_rng(0).normal(size=8)
    _short = fair_shares(lambda members: _scores[sum(1 << m for m in members)], 3)
    np.testing.assert_allclose(_short, shares(_scores[:, None])[0])
    short(fair_shares)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's own goes through the sets in place of the orders: many orders share a set.
    """,
        """
    引擎中的代码遍历集合而不是次序：许多次序共用一个集合。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(shares)
    return


@app.cell
def _(fused, drawn):
    def contributions(make):
        """The shares of both modalities for 8 test patients of early fusion, and the answers that they must add up to."""
        parts = drawn(make, 0)
        model, some = fused("early", parts), parts[2].take(slice(0, 8))

        def answers(mask):
            return fusion.probabilities(model, some._replace(present=mask))

        return fusion.modality_shares(answers, some.names, some.known(), np.ones(8, int))

    given = {"two signals": contributions(two_signals), "exclusive or": contributions(exclusive_or)}
    missed = max(float(np.abs(g.values.sum(axis=1) - (g.score - g.baseline)).max()) for g in given.values())
    assert missed < 1e-9
    return given, missed


@app.cell(hide_code=True)
def _(given):
    _figure, _axes = canvas(2, 1, height=3.6, sharex=True)
    for _axis, (_name, _found) in zip(_axes, given.items(), strict=True):
        for _m, _colour in enumerate((BLUE, RED)):
            _places = np.arange(1, 9) + 0.2 * (2 * _m - 1)
            _axis.bar(_places, _found.values[:, _m], width=0.36, color=_colour, label=f"{_found.names[_m]} modality")
        _axis.plot(range(1, 9), _found.score - _found.baseline, "D", color="black", markersize=3, label="answer")
        _axis.axhline(0, color=GREY, linewidth=0.8)
        _axis.set(title=_name, ylabel="log-odds")
    _axes[1].set(xlabel="patient (number)", xticks=range(1, 9))
    _figure.legend(*_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    show(
        _figure,
        "For eight patients of two made-up worlds, what each modality adds to the log-odds of illness, and their sum.",
        "两个虚构世界各八个病人：每种模态给患病的对数几率加上多少，以及它们的和。",
    )
    return


@app.cell(hide_code=True)
def _(given, missed):
    _values = given["exclusive or"].values
    _ratio = float(np.abs(_values[:, 0] - _values[:, 1]).mean() / np.abs(_values).mean())
    text(
        rf"""
    The shares of each patient add up to the answer minus the answer without any modality, to {missed:.0e}. Of two modalities,
    the shares differ by exactly what they say alone:

    $$\phi_1 - \phi_2 = s(\{{1\}}) - s(\{{2\}})$$

    In the exclusive or nothing can be known from one modality alone, so a perfect model gives both the same. In this network they
    differ on average by {_ratio:.0%} of a share: asked with one modality only, it says something, though it knows nothing. Shares
    explain the model, not the truth.

    ## The patient's own recordings

    Patients differ: one heart murmurs innocently all its life. A patient's level is drawn around that of all patients, $m_0$, with
    deviation $\tau$; a recording adds noise of deviation $\sigma$, and illness adds 2. If the patient's level were known, one would
    compare with it, not with $m_0$. From $k$ healthy recordings with mean $\bar x$, the best guess is neither:

    $$m = m_0 + \frac{{k}}{{k + \kappa}} (\bar x - m_0)$$

    with $\kappa = \sigma^2 / \tau^2$. This is {term("shrinkage")}: patients who differ little are moved far towards all others.
    Choose $\tau$; $\sigma$ is 1.
    """,
        rf"""
    每个病人的份额之和等于他的回答减去没有任何模态时的回答，误差 {missed:.0e}。只有两种模态时，份额之差恰好是两者单独所说的之差：

    $$\phi_1 - \phi_2 = s(\{{1\}}) - s(\{{2\}})$$

    在异或中，单独一种模态什么也说明不了，所以完美的模型给两者同样的份额。在这个网络里，两者平均相差一个份额的
    {_ratio:.0%}：只给它一种模态，它也会说点什么，虽然它什么都不知道。份额解释的是模型，而不是真相。

    ## 病人自己的记录

    病人各不相同：有的心脏一辈子都有无害的杂音。病人的水平围绕全体病人的水平 $m_0$ 分布，标准差为 $\tau$；
    每次记录加上标准差为 $\sigma$ 的噪声，患病再加 2。如果知道病人的水平，就该与它相比，而不是与 $m_0$ 相比。
    有了 $k$ 次健康时的记录，平均值为 $\bar x$，最好的估计两者都不是：

    $$m = m_0 + \frac{{k}}{{k + \kappa}} (\bar x - m_0)$$

    其中 $\kappa = \sigma^2 / \tau^2$。这叫{term("shrinkage")}：彼此差别小的病人被大幅移向其他人。
    选择 $\tau$；$\sigma$ 是 1。
    """,
    )
    return


@app.cell
def _():
    tau = mo.ui.slider(
        steps=[0, 0.25, 0.5, 1, 2],
        value=1,
        label="how much patients differ, τ · 病人之间的差别 τ",
        show_value=True,
        full_width=True,
    )
    tau
    return (tau,)


@app.cell
def _():
    def shrunken(recordings, population, kappa):
        k = len(recordings)
        if k == 0:
            return population
        share = k / (k + kappa)
        return population + share * (np.mean(recordings) - population)

    return (shrunken,)


@app.cell
def _(shrunken, tau):
    KNOWN = [0, 1, 2, 4, 8, 16]

    def experiment(tau, seed):
        """The areas of 200 patients with 8 new recordings each, by what they are compared with, for each number of known ones."""
        rng = np.random.default_rng(seed)
        level = tau * rng.normal(size=(200, 1))
        known, ill = level + rng.normal(size=(200, 16)), np.tile(np.arange(8) % 2, (200, 1))
        new = level + 2 * ill + rng.normal(size=(200, 8))
        kappa = 1 / tau**2 if tau else np.inf
        found = {}
        for name, strength in (("all patients'", np.inf), ("own mean", 0), ("shrunken", kappa)):
            found[name] = []
            for k in KNOWN:
                usual = np.array([shrunken(mine[:k], 0.0, strength) for mine in known])[:, None]
                found[name].append(roc_auc(ill.ravel(), (new - usual).ravel()))
        return found

    runs = [experiment(tau.value, seed) for seed in range(5)]
    by_way = {name: np.array([run[name] for run in runs]) for name in runs[0]}  # (5 seeds, 6 numbers of recordings)
    assert np.ptp(by_way["all patients'"], axis=1).max() == 0 and np.allclose(*(v[:, 0] for v in list(by_way.values())[:2]))
    return KNOWN, by_way


@app.cell(hide_code=True)
def _(KNOWN, by_way, interval, tau):
    _figure, _axis = canvas(height=2.6)
    for (_name, _values), _colour in zip(by_way.items(), (GREY, RED, BLUE), strict=True):
        _middle = _values.mean(axis=0)
        _half = np.array([interval(column)[1] for column in _values.T])
        _axis.fill_between(range(6), _middle - _half, _middle + _half, color=_colour, alpha=0.2, linewidth=0)
        _axis.plot(range(6), _middle, "o-", color=_colour, markersize=4, label=_name)
    _axis.set(xlabel="own recordings (number)", xticks=range(6), xticklabels=KNOWN, ylabel="area under the ROC curve (share)")
    _axis.set(title=rf"patients differ by $\tau$ = {tau.value:g}")
    _axis.legend(title="compared with", fontsize=8, title_fontsize=8, frameon=False)
    show(
        _figure,
        "The area under the ROC curve by the number of the patient's own recordings: compared with all patients' level, with the mean of the "
        "own recordings, and with the shrunken one.",
        "ROC 曲线下面积随病人自己的记录数变化：分别与全体病人的水平、自己记录的平均值和收缩后的值相比。",
    )
    return


@app.cell(hide_code=True)
def _(KNOWN, by_way, interval, shrunken, tau):
    _ones = np.array([3.0, 5.0, 4.0])
    np.testing.assert_allclose(shrunken(_ones, 1.0, 2.0), shrunken_least_squares(np.ones((3, 1)), _ones, [1.0], 2.0)[0])

    def _verdict(name, k):
        mean, half = interval(by_way[name][:, KNOWN.index(k)] - by_way["all patients'"][:, 0])
        verdict = both("can't tell", "分不清")
        if abs(mean) > half:
            verdict = both("better", "更好") if mean > 0 else both("worse", "更差")
        return both(f"{mean:+.3f} ± {half:.3f}: {verdict.en}", f"{mean:+.3f} ± {half:.3f}：{verdict.zh}")

    _own_1, _own_8, _shrunken_1, _shrunken_8 = (_verdict(name, k) for name in ("own mean", "shrunken") for k in (1, 8))
    _about = text(
        rf"""
    Compared with the level of all patients, at $\tau$ = {tau.value:g} (five seeds):

    | $k$ | own mean | shrunken |
    |---|---|---|
    | 1 | {_own_1.en} | {_shrunken_1.en} |
    | 8 | {_own_8.en} | {_shrunken_8.en} |

    A single recording, believed, is as noisy as the one that it shall judge. Move $\tau$ to 0: where patients do not differ, own
    recordings buy nothing, and the shrunken guess does not lose anything either. On real heart sounds no gain could be told
    (`docs/personal.md`). The short version is this:
    """,
        rf"""
    与全体病人的水平相比，$\tau$ = {tau.value:g} 时（五个种子）：

    | $k$ | 自己的平均值 | 收缩后 |
    |---|---|---|
    | 1 | {_own_1.zh} | {_shrunken_1.zh} |
    | 8 | {_own_8.zh} | {_shrunken_8.zh} |

    如果完全相信单独一次记录，它的噪声与要判断的那次一样大。把 $\tau$ 移到 0：病人之间没有差别时，
    自己的记录换不来任何东西，收缩后的估计也不会有损失。在真实的心音上看不出收益（`docs/personal.md`）。
    简短的版本是这样：
    """,
    )
    mo.vstack([_about, short(shrunken)])
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's own shrinks all weights of a network's last layer towards those of all patients; of one weight it is the same number.
    """,
        """
    引擎中的代码把网络最后一层的全部权重移向全体病人的权重；只有一个权重时就是同一个数。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(shrunken_least_squares)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    ## A question

    In a study every patient has an image, but only the very ill have a blood test. A fused network with "is it there?" inputs
    reaches a high area. What may it have learned?

    /// details | Answer
    That a blood test was ordered. Whether a modality is present says what a doctor already suspected: it is a shortcut, and it
    vanishes where all patients get the test. Compare with a model that sees only which modalities are present; if that one is
    good, be warned.
    ///
    """,
        """
    ## 一个问题

    在一项研究中，每个病人都有图像，但只有病重的人做了血液检查。一个带有“是否存在”输入的融合网络
    得到了很高的面积。它可能学到了什么？

    /// details | 答案
    学到了医生开过血液检查。模态是否存在，透露出医生早已怀疑的事：这是捷径，在人人都做检查的地方就消失。
    与一个只看哪些模态存在的模型比一比；如果那个模型也很好，就要警惕。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("fusion")
    return


if __name__ == "__main__":
    app.run()
