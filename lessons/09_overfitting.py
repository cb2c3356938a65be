"""Overfitting, dropout and other remedies · 过拟合与随机失活

Minutes: 30
Exercises: dropout
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Overfitting", css_file="lesson.css")

with app.setup:
    import itertools

    import marimo as mo
    import numpy as np

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx import Tensor, ops
    from tinydx.callbacks import EarlyStopping
    from tinydx.layers import Dense, Dropout
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, card, foot, head, number, short, show, term, text
    from tinydx.models import Sequential
    from tinydx.optimizers import Adam
    from tinydx.regularizers import L2
    from tinydx.tensor import gradients


@app.cell(hide_code=True)
def _():
    head("overfitting")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - recognise {term("overfitting")} in two curves, and stop training where it begins;
    - write {term("dropout")}, and say why a test needs none;
    - judge a remedy by its gain over several seeds, and say "can't tell" where that is the answer.

    ## The equations

    A network is trained on some patients and used on others. Patients kept for {term("validation")}, from whom it never learns,
    show the difference. There are four usual remedies.

    **More data.** No other remedy adds knowledge.

    **Stopping in time**, called {term("early stopping")}: use the weights of the {term("epoch")} whose validation loss is smallest.

    **L2**, a {term("regulariser")}: a penalty for large weights is added to the loss $L$, and each weight's gradient pulls it towards 0.

    $$J = L + \lambda \sum_i w_i^2$$

    $$\frac{{\partial J}}{{\partial w_i}} = \frac{{\partial L}}{{\partial w_i}} + 2 \lambda w_i$$

    **Dropout.** In every training step a random mask $m$ sets a share $r$ of the features to zero. The others grow, so that the mean stays:

    $$y_i = \frac{{m_i x_i}}{{1 - r}}, \quad m_i \in \{{0, 1\}}$$

    ## See it: learning by heart

    Each synthetic patient has 20 measured values, 4 of which decide about the diagnosis. Some diagnoses are wrong, as in every archive. A
    network of 64 hidden units, with {20 * 64 + 64 + 64 + 1} weights, trains for 150 epochs. Move the sliders: each trains a new network.
    """,
        rf"""
    学完这一课，你能够

    - 从两条曲线认出{term("overfitting")}，并在它开始的地方停止训练；
    - 写出{term("dropout")}，并说出测试时为什么不用它；
    - 根据多个种子上的改进来评判一种办法，该说“无法判断”时就说“无法判断”。

    ## 公式

    网络在一些病人上训练，用在另一些病人身上。它从不学习的{term("validation")}病人显示出两者的差别。
    常用的办法有四种。

    **更多数据。** 别的办法都不增加知识。

    **及时停止**，即{term("early stopping")}：取验证损失最小的那个{term("epoch")}的权重。

    **L2** 是一种{term("regulariser")}：把对大权重的惩罚加到损失 $L$ 上，每个权重的梯度都把它拉向 0。

    $$J = L + \lambda \sum_i w_i^2$$

    $$\frac{{\partial J}}{{\partial w_i}} = \frac{{\partial L}}{{\partial w_i}} + 2 \lambda w_i$$

    **随机失活。** 每个训练步用随机掩码 $m$ 把比例为 $r$ 的特征置零。其余的增大，使均值不变：

    $$y_i = \frac{{m_i x_i}}{{1 - r}}, \quad m_i \in \{{0, 1\}}$$

    ## 看一看：死记硬背

    每个合成的病人有 20 个测量值，其中 4 个决定诊断。有些诊断是错的，任何档案都是这样。
    一个有 64 个隐藏单元、{20 * 64 + 64 + 64 + 1} 个权重的网络训练 150 个轮次。移动滑块：每次都训练一个新网络。
    """,
    )
    return


@app.cell
def _():
    patients = mo.ui.slider(
        steps=[40, 80, 160, 320], value=80, label="training patients · 训练病人数", show_value=True, full_width=True
    )
    wrong = mo.ui.slider(
        0, 0.5, step=0.05, value=0.15, label="share of wrong diagnoses · 错误诊断的比例", show_value=True, full_width=True
    )
    dropped = mo.ui.slider(0, 0.8, step=0.1, value=0, label="dropout rate · 失活率 r", show_value=True, full_width=True)
    mo.vstack([patients, wrong, dropped])
    return dropped, patients, wrong


