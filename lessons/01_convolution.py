"""The convolution sum · 卷积求和

Minutes: 20
Needs: pydicom
Exercises: conv_sum
Data: an image · 一张图像
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
    from tinydx.lessons.page import both, canvas, card, foot, head, number, own_data, said, short, show, square, term, text


@app.cell(hide_code=True)
def _():
    head("convolution")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - read the document's sum, and write it in four loops;
    - say how a {term("convolution")} differs from a {term("correlation")}, which libraries call convolution;
    - predict from a {term("kernel")} what it does to an image.

    ## The equation

    An image $x$ has rows $i$ and columns $j$; the kernel $w$ has $k$ rows $p$ and $k$ columns $q$.
    Every number of the {term("feature map")} $y$ is a weighted sum of a small window of the image, plus a {term("bias")} $b$:

    $$y(i,j) = b + \sum_{{p=1}}^{{k}} \sum_{{q=1}}^{{k}}$$

    $$x(i-p+1,\, j-q+1) \cdot w(p,q)$$

    Look at the signs. As $p$ grows, the row $i-p+1$ **falls**: the kernel runs backwards over the image.
    Without that flip, the sum is the correlation:

    $$y(i,j) = b + \sum_{{p=1}}^{{k}} \sum_{{q=1}}^{{k}}$$

    $$x(i+p-1,\, j+q-1) \cdot w(p,q)$$
    """,
        rf"""
    学完这一课，你能够

    - 读懂文中的求和式，并用四重循环写出来；
    - 说出{term("convolution")}与{term("correlation")}的区别（各种软件库把后者叫作卷积）；
    - 由{term("kernel")}预测它会怎样改变图像。

    ## 公式

    图像 $x$ 的行号是 $i$，列号是 $j$；卷积核 $w$ 有 $k$ 行、$k$ 列，行号是 $p$，列号是 $q$。
    {term("feature map")} $y$ 的每个数，都是图像中一个小窗口的加权和，再加上{term("bias")} $b$：

    $$y(i,j) = b + \sum_{{p=1}}^{{k}} \sum_{{q=1}}^{{k}}$$

    $$x(i-p+1,\, j-q+1) \cdot w(p,q)$$

    注意减号。$p$ 增大时，行号 $i-p+1$ **减小**：卷积核在图像上反向移动。
    不翻转的求和就是互相关：

    $$y(i,j) = b + \sum_{{p=1}}^{{k}} \sum_{{q=1}}^{{k}}$$

    $$x(i+p-1,\, j+q-1) \cdot w(p,q)$$
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    if own := own_data():
        image = square(own, 128).mean(axis=-1)
        name, limits, side, length = own.name, (0, 255), 128, "pixels"
        unit = both("grey levels", "灰度级")
    else:
        ct = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
        image = ct.pixel_array * float(ct.RescaleSlope) + float(ct.RescaleIntercept)
        name, limits, side, length = "CT slice", (-700, 900), 128 * float(ct.PixelSpacing[0]), "mm"
        unit = both("Hounsfield units", "亨氏单位")
    x = image[None, :, :, None]  # (N,H,W,C): one image, one channel
    return image, length, limits, name, side, unit, x


@app.cell(hide_code=True)
def _(name):
    _real = both(
        "a real CT slice through the chest, with a vertebra, ribs and the black edge of the lung",
        "一张真实的胸部 CT 切片，可以看到椎骨、肋骨和肺的黑色边缘",
    )
    _seen = _real if name == "CT slice" else both(said(name), said(name))
    text(
        f"""
    ## See it

    Below is {_seen.en}.
    The kernel adds to each pixel the slope of the image in one direction, so that the result looks lit by a lamp from there.
    Turn the lamp.
    """,
        f"""
    ## 看一看

    下面是{_seen.zh}。
    这个卷积核给每个像素加上图像沿某个方向的坡度，结果就像有一盏灯从那边照过来。
    转动这盏灯。
    """,
    )
    return


@app.cell
def _():
    angle = mo.ui.slider(0, 345, step=15, value=45, label="lamp, degrees · 灯的方向，度", show_value=True, full_width=True)
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
        f"{name}，以及它与浮雕卷积核的卷积和互相关，两者的光来自相反的方向。下面是卷积核，以及单个亮点的两种结果："
        "卷积核本身，和旋转 180 度的卷积核。",
    )
    return point_convolved, point_correlated


@app.cell(hide_code=True)
def _(convolved, correlated, kernel, point_convolved, point_correlated, unit):
    np.testing.assert_array_equal(point_convolved[0, 1:4, 1:4], kernel[..., 0])
    np.testing.assert_array_equal(point_correlated[0, 1:4, 1:4], kernel[::-1, ::-1, :, 0])
    gap = np.abs(convolved - correlated).mean()
    text(
        f"""
    The two pictures are lit from opposite sides; on average a pixel differs by {gap:.0f} {unit.en}.
    The lower row shows why: the convolution turns a single bright point into **the kernel itself**, the correlation into the
    kernel **rotated by 180 degrees**. This is the only difference: a convolution is the correlation with the rotated kernel.
    It makes no difference to a network, which *learns* its kernels. It does to you when you write a gradient or load
    weights from another library.

    A 3x3 kernel fits into 128x128 pixels at {convolved.shape[1]} x {convolved.shape[2]} places. For
    $i, j = 3 \\dots 128$ all pixels of the sum above lie in the image: these are the elements of y.
    """,
        f"""
    两幅图像的光来自相反的方向；平均每个像素相差 {gap:.0f} {unit.zh}。
    下面一行说明了原因：卷积把单个亮点变成**卷积核本身**，互相关把它变成**旋转 180 度**的卷积核。
    区别仅此而已：卷积就是与旋转后的卷积核做互相关。
    对网络来说这无所谓，因为卷积核是它自己*学*出来的。但当你手写梯度，或从别的软件库载入权重时，就有区别了。

    3x3 的卷积核在 128x128 像素中可以放 {convolved.shape[1]} x {convolved.shape[2]} 个位置。当
    $i, j = 3 \\dots 128$ 时，上面求和中的像素都在图像之内：这些就是 y 的元素。
    """,
    )
    return (gap,)


@app.cell(hide_code=True)
def _():
    text(
        """
    ## The code

    For one grey image, without a bias, the sum fits into a few lines: the window of the image times the rotated kernel.
    """,
        """
    ## 代码

    对一张灰度图像，不加偏置，求和只要几行：图像的窗口乘以旋转后的卷积核。
    """,
    )
    return


@app.cell
def _():
    def convolve(x, w):
        kh, kw = w.shape
        rows, columns = x.shape[0] - kh + 1, x.shape[1] - kw + 1
        y = np.zeros((rows, columns))
        for i in range(rows):
            for j in range(columns):
                y[i, j] = (x[i : i + kh, j : j + kw] * w[::-1, ::-1]).sum()
        return y

    return (convolve,)


@app.cell(hide_code=True)
def _(convolve, convolved, w, x):
    np.testing.assert_allclose(convolve(x[0, :, :, 0], w), convolved[0, :, :, 0], atol=1e-9)
    short(convolve)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine has the same sum index by index, and handles batches, channels, strides and padding besides. Find the line with
    the sum.
    """,
        """
    引擎里有同样的求和，逐个下标写出，并且还处理批、通道、步幅和填充。找出求和的那一行。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    card("conv2d", "literal")
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    Then, in NumPy: every window of the image becomes a row of a matrix, and all sums become one matrix product.
    """,
        """
    然后是 NumPy：图像的每个窗口变成矩阵的一行，全部求和变成一次矩阵乘法。
    """,
    )
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
    text(
        f"""
    Both give the same numbers. On this machine, the loops took {1000 * slow:.0f} ms, NumPy {1000 * fast:.2f} ms:
    **{slow / fast:.0f} times** faster. Lesson {number("speed")} continues from here.
    """,
        f"""
    两者给出同样的数。在这台机器上，循环用了 {1000 * slow:.0f} 毫秒，NumPy 用了 {1000 * fast:.2f} 毫秒：
    速度是循环的 **{slow / fast:.0f} 倍**。第 {number("speed")} 课从这里继续。
    """,
    )
    return fast, looped, slow


