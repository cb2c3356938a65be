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
    from tinydx.lessons.page import BLUE, GREY, RED, canvas, code, foot, head, show, term
    from tinydx_kernels.cpu import simd, staircase


@app.cell(hide_code=True)
def _():
    head(18)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
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
    """)
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
    channels = mo.ui.slider(steps=[32, 48, 64, 96, 128], value=64, label="channels and filters", show_value=True, full_width=True)
    mo.vstack([mo.md("## See it\n\nThis runs on your machine, now. Each move of the slider measures again."), channels])
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
    )
    return


@app.cell(hide_code=True)
def _(channels, exact, roof_of_all, roof_of_one, speeds, threads, work):
    best, limit = max(speeds, key=speeds.get), max(roof_of_one, roof_of_all)
    _share = f"reaches {speeds[best] / limit:.0%} of what the chip can do"
    if speeds[best] > limit:  # the chip was slowed down while its roof was measured, by other programs or by its heat
        _share = "came out faster than the roof that was measured, so how far it is from the limit **can't be told** here"
    mo.md(f"""
    {exact.shape[0]} x {exact.shape[1]} outputs, 3 x 3 kernels, {channels.value} channels, {channels.value} filters: {work / 1e6:.0f} MFLOP.
    This chip can do {roof_of_one:.0f} GFLOP/s on one core and {roof_of_all:.0f} on {threads}, measured just now. The fastest version,
    *{best}*, is **{speeds[best] / speeds["Python loops"]:,.0f} times** as fast as Python's loops, and {_share}.
    (Other running programs lower all of these numbers, each by as much as they happen to need.)
    """)
    return (best,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 1 · loops

    The equation, compiled by Numba: no interpreter looks up types and names between two multiplications. But the innermost loop
    jumps through w: neighbours in c are F numbers apart in memory, so every multiplication fetches another cache line.
    """)
    return


@app.cell(hide_code=True)
def _():
    code(staircase.loops)
    return


@app.cell(hide_code=True)
def _():
    mo.md(
        """
    ## 2 · filters

    The same sums with the filters innermost. Now neighbours in the loop are neighbours in memory, and the compiler processes
    {simd_lanes} of them in one instruction. This is {simd_term}.
    """.format(simd_lanes=simd.LANES or "several", simd_term=term("SIMD"))
    )
    return


@app.cell(hide_code=True)
def _():
    code(staircase.filters)
    return


@app.cell(hide_code=True)
def _():
    mo.md(f"""
    ## 3 · registers

    Version 2 loads and stores y for every single product. Most cores can load two vectors at a time but store only one, so storing
    limits the speed. Here a block of {simd.ROWS} pixels times {staircase.PANEL} filters stays in {simd.TILE} registers until it is finished: each pass of
    the inner loop loads {simd.COLUMNS} vectors of weights and {simd.ROWS} pixels, and does {simd.TILE} multiply-adds.
    """)
    return


@app.cell(hide_code=True)
def _():
    code(staircase.one_row)
    return


@app.cell(hide_code=True)
def _():
    mo.md(
        """
    ## 4 · threads

    Rows of y do not depend on each other, so {} can compute them. For small work, waking the threads costs more time than they save.
    """.format(term("parallel threads"))
    )
    return


@app.cell(hide_code=True)
def _():
    code(staircase.threads)
    return


@app.cell(hide_code=True)
def _():
    loads, products = simd.ROWS + simd.COLUMNS, simd.TILE
    mo.md(f"""
    ## A question

    Why a block of {simd.ROWS} x {simd.COLUMNS} vectors, and not 1 x {simd.TILE} or {simd.TILE} x 1, which take as many registers?

    /// details | Answer
    A block of r x c vectors loads r + c numbers or vectors and does r · c products with them. {simd.ROWS} x {simd.COLUMNS} loads {loads} for {products}
    products; 1 x {products} would load {1 + products}. The squarer the block, the fewer the loads; and block, weights and pixel
    together must fit into the registers. On a GPU, the same idea leads to lesson 20.
    ///

    The engine's kernels go further: they handle any border and shape, and use Winograd's algorithm, the subject of the next lesson.
    If you have PyTorch, compare them: `tinydx bench correlate2d`.
    """)
    return


@app.cell(hide_code=True)
def _():
    foot(18)
    return


if __name__ == "__main__":
    app.run()
