"""Beginning from a trained network, and ensembles · 迁移学习与集成

Minutes: 40
Exercises: ensemble
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Transfer", css_file="lesson.css")

with app.setup:
    import copy

    import marimo as mo
    import numpy as np

    import tinydx

    tinydx.use("numpy")  # needs no compilation

    from tinydx.diagnosis import ensemble
    from tinydx.diagnosis.starting import begun
    from tinydx.evaluation import brier_score, calibration_curve, roc_auc
    from tinydx.layers import Conv2D, Dense, GlobalAveragePooling2D, MaxPooling2D
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, code, foot, head, number, short, show, term, text
    from tinydx.models import Model, Sequential
    from tinydx.optimizers import Adam
    from tinydx.personal import shrunken_log_loss


@app.cell(hide_code=True)
def _():
    head("transfer")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - begin from a network that was trained elsewhere, with its layers frozen or free;
    - say when that is better than training from scratch, when it is not, and when it cannot be told;
    - average several networks, and check whether the mean's probabilities are better.

    ## The equations

    A network is features $f$ with weights $\theta$, and a last layer $w$:

    $$p = \sigma(w \cdot f_\theta(x))$$

    {term("transfer learning")} takes $\theta$ from a network that learned from other data, and gives it a new $w$. In a
    {term("frozen layer")} $\theta$ stays, so that training is logistic regression on features:

    $$\min_w \; L(w, \theta_{{source}})$$

    In {term("fine-tuning")} everything moves, and the source is only where training begins:

    $$\theta_0 = \theta_{{source}}, \quad \min_{{w, \theta}} L(w, \theta)$$

    An {term("ensemble")} of $M$ networks answers with the mean of their probabilities:

    $$\bar p = \frac{{1}}{{M}} \sum_m p_m$$
    """,
        rf"""
    学完这一课，你能够

    - 从在别处训练好的网络出发，层可以冻结，也可以放开；
    - 说出这样做何时比从头训练好，何时不好，何时分不清；
    - 把几个网络取平均，并检查平均概率是否更好。

    ## 公式

    网络由权重为 $\theta$ 的特征 $f$ 和最后一层 $w$ 组成：

    $$p = \sigma(w \cdot f_\theta(x))$$

    {term("transfer learning")}从一个用其他数据训练过的网络取来 $\theta$，换上新的 $w$。
    在{term("frozen layer")}中 $\theta$ 不变，训练就是对特征做逻辑回归：

    $$\min_w \; L(w, \theta_{{source}})$$

    {term("fine-tuning")}时一切都可以移动，源网络只是训练的起点：

    $$\theta_0 = \theta_{{source}}, \quad \min_{{w, \theta}} L(w, \theta)$$

    由 $M$ 个网络组成的{term("ensemble")}用概率的平均值回答：

    $$\bar p = \frac{{1}}{{M}} \sum_m p_m$$
    """,
    )
    return


@app.cell
def _():
    SIZE = 16
    AXIS = np.arange(SIZE)

    def cells(n, seed, here):
        """n images of three cells each and their labels: in the ill, two cells are rings. Here: another microscope."""
        rng = np.random.default_rng([seed, here])
        ill, x = rng.permutation(np.arange(n) % 2), np.zeros((n, SIZE, SIZE))
        for k in range(3):
            centre = rng.uniform(3, SIZE - 4, (n, 2, 1, 1))
            distance = np.hypot(AXIS[:, None] - centre[:, 0], AXIS - centre[:, 1])
            ring, disc = np.exp(-2 * (distance - 2.2) ** 2), np.exp(-2 * np.maximum(distance - 1.6, 0) ** 2)
            x = np.maximum(x, np.where((ill[:, None, None] == 1) & (k < 2), ring, disc))
        noise = 0.2 * rng.normal(size=x.shape)
        return (0.6 * x + 0.2 + noise if here else x + noise)[..., None].astype("float32"), ill

    def stripes(n, seed):
        """n images of stripes, and whether they lie flat: another world."""
        rng = np.random.default_rng([seed, 7])
        flat, phase = rng.permutation(np.arange(n) % 2), rng.uniform(0, 6, (n, 1, 1))
        place = np.where(flat[:, None, None] == 1, AXIS[:, None], AXIS)
        x = np.sin(0.9 * place + phase) + 0.5 * rng.normal(size=(n, SIZE, SIZE))
        return x[..., None].astype("float32"), flat

    there, pool, test = cells(600, 10, False), cells(400, 11, True), cells(300, 12, True)
    return SIZE, pool, stripes, test, there


