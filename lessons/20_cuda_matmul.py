"""CUDA: a matrix product, step by step, without a GPU · CUDA 矩阵乘法

Minutes: 40
Needs: g++
Exercises: tiled_product
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="CUDA: a matrix product", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np

    from tinydx.lessons.page import BLUE, RED, canvas, foot, head, show, term
    from tinydx_kernels.cuda import backend, matmul
    from tinydx_kernels.emulator import KernelError, empty, load_module, profile


@app.cell(hide_code=True)
def _():
    head(20)
    return


@app.cell(hide_code=True)
def _():
    mo.md(rf"""
    After this lesson you can

    - read a CUDA {term("kernel function")}, and say which thread computes what;
    - count the memory that a {term("warp")} moves, and see what two letters change;
    - use {term("shared memory")}, and know what happens if a {term("barrier")} is missing.

    No GPU is needed. tinydx runs the very same `.cu` files on the CPU, one thread after the other, and watches every access.

    ## The equation

    $$c_{{mn}} = \sum_{{k}} a_{{mk}}\, b_{{kn}}$$

    A GPU computes it with thousands of threads. They come in blocks, and a block's threads in **warps** of 32, which take every step
    together. When a warp reads, memory delivers *sectors* of 32 bytes, 8 numbers each, and nothing smaller.

    ## Step 1: one thread, one number
    """)
    return


@app.cell
def _():
    def cu(stair):
        """The file of a kernel, as it stands in the engine."""
        return mo.md(f"```cpp\n{matmul.STAIRCASE[stair].program.path.read_text('utf-8')}\n```")

    cu("naive")
    return (cu,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Step 2: two letters
    """)
    return


@app.cell(hide_code=True)
def _(cu):
    cu("coalesced")
    return


@app.cell
def _():
    k = mo.ui.slider(0, 31, value=5, label="k, the step of the sum", show_value=True, full_width=True)
    mo.vstack(
        [mo.md("## See it: what one warp reads\n\nBlue is what its 32 threads read; pale is what memory moves besides."), k]
    )
    return (k,)


