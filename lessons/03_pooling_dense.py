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
    from tinydx.lessons.page import BLUE, GREY, RED, canvas, card, foot, head, show, term


@app.cell(hide_code=True)
def _():
    head(3)
    return


@app.cell(hide_code=True)
def _():
    mo.md(rf"""
    After this lesson you can

    - say what {term("max pooling")} and {term("average pooling")} keep of an image, and what they lose;
    - propagate a gradient back through both;
    - compute how many parameters a {term("dense layer")} has, and say where most of a network's parameters are.

    ## The equations

    A window of size $s \times s$ becomes one number, its largest or its mean:

    $$y(i,j) = \max_{{p,q}}\; x(si+p,\, sj+q)$$

    $$y(i,j) = \frac{{1}}{{s^2}} \sum_{{p,q}} x(si+p,\, sj+q)$$

    The dense layer at the end computes weighted sums of all remaining numbers:

    $$y_f = \sum_{{d}} x_d\, w_{{df}} + b_f$$
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## See it

    A detail of a real retina, in green light. The lines are vessels; the two small dark dots are **microaneurysms**,
    the first sign of diabetic retinopathy. Make the window larger, and watch the dots.
    """)
    return


@app.cell
def _():
    retina = data.microaneurysms() / 255  # (102,102), 1 is white
    size = mo.ui.slider(1, 8, value=4, label="window, pixels", show_value=True, full_width=True)
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
    )
    return


@app.cell(hide_code=True)
def _(before, contrast, left, size, x):
    at_four = {op.name: contrast(op(x, size=4)[0, :, :, 0], 4) for op in (ops.max_pool2d, ops.average_pool2d)}
    assert at_four["max_pool2d"] < at_four["average_pool2d"] < before
    turned = contrast(1 - ops.max_pool2d(1 - x, size=4)[0, :, :, 0], 4)
    assert turned > at_four["average_pool2d"]
    mo.md(f"""
    The upper dot is {before:.0f} of 255 grey levels darker than the tissue (the image's median). With a window of {size.value} pixels,
    max pooling leaves {left["max_pool2d"]:.0f} levels of this difference, average pooling {left["average_pool2d"]:.0f}.

    Max pooling keeps what is **bright**. A dark finding survives only if an earlier convolution with negative weights has made
    it bright: max pooling of the negative image, with a window of 4, leaves {turned:.0f} levels. In the document's network, the
    convolution before each pooling can learn this.

    ## The engine's code
    """)
    return at_four, turned


@app.cell(hide_code=True)
def _():
    card("max_pool2d", "forward", "backward")
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Only the largest pixel of a window affects y, so it alone gets the gradient. This is why forward saves which one it was.
    Then the dense layer, whose three gradients are three products or sums:
    """)
    return


@app.cell(hide_code=True)
def _():
    card("dense", "forward", "backward")
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Where the parameters are

    The document's network, layer by layer. Change the size of the images.
    """)
    return


@app.cell
def _():
    pixels = mo.ui.slider(30, 300, step=10, value=150, label="image, pixels", show_value=True, full_width=True)
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
    )
    return


@app.cell(hide_code=True)
def _(document, largest, pixels, total):
    _conv, _pool, _flatten, _dense, _output = build_cnn((150, 150, 3), classes=2).layers[-5:]
    (inputs, outputs), channels = _dense.weights[0].shape, _conv.weights[0].shape[-1]
    rows = columns = int(np.sqrt(inputs // channels))
    assert rows * columns * channels == inputs
    mo.md(f"""
    Every number that is learned is a {term("parameter")}. With images of {pixels.value} pixels the network has {total:,} of them,
    **{largest / total:.1%}** in one layer. (At the document's 150 pixels there are {document:,}.) A convolution's weights do not depend on the size of the image:
    the same kernel is used at every place. The first dense layer has a weight for every pixel of every feature map.

    ## A question

    The last feature map of the document's network is {rows} x {columns} with {channels} channels, and the dense layer has {outputs} outputs.
    How many weights does the layer have? How many would it have if the map were first averaged to one number for each channel?

    /// details | Answer
    {rows} · {columns} · {channels} · {outputs} = {rows * columns * channels * outputs:,} weights, and {channels * outputs:,} after an average over the whole map
    (`GlobalAveragePooling2D`), {rows * columns} times fewer. Later networks do this. It loses *where* in the image a feature was found.
    ///
    """)
    return


@app.cell(hide_code=True)
def _():
    foot(3)
    return


if __name__ == "__main__":
    app.run()