@app.cell
def _(SIZE, stripes, test, there):
    def network(seed):
        """A small convolutional network with new weights."""
        tinydx.set_seed(seed)
        first = Conv2D(8, 3, activation="relu", input_shape=(SIZE, SIZE, 1))
        second = Conv2D(16, 3, activation="relu")
        return Sequential([first, MaxPooling2D(2), second, GlobalAveragePooling2D(), Dense(1, activation="sigmoid")])

    def trained(model, x, y, steps=80, seed=0):
        """The model after that many steps of 20 images."""
        tinydx.set_seed(seed)
        model.compile(Adam(1e-2), "binary_crossentropy")
        model.fit(x, y.astype("float32"), 20, epochs=steps * 20 // len(y), verbose=0)
        return model

    def area(model):
        """The area under the ROC curve on this hospital's test."""
        return roc_auc(test[1], model.predict(test[0])[:, 0])

    source = trained(network(0), *there, steps=300)
    stranger = trained(network(0), *stripes(400, 0), steps=100)
    return area, network, source, stranger, trained


@app.cell(hide_code=True)
def _(pool, stripes, there):
    _figure, _axes = canvas(2, 3, height=3.4)
    _rows = zip(("elsewhere", "here", "stripes"), (there, pool, stripes(20, 1)), strict=True)
    for _column, (_name, (_x, _y)) in zip(_axes.T, _rows, strict=True):
        for _axis, _class in zip(_column, (0, 1), strict=True):
            _axis.imshow(_x[np.flatnonzero(_y == _class)[0], ..., 0], cmap="gray")
            _axis.set(title=f"{_name}: {_class}", xticks=[], yticks=[])
    show(
        _figure,
        "An image of each class from three collections: cells of another hospital, the same cells under this hospital's microscope, and "
        "stripes.",
        "三个图像集中每个类别各一张：另一家医院的细胞，本院显微镜下的同类细胞，以及条纹。",
    )
    return


@app.cell(hide_code=True)
def _(area, source, there):
    text(
        f"""
    The images are **synthetic**: {len(there[1])} cells of a hospital elsewhere, where images are plenty; ours, which has another microscope and
    few labels; and stripes, which have nothing to do with cells. In the ill, cells are rings. The network from elsewhere, used as
    it is, has an area of {area(source):.3f} here.

    ## See it: where training begins

    Choose how many labelled images this hospital has.
    """,
        f"""
    图像是**合成的**：别处一家医院的 {len(there[1])} 张细胞图像，那里图像很多；我们医院的图像，显微镜不同，标签很少；
    还有与细胞毫无关系的条纹。患者的细胞是环形的。别处的网络原样拿来，在这里的面积是 {area(source):.3f}。

    ## 看一看：训练从哪里开始

    选择本院有多少张带标签的图像。
    """,
    )
    return


@app.cell
def _():
    images = mo.ui.slider(
        steps=[20, 50, 100, 200], value=50, label="labelled images · 带标签的图像", show_value=True, full_width=True
    )
    images
    return (images,)


@app.cell
def _():
    def begin(source, frozen):
        body = copy.deepcopy(source)
        features = body.layers[-1].input
        answer = Dense(1, activation="sigmoid")(features)
        model = Model(body.input, answer)
        for layer in body.layers[:-1]:
            layer.trainable = not frozen
        return model

    return (begin,)


@app.cell
def _(area, begin, images, network, pool, source):
    ROUNDS = 12  # of 20 steps

    def curve(model):
        """The area after every 20 steps on this many images."""
        tinydx.set_seed(1)
        x, y = (part[: images.value] for part in pool)
        model.compile(Adam(1e-2), "binary_crossentropy")
        found = [area(model)]
        for _ in range(ROUNDS):
            model.fit(x, y.astype("float32"), 20, epochs=max(1, 400 // len(y)), verbose=0)
            found.append(area(model))
        return found

    curves = {"from scratch": curve(network(1)), "fine-tuned": curve(begin(source, frozen=False))}
    return ROUNDS, curves


@app.cell(hide_code=True)
def _(ROUNDS, curves, images):
    _figure, _axis = canvas(height=2.5)
    for (_name, _values), _colour in zip(curves.items(), (GREY, BLUE), strict=True):
        _axis.plot(20 * np.arange(ROUNDS + 1), _values, "o-", color=_colour, markersize=3, label=_name)
    _axis.axhline(0.5, color=RED, linewidth=0.8)
    _axis.set(xlabel="training steps (number)", ylabel="area, test (share)", title=f"{images.value} images", ylim=(0.3, 1))
    _axis.legend(fontsize=8, frameon=False)
    show(
        _figure,
        "The area on the test after every 20 training steps, of a network from scratch and of one that begins from the weights of elsewhere.",
        "每 20 个训练步之后测试集上的面积：一个网络从头训练，另一个从别处的权重出发。",
    )
    return


@app.cell(hide_code=True)
def _(ROUNDS, curves):
    _scratch, _tuned = (values[-1] for values in curves.values())
    _early, _late = (curves["fine-tuned"][k] - curves["from scratch"][k] for k in (4, ROUNDS))
    text(
        f"""
    After 80 steps the area of the network that began elsewhere minus that of the one from scratch is {_early:+.3f}, and after
    {20 * ROUNDS} steps {_late:+.3f} ({_tuned:.3f} and {_scratch:.3f}). This is one training each: it proves nothing. For that, see the table below.

    ## The code

    A new last layer on the old features: `trainable` says which layers move.
    """,
        f"""
    80 步之后，从别处出发的网络与从头训练的网络相差 {_early:+.3f}，{20 * ROUNDS} 步之后相差 {_late:+.3f}
    （{_tuned:.3f} 和 {_scratch:.3f}）。这里各只训练了一次，什么也证明不了。证据见下面的表。

    ## 代码

    在旧的特征上换一个新的最后一层：`trainable` 说明哪些层可以移动。
    """,
    )
    return


@app.cell(hide_code=True)
def _(begin, source, test):
    _mine, _engine = begin(source, frozen=True), begun(source, "adam", 2, freeze=len(source.layers) - 1)
    _features = [Model(m.input, m.layers[-1].input).predict(test[0][:20]) for m in (_mine, _engine, source)]
    np.testing.assert_array_equal(_features[0], _features[2])
    np.testing.assert_array_equal(_features[1], _features[2])
    assert len(_mine.trainable_weights) == len(_engine.trainable_weights) == 2
    short(begin)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's own, behind `tinydx diagnose --from FILE --freeze N`:
    """,
        """
    引擎中的代码，在 `tinydx diagnose --from FILE --freeze N` 的背后：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(begun)
    return


@app.cell
def _(area, begin, network, pool, source, stranger, test, trained):
    SEEDS, STUDENT = 5, 2.776  # times the standard error of five seeds: 95 %
    COUNTS = (20, 50, 200)

    def regression(features, x, y):
        """The area of logistic regression on standardised features, its weights shrunk towards 0."""
        train, held = (np.asarray(features(part), float).reshape(len(part), -1) for part in (x, test[0]))
        mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-6
        train, held = (np.hstack([(v - mean) / spread / np.sqrt(v.shape[1]), np.ones((len(v), 1))]) for v in (train, held))
        w = shrunken_log_loss(train, y, np.zeros((train.shape[1], 1)), 0.1)
        return roc_auc(test[1], (held @ w)[:, 0])

    def features_of(model):
        return Model(model.input, model.layers[-1].input).predict

    def run(count, seed):
        """The area of each way with this many images, drawn with this seed."""
        rows = np.random.default_rng(seed).permutation(len(pool[1]))[:count]
        x, y = pool[0][rows], pool[1][rows]
        return {
            "pixels": regression(lambda v: v, x, y),
            "random features": regression(features_of(network(50 + seed)), x, y),
            "features of stripes": regression(features_of(stranger), x, y),
            "features of elsewhere": regression(features_of(source), x, y),
            "from scratch": area(trained(network(seed), x, y, seed=seed)),
            "fine-tuned": area(trained(begin(source, frozen=False), x, y, seed=seed)),
        }

    runs = {count: [run(count, seed) for seed in range(SEEDS)] for count in COUNTS}
    results = {count: {way: np.array([r[way] for r in found]) for way in found[0]} for count, found in runs.items()}

    def interval(values):
        """The mean over seeds, and half its 95 % interval."""
        return values.mean(), STUDENT * values.std(ddof=1) / np.sqrt(len(values))

    assert results[20]["features of elsewhere"].mean() > max(results[20][w].mean() for w in ("pixels", "random features"))
    return COUNTS, interval, results


@app.cell(hide_code=True)
def _(COUNTS, interval, results):
    _figure, _axis = canvas(height=3.2)
    for _shift, _count, _colour in zip((-0.2, 0, 0.2), COUNTS, (GREY, BLUE, RED), strict=True):
        for _y, _values in enumerate(results[_count].values()):
            _mean, _half = interval(_values)
            _axis.plot([_mean - _half, _mean + _half], [_y + _shift] * 2, color=_colour, linewidth=1)
            _axis.plot(_mean, _y + _shift, "o", color=_colour, markersize=4, label=f"{_count} images" if _y == 0 else None)
    _axis.axvline(0.5, color=GREY, linewidth=0.8)
    _axis.set(yticks=range(6), yticklabels=[way.replace("features of", "frozen:") for way in results[20]], ylim=(5.5, -0.5))
    _axis.set(xlabel="area under the ROC curve (share)", xlim=(0.35, 1), ylabel="way")
    _figure.legend(*_axis.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    show(
        _figure,
        "The area of six ways with 20, 50 and 200 labelled images, each with its interval over five seeds.",
        "六种做法在 20、50 和 200 张带标签图像时的面积，各带五个种子的区间。",
    )
    return


@app.cell(hide_code=True)
def _(COUNTS, interval, results):
    def _verdict(way, other, count):
        mean, half = interval(results[count][way] - results[count][other])
        verdict = both("can't tell", "分不清")
        if abs(mean) > half:
            verdict = both("better", "更好") if mean > 0 else both("worse", "更差")
        return both(f"{mean:+.2f} ± {half:.2f}: {verdict.en}", f"{mean:+.2f} ± {half:.2f}：{verdict.zh}")

    _pairs = {
        both("frozen, scratch", "冻结，从头"): ("features of elsewhere", "from scratch"),
        both("tuned, scratch", "微调，从头"): ("fine-tuned", "from scratch"),
        both("tuned, frozen", "微调，冻结"): ("fine-tuned", "features of elsewhere"),
    }

    def _table(language):
        lines = []
        for name, (way, other) in _pairs.items():
            told = [getattr(_verdict(way, other, count), language) for count in COUNTS]
            lines.append("| " + " | ".join([getattr(name, language), *told]) + " |")
        return "\n    ".join(lines)

    _lines = both(_table("en"), _table("zh"))
    _head = " | ".join(map(str, COUNTS))
    _pixels, _random, _stripes, _frozen = (
        results[20][way].mean() for way in ("pixels", "random features", "features of stripes", "features of elsewhere")
    )
    _kind = _verdict("features of elsewhere", "features of stripes", 20)
    _few, _many = (_verdict("features of stripes", "random features", count) for count in (20, 200))
    text(
        f"""
    ## When is it better?

    Every network gets the same 80 steps; nothing was chosen on the test. The first way's area minus the second's, on the same
    images, mean and 95 % interval over five seeds:

    | images | {_head} |
    |---|---|---|---|
    {_lines.en}

    With 20 images, logistic regression has {_pixels:.3f} on pixels, {_random:.3f} on features of a network that nobody trained, {_stripes:.3f} on those of
    stripes, and **{_frozen:.3f}** on those of the same kind of cells. The source matters: cells minus stripes, {_kind.en}. And is a
    foreign source better than none? Stripes minus random features, with 20 images {_few.en}; with 200 images {_many.en}.

    That is a made-up world in which both hospitals look for the same rings. On real X-rays of two hospitals the answer was "can't
    tell" at every number of images, and frozen features were worse than training from scratch in four of six cases
    (`docs/transfer.md`). And 80 steps are few: the curves above show what longer training from scratch does.

    ## Several networks, one answer

    Five networks begin from the source with different last layers and orders, on the same 50 images. Their mean is the ensemble.
    """,
        f"""
    ## 什么时候更好？

    每个网络都训练同样的 80 步；没有任何东西是看着测试集选的。第一种做法的面积减去第二种的，用同样的图像，
    五个种子的平均值和 95 % 区间：

    | 图像 | {_head} |
    |---|---|---|---|
    {_lines.zh}

    用 20 张图像时，逻辑回归在像素上得到 {_pixels:.3f}，在没有训练过的网络的特征上得到 {_random:.3f}，在条纹网络的特征上得到 {_stripes:.3f}，
    在同类细胞的特征上得到 **{_frozen:.3f}**。源网络很要紧：细胞减条纹，{_kind.zh}。不相干的源网络比没有强吗？
    条纹减随机特征，20 张图像时 {_few.zh}；200 张图像时 {_many.zh}。

    这是虚构的世界，两家医院找的是同样的环。在两家医院真实的 X 光片上，不论多少张图像，答案都是“分不清”，
    而冻结的特征在六种情形中有四种比从头训练差（`docs/transfer.md`）。而且 80 步很少：
    上面的曲线显示从头训练更久会怎样。

    ## 几个网络，一个回答

    五个网络从源网络出发，最后一层和样本次序不同，用同样的 50 张图像。它们的平均就是集成。
    """,
    )
    return


@app.cell
def _(begin, pool, source, test, trained):
    def member(seed):
        tinydx.set_seed(seed)
        return trained(begin(source, frozen=False), pool[0][:50], pool[1][:50], seed=seed)

    members = [member(seed) for seed in range(5)]
    together = ensemble.average(members)
    answers = np.array([one.predict(test[0])[:, 0] for one in members])  # (5, 300)
    mean = together.predict(test[0])[:, 0]
    np.testing.assert_allclose(mean, answers.mean(axis=0), atol=1e-6)
    single = np.array([brier_score(test[1], p) for p in answers])
    whole = brier_score(test[1], mean)
    assert whole <= single.mean() + 1e-6  # whatever the members: the square is convex
    return answers, mean, single, whole


@app.cell(hide_code=True)
def _(answers, mean, test):
    _figure, _axis = canvas(height=2.7)
    _axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    for _p, _colour, _width, _name in (*((p, BLUE, 0.8, "a member") for p in answers), (mean, RED, 2, "their mean")):
        _bins = [b for b in calibration_curve(test[1], _p, bins=5) if b["count"]]
        _axis.plot([b["predicted"] for b in _bins], [b["observed"] for b in _bins], "o-", color=_colour,
                   linewidth=_width, markersize=3, label=_name)  # fmt: skip
    _labels = dict(zip(*_axis.get_legend_handles_labels()[::-1], strict=True))
    _axis.legend(_labels.values(), _labels.keys(), fontsize=8, frameon=False)
    _axis.set(xlabel="probability that was given (mean of a bin)", ylabel="share that is ill", xlim=(0, 1), ylim=(0, 1))
    show(
        _figure,
        "How many patients are ill among those who were given a probability: for five networks and for their mean; the line is perfect.",
        "得到某个概率的病人中有多少患病：五个网络和它们的平均；直线表示完美。",
    )
    return


@app.cell(hide_code=True)
def _(answers, mean, single, test, whole):
    _areas, _area = [roc_auc(test[1], p) for p in answers], roc_auc(test[1], mean)
    _squares = (answers - test[1]) ** 2
    _draws = np.random.default_rng(0).integers(len(mean), size=(500, len(mean)))
    _best = int(single.argmin())
    _gains = ((_squares[_best] - (mean - test[1]) ** 2)[_draws]).mean(axis=1)
    _low, _high = np.quantile(_gains, [0.025, 0.975])
    _told = both("beside the best member, it cannot be told", "与最好的成员相比，分不清")
    if _low > 0:
        _told = both("it is better even than the best member", "它甚至比最好的成员更好")
    if _high < 0:
        _told = both("the best member is better", "最好的成员更好")
    text(
        f"""
    | | five members | their mean |
    |---|---|---|
    | area | {min(_areas):.3f}–{max(_areas):.3f} | {_area:.3f} |
    | Brier score | {single.min():.3f}–{single.max():.3f} | {whole:.3f} |

    The mean's Brier score is never above the *average* of the members', whatever they are: the square is a convex function. That
    is worth having, because nobody knows beforehand which member is best. Compared with the best of these five, which only the
    test reveals, the gain is {_low:+.3f} to {_high:+.3f} (95 %, over test patients): {_told.en}. A mean is not calibrated for that
    reason alone; lesson {number("evaluation")} measures it.

    ## A question

    A colleague has 50 images and fine-tunes ten sources, each with three learning rates. She reports the best of 30 areas on the
    test. What is wrong, and what would be right?

    /// details | Answer
    The best of 30 on the test is too high even if all are equally good: she reports luck. Choose on a part of the 50 images, by
    cross-validation, and look at the test once. With 50 images, many of the 30 cannot be told apart; the mean of several is then
    a better choice than a winner.
    ///
    """,
        f"""
    | | 五个成员 | 它们的平均 |
    |---|---|---|
    | 面积 | {min(_areas):.3f}–{max(_areas):.3f} | {_area:.3f} |
    | 布赖尔分数 | {single.min():.3f}–{single.max():.3f} | {whole:.3f} |

    不管成员如何，平均的布赖尔分数都不会高于成员的*平均*布赖尔分数：平方是凸函数。这很有价值，因为事先谁也不知道哪个成员最好。
    与五个中最好的那个（只有测试才揭晓）相比，收益是 {_low:+.3f} 到 {_high:+.3f}（95 %，对测试病人）：{_told.zh}。
    单凭取平均，概率并不就校准了；第 {number("evaluation")} 课讲怎样测量。

    ## 一个问题

    一位同事有 50 张图像，她微调了十个源网络，每个用三种学习率。她报告测试集上 30 个面积中最好的一个。
    错在哪里，怎样才对？

    /// details | 答案
    即使全都一样好，测试集上 30 个中最好的也偏高：她报告的是运气。应当在这 50 张图像的一部分上用交叉验证来选，
    测试集只看一次。只有 50 张图像，这 30 个里许多分不出高下；这时取几个的平均比选一个冠军更好。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("transfer")
    return


if __name__ == "__main__":
    app.run()
