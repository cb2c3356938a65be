"""Pooling and the dense layer · 池化与全连接层

Minutes: 25
Needs: scikit-image
Exercises: max_pool, average_pool, dense
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Pooling and the dense layer", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np
    from skimage import data

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx import ops
    from tinydx.diagnosis.kinds.image import build_cnn
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, card, foot, head, short, show, term, text


@app.cell(hide_code=True)
def _():
    head("pooling_dense")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - say what {term("max pooling")} and {term("average pooling")} keep of an image, and what they lose;
    - propagate a gradient back through both;
    - compute how many parameters a {term("dense layer")} has, and say where most of a network's parameters are.

    ## The equations

    A window of size $s \times s$ becomes one number, its largest or its mean. Here $i$, $j$, $p$ and $q$ count from 0:

    $$y(i,j) = \max_{{p,q}}\; x(si+p,\, sj+q)$$

    $$y(i,j) = \frac{{1}}{{s^2}} \sum_{{p,q}} x(si+p,\, sj+q)$$

    The dense layer at the end computes weighted sums of all remaining numbers:

    $$y_f = \sum_{{d}} x_d\, w_{{df}} + b_f$$
    """,
        rf"""
    学完这一课，你能够

    - 说出{term("max pooling")}和{term("average pooling")}保留了图像的什么，丢掉了什么；
    - 让梯度反向通过这两种池化；
    - 算出{term("dense layer")}有多少参数，并说出网络的大部分参数在哪里。

    ## 公式

    大小为 $s \times s$ 的窗口变成一个数，取最大值或平均值。这里 $i$、$j$、$p$、$q$ 从 0 数起：

    $$y(i,j) = \max_{{p,q}}\; x(si+p,\, sj+q)$$

    $$y(i,j) = \frac{{1}}{{s^2}} \sum_{{p,q}} x(si+p,\, sj+q)$$

    最后的全连接层对剩下的全部数做加权求和：

    $$y_f = \sum_{{d}} x_d\, w_{{df}} + b_f$$
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    ## See it

    A detail of a real retina, in green light. The lines are vessels; the two small dark dots are **microaneurysms**,
    the first sign of diabetic retinopathy. Make the window larger, and watch the dots.
    """,
        """
    ## 看一看

    这是一张真实视网膜的局部，用绿光拍摄。线条是血管；两个小黑点是**微动脉瘤**，
    糖尿病视网膜病变最早的征象。把窗口调大，注意这两个点。
    """,
    )
    return


@app.cell
def _():
    retina = data.microaneurysms() / 255  # (102,102), 1 is white
    size = mo.ui.slider(1, 8, value=4, label="window, pixels · 窗口，像素", show_value=True, full_width=True)
    size
    return retina, size


