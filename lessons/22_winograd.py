"""Winograd: a convolution with a quarter of the products · Winograd 卷积

Minutes: 25
Needs: numba
Exercises: winograd
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Winograd", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np

    from tinydx.lessons.page import BLUE, GREY, RED, canvas, code, foot, head, short, show, term, text
    from tinydx_kernels.cpu import winograd


@app.cell(hide_code=True)
def _():
    head("winograd")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - derive {term("Winograd's algorithm")} from the multiplication of two polynomials;
    - say what it saves, and what it costs in precision;
    - explain why the engine uses tiles of 4 x 4 outputs and the points 0, 1, -1, 1/2, -2.

    ## The idea

    Three weights $g$ slide over $m + 2$ pixels $d$ and give $m$ outputs, which takes $3m$ multiplications. Begin with another task:
    **multiply two polynomials**, one with the coefficients $g$, one with $m$ coefficients $a$. The product has $m + 2$ coefficients $s$,
    so its values at $m + 2$ points determine it, and each *value* takes **one** multiplication. Row $k$ of $V_n$ holds the powers 0 to
    n-1 of point $k$, so $V_n$ turns $n$ coefficients into values:

    $$s = V_{{m+2}}^{{-1}} \left[ (V_3\, g) \odot (V_m\, a) \right]$$

    For fixed weights this is a matrix times $a$, a product of three matrices:

    $$s = C a, \quad C = V_{{m+2}}^{{-1}}\, \mathrm{{diag}}(V_3\, g)\, V_m$$

    Column $j$ of $C$ is $g$, moved down by $j$. So *row* $j$ of $C^\top$ is $g$, moved right by $j$: $C^\top d$ is the sliding sum
    that was wanted. **Transpose** the three matrices, and it needs no more multiplications than the polynomials did:

    $$y = C^\top d = A^\top \left[ (G g) \odot (B^\top d) \right]$$

    $$A^\top = V_m^\top, \quad G = V_3, \quad B^\top = V_{{m+2}}^{{-\top}}$$

    $G$ turns the weights into their values at the $m + 2$ points. $B^\top$ is *not* an evaluation of the pixels: it is the transposed
    interpolation, and $A^\top$ the transposed evaluation. This is the transposition principle. (As polynomials, $g$ and $d$ themselves have a
    product of $m + 4$ coefficients, which $m + 2$ points do not determine.) For an image the same is done along the rows and along
    the columns:

    $$Y = A^\top \left[ (G g G^\top) \odot (B^\top d B) \right] A$$

    ## The code

    For $m = 2$ and the points 0, 1, -1 and infinity, a row of four pixels takes four products for two outputs. The direct sum takes six.
    """,
        rf"""
    学完这一课，你能够

    - 从两个多项式相乘推导出{term("Winograd's algorithm")}；
    - 说出它省下什么，精度上付出什么；
    - 解释引擎为什么用 4 x 4 个输出的小块和 0、1、-1、1/2、-2 这些点。

    ## 想法

    三个权重 $g$ 在 $m + 2$ 个像素 $d$ 上滑动，得到 $m$ 个输出，需要 $3m$ 次乘法。先看另一个任务：
    **把两个多项式相乘**，一个的系数是 $g$，另一个有 $m$ 个系数 $a$。乘积有 $m + 2$ 个系数 $s$，
    所以它在 $m + 2$ 个点上的值就决定了它，而每个*值*只要**一次**乘法。$V_n$ 的第 $k$ 行是点 $k$ 的 0 到 n-1 次幂，
    所以 $V_n$ 把 $n$ 个系数变成值：

    $$s = V_{{m+2}}^{{-1}} \left[ (V_3\, g) \odot (V_m\, a) \right]$$

    权重固定时，这就是一个矩阵乘以 $a$，而这个矩阵是三个矩阵之积：

    $$s = C a, \quad C = V_{{m+2}}^{{-1}}\, \mathrm{{diag}}(V_3\, g)\, V_m$$

    $C$ 的第 $j$ 列是下移 $j$ 位的 $g$。所以 $C^\top$ 的第 $j$ *行*是右移 $j$ 位的 $g$：$C^\top d$ 就是
    想要的滑动求和。把这三个矩阵**转置**，它需要的乘法不比多项式多：

    $$y = C^\top d = A^\top \left[ (G g) \odot (B^\top d) \right]$$

    $$A^\top = V_m^\top, \quad G = V_3, \quad B^\top = V_{{m+2}}^{{-\top}}$$

    $G$ 把权重变成它们在 $m + 2$ 个点上的值。$B^\top$ *不是*对像素求值：它是转置的插值，而 $A^\top$ 是转置的求值。
    这就是转置原理。（作为多项式，$g$ 与 $d$ 本身的乘积有 $m + 4$ 个系数，$m + 2$ 个点决定不了它们。）
    对图像，沿行和沿列各做一次：

    $$Y = A^\top \left[ (G g G^\top) \odot (B^\top d B) \right] A$$

    ## 代码

    对 $m = 2$ 和点 0、1、-1 与无穷远，一行四个像素，四次乘法得到两个输出。直接求和要六次。
    """,
    )
    return


