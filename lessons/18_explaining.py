"""Explaining an answer: the letter that gave it away · 解释模型的回答

Minutes: 40
Exercises: integrated_gradients
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Explaining", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np
    from matplotlib.patches import Rectangle

    import tinydx

    tinydx.use("numpy")  # needs no compilation

    from tinydx import explain
    from tinydx.datasets.phantom import chest_phantom
    from tinydx.evaluation import roc_auc
    from tinydx.explain.grad_cam import weighed
    from tinydx.layers import Conv2D, Dense, Flatten, MaxPooling2D
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, code, foot, head, short, show, term, text
    from tinydx.models import Sequential
    from tinydx.optimizers import Adam


@app.cell(hide_code=True)
def _():
    head("explaining")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - ask a network in four ways which pixels its answer came from, and check that the shares add up;
    - find a {term("shortcut")}: a network that is right for a reason that has nothing to do with the disease;
    - test whether a map is about the network at all.

    ## The equations

    All four methods explain the {term("logit")} $s$ of a class. Each gives an {term("attribution")} $M$, a number for each pixel.
    The first, {term("saliency")}, is the gradient:

    $$M = \frac{{\partial s}}{{\partial x}}$$

    A gradient says what a *small* change does. {term("integrated gradients")} add it up on the straight way from a
    baseline $b$, here a black image, to the image:

    $$M = (x - b) \odot \int_0^1 \frac{{\partial s}}{{\partial x}} (b + a (x - b)) \, da$$

    Their sum is exactly what the image adds to the baseline's score. This is {term("completeness")}:

    $$\sum M = s(x) - s(b)$$

    {term("Grad-CAM")} asks a convolution instead: it weights the feature maps $A_k$ by their mean gradient $g_k$.

    $$M = \max \left( 0, \sum_k g_k A_k \right)$$

    {term("occlusion")} needs no gradient. It covers a patch $P$ and looks at what the score loses:

    $$M_P = s(x) - s(x \text{{ without }} P)$$
    """,
        rf"""
    学完这一课，你能够

    - 用四种方法问一个网络：它的回答来自哪些像素，并检查各份额加起来是否对得上；
    - 发现{term("shortcut")}：网络答对了，理由却与疾病无关；
    - 检验一张图讲的究竟是不是这个网络。

    ## 公式

    四种方法解释的都是一个类别的{term("logit")} $s$。每种方法给出一个{term("attribution")} $M$，即每个像素一个数。
    第一种是{term("saliency")}，也就是梯度：

    $$M = \frac{{\partial s}}{{\partial x}}$$

    梯度说的是*微小*的改变有什么作用。{term("integrated gradients")}从基线 $b$（这里是全黑的图像）
    出发，沿直线走到图像，一路把梯度累加起来：

    $$M = (x - b) \odot \int_0^1 \frac{{\partial s}}{{\partial x}} (b + a (x - b)) \, da$$

    总和恰好等于图像的得分比基线的得分多出的部分。这叫{term("completeness")}：

    $$\sum M = s(x) - s(b)$$

    {term("Grad-CAM")}问的是卷积层：它用平均梯度 $g_k$ 给特征图 $A_k$ 加权。

    $$M = \max \left( 0, \sum_k g_k A_k \right)$$

    {term("occlusion")}不需要梯度。它盖住一块 $P$，看得分损失多少：

    $$M_P = s(x) - s(x \text{{ without }} P)$$
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    ## The patients

    These chests are **synthetic**. Half of the patients are ill: they have opacities in the lungs. In this hospital the ill are
    X-rayed on a ward, whose machine burns a letter L into the corner of every image.
    """,
        """
    ## 病人

    这些胸部图像是**合成的**。一半病人患病：肺里有阴影。在这家医院，患病的人在病房里拍片，
    那里的机器在每张图像的角上印一个字母 L。
    """,
    )
    return