@app.cell(hide_code=True)
def _(unit, x):
    mean = np.full((3, 3, 1, 1), 1 / 9)
    same = np.abs(ops.conv2d(x, mean) - ops.correlate2d(x, mean)).max()
    assert same < 1e-9
    text(
        f"""
    ## A question

    For which kernels do convolution and correlation give the same result?

    /// details | Answer
    For kernels that do not change when rotated by 180 degrees: $w(p,q) = w(k-p+1,\\, k-q+1)$.
    The mean of nine pixels is such a kernel: its two results differ by at most {same:.0e} {unit.en}, which is rounding.
    Therefore a test with a symmetric kernel proves nothing, and every exercise uses random ones.
    ///
    """,
        f"""
    ## 一个问题

    哪些卷积核的卷积与互相关结果相同？

    /// details | 答案
    旋转 180 度后不变的卷积核：$w(p,q) = w(k-p+1,\\, k-q+1)$。
    九个像素取平均就是这样的卷积核：两种结果最多相差 {same:.0e} {unit.zh}，这只是舍入误差。
    所以，用对称的卷积核做测试什么也证明不了，每个练习都用随机的卷积核。
    ///
    """,
    )
    return (same,)


@app.cell(hide_code=True)
def _():
    foot("convolution")
    return


if __name__ == "__main__":
    app.run()