@app.cell
def _():
    tinydx.set_threads(1)  # such small matrices are fastest on one core

    def clinic(count, wrong, rng):
        """Measured values (N,20), noted diagnoses (N,1), and which of them are wrong (N,)."""
        x = rng.normal(size=(count, 20)).astype("float32")
        flipped = rng.random(count) < wrong
        return x, ((x[:, :4].sum(axis=1) > 0) ^ flipped).astype("float32")[:, None], flipped

    def judged(scores, labels):
        """The loss and the share of right answers."""
        losses = np.logaddexp(0, np.where(labels > 0, -scores, scores))
        return losses.mean(), ((scores > 0) == (labels > 0)).mean()

    def trained(seed, patients=80, wrong=0.15, rate=0.0, l2=0.0, epochs=150):
        """Loss and accuracy of training, validation and test after each epoch (E,3,2); of flipped labels, the share learned."""
        rng = np.random.default_rng(seed)
        test, validation = clinic(2000, wrong, rng), clinic(80, wrong, rng)
        arrays = rng.normal(size=(20, 64)) / 3.2, np.zeros(64), rng.normal(size=(64, 1)) / 5.7, np.zeros(1)  # He's rule
        training = clinic(patients, wrong, rng)
        w, b, v, c = weights = [Tensor(a.astype("float32"), requires_grad=True) for a in arrays]
        x, y, flipped = training
        optimizer, penalty, watched = Adam(0.01), L2(l2), []
        for _ in range(epochs):
            h = ops.relu(ops.dense(x, w, b))
            h = ops.dropout(h, mask=rng.random(h.shape) >= rate, rate=rate)
            loss = ops.sigmoid_binary_crossentropy(ops.dense(h, v, c), target=y) + penalty(w) + penalty(v)
            optimizer.apply(gradients(loss, weights), weights)
            scores = [ops.relu(g[0] @ w.data + b.data) @ v.data + c.data for g in (training, validation, test)]
            watched.append([judged(s, g[1]) for s, g in zip(scores, (training, validation, test), strict=True)])
        by_heart = ((scores[0] > 0) == (y > 0))[flipped].mean() if flipped.any() else 1.0
        return np.array(watched), by_heart

    return clinic, trained


@app.cell
def _(dropped, patients, trained, wrong):
    watched, learned_wrong = trained(0, patients.value, wrong.value, dropped.value)
    stop = int(watched[:, 1, 0].argmin())
    coins, _ = trained(0, wrong=0.5)  # half of the labels wrong: coin tosses, which nothing can predict
    return coins, learned_wrong, stop, watched


@app.cell(hide_code=True)
def _(stop, watched, wrong):
    _epochs = np.arange(1, len(watched) + 1)
    _figure, (_top, _bottom) = canvas(2, 1, height=4.2, sharex=True)
    for _group, (_name, _color) in enumerate((("training", BLUE), ("validation", RED))):
        _top.plot(_epochs, watched[:, _group, 0], color=_color, label=_name)
        _bottom.plot(_epochs, watched[:, _group, 1], color=_color)
    for _axis in (_top, _bottom):
        _axis.axvline(stop + 1, color=GREY, linewidth=0.8, linestyle=":")
    _top.axhline(np.log(2), color=GREY, linewidth=0.8)
    _bottom.axhline(1 - wrong.value, color=GREY, linewidth=0.8)
    _top.text(_epochs[-1], np.log(2) + 0.03, "guessing", color=GREY, ha="right")
    _bottom.text(_epochs[-1], 1.01 - wrong.value, "the rule itself", color=GREY, ha="right")
    _top.set(ylabel="loss (nats)", ylim=(0, 2))
    _bottom.set(xlabel="epochs", ylabel="accuracy (share)", ylim=(0.4, 1.05))
    _top.legend(loc="upper left", frameon=False)
    show(
        _figure,
        "Loss and accuracy of training and validation patients over the epochs; a dotted line where the validation loss is smallest.",
        "训练病人与验证病人的损失和准确率随轮次的变化；虚线处验证损失最小。",
    )
    return