@app.cell
def _():
    SIZE, SEEDS = 32, 5
    LETTER = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 1]], bool)
    CORNER = np.zeros((SIZE, SIZE), bool)
    CORNER[1:8, 25:30] = True  # the letter and a pixel around it

    def patients(n, seed):
        """n images (n, 32, 32, 1) without a letter, and which show illness: every second."""
        ill = np.arange(n) % 2 == 1
        drawn = [chest_phantom(np.random.default_rng((seed, i)), ill[i], SIZE, letter=False) for i in range(n)]
        return np.array(drawn)[..., None], ill

    def burnt(x, which):
        """The images, a letter burnt into those of `which` (n,)."""
        x = x.copy()
        corner = x[:, 2:7, 26:29, 0]
        corner[which] = np.where(LETTER, 0.9, corner[which])
        return x

    x, ill = patients(240, seed=0)
    x_test, ill_test = patients(160, seed=1)
    return CORNER, SEEDS, SIZE, burnt, ill, ill_test, x, x_test


@app.cell
def _(SEEDS, SIZE, burnt, ill, x):
    def trained(images, seed):
        """A small convolutional network after 6 epochs on these images."""
        tinydx.set_seed(seed)
        first = Conv2D(8, 3, activation="relu", input_shape=(SIZE, SIZE, 1))
        second = Conv2D(16, 3, activation="relu")
        head = [Flatten(), Dense(16, activation="relu"), Dense(1, activation="sigmoid")]
        model = Sequential([first, MaxPooling2D(2), second, MaxPooling2D(2), *head])
        model.compile(Adam(3e-3), "binary_crossentropy")
        model.fit(images, ill.astype("float32"), 20, epochs=6, verbose=0)
        return model

    chance = np.random.default_rng(5).permutation(ill)  # as many letters, on anyone
    networks = {
        "letter on the ill": [trained(burnt(x, ill), seed) for seed in range(SEEDS)],
        "letter on anyone": [trained(burnt(x, chance), seed) for seed in range(SEEDS)],
    }
    model, fair = (found[0] for found in networks.values())
    return fair, model, networks


@app.cell(hide_code=True)
def _():
    text(
        """
    ## See it

    Choose an ill patient of the test, and how large the patch of the occlusion is. The red frame is where the letter is.
    """,
        """
    ## 看一看

    选择测试中的一个患者，以及遮挡块的大小。红框是字母的位置。
    """,
    )
    return


@app.cell
def _():
    number_of = mo.ui.slider(1, 12, value=3, label="patient, number · 病人，编号", show_value=True, full_width=True)
    patch = mo.ui.slider(steps=[2, 3, 4, 6, 8], value=4, label="patch, pixels · 遮挡块，像素", show_value=True, full_width=True)
    mo.vstack([number_of, patch])
    return number_of, patch


@app.cell
def _(burnt, fair, ill_test, model, number_of, patch, x_test):
    _row = np.flatnonzero(ill_test)[number_of.value - 1]
    picture = burnt(x_test, ill_test)[_row : _row + 1]
    found = explain.integrated_gradients(model, picture, 1)
    others = {
        "saliency": np.abs(explain.gradient(model, picture, 1).map[0, ..., 0]),
        "integrated": found.map[0, ..., 0],
        "Grad-CAM": explain.grad_cam(model, picture, 1).map[0],
        "occlusion": explain.occlusion(model, picture, 1, patch=patch.value, stride=2).map[0],
        "integrated, fair": explain.integrated_gradients(fair, picture, 1).map[0, ..., 0],
    }
    gained = float(found.score[0] - found.baseline_score[0])
    assert found.completeness_error[0] < 0.05 * abs(gained) + 0.05
    return found, gained, others, picture


@app.cell(hide_code=True)
def _(others, picture):
    _figure, _axes = canvas(2, 3, height=3.5)
    for _axis, (_name, _map) in zip(_axes.flat, {"image": picture[0, ..., 0], **others}.items(), strict=True):
        if _name == "image":
            _axis.imshow(_map, cmap="gray", vmin=0, vmax=1)
        else:
            _most = np.abs(_map).max() or 1.0
            _axis.imshow(_map, cmap="RdBu_r", vmin=-_most, vmax=_most)
        _axis.add_patch(Rectangle((24.5, 0.5), 5, 7, fill=False, edgecolor=RED, linewidth=1))
        _axis.set(title=_name, xticks=[], yticks=[])
    show(
        _figure,
        "An X-ray phantom with a letter in its corner, the four maps of one network, and one map of a network that learned from "
        "images in which the letter says nothing; red is evidence for illness, blue against it.",
        "角上有字母的胸部模体，同一个网络的四张图，以及另一个网络的一张图，它学习的图像中字母毫无意义；红色表示支持患病，蓝色表示反对。",
    )
    return