@app.cell
def _():
    def two_outputs(d, g):
        half = (g[0] + g[2]) / 2
        s0 = (d[0] - d[2]) * g[0]
        s1 = (d[1] + d[2]) * (half + g[1] / 2)
        s2 = (d[2] - d[1]) * (half - g[1] / 2)
        s3 = (d[3] - d[1]) * g[2]
        return s0 + s1 + s2, s1 - s2 + s3

    return (two_outputs,)


@app.cell(hide_code=True)
def _(two_outputs):
    _rng = np.random.default_rng(0)
    _d, _g = _rng.normal(size=4), _rng.normal(size=3)
    np.testing.assert_allclose(two_outputs(_d, _g), np.correlate(_d, _g))
    short(two_outputs)
    return


@app.cell
def _():
    POINTS = (0, 1, -1, 1 / 2, -2, -1 / 2, 2, 1 / 4, -4)  # in the engine's order; infinity comes last
    USUAL = (0, 1, -1, 2, -2, 1 / 2, -1 / 2, 4, -4)

    def powers(points, degree):
        """Row k: 1, p, p^2 ... of point k; and for infinity the highest power alone."""
        finite = np.array(points, float)[:, None] ** np.arange(degree)
        return np.vstack([finite, np.eye(degree)[-1]])

    def matrices(m, points=POINTS):
        """A^T (m, m+2), G (m+2, 3) and B^T (m+2, m+2) of F(m, 3): V_m^T, V_3 and the inverse of V_(m+2), transposed."""
        points = points[: m + 1]
        values = powers(points, m + 2)
        return powers(points, m).T, powers(points, 3), np.linalg.inv(values).T

    for _m in range(1, 9):
        _a, _g, _b = matrices(_m)
        _pixels, _weights = np.random.default_rng(_m).normal(size=_m + 2), np.array([1.0, -2.0, 0.5])
        _moved = np.column_stack([np.convolve(_weights, unit) for unit in np.eye(_m)])  # C: column j is g, moved down by j
        np.testing.assert_allclose(_b.T @ np.diag(_g @ _weights) @ _a.T, _moved, atol=1e-9)
        np.testing.assert_allclose(_a @ ((_g @ _weights) * (_b @ _pixels)), np.correlate(_pixels, _weights), atol=1e-9)
    return USUAL, matrices


@app.cell(hide_code=True)
def _(matrices):
    _about = text(
        """
    The three matrices for any $m$ are a few lines of NumPy: powers of the points, and one inverse.
    """,
        """
    任意 $m$ 的三个矩阵只要几行 NumPy：各点的幂，和一次求逆。
    """,
    )
    mo.vstack([_about, code(matrices)])
    return


