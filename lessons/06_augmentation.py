"""Augmentation: one image, many views · 数据增强

Minutes: 20
Needs: scikit-image
Exercises: moved_points
Data: an image · 一张图像
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Augmentation", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np
    from skimage import data

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx.datasets.phantom import chest_phantom
    from tinydx.diagnosis.kinds.image import augmentation
    from tinydx.lessons.page import RED, both, canvas, card, foot, head, number, own_data, said, short, show, square, term, text
    from tinydx.preprocessing.affine import affine_matrix
    from tinydx.preprocessing.image import ImageDataGenerator


@app.cell(hide_code=True)
def _():
    head("augmentation")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - read a rotation, a shift and a zoom as one matrix;
    - say which of the document's changes keep the {term("label")} of a medical image, and which do not;
    - measure how much of a training image is invented.

    ## The equation

    A network with millions of weights can learn a few hundred images by heart, which is {term("overfitting")}.
    With {term("augmentation")} it sees other views of them with the same meaning. For each pixel $(r, c)$ of the new image, a
    matrix gives its place in the old one:

    $$u = m_{{11}}\, r + m_{{12}}\, c + o_1$$

    $$v = m_{{21}}\, r + m_{{22}}\, c + o_2$$

    $(u, v)$ lies between four pixels, which are weighted by their nearness. The map goes *backwards*, from the new image to the
    old one, so that every new pixel gets a value.
    """,
        rf"""
    学完这一课，你能够

    - 把旋转、平移和缩放读成一个矩阵；
    - 说出文中的哪些变换保持医学图像的{term("label")}不变，哪些不保持；
    - 量出训练图像中有多少是凭空造出来的。

    ## 公式

    有几百万个权重的网络能把几百张图像背下来，这叫{term("overfitting")}。
    有了{term("augmentation")}，它看到的是意义相同的其他样子。对新图像的每个像素 $(r, c)$，
    一个矩阵给出它在旧图像中的位置：

    $$u = m_{{11}}\, r + m_{{12}}\, c + o_1$$

    $$v = m_{{21}}\, r + m_{{22}}\, c + o_2$$

    $(u, v)$ 位于四个像素之间，按远近给它们加权。映射是*反向*的，从新图像到旧图像，
    这样每个新像素都有值。
    """,
    )
    return


@app.cell
def _():
    if own := own_data():
        image, name = square(own, 176), own.name
    else:
        image, name = (
            data.retina()[:1408, :1408].reshape(176, 8, 176, 8, 3).mean(axis=(1, 3)).astype("float32"),
            "retina",
        )  # 0 to 255
    angle = mo.ui.slider(-45, 45, step=5, value=20, label="rotation, degrees · 旋转，度", show_value=True, full_width=True)
    shift = mo.ui.slider(
        -0.4, 0.4, step=0.05, value=0.1, label="shift to the side, share · 左右平移，比例", show_value=True, full_width=True
    )
    zoom = mo.ui.slider(0.6, 1.6, step=0.1, value=0.8, label="zoom factor · 缩放系数", show_value=True, full_width=True)
    _subject = both(f"Your picture, {said(name)}", f"你的图像 {said(name)}")
    if name == "retina":
        _subject = both("A real retina", "一张真实的视网膜图像")
    _about = text(
        f"""
    ## See it

    {_subject.en}. The small squares mark where the corners of the new image come from.
    """,
        f"""
    ## 看一看

    {_subject.zh}。小方块标出新图像的四角来自哪里。
    """,
    )
    mo.vstack([_about, angle, shift, zoom])
    return angle, image, name, shift, zoom


@app.cell
def _(angle, image, shift, zoom):
    size = len(image)
    settings = {"theta": angle.value, "ty": 0, "tx": shift.value * size, "shear": 0, "zx": zoom.value, "zy": zoom.value}
    matrix, offset = affine_matrix(**settings, height=size, width=size)
    generator = ImageDataGenerator(fill_mode="nearest")
    changed = generator.apply_transform(image, settings)
    return changed, matrix, offset, settings, size


@app.cell(hide_code=True)
def _(changed, image, matrix, name, offset, size):
    _corners = np.array([[0, 0], [0, size - 1], [size - 1, size - 1], [size - 1, 0], [0, 0]])
    _rows, _columns = (_corners @ matrix.T + offset).T
    _figure, (_left, _right) = canvas(1, 2, height=2.4, sharey=True)
    _left.imshow(image.astype("uint8"))
    _left.plot(_columns, _rows, "s-", color="white", markersize=4, linewidth=1)
    _left.set(title=name, xlabel="column (pixels)", ylabel="row (pixels)", xlim=(-40, 216), ylim=(216, -40))
    _right.imshow(changed.astype("uint8"))
    _right.set(title="new image", xlabel="column (pixels)", xlim=(-40, 216))
    show(
        _figure,
        f"{name}, with the outline of the part that is used, and the new image that is made from it.",
        f"{name}，画出所用部分的轮廓，以及由它得到的新图像。",
    )
    return


