"""How good is it, and how sure are we? · 模型评估

Minutes: 35
Exercises: roc_area
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Evaluation", css_file="lesson.css")

with app.setup:
    from statistics import NormalDist

    import marimo as mo
    import numpy as np

    from tinydx.evaluation import bootstrap_interval, calibration_curve, expected_calibration_error, roc_auc, wilson_interval
    from tinydx.lessons.page import BLUE, GREY, RED, canvas, code, foot, head, short, show, term, text


@app.cell(hide_code=True)
def _():
    head("evaluation")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - say what an area under the {term("ROC curve")} means, and how far to trust one from a small test set;
    - split data by patient, so that the test is honest;
    - distinguish a model that ranks well from one whose probabilities are right.

    ## The equations

    The area is the probability that an ill patient's score $s$ is above a healthy one's (ties count half):

    $$\mathrm{{AUC}} = P(s_{{ill}} > s_{{healthy}})$$

    A share $\hat p$ of $n$ patients, such as a {term("sensitivity")}, is known only within its {term("confidence interval")}. Wilson's
    interval works for few patients, too. With $z = 1.96$, its centre and half width are

    $$\frac{{\hat p + z^2 / 2n}}{{1 + z^2 / n}}$$

    $$\frac{{z}}{{1 + z^2 / n}} \left( \frac{{\hat p (1 - \hat p)}}{{n}} + \frac{{z^2}}{{4 n^2}} \right)^{{1/2}}$$

    ## See it: how many patients does a claim need?

    The scores are generated, so the truth is known: the ill have a mean one standard deviation above the healthy. Choose how many patients are tested.
    """,
        rf"""
    学完这一课，你能够

    - 说出{term("ROC curve")}下的面积是什么意思，以及小测试集得到的面积有多可信；
    - 按病人划分数据，使测试诚实；
    - 区分排序好的模型与概率正确的模型。

    ## 公式

    面积就是患者的得分 $s$ 高于健康者的概率（相等算一半）：

    $$\mathrm{{AUC}} = P(s_{{ill}} > s_{{healthy}})$$

    $n$ 个病人中的比例 $\hat p$，例如{term("sensitivity")}，只能知道它在{term("confidence interval")}之内。Wilson 区间
    在病人少的时候也管用。取 $z = 1.96$，它的中心和半宽是

    $$\frac{{\hat p + z^2 / 2n}}{{1 + z^2 / n}}$$

    $$\frac{{z}}{{1 + z^2 / n}} \left( \frac{{\hat p (1 - \hat p)}}{{n}} + \frac{{z^2}}{{4 n^2}} \right)^{{1/2}}$$

    ## 看一看：一个结论需要多少病人？

    得分是生成的，所以真值已知：患者的平均值比健康者高一个标准差。选择测试多少病人。
    """,
    )
    return


@app.cell
def _():
    patients = mo.ui.slider(
        steps=[20, 40, 80, 160, 320, 640], value=40, label="patients in the test · 测试的病人数", show_value=True, full_width=True
    )
    patients
    return (patients,)


@app.cell
def _(patients):
    DISTANCE = 1.0
    true_auc = NormalDist().cdf(DISTANCE / np.sqrt(2))

    def patients_of(n, seed):
        """Outcomes and scores of n patients, half of them ill."""
        ill = np.arange(n) % 2
        return ill, np.random.default_rng(seed).normal(size=n) + DISTANCE * ill

    def measured(n, seed):
        """The area of one test set, and its 95 % interval."""
        ill, score = patients_of(n, seed)
        return roc_auc(ill, score), *bootstrap_interval(roc_auc, ill, score, samples=100, strata=ill, seed=seed)

    hospitals = np.array([measured(patients.value, seed) for seed in range(20)])  # (20, 3): area, low, high
    found = (hospitals[:, 1] <= true_auc) & (true_auc <= hospitals[:, 2])
    width = float((hospitals[:, 2] - hospitals[:, 1]).mean())
    spread = hospitals[:, 0].min(), hospitals[:, 0].max()
    assert found.mean() > 0.6 and spread[0] < true_auc < spread[1]
    return found, hospitals, patients_of, spread, true_auc, width


@app.cell(hide_code=True)
def _(found, hospitals, true_auc):
    _figure, _axis = canvas(height=3.0)
    for _i, ((_area, _low, _high), _ok) in enumerate(zip(hospitals, found, strict=True), start=1):
        _axis.plot([_low, _high], [_i, _i], color=BLUE if _ok else RED, linewidth=1.2)
        _axis.plot(_area, _i, "o", color=BLUE if _ok else RED, markersize=4)
    _axis.axvline(true_auc, color=GREY, linewidth=1)
    _axis.set(xlabel="area under the ROC curve (share)", ylabel="test set (number)", xlim=(0.4, 1), yticks=[1, 5, 10, 15, 20])
    show(
        _figure,
        "Twenty test sets of the same model: the area each measures, with its interval, around the true area as a line.",
        "同一个模型的二十个测试集：每个测得的面积和它的区间，竖线是真正的面积。",
    )
    return