@app.cell
def _(k):
    SIDE, SECTOR = 32, 8  # a 32 x 32 matrix; numbers of a sector
    lane = np.arange(32)

    def seen(index):
        """(numbers read, numbers moved), each as a picture of the matrix."""
        read, moved = np.zeros(SIDE * SIDE, bool), np.zeros((SIDE * SIDE // SECTOR, SECTOR), bool)
        read[index] = True
        moved[np.unique(index // SECTOR)] = True
        return read.reshape(SIDE, SIDE), moved.reshape(SIDE, SIDE)

    step = k.value
    warps = {
        "step 1: a": seen(lane * SIDE + step),  # m = lane
        "step 1: b": seen(np.full(32, step * SIDE)),  # n = 0 for all
        "step 2: a": seen(np.full(32, step)),  # m = 0 for all
        "step 2: b": seen(step * SIDE + lane),  # n = lane
    }
    sectors = {name: int(moved.sum()) // SECTOR for name, (_, moved) in warps.items()}
    assert sectors == {"step 1: a": 32, "step 1: b": 1, "step 2: a": 1, "step 2: b": 4}
    return sectors, warps


@app.cell(hide_code=True)
def _(sectors, warps):
    _figure, _axes = canvas(2, 2, height=4.2)
    for _axis, (_name, (_read, _moved)) in zip(_axes.flat, warps.items(), strict=True):
        _axis.imshow(np.where(_read, 2, np.where(_moved, 1, 0)), cmap="Blues", vmin=0, vmax=2.4)
        _count = sectors[_name]
        _axis.set(title=f"{_name}, {_count} sector{'s' if _count > 1 else ''}", xticks=[0, 8, 16, 24, 31], yticks=[0, 16, 31])
        _axis.set(xlabel="column (numbers)", ylabel="row (numbers)")
    show(
        _figure,
        "Four pictures of matrices. In step 1 a warp reads a column of a, which moves 32 sectors; in step 2 a row of b, 4 sectors.",
    )
    return


@app.cell
def _():
    N = 64
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(N, N)).astype("float32") for _ in range(2))

    def moved(stair):
        """Sectors of global memory that a kernel of the staircase moves, counted by the emulator while it runs."""
        with backend.emulation(), profile() as launches:
            c = matmul.staircase(stair, a, b)
        assert np.abs(c - a.astype(float) @ b).max() < 1e-4
        return sum(line.moved for launch in launches for line in launch.counters if not line.shared)

    traffic = {stair: 32 * moved(stair) / 1024 for stair in ("naive", "coalesced", "shared", "column")}
    least = 3 * N * N * 4 / 1024
    assert traffic["naive"] > 4 * traffic["coalesced"] > 4 * traffic["shared"] > 4 * least / 2
    return N, a, b, least, traffic


@app.cell(hide_code=True)
def _(least, traffic):
    _figure, _axis = canvas(height=2.3)
    _axis.barh(list(traffic), traffic.values(), color=BLUE)
    for _y, _bytes in enumerate(traffic.values()):
        _axis.text(_bytes * 1.1, _y, f"{_bytes:,.0f}", va="center")
    _axis.axvline(least, color=RED, linewidth=1)
    _axis.text(least * 1.05, 3.75, "each number once", color=RED, fontsize=8)
    _axis.set(xscale="log", xlim=(10, 8 * max(traffic.values())), xlabel="global memory moved (KB)", ylim=(4, -0.6))
    show(
        _figure,
        "The global memory that four steps of the staircase move, on a logarithmic scale, beside the least that is possible.",
    )
    return


@app.cell(hide_code=True)
def _(N, least, traffic):
    mo.md(f"""
    This was counted by running the kernels, for {N} x {N} matrices. Each number once would be {least:.0f} KB. Step 1 moves
    **{traffic["naive"] / least:.0f} times** as much, step 2 {traffic["coalesced"] / least:.0f} times.

    ## Step 3: shared memory

    Still every number of a is fetched for every column of c. In step 3 a block of 32 x 32 threads fetches a tile once into memory that they
    share, and uses each number 32 times: {traffic["shared"] / least:.1f} times the least is left.
    """)
    return


@app.cell(hide_code=True)
def _(cu):
    cu("shared")
    return


@app.cell
def _(N, a, b):
    source = matmul.STAIRCASE["shared"].program.path.read_text("utf-8")
    without = source.replace("__syncthreads();  // all have read", "")
    assert without != source
    try:
        load_module(without).get_function("matmul")(
            (N // 32, N // 32), (32, 32), (a, b, empty((N, N)), *map(np.int32, (N, N, N)))
        )
        finding = ""
    except KernelError as error:
        finding = str(error).splitlines()[0]
    assert "race" in finding
    return (finding,)


@app.cell(hide_code=True)
def _(finding):
    mo.md(f"""
    ## A question

    Step 3 has two barriers. The first is plain: nobody may multiply before all have written. What happens without the second?

    /// details | Answer
    A fast warp goes on to the next tile and overwrites numbers that a slow one has not read yet. On a GPU that goes right most of the
    time, which is the worst of all. The emulator, with the second barrier taken out of the file, says:

    > {finding.replace("<", "&lt;")}
    ///

    ## On to the speed of the chip

    Step 4, *column*, gives each thread 8 numbers of c, so that one number read from shared memory serves 8 products: lesson 18's
    register block again. Steps 5 to 8 make the block square, read 4 numbers at once, give each warp a tile, and fetch
    the next tile while this one is computed. Each is a file of `kernels/cuda/` with the reason on top.
    """)
    return


@app.cell(hide_code=True)
def _():
    foot(20)
    return


if __name__ == "__main__":
    app.run()
