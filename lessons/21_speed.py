"""From loops to the speed of the chip · 从循环到芯片极限

Minutes: 30
Needs: numba
Exercises: conv_stride_padding
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="From loops to the speed of the chip", css_file="lesson.css")

with app.setup:
    import time

    import marimo as mo
    import numpy as np

    import tinydx
    from tinydx import ops
    from tinydx.bench.roofs import measure_roofs
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, code, foot, head, number, short, show, term, text
    from tinydx_kernels.cpu import simd, staircase


@app.cell(hide_code=True)
def _():
    head("speed")
    return


@app.cell(hide_code=True)
def _():
    text(
        r"""
    After this lesson you can

    - count the work of a convolution, and measure how fast it is done;
    - say what makes each version faster than the one before it;
    - tell how far a program is from the limit of the chip.

    ## The equation

    For every output pixel and every filter $f$, over a window of $k \times k$ pixels with $C$ channels:

    $$y(i,j,f) = \sum_{p,q,c} x_{pq}(i,j,c) \cdot w(p,q,c,f)$$

    with $x_{pq}(i,j,c) = x(i+p,\, j+q,\, c)$, all counted from 0 as in code. Each term is a multiplication and an addition, 2 FLOP. For $H_y W_y$ output pixels, the total is

    $$2 \cdot H_y W_y \cdot k^2 \cdot C \cdot F$$

    whatever the order of the loops. Below, only this **order** changes, and where the numbers are kept; the sum stays the same.
    """,
        r"""
    学完这一课，你能够

    - 数出一个卷积的工作量，并量出它做得多快；
    - 说出每个版本为什么比前一个快；
    - 看出一个程序离芯片的极限有多远。

    ## 公式

    对每个输出像素和每个滤波器 $f$，在 $k \times k$ 像素、$C$ 个通道的窗口上求和：

    $$y(i,j,f) = \sum_{p,q,c} x_{pq}(i,j,c) \cdot w(p,q,c,f)$$

    其中 $x_{pq}(i,j,c) = x(i+p,\, j+q,\, c)$，全都像代码那样从 0 数起。每一项是一次乘法和一次加法，即 2 FLOP。共有 $H_y W_y$ 个输出像素，总量是

    $$2 \cdot H_y W_y \cdot k^2 \cdot C \cdot F$$

    与循环的顺序无关。下面改变的只是这个**顺序**，以及数放在哪里；求和不变。
    """,
    )
    return


@app.cell
def _():
    def correlate(x, w, y):
        kh, kw, channels, _ = w.shape
        for i, j, f in np.ndindex(y.shape):
            total = np.float32(0)
            for p, q, c in np.ndindex(kh, kw, channels):
                total += x[i + p, j + q, c] * w[p, q, c, f]
            y[i, j, f] = total

    return (correlate,)


@app.cell(hide_code=True)
def _(correlate):
    _rng = np.random.default_rng(0)
    _x, _w, _y = _rng.normal(size=(6, 5, 3)), _rng.normal(size=(3, 3, 3, 2)), np.empty((4, 3, 2))
    correlate(_x, _w, _y)
    np.testing.assert_allclose(_y, ops.correlate2d(_x[None], _w)[0])
    short(correlate)
    return


@app.cell
def _():
    threads = tinydx.get_threads()

    def roof(n):
        """The GFLOP/s of multiply-adds that n cores can do when no data have to be fetched from memory."""
        tinydx.set_threads(n)
        return measure_roofs(seconds=0.1)["flops"] / 1e9

    roof_of_one, roof_of_all = roof(1), roof(threads)  # the second call leaves the threads as they were
    return roof_of_all, roof_of_one, threads


@app.cell
def _():
    channels = mo.ui.slider(
        steps=[32, 48, 64, 96, 128], value=64, label="channels and filters · 通道和滤波器", show_value=True, full_width=True
    )
    _about = text(
        """
    ## See it

    This runs on your machine, now. Each move of the slider measures again.
    """,
        """
    ## 看一看

    这是现在在你的机器上运行的。每移动一次滑块就重新测一次。
    """,
    )
    mo.vstack([_about, channels])
    return (channels,)


@app.cell
def _(channels):
    rng = np.random.default_rng(0)
    c = channels.value
    x = rng.normal(size=(26, 26, c)).astype("float32")
    w = rng.normal(size=(3, 3, c, c)).astype("float32")
    exact = ops.correlate2d.forward(x[None].astype(float), w.astype(float))[0][0]
    work = 2 * exact.size * 9 * c

    def speed(function, *arrays, flops, calls=5):
        """GFLOP/s of the quickest of some calls, after one that compiles."""
        function(*arrays)
        times = []
        for _ in range(calls):
            start = time.perf_counter()
            function(*arrays)
            times.append(time.perf_counter() - start)
        return flops / min(times) / 1e9

    few = w[:, :, :8, :8]  # Python is so slow that it gets only a small part of the work
    speeds = {"Python loops": speed(ops.correlate2d.literal, x[None, :5, :5, :8], few, flops=2 * 9 * 9 * 8 * 8, calls=1)}
    speeds["NumPy"] = speed(ops.correlate2d.forward, x[None], w, flops=work)
    for version in staircase.STEPS:
        assert np.abs(version(x, w) - exact).max() < 1e-4 * np.abs(exact).max()  # right first, then fast
        speeds[version.py_func.__name__] = speed(version, x, w, flops=work)
    return exact, speeds, work


@app.cell(hide_code=True)
def _(roof_of_all, roof_of_one, speeds, threads):
    _figure, _axis = canvas(height=2.8)
    _names = list(speeds)
    _axis.barh(_names, speeds.values(), color=[GREY, GREY] + [BLUE] * (len(_names) - 2))
    for _y, _speed in enumerate(speeds.values()):
        _axis.text(_speed * 1.15, _y, f"{_speed:.3g}", va="center")
    for _cores, _roof in {1: roof_of_one, threads: roof_of_all}.items():
        _name = f"roof, {_cores} core{'s' if _cores > 1 else ''}"
        _axis.axvline(_roof, color=RED, linewidth=1, linestyle="-" if _cores == threads else ":", label=_name)
    _axis.set(xscale="log", xlim=(1e-4, 8 * roof_of_all), xlabel="speed (GFLOP/s)")
    _axis.invert_yaxis()
    _axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    show(
        _figure,
        "Speed in GFLOP/s on a logarithmic scale: Python loops, NumPy, and four versions of compiled loops, with the limit of the "
        "chip as a line.",
        "以 GFLOP/s 表示的速度，对数坐标：Python 循环、NumPy 和四个编译循环的版本，竖线是芯片的极限。",
    )
    return


@app.cell(hide_code=True)
def _(channels, exact, roof_of_all, roof_of_one, speeds, threads, work):
    best, limit = max(speeds, key=speeds.get), max(roof_of_one, roof_of_all)
    _reached = f"{speeds[best] / limit:.0%}"
    _share = both(f"reaches {_reached} of what the chip can do", f"达到芯片能力的 {_reached}")
    if speeds[best] > limit:  # the chip was slowed down while its roof was measured, by other programs or by its heat
        _share = both(
            "came out faster than the roof that was measured, so how far it is from the limit **can't be told** here",
            "结果比测得的极限还快，所以在这里它离极限有多远**无法判断**",
        )
    text(
        f"""
    {exact.shape[0]} x {exact.shape[1]} outputs, 3 x 3 kernels, {channels.value} channels, {channels.value} filters: {work / 1e6:.0f} MFLOP.
    This chip can do {roof_of_one:.0f} GFLOP/s on one core and {roof_of_all:.0f} on {threads}, measured just now. The fastest version,
    *{best}*, is **{speeds[best] / speeds["Python loops"]:,.0f} times** as fast as Python's loops, and {_share.en}.
    (Other running programs lower all of these numbers, each by as much as they happen to need.)
    """,
        f"""
    {exact.shape[0]} x {exact.shape[1]} 个输出，3 x 3 的卷积核，{channels.value} 个通道，{channels.value} 个滤波器：{work / 1e6:.0f} MFLOP。
    这块芯片单核能做 {roof_of_one:.0f} GFLOP/s，{threads} 个核能做 {roof_of_all:.0f}，刚刚测得。最快的版本
    *{best}* 的速度是 Python 循环的 **{speeds[best] / speeds["Python loops"]:,.0f} 倍**，{_share.zh}。
    （其他正在运行的程序会把这些数都拉低，低多少看它们当时需要多少。）
    """,
    )
    return (best,)


@app.cell(hide_code=True)
def _():
    text(
        """
    ## 1 · loops

    The equation, compiled by Numba: no interpreter looks up types and names between two multiplications. But the innermost loop
    jumps through w: neighbours in c are F numbers apart in memory, so every multiplication fetches another cache line.
    """,
        """
    ## 1 · 循环

    公式由 Numba 编译：两次乘法之间没有解释器去查类型和名称。但最内层的循环在 w 中跳着走：
    c 的相邻元素在内存中相距 F 个数，所以每次乘法都要取另一条缓存行。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(staircase.loops)
    return