@app.cell(hide_code=True)
def _(coins, learned_wrong, patients, stop, watched, wrong):
    _rises = both(
        "Then it rises, while the training loss still falls: from here on it learns by heart.",
        "此后它上升，而训练损失还在下降：从这里起就是死记硬背。",
    )
    if watched[-1, 1, 0] < 1.1 * watched[stop, 1, 0]:
        _rises = both("After that it hardly rises: here there is little overfitting.", "此后它几乎不上升：这里过拟合不明显。")
    _memory = both("no wrong labels", "没有错误标签")
    if wrong.value:
        _memory = both(f"{learned_wrong:.0%} of the wrong labels, too", f"错误标签也学会了 {learned_wrong:.0%}")
    text(
        f"""
    The validation loss is smallest in epoch {stop + 1}: {watched[stop, 1, 0]:.2f}. {_rises.en}

    In the end the network knows {watched[-1, 0, 1]:.0%} of its {patients.value} training patients, {_memory.en}, and
    {watched[-1, 1, 1]:.0%} of the validation patients. Even the rule that made the diagnoses would be right for {1 - wrong.value:.0%} of the notes only.

    If *every* label is a coin toss, there is nothing to learn. Yet the network comes to {coins[-1, 0, 1]:.0%} of 80 training patients, and on
    2000 new ones it is right for {coins[-1, 2, 1]:.0%}. So an accuracy on training data says nothing about new patients.

    ## The code

    Dropout is two lines, and the mask goes into backward. In a test nothing is dropped and nothing scaled.
    """,
        f"""
    验证损失在第 {stop + 1} 个轮次最小：{watched[stop, 1, 0]:.2f}。{_rises.zh}

    最后，网络答对了 {patients.value} 个训练病人的 {watched[-1, 0, 1]:.0%}（{_memory.zh}），以及验证病人的
    {watched[-1, 1, 1]:.0%}。就连产生诊断的规则本身，也只与 {1 - wrong.value:.0%} 的记录相符。

    如果*每个*标签都是抛硬币得来的，就没有东西可学。可是在 80 个训练病人上，网络达到 {coins[-1, 0, 1]:.0%}，而在
    2000 个新病人上只有 {coins[-1, 2, 1]:.0%}。所以训练数据上的准确率，对新病人什么也说明不了。

    ## 代码

    随机失活只有两行，反向函数也用这个掩码。测试时什么也不丢，什么也不放大。
    """,
    )
    return


@app.cell
def _():
    def drop(x, rate, rng):
        mask = rng.random(x.shape) >= rate
        return mask * x / (1 - rate), mask

    return (drop,)


@app.cell(hide_code=True)
def _(drop):
    _x = np.random.default_rng(0).normal(size=(4, 5))
    _y, _mask = drop(_x, 0.4, np.random.default_rng(1))
    np.testing.assert_allclose(_y, ops.dropout(_x, mask=_mask, rate=0.4))
    short(drop)
    return


@app.cell(hide_code=True)
def _():
    card("dropout", "forward", "backward")
    return


@app.cell
def _():
    four, half = np.array([2.0, 4.0, 6.0, 8.0]), 0.5
    masks = np.array(list(itertools.product([False, True], repeat=4)))
    sums = np.array([ops.dropout(four, mask=mask, rate=half).sum() for mask in masks])
    one_mask = ops.dropout(four, mask=np.array([True, False, True, True]), rate=half)
    np.testing.assert_allclose(np.mean([ops.dropout(four, mask=mask, rate=half) for mask in masks], axis=0), four)
    assert one_mask.tolist() == [4, 0, 12, 16] and sums.mean() == four.sum() == 20
    return four, masks, sums


@app.cell(hide_code=True)
def _(four, masks, sums):
    text(
        f"""
    By numbers: (2, 4, 6, 8) with the mask (1, 0, 1, 1) and $r$ = 0.5 becomes (4, 0, 12, 16). Over all {len(masks)} masks, each number's mean is the
    number itself, and the mean of the sums is {sums.mean():g}, as without dropout. But single sums go from {sums.min():g} to {sums.max():g}, with
    a standard deviation of {sums.std():.1f}: this noise is the remedy. No unit can rely on one other unit, and none can afford to learn one patient
    by heart. Without the division by $1 - r$, sums in training would be {four.sum() * 0.5:g} on average and in the test {four.sum():g}.

    In the words of Keras, three of the remedies together:
    """,
        f"""
    用数来算：(2, 4, 6, 8)，掩码 (1, 0, 1, 1)，$r$ = 0.5，变成 (4, 0, 12, 16)。在全部 {len(masks)} 种掩码上，每个数的均值
    就是它自己，和的均值是 {sums.mean():g}，与不用随机失活时一样。但单个的和从 {sums.min():g} 到 {sums.max():g}，标准差是
    {sums.std():.1f}：这种噪声正是药方。哪个单元也不能只靠另一个单元，哪个单元也没有余力去背一个病人。
    如果不除以 $1 - r$，训练时的和平均是 {four.sum() * 0.5:g}，测试时却是 {four.sum():g}。

    用 Keras 的写法，三种办法合在一起：
    """,
    )
    return


