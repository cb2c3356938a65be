"""The convolution sum · 卷积求和

Minutes: 20
Needs: pydicom
Exercises: conv_sum
Data: an image
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="The convolution sum", css_file="lesson.css")

with app.setup:
    import time

    import marimo as mo
    import numpy as np
    import pydicom
    from pydicom.data import get_testdata_file

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx import ops
    from tinydx.lessons.page import canvas, card, foot, head, own_data, said, show, square, term


@app.cell(hide_code=True)
def _():
    head(1)
    return


@app.cell(hide_code=True)
def _():
    mo.md(rf"""
    After this lesson you can

    - read the document's sum, and write it in four loops;
    - say how a {term("convolution")} differs from a {term("correlation")}, which libraries call convolution;
    - predict from a {term("kernel")} what it does to an image.

    ## The equation

    An image $x$ has rows $i$ and columns $j$; the kernel $w$ has rows $p$ and columns $q$.
    Every number of the {term("feature map")} $y$ is a weighted sum of a small window of the image, plus a {term("bias")} $b$:

    $$y(i,j) = b + \sum_{{p=1}}^{{k}} \sum_{{q=1}}^{{k}}$$

    $$x(i-p+1,\, j-q+1) \cdot w(p,q)$$

    Look at the signs. As $p$ grows, the row $i-p+1$ **falls**: the kernel runs backwards over the image.
    Without that flip, the sum is the correlation:

    $$y(i,j) = b + \sum_{{p=1}}^{{k}} \sum_{{q=1}}^{{k}}$$

    $$x(i+p-1,\, j+q-1) \cdot w(p,q)$$
    """)
    return


@app.cell(hide_code=True)
def _():
    if own := own_data():
        image = square(own, 128).mean(axis=-1)
        name, unit, limits, side, length = own.name, "grey levels", (0, 255), 128, "pixels"
    else:
        ct = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
        image = ct.pixel_array * float(ct.RescaleSlope) + float(ct.RescaleIntercept)
        name, unit, limits, side, length = "CT slice", "Hounsfield units", (-700, 900), 128 * float(ct.PixelSpacing[0]), "mm"
    x = image[None, :, :, None]  # (N,H,W,C): one image, one channel
    return image, length, limits, name, side, unit, x


@app.cell(hide_code=True)
def _(name):
    _real = "a real CT slice through the chest, with a vertebra, ribs and the black edge of the lung"
    mo.md(f"""
    ## See it

    Below is {_real if name == "CT slice" else said(name)}.
    The kernel adds to each pixel the slope of the image in one direction, so that the result looks lit by a lamp from there.
    Turn the lamp.
    """)
    return


@app.cell
def _():
    angle = mo.ui.slider(0, 345, step=15, value=45, label="lamp, degrees", show_value=True, full_width=True)
    angle
    return (angle,)


@app.cell
def _(angle):
    _down, _right = np.mgrid[-1:2, -1:2]
    _turn = np.deg2rad(angle.value)
    w = np.round((np.cos(_turn) * _right - np.sin(_turn) * _down) / 1.5, 2) + 0.0  # no -0
    w[1, 1] += 1
    return (w,)


@app.cell
def _(w, x):
    kernel = w[:, :, None, None]  # (kh,kw,C,F)
    convolved = ops.conv2d(x, kernel)
    correlated = ops.correlate2d(x, kernel)

    assert convolved.shape == (1, 126, 126, 1)
    np.testing.assert_allclose(convolved, ops.correlate2d(x, kernel[::-1, ::-1]))
    return convolved, correlated, kernel


@app.cell(hide_code=True)
def _(convolved, correlated, image, kernel, length, limits, name, side, w):
    _point = np.zeros((1, 7, 7, 1))
    _point[0, 3, 3] = 1
    point_convolved, point_correlated = ops.conv2d(_point, kernel), ops.correlate2d(_point, kernel)

    _figure, _axes = canvas(2, 3, height=3.7)
    for _axis, _picture, _title in zip(
        _axes[0],
        (image, convolved[0, :, :, 0], correlated[0, :, :, 0]),
        (f"{name} x", "convolution", "correlation"),
        strict=True,
    ):
        _axis.imshow(_picture, cmap="gray", vmin=limits[0], vmax=limits[1], extent=[0, side, side, 0])
        _axis.set(title=_title, xlabel=length, xticks=[0, 40, 80], yticks=[0, 40, 80] if _axis is _axes[0, 0] else [])
    _axes[0, 0].set_ylabel(length)
    for _axis, _numbers, _title in zip(
        _axes[1],
        (w, point_convolved[0, 1:4, 1:4, 0], point_correlated[0, 1:4, 1:4, 0]),
        ("kernel w", "point → conv.", "point → corr."),
        strict=True,
    ):
        _axis.imshow(_numbers, cmap="RdBu_r", vmin=-1.2, vmax=1.2)
        _axis.set(title=_title, xticks=[0, 1, 2], yticks=[0, 1, 2], xticklabels=[1, 2, 3], yticklabels=[1, 2, 3], xlabel="q")
        for (_p, _q), _number in np.ndenumerate(_numbers):
            _axis.text(_q, _p, f"{_number:.1f}", ha="center", va="center", fontsize=8)
    _axes[1, 0].set_ylabel("p")
    show(
        _figure,
        f"{name}, its convolution and its correlation with a relief kernel, lit from opposite sides. Below, the "
        "kernel, and both results for a single bright point: the kernel itself, and the kernel rotated by 180 degrees.",
    )
    return point_convolved, point_correlated


@app.cell(hide_code=True)
def _(convolved, correlated, kernel, point_convolved, point_correlated, unit):
    np.testing.assert_array_equal(point_convolved[0, 1:4, 1:4], kernel[..., 0])
    np.testing.assert_array_equal(point_correlated[0, 1:4, 1:4], kernel[::-1, ::-1, :, 0])
    gap = np.abs(convolved - correlated).mean()
    mo.md(f"""
    The two pictures are lit from opposite sides; on average a pixel differs by {gap:.0f} {unit}.
    The lower row shows why: the convolution turns a single bright point into **the kernel itself**, the correlation into the
    kernel **rotated by 180 degrees**. This is the only difference: a convolution is the correlation with the rotated kernel.
    It makes no difference to a network, which *learns* its kernels. It does to you when you write a gradient or load
    weights from another library.

    A 3x3 kernel fits into 128x128 pixels at {convolved.shape[1]} x {convolved.shape[2]} places. For
    $i, j = 3 \\dots 128$ the sum above needs no padding: these are the elements of y.
    """)
    return (gap,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## The engine's code

    First, the equation index by index. The function also handles batches, channels, strides and padding. Find the line with
    the sum.
    """)
    return