@app.cell
def _(retina, size):
    def contrast(pooled, size):
        """How much darker the upper dot is than the median of the pooled image, in grey levels."""
        dot = pooled[16 // size : 28 // size + 1, 9 // size : 20 // size + 1]
        return 255 * (np.median(pooled) - dot.min())

    x = retina[None, :, :, None]
    pooled = {op.name: op(x, size=size.value)[0, :, :, 0] for op in (ops.max_pool2d, ops.average_pool2d)}
    left = {name: contrast(picture, size.value) for name, picture in pooled.items()}
    before = contrast(retina, 1)
    return before, contrast, left, pooled, x


@app.cell(hide_code=True)
def _(pooled, retina):
    _figure, _axes = canvas(1, 3, height=2.0)
    _pictures = (retina, pooled["max_pool2d"], pooled["average_pool2d"])
    for _axis, _picture, _title in zip(_axes, _pictures, ("retina x", "max pooling", "average pooling"), strict=True):
        _axis.imshow(_picture, cmap="gray", vmin=0.15, vmax=0.5, extent=[0, 102, 102, 0])
        _axis.set(title=_title, xlabel="pixels of x", xlim=(0, 64), ylim=(76, 8), xticks=[0, 30, 60])
        _axis.set_yticks([10, 40, 70] if _axis is _axes[0] else [])
    _axes[0].set_ylabel("pixels")
    show(
        _figure,
        "A detail of a retina with two microaneurysms, after max pooling, where they vanish as the window grows, "
        "and after average pooling, where they stay as pale dots.",
        "带有两个微动脉瘤的视网膜局部，最大池化之后（窗口越大，它们越看不见），以及平均池化之后（它们仍是两个淡淡的点）。",
    )
    return


@app.cell(hide_code=True)
def _(before, contrast, left, size, x):
    at_four = {op.name: contrast(op(x, size=4)[0, :, :, 0], 4) for op in (ops.max_pool2d, ops.average_pool2d)}
    assert at_four["max_pool2d"] < at_four["average_pool2d"] < before
    turned = contrast(1 - ops.max_pool2d(1 - x, size=4)[0, :, :, 0], 4)
    assert turned > at_four["average_pool2d"]
    text(
        f"""
    The upper dot is {before:.0f} of 255 grey levels darker than the tissue (the image's median). With a window of {size.value} pixels,
    max pooling leaves {left["max_pool2d"]:.0f} levels of this difference, average pooling {left["average_pool2d"]:.0f}.

    Max pooling keeps what is **bright**. A dark finding survives only if an earlier convolution with negative weights has made
    it bright: max pooling of the negative image, with a window of 4, leaves {turned:.0f} levels. In the document's network, the
    convolution before each pooling can learn this.

    ## The code

    For one grey image, with each window on axes of its own, max pooling is one line.
    """,
        f"""
    上面那个点比组织（图像的中位数）暗 {before:.0f} 级灰度，满量程是 255。窗口为 {size.value} 个像素时，
    最大池化留下这一差别的 {left["max_pool2d"]:.0f} 级，平均池化留下 {left["average_pool2d"]:.0f} 级。

    最大池化保留**亮**的东西。暗的病灶要留下来，前面必须有一个带负权重的卷积把它变亮：
    对负片做窗口为 4 的最大池化，会留下 {turned:.0f} 级。在文中的网络里，每次池化之前的卷积可以学会这一点。

    ## 代码

    对一张灰度图像，只要让窗口单独占两个轴，最大池化就是一行代码。
    """,
    )
    return at_four, turned


@app.cell
def _():
    def max_pool(x, s):
        rows, columns = x.shape[0] // s, x.shape[1] // s
        x = x[: rows * s, : columns * s]  # what does not fill a window is dropped
        return x.reshape(rows, s, columns, s).max(axis=(1, 3))

    return (max_pool,)


@app.cell(hide_code=True)
def _(max_pool, pooled, retina, size):
    np.testing.assert_array_equal(max_pool(retina, size.value), pooled["max_pool2d"])
    short(max_pool)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's own also remembers which pixel of a window is the largest: only that one affects y, so it alone gets the gradient.
    """,
        """
    引擎中的代码还记下每个窗口里哪个像素最大：只有它影响 y，所以只有它得到梯度。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    card("max_pool2d", "forward", "backward")
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    Then the dense layer, whose three gradients are three products or sums:
    """,
        """
    然后是全连接层，它的三个梯度是三个乘积或求和：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    card("dense", "forward", "backward")
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    ## Where the parameters are

    The document's network, layer by layer. Change the size of the images.
    """,
        """
    ## 参数在哪里

    文中的网络，逐层列出。改变图像的大小。
    """,
    )
    return


@app.cell
def _():
    pixels = mo.ui.slider(30, 300, step=10, value=150, label="image, pixels · 图像，像素", show_value=True, full_width=True)
    pixels
    return (pixels,)


@app.cell
def _(pixels):
    model = build_cnn((pixels.value, pixels.value, 3), classes=2)
    counts = {layer.name: layer.count_params() for layer in model.layers if layer.count_params()}
    total, largest = sum(counts.values()), max(counts.values())
    document = build_cnn((150, 150, 3), classes=2).count_params()
    assert document == 19_034_177
    return counts, document, largest, total


@app.cell(hide_code=True)
def _(counts):
    _figure, _axis = canvas(height=2.2)
    _names = ["conv 1", "conv 2", "conv 3", "dense 1", "dense 2"]
    _shares = [100 * n / sum(counts.values()) for n in counts.values()]
    _axis.barh(_names, _shares, color=[BLUE] * 3 + [RED] + [GREY])
    for _y, (_share, _n) in enumerate(zip(_shares, counts.values(), strict=True)):
        _axis.text(_share + 1.5, _y, f"{_n:,}", va="center")
    _axis.set(xlim=(0, 140), xticks=[0, 25, 50, 75, 100], xlabel="share of all parameters (%); their number beside it")
    _axis.invert_yaxis()
    show(
        _figure,
        "The share of the parameters that each layer of the document's network has: one bar, the first dense layer's, is visible.",
        "文中网络各层参数所占的比例：只看得见一个条，即第一个全连接层。",
    )
    return


@app.cell(hide_code=True)
def _(document, largest, pixels, total):
    _conv, _pool, _flatten, _dense, _output = build_cnn((150, 150, 3), classes=2).layers[-5:]
    (inputs, outputs), channels = _dense.weights[0].shape, _conv.weights[0].shape[-1]
    rows = columns = int(np.sqrt(inputs // channels))
    assert rows * columns * channels == inputs
    _at_150 = both("", "")
    if pixels.value != 150:
        _at_150 = both(f" (At the document's 150 pixels there are {document:,}.)", f"（在文中的 150 像素时是 {document:,} 个。）")
    text(
        f"""
    Every number that is learned is a {term("parameter")}. With images of {pixels.value} pixels the network has {total:,} of them,
    **{largest / total:.1%}** in one layer.{_at_150.en} A convolution's weights do not depend on the size of the image:
    the same kernel is used at every place. The first dense layer has a weight for every pixel of every feature map.

    ## A question

    The last feature map of the document's network is {rows} x {columns} with {channels} channels, and the dense layer has {outputs} outputs.
    How many weights does the layer have? How many would it have if the map were first averaged to one number for each channel?

    /// details | Answer
    {rows} · {columns} · {channels} · {outputs} = {rows * columns * channels * outputs:,} weights, and {channels * outputs:,} after an average over the whole map
    (`GlobalAveragePooling2D`), {rows * columns} times fewer. Later networks do this. It loses *where* in the image a feature was found.
    ///
    """,
        f"""
    每个学出来的数都叫{term("parameter")}。图像为 {pixels.value} 像素时，网络有 {total:,} 个参数，
    其中 **{largest / total:.1%}** 在同一层。{_at_150.zh}卷积的权重与图像大小无关：
    每个位置都用同一个卷积核。而第一个全连接层对每张特征图的每个像素都有一个权重。

    ## 一个问题

    文中网络最后的特征图是 {rows} x {columns}，有 {channels} 个通道，全连接层有 {outputs} 个输出。
    这一层有多少个权重？如果先把每个通道的图平均成一个数，又会有多少个？

    /// details | 答案
    {rows} · {columns} · {channels} · {outputs} = {rows * columns * channels * outputs:,} 个权重；先对整张图取平均
    （`GlobalAveragePooling2D`），则是 {channels * outputs:,} 个，只有 {rows * columns} 分之一。后来的网络都这样做。代价是丢掉了特征出现在图像*哪里*。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("pooling_dense")
    return


if __name__ == "__main__":
    app.run()