@app.cell(hide_code=True)
def _(found, patients, spread, true_auc, width):
    _few, _many, _claim = wilson_interval(19, 20), wilson_interval(950, 1000), f"{19 / 20:.0%}"
    text(
        f"""
    Twenty hospitals test **the same** model, each with {patients.value} patients. Its true area is {true_auc:.3f}; they report areas from
    {spread[0]:.2f} to {spread[1]:.2f}. The intervals are {width:.2f} wide on average, and {int(found.sum())} of {len(found)} contain the truth (with larger test
    sets, about 95 % of many intervals do). Four times as many patients halve the width.

    "A sensitivity of {_claim}" measured as 19 of 20 means {_few[0]:.0%} to {_few[1]:.0%}; measured as 950 of 1000, it means {_many[0]:.0%} to {_many[1]:.0%}.
    Therefore tinydx's reports give every number with its interval.

    ## The code

    The area counts every pair of an ill and a healthy patient.
    """,
        f"""
    二十家医院测试**同一个**模型，每家 {patients.value} 个病人。它真正的面积是 {true_auc:.3f}；它们报告的面积从
    {spread[0]:.2f} 到 {spread[1]:.2f}。区间平均宽 {width:.2f}，{len(found)} 个中有 {int(found.sum())} 个包含真值（测试集更大时，
    许多区间中约有 95 % 包含真值）。病人增加到四倍，宽度减半。

    “灵敏度 {_claim}”，如果是 20 人中 19 人，意思是 {_few[0]:.0%} 到 {_few[1]:.0%}；如果是 1000 人中 950 人，则是 {_many[0]:.0%} 到 {_many[1]:.0%}。
    所以 tinydx 的报告给每个数都附上区间。

    ## 代码

    面积就是数一数每一对患者和健康者。
    """,
    )
    return


@app.cell
def _():
    def area_of(ill, score):
        won = 0.0
        for s in score[ill == 1]:
            for t in score[ill == 0]:
                won += 1.0 if s > t else 0.5 if s == t else 0.0
        return won / (ill == 1).sum() / (ill == 0).sum()

    return (area_of,)