@app.cell
def _():
    def careful(x, y, validation):
        hidden = Dense(64, "relu", kernel_regularizer=L2(0.01))
        model = Sequential([hidden, Dropout(0.5), Dense(1, "sigmoid")])
        model.compile("adam", "binary_crossentropy")
        stop = EarlyStopping(patience=10, restore_best_weights=True)
        model.fit(x, y, 16, 100, 0, validation_data=validation, callbacks=[stop])
        return model

    return (careful,)


@app.cell(hide_code=True)
def _(careful, clinic):
    tinydx.set_seed(0)
    _rng = np.random.default_rng(0)
    _model = careful(*clinic(80, 0.15, _rng)[:2], clinic(80, 0.15, _rng)[:2])
    assert _model.predict(np.zeros((3, 20), "float32")).shape == (3, 1)
    short(careful)
    return


@app.cell
def _(trained):
    SEEDS = 10
    remedies = {"none": {}, "L2 0.01": {"l2": 0.01}, "dropout 0.5": {"rate": 0.5}, "more data": {"patients": 320}}
    runs = {name: [trained(seed, **settings)[0] for seed in range(SEEDS)] for name, settings in remedies.items()}
    last = {name: np.array([run[-1, 2] for run in of_seed]) for name, of_seed in runs.items()}  # test loss and accuracy
    best = [int(run[:, 1, 0].argmin()) for run in runs["none"]]
    epoch = float(np.median(best)) + 1
    stopped = np.array([run[k, 2] for k, run in zip(best, runs["none"], strict=True)])
    last = {"none": last["none"], "early stopping": stopped, **last}

    def gain(name, what):
        """Against no remedy on the same seeds: mean and 95 % interval (Student's t with 9 degrees of freedom), positive is better."""
        differences = (last[name] - last["none"])[:, what] * (1 if what else -1)
        reach = 2.262 * differences.std(ddof=1) / np.sqrt(SEEDS)
        return differences, differences.mean(), differences.mean() - reach, differences.mean() + reach

    def verdict(low, high):
        if low > 0:
            return both("better", "更好")
        return both("worse", "更差") if high < 0 else both("can't tell", "无法判断")

    gains = {what: {name: gain(name, what) for name in list(last)[1:]} for what in (0, 1)}  # of the loss, of the accuracy
    assert gains[0].keys() == {"early stopping", "L2 0.01", "dropout 0.5", "more data"}
    return SEEDS, epoch, gains, last, verdict


@app.cell(hide_code=True)
def _(gains):
    _figure, _axes = canvas(2, 1, height=3.8)
    for _what, (_axis, _label) in enumerate(zip(_axes, ("gain in loss (nats)", "gain in accuracy (share)"), strict=True)):
        for _row, (_name, (_points, _mean, _low, _high)) in enumerate(gains[_what].items()):
            _axis.plot(_points, np.full(len(_points), _row), ".", color=GREY, markersize=3)
            _axis.plot([_low, _high], [_row - 0.25] * 2, color=BLUE, linewidth=2)
            _axis.plot(_mean, _row - 0.25, "o", color=BLUE, markersize=4)
        _axis.axvline(0, color=RED, linewidth=0.8)
        _axis.set(yticks=range(len(gains[_what])), yticklabels=list(gains[_what]), xlabel=_label)
        _axis.invert_yaxis()
    show(
        _figure,
        "For each remedy, the gain in test loss and in test accuracy with each seed, as dots, and the mean with its 95 % interval.",
        "每种办法在各种子上测试损失和测试准确率的改进（点），以及均值和它的 95 % 区间。",
    )
    return