@app.cell
def _(USUAL, matrices):
    def error_of(m, points=None, channels=64, tiles=200):
        """Relative rms error in float32 of one output, summed over 64 channels, against float64."""
        rng = np.random.default_rng(0)
        d, g = rng.normal(size=(tiles, channels, m + 2, m + 2)), rng.normal(size=(channels, 3, 3))
        exact = sum(d[:, :, p : p + m, q : q + m] * g[:, p, q, None, None] for p, q in np.ndindex(3, 3)).sum(axis=1)
        d, g = d.astype(np.float32), g.astype(np.float32)
        if points == "direct":
            y = np.zeros(exact.shape, np.float32)
            for c in range(channels):
                for p, q in np.ndindex(3, 3):
                    y += d[:, c, p : p + m, q : q + m] * g[c, p, q]
        else:
            at, gm, bt = (f.astype(np.float32) for f in (matrices(m, points) if points else matrices(m)))
            y = at @ ((gm @ g @ gm.T) * (bt @ d @ bt.T)).sum(axis=1) @ at.T
        return float(np.sqrt(((y - exact) ** 2).mean() / (exact**2).mean()))

    tile_sizes = np.arange(1, 9)
    products = ((tile_sizes + 2) / tile_sizes) ** 2  # an output, of a 3x3 kernel
    ours = np.array([error_of(m) for m in tile_sizes])
    usual = np.array([error_of(m, USUAL) for m in tile_sizes])
    direct = error_of(4, "direct")

    assert products[3] == 9 / 4
    assert direct < ours[3] < 1e-5
    return direct, ours, products, tile_sizes, usual


@app.cell
def _():
    tile = mo.ui.slider(
        1, 8, value=4, label="outputs of a tile in each direction · 小块每个方向的输出数 m", show_value=True, full_width=True
    )
    _about = text(
        """
    ## See it: larger tiles need fewer products and lose more digits
    """,
        """
    ## 看一看：小块越大，乘法越少，丢失的数字越多
    """,
    )
    mo.vstack([_about, tile])
    return (tile,)


@app.cell(hide_code=True)
def _(direct, ours, products, tile, tile_sizes, usual):
    _figure, (_left, _right) = canvas(1, 2, height=2.6)
    _left.plot(tile_sizes, products, "o-", color=BLUE)
    _left.plot(tile.value, products[tile.value - 1], "o", color="black")
    _left.set(ylabel="products an output (number)", xlabel="m (pixels)", ylim=(0, 10), xticks=tile_sizes)
    _right.semilogy(tile_sizes, ours, "o-", color=BLUE, label="engine's points")
    _right.semilogy(tile_sizes, usual, "s--", color=RED, label="usual points", markersize=3, linewidth=1)
    _right.plot(tile.value, ours[tile.value - 1], "o", color="black")
    _right.axhline(direct, color=GREY, linewidth=0.8, label="direct sum")
    _right.set(ylabel="relative rms error (no unit)", xlabel="m (pixels)", xticks=tile_sizes)
    _right.legend(frameon=False, fontsize=8, loc="upper left")
    show(
        _figure,
        "Left, the products an output falls from 9 towards 1 as the tile grows. Right, the error in float32 grows by "
        "powers of ten.",
        "左图：小块增大时，每个输出的乘法次数从 9 降向 1。右图：float32 的误差成十倍地增大。",
    )
    return


