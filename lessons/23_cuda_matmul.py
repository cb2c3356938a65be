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

    from tinydx.lessons.page import BLUE, RED, canvas, cuda, foot, head, number, short, show, term, text
    from tinydx_kernels.cuda import backend, matmul
    from tinydx_kernels.emulator import KernelError, empty, load_module, profile


@app.cell(hide_code=True)
def _():
    head("cuda_matmul")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - read a CUDA {term("kernel function")}, and say which thread computes what;
    - count the memory that a {term("warp")} moves, and see what two letters change;
    - use {term("shared memory")}, and know what happens if a {term("barrier")} is missing.

    No GPU is needed. tinydx runs the very same `.cu` files on the CPU, one thread after the other, and watches every access.

    ## The equation

    $$c_{{mn}} = \sum_{{k}} a_{{mk}}\, b_{{kn}}$$

    A GPU computes it with thousands of threads. They come in blocks, and a block's threads in **warps** of 32, which take every step
    together. When a warp reads, memory delivers *sectors* of 32 bytes, 8 numbers each, and nothing smaller.

    ## The code

    One thread computes one number. In Python, this is what every thread does; `launch` has them do it one after the other.
    """,
        rf"""
    学完这一课，你能够

    - 读懂一个 CUDA {term("kernel function")}，并说出哪个线程计算什么；
    - 数出一个{term("warp")}搬动多少内存，并看到两个字母改变了什么；
    - 使用{term("shared memory")}，并知道缺少{term("barrier")}会怎样。

    不需要 GPU。tinydx 在 CPU 上运行同样的 `.cu` 文件，一个线程接一个线程，并监视每一次访问。

    ## 公式

    $$c_{{mn}} = \sum_{{k}} a_{{mk}}\, b_{{kn}}$$

    GPU 用成千上万个线程来计算它。线程分成块，块里的线程每 32 个组成一个**线程束**，每一步都一同执行。
    线程束读数据时，内存送来的是 32 字节的*扇区*，每个 8 个数，不会更小。

    ## 代码

    一个线程计算一个数。用 Python 写，这就是每个线程做的事，`launch` 则让它们一个接一个地运行。
    """,
    )
    return


@app.cell
def _():
    def thread(m, n, a, b, c):
        total = 0.0
        for k in range(a.shape[1]):
            total += a[m, k] * b[k, n]
        c[m, n] = total

    def launch(a, b, c):
        for m, n in np.ndindex(c.shape):
            thread(m, n, a, b, c)

    return launch, thread


@app.cell(hide_code=True)
def _(launch, thread):
    _rng = np.random.default_rng(0)
    _a, _b, _c = _rng.normal(size=(4, 3)), _rng.normal(size=(3, 5)), np.empty((4, 5))
    launch(_a, _b, _c)
    np.testing.assert_allclose(_c, _a @ _b)
    short(thread, launch)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    ## Step 1: one thread, one number
    """,
        """
    ## 第 1 步：一个线程，一个数
    """,
    )
    return


@app.cell
def _():
    def cu(stair):
        """The file of a kernel, as it stands in the engine."""
        path = matmul.STAIRCASE[stair].program.path
        return cuda(path.name, path.read_text("utf-8"))

    cu("naive")
    return (cu,)


@app.cell(hide_code=True)
def _():
    text(
        """
    ## Step 2: two letters
    """,
        """
    ## 第 2 步：两个字母
    """,
    )
    return


@app.cell(hide_code=True)
def _(cu):
    cu("coalesced")
    return


@app.cell
def _():
    k = mo.ui.slider(0, 31, value=5, label="k, the step of the sum · k，求和的第几步", show_value=True, full_width=True)
    _about = text(
        """
    ## See it: what one warp reads

    Blue is what its 32 threads read; pale is what memory moves besides.
    """,
        """
    ## 看一看：一个线程束读什么

    蓝色是它的 32 个线程读的数；浅色是内存另外搬动的数。
    """,
    )
    mo.vstack([_about, k])
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
        "四幅矩阵图。第 1 步中，线程束读 a 的一列，搬动 32 个扇区；第 2 步中读 b 的一行，搬动 4 个扇区。",
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
        "阶梯的四步所搬动的全局内存，对数坐标，旁边是可能的最小值。",
    )
    return


@app.cell(hide_code=True)
def _(N, least, traffic):
    text(
        f"""
    This was counted by running the kernels, for {N} x {N} matrices. Each number once would be {least:.0f} KB. Step 1 moves
    **{traffic["naive"] / least:.0f} times** as much, step 2 {traffic["coalesced"] / least:.0f} times.

    ## Step 3: shared memory

    Still every number of a is fetched for every column of c. In step 3 a block of 32 x 32 threads fetches a tile once into memory that they
    share, and uses each number 32 times: {traffic["shared"] / least:.1f} times the least is left.
    """,
        f"""
    这是运行内核数出来的，矩阵为 {N} x {N}。每个数读写一次是 {least:.0f} KB。第 1 步搬动的是它的
    **{traffic["naive"] / least:.0f} 倍**，第 2 步是 {traffic["coalesced"] / least:.0f} 倍。

    ## 第 3 步：共享内存

    a 的每个数仍然要为 c 的每一列取一次。第 3 步中，32 x 32 个线程的块把一个小块一次取到它们共用的内存里，
    每个数用 32 次：剩下最小值的 {traffic["shared"] / least:.1f} 倍。
    """,
    )
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
    text(
        f"""
    ## A question

    Step 3 has two barriers. The first is plain: nobody may multiply before all have written. What happens without the second?

    /// details | Answer
    A fast warp goes on to the next tile and overwrites numbers that a slow one has not read yet. On a GPU that goes right most of the
    time, which is the worst of all. The emulator, with the second barrier taken out of the file, says:

    > {finding.replace("<", "&lt;")}
    ///

    ## On to the speed of the chip

    Step 4, *column*, gives each thread 8 numbers of c, so that one number read from shared memory serves 8 products: the
    register block of lesson {number("speed")} again. Steps 5 to 8 make the block square, read 4 numbers at once, give each warp a tile, and fetch
    the next tile while this one is computed. Each is a file of `kernels/cuda/` with the reason on top.
    """,
        f"""
    ## 一个问题

    第 3 步有两个同步屏障。第一个很明白：大家写完之前谁也不能乘。没有第二个会怎样？

    /// details | 答案
    快的线程束会进入下一个小块，覆盖慢的线程束还没读的数。在 GPU 上，多数时候碰巧没事，这是最糟糕的。
    把文件中的第二个屏障去掉，模拟器说：

    > {finding.replace("<", "&lt;")}
    ///

    ## 通往芯片的极限

    第 4 步 *column* 让每个线程算 c 的 8 个数，于是从共享内存读一个数可以用在 8 次乘法上：又是第 {number("speed")} 课的
    寄存器块。第 5 到 8 步把块变成正方形，一次读 4 个数，给每个线程束一个小块，并在计算这一块的同时取下一块。
    每一步都是 `kernels/cuda/` 中的一个文件，开头写着理由。
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("cuda_matmul")
    return


if __name__ == "__main__":
    app.run()