@app.cell
def _(CORNER, burnt, fair, ill_test, model, x_test):
    ill_ones = burnt(x_test, ill_test)[ill_test][:16]
    corner = np.tile(CORNER, (16, 1, 1))
    in_letter = {
        name: explain.evidence_in(explain.integrated_gradients(one, ill_ones, 1), corner, "the letter")
        for name, one in (("model", model), ("fair", fair))
    }
    return ill_ones, in_letter


@app.cell(hide_code=True)
def _(found, gained, in_letter):
    _mine, _fair = in_letter["model"], in_letter["fair"]
    _apart = _mine.interval[0] > _fair.interval[1]
    _verdict = both(
        "The difference cannot be told from chance here.",
        "在这里，差别与偶然分不开。",
    )
    if _apart:
        _verdict = both(
            "The map betrays the letter, without anybody having looked for it.",
            "没有人去找，图就把字母暴露了。",
        )
    text(
        f"""
    The shares of integrated gradients add up to {found.map.sum():.2f}; the image's score is {gained:.2f} above that of the black image. They differ by
    {found.completeness_error[0]:.3f}, which is what the sum of 64 steps misses of the integral.

    In 16 ill patients, **{_mine.share:.0%}** of the positive evidence (95 % interval {_mine.interval[0]:.0%} to {_mine.interval[1]:.0%}) lies in the red frame, which is {_mine.area:.1%} of the
    image. In the network that saw the letter on anyone, it is {_fair.share:.0%} ({_fair.interval[0]:.0%} to {_fair.interval[1]:.0%}). {_verdict.en} Grad-CAM has only as many places as the
    convolution has, and cannot say anything finer.

    ## The code

    The integral is a mean over the middles of equal steps. `slope` gives the gradient of an image.
    """,
        f"""
    积分梯度的各份额加起来是 {found.map.sum():.2f}；图像的得分比全黑图像高 {gained:.2f}。两者相差
    {found.completeness_error[0]:.3f}，这是用 64 步求和代替积分所漏掉的部分。

    在 16 个患者中，**{_mine.share:.0%}** 的正面证据（95 % 区间 {_mine.interval[0]:.0%} 到 {_mine.interval[1]:.0%}）落在红框里，而红框只占图像的
    {_mine.area:.1%}。对于见过字母出现在任何人身上的网络，这个比例是 {_fair.share:.0%}（{_fair.interval[0]:.0%} 到 {_fair.interval[1]:.0%}）。{_verdict.zh}
    Grad-CAM 的位置只有卷积层输出那么多，更细的它说不出来。

    ## 代码

    积分就是等分各步中点处的平均值。`slope` 给出图像处的梯度。
    """,
    )
    return


@app.cell
def _():
    def integrated(slope, x, steps):
        total = np.zeros_like(x)
        for k in range(steps):
            a = (k + 0.5) / steps
            total += slope(a * x)
        return x * total / steps

    return (integrated,)