@app.cell(hide_code=True)
def _(SEEDS, epoch, gains, last, verdict):
    def _table(what, code):
        chosen = {name: (mean, low, high, verdict(low, high)) for name, (_, mean, low, high) in gains[what].items()}
        return "\n    ".join(
            f"| {name} | {mean:+.3f} ({low:+.3f}, {high:+.3f}) | {getattr(words, code)} |"
            for name, (mean, low, high, words) in chosen.items()
        )

    _loss, _accuracy = (both(_table(what, "en"), _table(what, "zh")) for what in (0, 1))
    _unsure = sum(low <= 0 <= high for by_name in gains.values() for _, _, low, high in by_name.values())
    text(
        f"""
    ## Which remedy helps?

    Every seed gives new patients and new weights; all remedies get the same ones, except that "more data" has 320
    training patients instead of 80. Early stopping took the weights of epoch {epoch:.0f} (the median). A gain is a difference of two networks on the same
    2000 test patients, and below is its mean over {SEEDS} seeds with a 95 % {term("confidence interval")}. Without a remedy, the test
    loss is {last["none"][:, 0].mean():.2f} and the accuracy {last["none"][:, 1].mean():.3f}; guessing has {np.log(2):.2f} and 0.5; the rule itself 0.85.

    | loss falls by | mean, interval | here |
    |---|---|---|
    {_loss.en}

    | accuracy rises by | mean, interval | here |
    |---|---|---|
    {_accuracy.en}

    Of the {2 * len(gains[0])} rows, {_unsure} say "can't tell". That is an answer: whoever tries one seed sees one of the dots, on whichever side of 0 it lies. And loss and
    accuracy are different questions. A network that learned by heart is *sure* of its wrong answers, which costs much loss; a remedy
    that only makes it less sure changes no answer.

    ## A question

    A colleague tries 20 dropout rates, all of them useless, and reports the one whose 95 % interval lies above 0. How often does such a search find one?

    /// details | Answer
    Each interval lies wholly above 0 with a probability of 2.5 %, by chance. That none of 20 does has the probability $0.975^{{20}}$ (were they independent),
    so the search succeeds in **{1 - 0.975**20:.0%}** of all cases. Choose on validation patients, and then test the *one* choice on seeds
    and patients that had no part in it. Lesson {number("evaluation")} is about such tests.
    ///
    """,
        f"""
    ## 哪种办法有用？

    每个种子给出新的病人和新的初始权重，各种办法用的都相同，只有“更多数据”（more data）用 320 个训练病人，不是 80 个。
    早停取第 {epoch:.0f} 个轮次（中位数）的权重。改进是两个网络在同样 2000 个测试病人上的差，
    下面是它在 {SEEDS} 个种子上的均值和 95 % {term("confidence interval")}。不用任何办法时，测试损失是
    {last["none"][:, 0].mean():.2f}，准确率是 {last["none"][:, 1].mean():.3f}；随机猜测是 {np.log(2):.2f} 和 0.5；规则本身是 0.85。

    | 损失下降 | 均值，区间 | 这里 |
    |---|---|---|
    {_loss.zh}

    | 准确率上升 | 均值，区间 | 这里 |
    |---|---|---|
    {_accuracy.zh}

    在 {2 * len(gains[0])} 行中，有 {_unsure} 行是“无法判断”。这也是一个答案：只试一个种子的人只看到其中一个点，不管它落在 0 的哪一边。
    而且损失与准确率是两个问题。死记硬背的网络对自己的错误答案*很有把握*，这使损失大增；
    只让它不那么自信的办法，并不改变任何答案。

    ## 一个问题

    有位同事试了 20 个失活率，其实全都无用，他报告了 95 % 区间在 0 以上的那一个。这样的搜索有多大机会找到一个？

    /// details | 答案
    每个区间碰巧完全在 0 以上的概率是 2.5 %。20 个全都不是的概率是 $0.975^{{20}}$（假设它们相互独立），
    所以这样的搜索有 **{1 - 0.975**20:.0%}** 的机会成功。应当在验证病人上选择，再把选定的*那一个*放到没有参与选择的种子和病人上测试。
    第 {number("evaluation")} 课讲这样的检验。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("overfitting")
    return


if __name__ == "__main__":
    app.run()