@app.cell(hide_code=True)
def _(area_of, patients_of):
    _ill, _score = patients_of(80, 0)
    np.testing.assert_allclose(area_of(_ill, _score.round(1)), roc_auc(_ill, _score.round(1)))
    short(area_of)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine computes the same number by sorting, which is much faster; and Wilson's interval:
    """,
        """
    引擎用排序来算同样的数，快得多；还有 Wilson 区间：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(roc_auc, wilson_interval)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    ## A test that tests nothing

    These data are generated, too: 60 patients with 8 images each. The images of a patient resemble each other, and **nothing** in them
    distinguishes the ill from the healthy. The model is very simple: it predicts the label of the most similar training image.
    """,
        """
    ## 什么也没有测到的测试

    这些数据也是生成的：60 个病人，每人 8 张图像。同一病人的图像彼此相似，而其中**没有任何东西**
    区分患者与健康者。模型很简单：它预测最相似的训练图像的标签。
    """,
    )
    return


@app.cell
def _():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(60), 8)
    illness = np.repeat(rng.permutation(60) % 2, 8)
    features = rng.normal(size=(60, 10))[patient] + 0.5 * rng.normal(size=(480, 10))

    def accuracy(fold):
        """The accuracy of each of five folds of cross-validation; `fold` (480,) is the fold in which an image is tested."""
        right = []
        for k in range(5):
            train, test = fold != k, fold == k
            distance = ((features[test, None] - features[None, train]) ** 2).sum(axis=-1)
            right.append((illness[train][distance.argmin(axis=1)] == illness[test]).mean())
        return np.array(right)

    by_image = accuracy(rng.permutation(480) % 5)
    by_patient = accuracy((rng.permutation(60) % 5)[patient])
    assert by_image.mean() > 0.9 and by_patient.mean() < 0.65
    return by_image, by_patient


@app.cell(hide_code=True)
def _(by_image, by_patient):
    _figure, _axis = canvas(height=2.0)
    for _y, (_shares, _colour) in enumerate(((by_image, RED), (by_patient, BLUE))):
        _axis.plot(_shares, np.full(5, _y), "o", color=_colour, alpha=0.6)
    _axis.axvline(0.5, color=GREY, linewidth=1)
    _axis.set(yticks=[0, 1], yticklabels=["by image", "by patient"], ylim=(1.5, -0.5), xlim=(0.2, 1.02))
    _axis.set(xlabel="accuracy of each fold (share)", title="five folds of cross-validation")
    show(
        _figure,
        "Split by image, all five folds are near 1; split by patient they scatter around one half.",
        "按图像划分，五折都接近 1；按病人划分，散布在一半附近。",
    )
    return


@app.cell(hide_code=True)
def _(by_image, by_patient):
    text(
        f"""
    With a split by image, {term("cross-validation")} reports an accuracy of **{by_image.mean():.0%}**. With a split by patient it reports {by_patient.mean():.0%}: guessing,
    which is the truth. In the split by image, every test image has siblings in training, and the model recognises the *person*.
    `tinydx diagnose` splits by patient wherever file names tell patients apart, and says so where they do not.

    ## What does 0.9 mean?

    A model can rank perfectly and still be much too confident. Its numbers are probabilities only if about 90 of 100 patients with
    a number of 0.9 are ill: this is {term("calibration")}.
    """,
        f"""
    按图像划分，{term("cross-validation")}报告准确率 **{by_image.mean():.0%}**。按病人划分则是 {by_patient.mean():.0%}：瞎猜，
    这才是真相。按图像划分时，每张测试图像在训练集中都有同一病人的图像，模型认出的是*人*。
    只要文件名能区分病人，`tinydx diagnose` 就按病人划分；不能区分时，它会明说。

    ## 0.9 是什么意思？

    模型可以排序完美，却仍然过于自信。只有当得到 0.9 的 100 个病人中约有 90 个患病，它的数才是概率：
    这叫{term("calibration")}。
    """,
    )
    return


@app.cell
def _():
    sureness = mo.ui.slider(
        0.3,
        4,
        step=0.1,
        value=2.5,
        label="confidence of the model, a factor · 模型的自信，系数",
        show_value=True,
        full_width=True,
    )
    sureness
    return (sureness,)


@app.cell
def _(sureness):
    logit = np.random.default_rng(1).normal(0, 1.5, 4000)  # the true log-odds of each patient
    outcome = (np.random.default_rng(2).random(4000) < 1 / (1 + np.exp(-logit))).astype(int)
    said = 1 / (1 + np.exp(-sureness.value * logit))
    bins = [b for b in calibration_curve(outcome, said) if b["count"]]
    error, area = expected_calibration_error(outcome, said), roc_auc(outcome, said)
    honest = 1 / (1 + np.exp(-logit))
    assert np.isclose(area, roc_auc(outcome, honest)) and expected_calibration_error(outcome, honest) < 0.03
    return area, bins, error


@app.cell(hide_code=True)
def _(bins):
    _figure, _axis = canvas(height=2.7)
    _axis.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    _axis.plot([b["predicted"] for b in bins], [b["observed"] for b in bins], "o-", color=BLUE)
    _axis.set(xlabel="predicted: P(ill)", ylabel="observed: ill (share)", aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    show(
        _figure,
        "The share of the ill among those who got about the same probability, against that probability; a calibrated model follows the diagonal.",
        "得到大致相同概率的病人中患者的比例，随这个概率变化；校准的模型沿着对角线。",
    )
    return


@app.cell(hide_code=True)
def _(area, error, sureness):
    text(
        f"""
    With a confidence factor of {sureness.value:g}, the probabilities are off by {error:.2f} on average. The area stays **{area:.3f}** wherever you put
    the slider, because the ranking does not change. But a doctor who reads the probabilities is misled.

    ## A question

    You try 50 settings and choose the one with the best area on the test set. What is wrong with reporting this area?

    /// details | Answer
    The best of 50 results owes part of its rank to luck. The test set has become part of training, because it made the choice. Choose on
    a validation set, and use the test set once. Therefore `tinydx diagnose` splits the data into three parts.
    ///
    """,
        f"""
    自信系数为 {sureness.value:g} 时，概率平均偏差 {error:.2f}。无论滑块在哪里，面积都是 **{area:.3f}**，
    因为排序不变。但读这些概率的医生会被误导。

    ## 一个问题

    你试了 50 种设置，选出测试集上面积最大的一种。报告这个面积错在哪里？

    /// details | 答案
    50 个结果中最好的一个，部分是靠运气排到前面的。测试集参与了选择，就成了训练的一部分。要在验证集上选择，
    测试集只用一次。所以 `tinydx diagnose` 把数据分成三部分。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("evaluation")
    return


if __name__ == "__main__":
    app.run()
