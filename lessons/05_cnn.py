"""The document's network, trained and read the right way round · 训练卷积神经网络

Minutes: 30
Exercises: sigmoid_bce
Data: two class folders of images, or a MedMNIST .npz · 两个类别文件夹的图像，或一个 MedMNIST 的 .npz 文件
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="The document's network", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx.datasets.phantom import CLASS_NAMES, make_phantoms
    from tinydx.diagnosis.kinds.image import build_cnn, open_study
    from tinydx.evaluation import bootstrap_interval, positive_class, roc_auc, roc_curve
    from tinydx.layers import Conv2D, Dense, Flatten, MaxPooling2D
    from tinydx.lessons.page import (
        BLUE,
        GREY,
        RED,
        both,
        canvas,
        code,
        drawn,
        foot,
        head,
        own_data,
        said,
        short,
        show,
        term,
        text,
    )
    from tinydx.models import Sequential


@app.cell(hide_code=True)
def _():
    head("cnn")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - train the document's {term("convolutional neural network")}, and see whether it learns;
    - turn its {term("probability")} into a diagnosis, **the right way round**;
    - choose a {term("threshold")} by its cost for the ill and for the healthy.

    ## The equations

    The network ends in one number $p$ between 0 and 1. The {term("loss")} compares it with the {term("label")} $t$, 0 or 1:

    $$L = -t \ln p - (1-t) \ln (1-p)$$

    Every training step moves each weight a little against its gradient, which is computed from a {term("batch")} of a few
    images. A pass over all images is an {term("epoch")}.

    ## The images
    """,
        rf"""
    学完这一课，你能够

    - 训练文中的{term("convolutional neural network")}，并看出它有没有学到东西；
    - 把它的{term("probability")}变成诊断，而且**不把两类弄反**；
    - 根据对患者和健康者的代价来选{term("threshold")}。

    ## 公式

    网络最后是一个 0 与 1 之间的数 $p$。{term("loss")}把它与{term("label")} $t$（0 或 1）比较：

    $$L = -t \ln p - (1-t) \ln (1-p)$$

    每个训练步都把每个权重沿梯度的反方向移动一点；梯度由一个{term("batch")}，即少数几张图像算出。
    把全部图像用一遍，叫一个{term("epoch")}。

    ## 图像
    """,
    )
    return


@app.cell
def _():
    own = own_data()
    if own:
        study = open_study(own, size=32, limit=128)  # at most 128 images of each class and split
        names, source = tuple(study.class_names), study.source
        (x_train, y_train), (x_test, y_test) = ((part.x / np.float32(255), part.y) for part in (study.train, study.test))
    else:
        names, source = CLASS_NAMES, "synthetic phantoms"
        images, labels = make_phantoms(416, seed=0, size=32)
        x = np.repeat(images[..., None], 3, axis=-1) / np.float32(255)  # (N,H,W,C): grey as three equal channels
        x_train, y_train, x_test, y_test = x[:256], labels[:256], x[256:], labels[256:]  # no image is in both
    if len(names) != 2:
        raise ValueError(f"{own} has {len(names)} classes: this lesson is about two")
    sick = positive_class(names)  # 0 or 1
    assert own or (names[sick] == "abnormal" and sick == 0)
    return names, own, sick, source, x_test, x_train, y_test, y_train


@app.cell(hide_code=True)
def _(own, source, x_test, x_train):
    _yours = both(
        f"""
    Your data, **{said(source)}**: {len(x_train)} images for training and {len(x_test)} for testing, of 32 x 32 pixels. `tinydx diagnose`
    takes the same data and uses all of it, at a larger size.
    """,
        f"""
    你的数据 **{said(source)}**：{len(x_train)} 张图像用于训练，{len(x_test)} 张用于测试，大小为 32 x 32 像素。`tinydx diagnose`
    接受同样的数据，并以更大的尺寸使用全部图像。
    """,
    )
    _synthetic = both(
        """
    No package includes labelled X-rays, so tinydx generates **synthetic phantoms**. They show no patient and no disease, and
    what is learned here says nothing about real X-rays. The opacities of the ill lung are a texture; both classes are equally
    bright.
    """,
        """
    没有哪个软件包附带有标签的 X 光片，所以 tinydx 生成**合成模体**。它们不是任何病人，也没有任何疾病，
    在这里学到的东西对真实的 X 光片毫无意义。患病肺部的阴影是一种纹理；两个类别的亮度相同。
    """,
    )
    _told = _yours if own else _synthetic
    text(_told.en, _told.zh)
    return