@app.cell(hide_code=True)
def _(direct, matrices, ours, products, tile, usual):
    def _rows(matrix):
        words = [[f"{number:.2g}" for number in row] for row in matrix + 0.0]
        widths = [max(map(len, column)) for column in zip(*words, strict=True)]
        return "&#10;".join(" ".join(map(str.rjust, row, widths)) for row in words)

    _shown = min(tile.value, 4)  # larger ones are too wide for a phone
    _a, _g, _b = matrices(_shown)
    _engine, _sum = (4 + 2) ** 2, 9 * 4**2
    assert _engine / 4**2 == products[3]
    text(
        f"""
    With tiles of {tile.value} x {tile.value} an output takes **{products[tile.value - 1]:.2f}** products instead of 9, and has a relative
    error of {ours[tile.value - 1]:.1e} (direct sum: {direct:.1e}; the usual points: {usual[tile.value - 1]:.1e}).

    /// details | The matrices for m = {_shown}
    <pre>A^T&#10;{_rows(_a)}&#10;&#10;G&#10;{_rows(_g)}&#10;&#10;B^T&#10;{_rows(_b)}</pre>
    ///

    Larger tiles need larger powers of the points, and digits are lost when these are added up again. The engine stops at
    m = 4: {_engine} products for {4**2} outputs, where the direct sum takes {_sum}.

    Additions cost time, too. So the engine does not multiply by $B^\\top$ and $A^\\top$; its code writes out their additions.
    """,
        f"""
    用 {tile.value} x {tile.value} 的小块，每个输出需要 **{products[tile.value - 1]:.2f}** 次乘法，而不是 9 次，相对误差是
    {ours[tile.value - 1]:.1e}（直接求和：{direct:.1e}；通常的点：{usual[tile.value - 1]:.1e}）。

    /// details | m = {_shown} 的矩阵
    <pre>A^T&#10;{_rows(_a)}&#10;&#10;G&#10;{_rows(_g)}&#10;&#10;B^T&#10;{_rows(_b)}</pre>
    ///

    小块越大，点的幂次越高，把它们再加起来时就丢失数字。引擎停在
    m = 4：{4**2} 个输出用 {_engine} 次乘法，直接求和要 {_sum} 次。

    加法也要花时间。所以引擎并不去乘 $B^\\top$ 和 $A^\\top$；它的代码把它们的加法写了出来。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(winograd.to_points, winograd.from_points)
    return


@app.cell
def _(matrices):
    at, gm, bt = matrices(4)
    weights = np.random.default_rng(0).normal(size=(3, 3))
    pixels = np.zeros((6, 6))  # what one tile of 4 x 4 outputs sees
    pixels[2, 2] = np.inf
    with np.errstate(invalid="ignore"):
        by_sum = sum(pixels[p : p + 4, q : q + 4] * weights[p, q] for p in range(3) for q in range(3))
        by_points = at @ ((gm @ weights @ gm.T) * (bt @ pixels @ bt.T)) @ at.T
    spoiled_by_sum, spoiled = (int((~np.isfinite(y)).sum()) for y in (by_sum, by_points))
    assert (spoiled_by_sum, spoiled) == (9, 16)
    return spoiled, spoiled_by_sum


@app.cell(hide_code=True)
def _(products, spoiled, spoiled_by_sum):
    text(
        f"""
    {9 / products[3]:.0f} times fewer products do not mean {9 / products[3]:.0f} times the speed: transforms and memory take time, too. Measure it on your machine:

        tinydx bench correlate2d --shapes "8x56x56x64, 3x3x64x64, padding=same"
        TINYDX_WINOGRAD=0 tinydx bench correlate2d --shapes "8x56x56x64, 3x3x64x64, padding=same"

    ## A question

    An image has one infinite pixel. With the direct sum, {spoiled_by_sum} outputs are not finite. How many are not finite with Winograd's
    algorithm and m = 4, and why?

    /// details | Answer
    All {spoiled} of each tile that contains the pixel: each transformed value is a sum over the tile, and infinity minus infinity is
    NaN. So the engine looks for infinities first and computes such images by the direct sum. An optimization must not change the
    result.
    ///
    """,
        f"""
    乘法少到 {9 / products[3]:.0f} 分之一，并不等于速度就是 {9 / products[3]:.0f} 倍：变换和内存也要时间。在你的机器上量一量：

        tinydx bench correlate2d --shapes "8x56x56x64, 3x3x64x64, padding=same"
        TINYDX_WINOGRAD=0 tinydx bench correlate2d --shapes "8x56x56x64, 3x3x64x64, padding=same"

    ## 一个问题

    一张图像有一个像素是无穷大。直接求和时，有 {spoiled_by_sum} 个输出不是有限数。用 Winograd 算法、m = 4 时，
    有多少个不是有限数，为什么？

    /// details | 答案
    含有这个像素的每个小块的全部 {spoiled} 个：每个变换后的值都是整个小块上的求和，而无穷大减无穷大是 NaN。
    所以引擎先查有没有无穷大，有就用直接求和来算这样的图像。优化不能改变结果。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("winograd")
    return


if __name__ == "__main__":
    app.run()