@app.cell(hide_code=True)
def _():
    card("conv2d", "literal")
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Then, in NumPy: every window of the image becomes a row of a matrix, and all sums become one matrix product.
    """)
    return


@app.cell(hide_code=True)
def _():
    card("correlate2d", "forward")
    return


@app.cell(hide_code=True)
def _(convolved, kernel, x):
    def _seconds(function, *arrays):
        start = time.perf_counter()
        result = function(*arrays)
        return result, time.perf_counter() - start

    looped, slow = _seconds(ops.conv2d.literal, x, kernel)
    _, fast = min((_seconds(ops.conv2d.forward, x, kernel) for _ in range(5)), key=lambda run: run[1])
    np.testing.assert_allclose(looped, convolved, atol=1e-9)
    mo.md(f"""
    Both give the same numbers. On this machine, the loops took {1000 * slow:.0f} ms, NumPy {1000 * fast:.2f} ms:
    **{slow / fast:.0f} times** faster. Lesson 18 continues from here.
    """)
    return fast, looped, slow


@app.cell(hide_code=True)
def _(unit, x):
    mean = np.full((3, 3, 1, 1), 1 / 9)
    same = np.abs(ops.conv2d(x, mean) - ops.correlate2d(x, mean)).max()
    assert same < 1e-9
    mo.md(f"""
    ## A question

    For which kernels do convolution and correlation give the same result?

    /// details | Answer
    For kernels that do not change when rotated by 180 degrees: $w(p,q) = w(k-p+1,\\, k-q+1)$.
    The mean of nine pixels is such a kernel: its two results differ by at most {same:.0e} {unit}, which is rounding.
    Therefore a test with a symmetric kernel proves nothing, and every exercise uses random ones.
    ///
    """)
    return (same,)


@app.cell(hide_code=True)
def _():
    foot(1)
    return


if __name__ == "__main__":
    app.run()