@app.cell(hide_code=True)
def _(names, source, x_train, y_train):
    _figure, _axes = canvas(2, 4, height=2.7)
    for _k, _row in enumerate(_axes):
        for _axis, _image in zip(_row, x_train[y_train == _k], strict=False):
            _axis.imshow(_image)
            _axis.set(xticks=[], yticks=[])
        _row[0].set_ylabel(f"class {_k}: {drawn(names[_k])}")
    _figure.supxlabel(f"{drawn(source)}, 32 x 32 pixels", fontsize=9)
    show(
        _figure,
        f"{source}: four of class {names[0]} in the upper row, four of class {names[1]} in the lower row.",
        f"{source}：上面一行四张属于类别 {names[0]}，下面一行四张属于类别 {names[1]}。",
    )
    return


@app.cell(hide_code=True)
def _(names):
    text(
        f"""
    Class folders sort by name: **{said(names[0])} is class 0, {said(names[1])} is class 1**. Remember this order.

    ## The code

    The document's network, for smaller images, so that a laptop trains it while you read.
    """,
        f"""
    类别文件夹按名称排序：**{said(names[0])} 是类别 0，{said(names[1])} 是类别 1**。记住这个顺序。

    ## 代码

    文中的网络，改用较小的图像，这样在你阅读时，笔记本电脑就能训练好。
    """,
    )
    return


@app.cell
def _():
    def network():
        model = Sequential([Conv2D(32, 3, activation="relu", input_shape=(32, 32, 3))])
        for channels in (64, 128):
            model.add(MaxPooling2D(2))
            model.add(Conv2D(channels, 3, activation="relu"))
        for layer in (MaxPooling2D(2), Flatten(), Dense(512, "relu"), Dense(1, "sigmoid")):
            model.add(layer)
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        return model

    return (network,)


@app.cell(hide_code=True)
def _(network):
    assert network().count_params() == build_cnn((32, 32, 3), classes=2).count_params()
    short(network)
    return