@app.cell(hide_code=True)
def _(matrix, offset):
    text(
        f"""
    | | times $r$ | times $c$ | plus |
    |---|---|---|---|
    | $u$ | {matrix[0, 0]:.3f} | {matrix[0, 1]:.3f} | {offset[0]:.1f} |
    | $v$ | {matrix[1, 0]:.3f} | {matrix[1, 1]:.3f} | {offset[1]:.1f} |

    The table combines rotation, shift, shear and zoom. A zoom **above** 1 makes the image smaller, because neighbouring new
    pixels come from places further apart in the old image. Places outside the old image get its nearest pixel: this part of the
    new image is invented.

    ## The code

    A grey pixel is the sum of four neighbours, weighted by their nearness: a few lines.
    """,
        f"""
    | | 乘 $r$ | 乘 $c$ | 加 |
    |---|---|---|---|
    | $u$ | {matrix[0, 0]:.3f} | {matrix[0, 1]:.3f} | {offset[0]:.1f} |
    | $v$ | {matrix[1, 0]:.3f} | {matrix[1, 1]:.3f} | {offset[1]:.1f} |

    这张表合并了旋转、平移、错切和缩放。缩放系数**大于** 1 使图像变小，因为相邻的新像素来自旧图像中
    相距更远的地方。旧图像之外的位置取最近的像素：新图像的这一部分是造出来的。

    ## 代码

    一个灰度像素按远近取四个邻居的加权和，只要几行。
    """,
    )
    return


@app.cell
def _():
    def pixel_at(image, u, v):
        total = 0.0
        for p in (int(np.floor(u)), int(np.floor(u)) + 1):
            for q in (int(np.floor(v)), int(np.floor(v)) + 1):
                near = max(0, 1 - abs(u - p)) * max(0, 1 - abs(v - q))
                if near:
                    total += near * image[p, q]
        return total

    return (pixel_at,)