@app.cell(hide_code=True)
def _(found, gained, integrated, model, picture):
    _short = integrated(lambda v: explain.gradient(model, v, 1).map, picture, 64)
    assert np.corrcoef(_short.ravel(), found.map.ravel())[0, 1] > 0.99
    assert abs(_short.sum() - gained) < 0.1 * abs(gained) + 0.1
    short(integrated)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's own takes better places for the steps, and more of them where the sum misses the score. Its gradient, and
    Grad-CAM's equation:
    """,
        """
    引擎中的代码选更好的位置，并在总和对不上得分的地方加密。引擎的梯度，以及 Grad-CAM 的公式：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(explain.gradient, weighed)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    ## The letter that gave it away

    A map is a suspicion. The test is to change the letter and nothing else. The same test patients are shown three times: with
    the letter on the ill, as in training; without any letter; and with the letter on the healthy.
    """,
        """
    ## 露馅的字母

    图只是一种怀疑。检验的办法是只改字母，别的都不动。同样的测试病人给网络看三次：
    字母在患者身上，与训练时一样；没有字母；字母在健康者身上。
    """,
    )
    return


@app.cell
def _(SEEDS, burnt, ill_test, networks, x_test):
    STUDENT = 2.776  # times the standard error of five seeds: 95 %
    letters = {"on the ill": ill_test, "none": np.zeros(len(ill_test), bool), "on the healthy": ~ill_test}
    areas = {
        (who, where): np.array([roc_auc(ill_test, one.predict(burnt(x_test, which))[:, 0]) for one in trained_ones])
        for who, trained_ones in networks.items()
        for where, which in letters.items()
    }

    def in_words(values):
        """The mean over seeds, and its interval."""
        mean, half = values.mean(), STUDENT * values.std(ddof=1) / np.sqrt(SEEDS)
        return f"{mean:.3f} ({max(0, mean - half):.3f}–{min(1, mean + half):.3f})"

    assert areas["letter on the ill", "on the ill"].mean() > 0.9
    assert areas["letter on the ill", "on the healthy"].mean() < areas["letter on anyone", "on the healthy"].mean() - 0.3
    return STUDENT, areas, in_words, letters


@app.cell(hide_code=True)
def _(areas, letters):
    _figure, _axis = canvas(height=2.2)
    for _shift, (_who, _colour) in zip((-0.12, 0.12), (("letter on the ill", RED), ("letter on anyone", BLUE)), strict=True):
        for _y, _where in enumerate(letters):
            _values = areas[_who, _where]
            _axis.plot(
                _values, np.full(len(_values), _y + _shift), "o", color=_colour, alpha=0.6, label=_who if _y == 0 else None
            )
    _axis.axvline(0.5, color=GREY, linewidth=1)
    _axis.set(yticks=range(3), yticklabels=list(letters), ylim=(2.5, -0.5), xlim=(-0.03, 1.03))
    _axis.set(xlabel="area under the ROC curve (share)", ylabel="letter in the test")
    _figure.legend(title="trained with", loc="outside upper center", ncols=2, fontsize=8, title_fontsize=8, frameon=False)
    show(
        _figure,
        "Areas of five seeds: networks trained with the letter on the ill are near 1 with it and fall below guessing when it is on the "
        "healthy; those trained with the letter on anyone stay where they are.",
        "五个种子的面积：训练时字母在患者身上的网络，有字母时接近 1，字母移到健康者身上就比瞎猜还差；训练时字母在任何人身上的网络保持不变。",
    )
    return


@app.cell(hide_code=True)
def _(STUDENT, areas, in_words):
    _lost = areas["letter on the ill", "on the ill"] - areas["letter on the ill", "none"]
    _mean, _half = _lost.mean(), STUDENT * _lost.std(ddof=1) / np.sqrt(len(_lost))
    _told = both("whether it needs the letter cannot be told from five seeds", "五个种子还看不出它是否需要字母")
    if _mean - _half > 0:
        _told = both("it is worse without the letter", "没有字母它就变差")
    text(
        f"""
    | letter in the test | trained with it on the ill | on anyone |
    |---|---|---|
    | on the ill | {in_words(areas["letter on the ill", "on the ill"])} | {in_words(areas["letter on anyone", "on the ill"])} |
    | none | {in_words(areas["letter on the ill", "none"])} | {in_words(areas["letter on anyone", "none"])} |
    | on the healthy | {in_words(areas["letter on the ill", "on the healthy"])} | {in_words(areas["letter on anyone", "on the healthy"])} |

    (Area under the ROC curve, mean and 95 % interval over five seeds; 0.5 is guessing.)

    On its own hospital's test the network looks excellent, and no number of this test warns of anything. Without the letter the
    area changes by {-_mean:+.3f} ± {_half:.3f}: {_told.en}. With the letter on the healthy it calls the wrong ones ill. In the next hospital,
    this is what it would do.

    ## Is the map about the network?

    Draw the weights of all layers anew, the last one first. A map of what the network has *learned* must change. Guided
    backpropagation, which draws beautiful pictures, is the negative control.
    """,
        f"""
    | 测试中的字母 | 训练时在患者身上 | 在任何人身上 |
    |---|---|---|
    | 在患者身上 | {in_words(areas["letter on the ill", "on the ill"])} | {in_words(areas["letter on anyone", "on the ill"])} |
    | 没有 | {in_words(areas["letter on the ill", "none"])} | {in_words(areas["letter on anyone", "none"])} |
    | 在健康者身上 | {in_words(areas["letter on the ill", "on the healthy"])} | {in_words(areas["letter on anyone", "on the healthy"])} |

    （ROC 曲线下面积，五个种子的平均值和 95 % 区间；0.5 是瞎猜。）

    在自家医院的测试上，这个网络看起来很出色，测试中没有一个数发出警告。去掉字母，面积变化
    {-_mean:+.3f} ± {_half:.3f}：{_told.zh}。字母移到健康者身上，它就把健康者判为患病。到了下一家医院，它就会这样。

    ## 图讲的是这个网络吗？

    把各层的权重重新随机抽取，从最后一层开始。如果图讲的是网络*学到*的东西，它就必须改变。
    引导反向传播画得很漂亮，用来作反面对照。
    """,
    )
    return


@app.cell
def _(fair, ill_ones):
    checks = {name: explain.randomisation(fair, ill_ones[:8], name) for name in ("gradient", "guided_backpropagation")}
    alike = {name: list(check.similarity.values()) for name, check in checks.items()}
    assert all(0 <= value <= 1.001 for values in alike.values() for value in values)
    return alike, checks


@app.cell(hide_code=True)
def _(alike, checks):
    _figure, _axis = canvas(height=2.3)
    for (_name, _values), _colour in zip(alike.items(), (BLUE, RED), strict=True):
        _axis.plot(range(len(_values) + 1), [1, *_values], "o-", color=_colour, label=_name.replace("_", " "))
        _axis.axhline(checks[_name].random, color=_colour, linewidth=0.8, linestyle=":")
    _axis.set(xlabel="layers drawn anew, from the last (number)", ylabel="similarity to the map", ylim=(-0.03, 1.05))
    _axis.set(xticks=range(5))
    _axis.legend(fontsize=8, frameon=False)
    show(
        _figure,
        "How alike the maps remain while layer after layer is drawn anew, for the gradient and for guided backpropagation; dotted lines "
        "are what pairs of unrelated maps have.",
        "逐层重新抽取权重时，图还有多像原来的图：梯度与引导反向传播；虚线是互不相干的两张图之间的相似度。",
    )
    return


@app.cell(hide_code=True)
def _(alike, checks):
    def _said(name):
        passed = checks[name].passed
        return both("passes", "通过") if passed else both("fails", "不通过")

    _gradient, _guided = _said("gradient"), _said("guided_backpropagation")
    text(
        f"""
    With all weights random, the gradient's maps have a similarity of {alike["gradient"][-1]:.2f} with those of the trained network, and those of guided
    backpropagation {alike["guided_backpropagation"][-1]:.2f}; unrelated maps have {checks["gradient"].random:.2f} and {checks["guided_backpropagation"].random:.2f}. Here the gradient
    {_gradient.en} the check and guided backpropagation {_guided.en} it (on other networks: `docs/explain.md`). A map that survives random weights shows
    the edges of the image, not what was learned.

    ## A question

    The map of a third network lies inside the lungs in every patient. Is it free of shortcuts?

    /// details | Answer
    No. A map says where the evidence lies, not what it is. The machine of the ward may make lungs a little brighter, and the map
    would still lie in the lungs. Only a test set in which the suspected sign is absent, or reversed, answers the question: images
    of another hospital.
    ///
    """,
        f"""
    全部权重都随机之后，梯度图与训练好的网络的图相似度为 {alike["gradient"][-1]:.2f}，引导反向传播为
    {alike["guided_backpropagation"][-1]:.2f}；互不相干的图为 {checks["gradient"].random:.2f} 和 {checks["guided_backpropagation"].random:.2f}。在这里，梯度{_gradient.zh}检验，
    引导反向传播{_guided.zh}检验（其他网络见 `docs/explain.md`）。换成随机权重仍然不变的图，
    画的是图像的边缘，而不是学到的东西。

    ## 一个问题

    第三个网络的图在每个病人身上都落在肺里。它就没有走捷径吗？

    /// details | 答案
    不能这么说。图说的是证据在哪里，而不是证据是什么。病房的机器也许使肺稍亮一些，图照样落在肺里。
    只有可疑的记号不出现或者反过来的测试集才能回答：另一家医院的图像。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("explaining")
    return


if __name__ == "__main__":
    app.run()