@app.cell(hide_code=True)
def _():
    code(build_cnn)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's own takes more than two classes, too. Training is one line:

    ```python
    model.fit(x_train, y_train, batch_size=16, epochs=8)
    ```

    The red line shows the loss on the test images, which is not used for training or for any choice. In the browser, the figure
    and what follows appear when the training is done.
    """,
        """
    引擎的版本也能处理多于两个类别。训练只要一行：

    ```python
    model.fit(x_train, y_train, batch_size=16, epochs=8)
    ```

    红线是测试图像的损失，它不参与训练，也不参与任何选择。在浏览器里，训练完成后，这张图和后面的内容才会出现。
    """,
    )
    return


@app.cell
def _(network, x_test, x_train, y_test, y_train):
    tinydx.set_seed(0)
    tinydx.set_threads(1)  # such small matrices are fastest on one core
    model = network()
    watched = model.fit(x_train, y_train, batch_size=16, epochs=8, validation_data=(x_test, y_test), verbose=0)
    history = watched.history
    p = model.predict(x_test)[:, 0]  # the sigmoid is the probability of class 1
    return history, p


@app.cell(hide_code=True)
def _(history):
    _figure, _axis = canvas(height=2.3)
    _epochs = np.arange(1, len(history["loss"]) + 1)
    _axis.plot(_epochs, history["loss"], "o-", color=BLUE, label="training images")
    _axis.plot(_epochs, history["val_loss"], "o-", color=RED, label="test images")
    _axis.axhline(np.log(2), color=GREY, linewidth=0.8)
    _axis.text(_epochs[-1], np.log(2) + 0.01, "guessing", color=GREY, ha="right")
    _axis.set(title="loss", xlabel="epochs", ylabel="loss (nats an image)", ylim=(0, None))
    _axis.legend(frameon=False)
    show(
        _figure,
        "The loss of training and of test images over the epochs, and the loss of guessing.",
        "各轮次的训练损失和测试损失，以及随机猜测的损失。",
    )
    return


@app.cell(hide_code=True)
def _(names, own, p, sick, y_test):
    ill = y_test == sick
    p_ill = p if sick else 1 - p
    right_by_document = int(((p >= 0.5) == ill).sum())  # the document's last line: from 0.5 on it says abnormal
    right = int(((p_ill >= 0.5) == ill).sum())
    assert own or right + right_by_document == len(ill)
    _learned = both("learned well", "学得很好") if right > 0.8 * len(ill) else both("learned little here", "在这里学到的不多")
    _verdict = both(
        f"The network {_learned.en}, and the last line inverted every answer.",
        f"网络{_learned.zh}，而最后一行把每个答案都弄反了。",
    )
    if sick:
        _verdict = both(
            f"Here the names happen to sort in the order that this line needs. If {said(names[1])} were called *abnormal*, it would "
            "invert every answer.",
            f"这里的名称碰巧按这一行需要的顺序排列。如果 {said(names[1])} 叫作 *abnormal*，这一行就会把每个答案都弄反。",
        )
    text(
        f"""
    ## Which way round?

    The document ends with `'Normal' if prediction < 0.5 else 'Abnormal'`. This line is right for **{right_by_document}** of
    {len(ill)} test images. With class 1 read as {said(names[1])}, the same probabilities are right for **{right}**.

    {_verdict.en} `model.predict_classes` takes the names from the folders, so this cannot happen, and `predict` warns.
    """,
        f"""
    ## 有没有弄反？

    文中最后一行是 `'Normal' if prediction < 0.5 else 'Abnormal'`。这一行在
    {len(ill)} 张测试图像中对了 **{right_by_document}** 张。若把类别 1 读作 {said(names[1])}，同样的概率对了 **{right}** 张。

    {_verdict.zh} `model.predict_classes` 从文件夹取得名称，所以不会弄反，`predict` 也会给出警告。
    """,
    )
    return ill, p_ill, right, right_by_document


@app.cell(hide_code=True)
def _(names, sick):
    text(
        f"""
    ## See it: the threshold is a choice

    An image is called {said(names[sick])} where P({said(names[sick])}) = {"p" if sick else "1 - p"} reaches the threshold. Move the threshold.
    """,
        f"""
    ## 看一看：阈值是一种选择

    当 P({said(names[sick])}) = {"p" if sick else "1 - p"} 达到阈值时，图像称为 {said(names[sick])}。移动阈值。
    """,
    )
    return


@app.cell
def _():
    threshold = mo.ui.slider(0.02, 0.98, step=0.02, value=0.5, label="threshold · 阈值", show_value=True, full_width=True)
    threshold
    return (threshold,)


@app.cell
def _(ill, p_ill, threshold):
    called = p_ill >= threshold.value
    sensitivity, specificity = called[ill].mean(), (~called[~ill]).mean()
    auc = roc_auc(ill, p_ill)
    auc_low, auc_high = bootstrap_interval(roc_auc, ill, p_ill, samples=300, strata=ill)
    return auc, auc_high, auc_low, called, sensitivity, specificity


@app.cell(hide_code=True)
def _(ill, names, p_ill, sensitivity, sick, specificity, threshold):
    _figure, (_left, _right) = canvas(1, 2, height=2.5)
    _bins = np.linspace(0, 1, 21)
    _labels = [drawn(names[1 - sick]), drawn(names[sick])]
    _left.hist([p_ill[~ill], p_ill[ill]], _bins, stacked=True, color=[BLUE, RED], label=_labels)
    _left.axvline(threshold.value, ymax=0.7, color="black", zorder=0)
    _left.margins(y=0.45)  # above the bars and the threshold there is room for the legend
    _left.set(xlabel=f"P({drawn(names[sick])})", ylabel="test images", title="what it says")
    _left.legend(loc="upper center", frameon=False)
    _false, _true, _ = roc_curve(ill, p_ill)
    _right.plot(_false, _true, color=GREY)
    _right.plot(1 - specificity, sensitivity, "o", color="black")
    _right.set(xlabel="1 - specificity (share)", ylabel="sensitivity (share)", title="ROC curve", aspect="equal")
    show(
        _figure,
        "Left, how the probabilities of the ill and the healthy spread, with the threshold as a line. Right, the ROC "
        "curve, with the point of this threshold.",
        "左图：患者和健康者的概率怎样分布，竖线是阈值。右图：受试者工作特征曲线，以及这个阈值对应的点。",
    )
    return


@app.cell(hide_code=True)
def _(auc, auc_high, auc_low, called, ill, names, sensitivity, sick, specificity, threshold):
    _ill, _healthy = said(names[sick]), said(names[1 - sick])
    text(
        f"""
    | threshold {threshold.value:.2f} | called {_ill} | called {_healthy} |
    |---|---|---|
    | **{_ill}** | {int(called[ill].sum())} | {int((~called[ill]).sum())} missed |
    | **{_healthy}** | {int(called[~ill].sum())} alarmed | {int((~called[~ill]).sum())} |

    This table is the {term("confusion matrix")}. The {term("sensitivity")}, the share of the ill who are found, is {sensitivity:.3f}.
    The {term("specificity")}, the share of the healthy who cause no alarm, is {specificity:.3f}. When one rises, the other falls; the
    {term("ROC curve")} shows all choices at once. The area under it is {auc:.3f} (95 % interval {auc_low:.3f} to {auc_high:.3f}). It is the
    probability that an ill image gets a higher score than a healthy one.

    ## A question

    A screening test will be used where 1 person in 100 is ill. At this threshold, of 100 who are called {_ill}, how many are ill?

    /// details | Answer
    Of 10,000 people, 100 are ill, and {100 * sensitivity:.0f} of these are called {_ill}. Of the 9,900 healthy, {9900 * (1 - specificity):.0f} are, too.
    So about **{100 * 100 * sensitivity / max(100 * sensitivity + 9900 * (1 - specificity), 1):.0f}** of 100 are ill. In the
    test set {ill.mean():.0%} are ill, many more than in the population. (A specificity of 1.00 only means that none of {int((~ill).sum())} healthy images was called {_ill}.)
    ///
    """,
        f"""
    | 阈值 {threshold.value:.2f} | 称为 {_ill} | 称为 {_healthy} |
    |---|---|---|
    | **{_ill}** | {int(called[ill].sum())} | {int((~called[ill]).sum())} 漏诊 |
    | **{_healthy}** | {int(called[~ill].sum())} 误报 | {int((~called[~ill]).sum())} |

    这张表叫{term("confusion matrix")}。{term("sensitivity")}是患者中被找出的比例，这里是 {sensitivity:.3f}。
    {term("specificity")}是健康者中没有引起误报的比例，这里是 {specificity:.3f}。一个升高，另一个就降低；
    {term("ROC curve")}一次画出所有的选择。曲线下的面积是 {auc:.3f}（95 % 置信区间 {auc_low:.3f} 至 {auc_high:.3f}），
    它是患者图像的得分高于健康图像的概率。

    ## 一个问题

    一项筛查用在 100 人中有 1 人患病的人群。用这个阈值，在 100 个被称为 {_ill} 的人中，有多少人真的患病？

    /// details | 答案
    在 10,000 人中有 100 人患病，其中 {100 * sensitivity:.0f} 人被称为 {_ill}。9,900 个健康者中也有 {9900 * (1 - specificity):.0f} 人被这样称呼。
    所以 100 人中约有 **{100 * 100 * sensitivity / max(100 * sensitivity + 9900 * (1 - specificity), 1):.0f}** 人真的患病。
    测试集中 {ill.mean():.0%} 患病，远多于人群。（特异度 1.00 只说明 {int((~ill).sum())} 张健康图像中没有一张被称为 {_ill}。）
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("cnn")
    return


if __name__ == "__main__":
    app.run()
