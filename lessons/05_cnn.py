"""The document's network, trained and read the right way round · 训练卷积神经网络

Minutes: 30
Exercises: sigmoid_bce, adam
Data: two class folders of images, or a MedMNIST .npz
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
    from tinydx.lessons.page import BLUE, GREY, RED, canvas, drawn, foot, head, own_data, said, show, term


@app.cell(hide_code=True)
def _():
    head(5)
    return


@app.cell(hide_code=True)
def _():
    mo.md(rf"""
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
    """)
    return


@app.cell
def _():
    own = own_data()
    if own:
        study = open_study(own, size=40, limit=128)  # at most 128 images of each class and split
        names, source = tuple(study.class_names), study.source
        (x_train, y_train), (x_test, y_test) = ((part.x / np.float32(255), part.y) for part in (study.train, study.test))
    else:
        names, source = CLASS_NAMES, "synthetic phantoms"
        images, labels = make_phantoms(416, seed=0, size=40)
        x = np.repeat(images[..., None], 3, axis=-1) / np.float32(255)  # (N,H,W,C): grey as three equal channels
        x_train, y_train, x_test, y_test = x[:256], labels[:256], x[256:], labels[256:]  # no image is in both
    if len(names) != 2:
        raise ValueError(f"{own} has {len(names)} classes: this lesson is about two")
    sick = positive_class(names)  # 0 or 1
    assert own or (names[sick] == "abnormal" and sick == 0)
    return names, own, sick, source, x_test, x_train, y_test, y_train


@app.cell(hide_code=True)
def _(own, source, x_test, x_train):
    _yours = f"""
    Your data, **{said(source)}**: {len(x_train)} images for training and {len(x_test)} for testing, of 40 x 40 pixels. `tinydx diagnose` takes
    the same data and uses all of it, at a larger size.
    """
    _synthetic = """
    No package includes labelled X-rays, so tinydx generates **synthetic phantoms**. They show no patient and no disease, and
    what is learned here says nothing about real X-rays. The opacities of the ill lung are a texture; both classes are equally
    bright.
    """
    mo.md(_yours if own else _synthetic)
    return


@app.cell(hide_code=True)
def _(names, source, x_train, y_train):
    _figure, _axes = canvas(2, 4, height=2.7)
    for _k, _row in enumerate(_axes):
        for _axis, _image in zip(_row, x_train[y_train == _k], strict=False):
            _axis.imshow(_image)
            _axis.set(xticks=[], yticks=[])
        _row[0].set_ylabel(f"class {_k}: {drawn(names[_k])}")
    _figure.supxlabel(f"{drawn(source)}, 40 x 40 pixels", fontsize=9)
    show(_figure, f"{source}: four of class {names[0]} in the upper row, four of class {names[1]} in the lower row.")
    return


@app.cell(hide_code=True)
def _(names):
    mo.md(f"""
    Class folders sort by name: **{said(names[0])} is class 0, {said(names[1])} is class 1**. Remember this order.

    ## Training

    The document's network, for smaller images, so that NumPy trains it while you read:

    ```python
    model = build_cnn((40, 40, 3), classes=2)
    model.fit(x_train, y_train, batch_size=16, epochs=8)
    ```

    The red line shows the loss on the test images, which is not used for training or for any choice.
    """)
    return


@app.cell
def _(x_test, x_train, y_test, y_train):
    tinydx.set_seed(0)
    tinydx.set_threads(1)  # such small matrices are fastest on one core
    model = build_cnn((40, 40, 3), classes=2)
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
    show(_figure, "The loss of training and of test images over the epochs, and the loss of guessing.")
    return


@app.cell(hide_code=True)
def _(names, own, p, sick, y_test):
    ill = y_test == sick
    p_ill = p if sick else 1 - p
    right_by_document = int(((p >= 0.5) == ill).sum())  # the document's last line: from 0.5 on it says abnormal
    right = int(((p_ill >= 0.5) == ill).sum())
    assert own or right + right_by_document == len(ill)
    _learned = "learned well" if right > 0.8 * len(ill) else "learned little here"
    _verdict = (
        f"Here the names happen to sort in the order that this line needs. If {said(names[1])} were called *abnormal*, it would invert every answer."
        if sick
        else f"The network {_learned}, and the last line inverted every answer."
    )
    mo.md(f"""
    ## Which way round?

    The document ends with `'Normal' if prediction < 0.5 else 'Abnormal'`. This line is right for **{right_by_document}** of
    {len(ill)} test images. With class 1 read as {said(names[1])}, the same probabilities are right for **{right}**.

    {_verdict} `model.predict_classes` takes the names from the folders, so this cannot happen, and `predict` warns.
    """)
    return ill, p_ill, right, right_by_document


@app.cell(hide_code=True)
def _(names, sick):
    mo.md(f"""
    ## See it: the threshold is a choice

    An image is called {said(names[sick])} where P({said(names[sick])}) = {"p" if sick else "1 - p"} reaches the threshold. Move the threshold.
    """)
    return


@app.cell
def _():
    threshold = mo.ui.slider(0.02, 0.98, step=0.02, value=0.5, label="threshold", show_value=True, full_width=True)
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
    _left.axvline(threshold.value, color="black", zorder=0)
    _left.set(xlabel=f"P({drawn(names[sick])})", ylabel="test images", title="what it says")
    _left.legend(loc="upper center", framealpha=1, edgecolor="none")
    _false, _true, _ = roc_curve(ill, p_ill)
    _right.plot(_false, _true, color=GREY)
    _right.plot(1 - specificity, sensitivity, "o", color="black")
    _right.set(xlabel="1 - specificity (share)", ylabel="sensitivity (share)", title="ROC curve", aspect="equal")
    show(
        _figure,
        "Left, how the probabilities of the ill and the healthy spread, with the threshold as a line. Right, the ROC "
        "curve, with the point of this threshold.",
    )
    return


@app.cell(hide_code=True)
def _(auc, auc_high, auc_low, called, ill, names, sensitivity, sick, specificity, threshold):
    _ill, _healthy = said(names[sick]), said(names[1 - sick])
    mo.md(f"""
    | threshold {threshold.value:.2f} | called {_ill} | called {_healthy} |
    |---|---|---|
    | **{_ill}** | {int(called[ill].sum())} | {int((~called[ill]).sum())} missed |
    | **{_healthy}** | {int(called[~ill].sum())} alarmed | {int((~called[~ill]).sum())} |

    This table is the {term("confusion matrix")}. The {term("sensitivity")}, the share of the ill who are found, is {sensitivity:.2f}.
    The {term("specificity")}, the share of the healthy who cause no alarm, is {specificity:.2f}. When one rises, the other falls; the
    {term("ROC curve")} shows all choices at once. The area under it is {auc:.3f} (95 % interval {auc_low:.3f} to {auc_high:.3f}). It is the
    probability that an ill image gets a higher score than a healthy one.

    ## A question

    A screening test will be used where 1 person in 100 is ill. At this threshold, of 100 who are called {_ill}, how many are ill?

    /// details | Answer
    Of 10,000 people, 100 are ill, and {100 * sensitivity:.0f} of these are called {_ill}. Of the 9,900 healthy, {9900 * (1 - specificity):.0f} are, too.
    So about **{100 * 100 * sensitivity / max(100 * sensitivity + 9900 * (1 - specificity), 1):.0f}** of 100 are ill. In the
    test set {ill.mean():.0%} are ill, many more than in the population. (A specificity of 1.00 only means that none of {int((~ill).sum())} healthy images was called {_ill}.)
    ///
    """)
    return


@app.cell(hide_code=True)
def _():
    foot(5)
    return


if __name__ == "__main__":
    app.run()