@app.cell(hide_code=True)
def _(changed, image, matrix, offset, pixel_at, size):
    for _r, _c in ((size // 2, size // 2), (size // 2 + 7, size // 2 - 5)):
        _u, _v = matrix @ (_r, _c) + offset
        if 0 <= _u < size - 1 and 0 <= _v < size - 1:
            np.testing.assert_allclose(pixel_at(image[..., 0], _u, _v), changed[_r, _c, 0], atol=0.01)
    short(pixel_at)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's own does this for every new pixel, and has four ways of treating places outside the image.
    """,
        """
    引擎中的代码对每个新像素都这样做，并且有四种办法处理图像之外的位置。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    card("affine_warp", "literal")
    return


@app.cell
def _(image, size):
    document = augmentation("document")  # rotation 20, shifts 0.2, shear 0.2, zoom 0.2, horizontal flip
    drawn = [document.get_random_transform(image.shape, seed=k) for k in range(200)]
    grid = np.stack(np.mgrid[:size, :size], axis=-1)

    def invented(transform):
        """The share of the new image that comes from outside the old one."""
        names = ("theta", "tx", "ty", "shear", "zx", "zy")
        m, o = affine_matrix(*(transform[name] for name in names), height=size, width=size)
        source = grid @ m.T + o
        return float(((source < 0) | (source > size - 1)).any(axis=-1).mean())

    shares = np.array([invented(transform) for transform in drawn])
    views = [document.apply_transform(image, transform) for transform in drawn[:6]]
    return document, drawn, shares, views


@app.cell(hide_code=True)
def _(name, shares, views):
    _figure, _axes = canvas(2, 3, height=3.4)
    for _axis, _view, _share in zip(_axes.flat, views, shares, strict=False):
        _axis.imshow(_view.astype("uint8"))
        _axis.set(xticks=[], yticks=[], xlabel=f"{_share:.0%} invented")
    _figure.suptitle("six random draws, the document's settings", fontsize=9)
    show(
        _figure,
        f"{name}, augmented in six ways, each with the share of it that was filled in.",
        f"{name} 的六种增强结果，各标出其中填补部分的比例。",
    )
    return


@app.cell
def _():
    lines = np.zeros((20, 20, 1), "float32")
    lines[10, :] = lines[:, 5] = 1.0
    width_only = ImageDataGenerator(width_shift_range=[0.2], fill_mode="constant")
    moved = width_only.apply_transform(lines, width_only.get_random_transform(lines.shape, seed=0))
    moved_row = int(moved.sum(axis=1).argmax()) - 10
    moved_column = int(moved.sum(axis=0).argmax()) - 5
    assert abs(moved_row) == 4 and moved_column == 0
    return moved_column, moved_row


@app.cell(hide_code=True)
def _(drawn, moved_column, moved_row, shares):
    assert 0.05 < shares.mean() < 0.5
    text(
        f"""
    In {len(drawn)} random draws with the document's settings, on average **{shares.mean():.0%}** of an image is invented, and at most
    {shares.max():.0%}. Keras has two more traps, which tinydx copies so that both give the same results:
    `width_shift_range=0.2` moves this 20-pixel image by {abs(moved_row)} **rows** and {abs(moved_column)} columns, and
    `shear_range=0.2` means 0.2 *degrees*, almost nothing.

    ## A flip can change the label

    The document's `horizontal_flip=True` doubles the views. Here is a synthetic chest, and its mirror image.
    """,
        f"""
    按文中的设置随机抽 {len(drawn)} 次，一张图像平均有 **{shares.mean():.0%}** 是造出来的，最多
    {shares.max():.0%}。Keras 还有两个陷阱，tinydx 照样保留，使两者结果相同：
    `width_shift_range=0.2` 把这张 20 像素的图像移动 {abs(moved_row)} **行**和 {abs(moved_column)} 列，而
    `shear_range=0.2` 的意思是 0.2 *度*，几乎没有变化。

    ## 翻转可能改变标签

    文中的 `horizontal_flip=True` 使样子加倍。下面是一张合成的胸部图像和它的镜像。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    chest = chest_phantom(np.random.default_rng(3), abnormal=False, size=150)
    centre = 75
    lower = chest[75:115]
    heart_left, heart_right = (float(half.mean()) for half in (lower[:, 40:centre], lower[:, centre:110]))
    _figure, (_left, _right) = canvas(1, 2, height=2.4, sharey=True)
    for _axis, _picture, _title in ((_left, chest, "synthetic chest"), (_right, chest[:, ::-1], "flipped")):
        _axis.imshow(_picture, cmap="gray", vmin=0, vmax=1)
        _axis.axvline(centre, color=RED, linewidth=0.8)
        _axis.set(title=_title, xlabel="column (pixels)", xticks=[0, 75, 149])
    _left.set(ylabel="row (pixels)", yticks=[0, 75, 149])
    show(
        _figure,
        "A synthetic chest with the heart on the viewer's right, as in a patient who faces us, and its mirror image.",
        "一张合成的胸部图像，心脏在观察者的右侧，如同病人面对我们；以及它的镜像。",
    )
    return heart_left, heart_right


@app.cell(hide_code=True)
def _(heart_left, heart_right):
    assert heart_right > heart_left
    text(
        f"""
    Near the middle line, the right half of the image is {100 * (heart_right / heart_left - 1):.0f} % brighter, because of the heart, which lies in the left side of the
    patient's chest. The mirror image shows dextrocardia, a rare condition. If the label is "pneumonia", this does little harm. If
    the label is "enlarged left ventricle", or names a side, the flip makes it wrong.

    ## A question

    Which of these changes are right in training: a vertical flip of a blood cell? A vertical flip of a chest? A zoom by 1.2, if
    the label is "cardiomegaly"? A change of brightness in a CT slice?

    /// details | Answer
    The flip of a blood cell is: a cell has no top. No patient's chest is upside down, so the flip of a chest teaches the network
    what it never needs. Cardiomegaly is a *ratio* of widths: a zoom keeps it, but a stretch in one direction does not (Keras draws
    `zx` and `zy` independently). The brightness of a CT slice is a measured density: changing it changes the tissue. Test images stay
    as they are.
    ///
    """,
        f"""
    在中线附近，图像的右半边亮 {100 * (heart_right / heart_left - 1):.0f} %，因为心脏位于病人胸腔的左侧。
    镜像显示的是右位心，一种罕见的情况。如果标签是“肺炎”，这没有多大害处。
    如果标签是“左心室增大”，或者指明了左右，翻转就使标签变错。

    ## 一个问题

    训练中，下列哪些变换是对的：把血细胞上下翻转？把胸部上下翻转？标签是“心脏增大”时放大到 1.2 倍？
    改变 CT 切片的亮度？

    /// details | 答案
    血细胞可以翻转：细胞没有上下。没有哪个病人的胸腔是倒过来的，所以翻转胸部是教网络它永远用不着的东西。
    心脏增大是宽度的*比例*：缩放保持它，只往一个方向拉伸就不保持（Keras 分别抽取 `zx` 和 `zy`）。
    CT 切片的亮度是测得的密度：改变它就是改变组织。测试图像保持原样。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    text(
        f"""
    Augmentation varies the *images* from step to step; {term("dropout")} varies the *network*: lesson {number("overfitting")} is about it.
    """,
        f"""
    数据增强让*图像*逐步变化；{term("dropout")}让*网络*变化，见第 {number("overfitting")} 课。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("augmentation")
    return


if __name__ == "__main__":
    app.run()