@app.cell(hide_code=True)
def _():
    _lanes = both(f"{simd.LANES} of them", f"{simd.LANES} 个") if simd.LANES else both("several of them", "几个")
    text(
        f"""
    ## 2 · filters

    The same sums with the filters innermost. Now neighbours in the loop are neighbours in memory, and the compiler processes
    {_lanes.en} in one instruction. This is {term("SIMD")}.
    """,
        f"""
    ## 2 · 滤波器

    同样的求和，滤波器放在最内层。现在循环中的邻居就是内存中的邻居，编译器用一条指令处理
    {_lanes.zh}。这就是{term("SIMD")}。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(staircase.filters)
    return


@app.cell(hide_code=True)
def _():
    text(
        f"""
    ## 3 · registers

    Version 2 loads and stores y for every single product. Most cores can load two vectors at a time but store only one, so storing
    limits the speed. Here a block of {simd.ROWS} pixels times {staircase.PANEL} filters stays in {simd.TILE} registers until it is finished: each pass of
    the inner loop loads {simd.COLUMNS} vectors of weights and {simd.ROWS} pixels, and does {simd.TILE} multiply-adds.
    """,
        f"""
    ## 3 · 寄存器

    版本 2 每做一次乘法都要读写 y。多数核心一次能读两个向量，却只能写一个，所以写限制了速度。
    这里 {simd.ROWS} 个像素乘 {staircase.PANEL} 个滤波器的一块留在 {simd.TILE} 个寄存器里，直到算完：内层循环每一遍
    读 {simd.COLUMNS} 个权重向量和 {simd.ROWS} 个像素，做 {simd.TILE} 次乘加。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(staircase.one_row)
    return


@app.cell(hide_code=True)
def _():
    text(
        f"""
    ## 4 · threads

    Rows of y do not depend on each other, so {term("parallel threads")} can compute them. For small work, waking the threads costs more
    time than they save.
    """,
        f"""
    ## 4 · 线程

    y 的各行互不依赖，所以{term("parallel threads")}可以分头计算。工作量小时，唤醒线程花的时间比省下的还多。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(staircase.threads)
    return


@app.cell(hide_code=True)
def _():
    loads, products = simd.ROWS + simd.COLUMNS, simd.TILE
    text(
        f"""
    ## A question

    Why a block of {simd.ROWS} x {simd.COLUMNS} vectors, and not 1 x {simd.TILE} or {simd.TILE} x 1, which take as many registers?

    /// details | Answer
    A block of r x c vectors loads r + c numbers or vectors and does r · c products with them. {simd.ROWS} x {simd.COLUMNS} loads {loads} for {products}
    products; 1 x {products} would load {1 + products}. The squarer the block, the fewer the loads; and block, weights and pixel
    together must fit into the registers. On a GPU, the same idea leads to lesson {number("cuda_matmul")}.
    ///

    The engine's kernels go further: they handle any border and shape, and use Winograd's algorithm, the subject of the next lesson.
    If you have PyTorch, compare them: `tinydx bench correlate2d`.
    """,
        f"""
    ## 一个问题

    为什么取 {simd.ROWS} x {simd.COLUMNS} 个向量的块，而不是 1 x {simd.TILE} 或 {simd.TILE} x 1？它们占用同样多的寄存器。

    /// details | 答案
    r x c 个向量的块读 r + c 个数或向量，用它们做 r · c 次乘法。{simd.ROWS} x {simd.COLUMNS} 为 {products} 次乘法读 {loads} 个；
    1 x {products} 要读 {1 + products} 个。块越接近正方形，读得越少；而块、权重和像素必须一起放进寄存器。
    在 GPU 上，同样的想法引出第 {number("cuda_matmul")} 课。
    ///

    引擎的内核更进一步：它们处理任何边界和形状，并使用下一课的主题，即 Winograd 算法。
    如果你有 PyTorch，比一比：`tinydx bench correlate2d`。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("speed")
    return


if __name__ == "__main__":
    app.run()
