"""CUDA: a convolution, from its sum to one fused kernel · CUDA 卷积

Minutes: 40
Needs: g++
Exercises: implicit_matrix
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="CUDA: a convolution", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np

    from tinydx import ops
    from tinydx.lessons.page import BLUE, GREY, RED, canvas, cuda, foot, head, number, short, show, term, text
    from tinydx_kernels.cuda import backend, convolution, elementwise, fused, pooling
    from tinydx_kernels.cuda.matmul import tiles_of
    from tinydx_kernels.cuda.programs import HERE, Tile
    from tinydx_kernels.emulator import KernelError, empty, load_module, profile


@app.cell(hide_code=True)
def _():
    head("cuda_convolution")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - count how often a convolution fetches each number, and why that is what it costs;
    - read a convolution as a matrix product whose left matrix is never stored;
    - say what a kernel saves that adds the bias, applies ReLU and pools before it writes.

    As in lesson {number("cuda_matmul")}, no GPU is needed: the engine's own `.cu` files run on the CPU, and every access is counted.

    ## The equation

    $$y(i,j,f) = b_f + \sum_{{p,q,c}}$$

    $$x(i+p,\, j+q,\, c) \cdot w(p,q,c,f)$$

    GPU kernels compute the correlation; for the document's convolution the engine hands them the weights rotated.

    ## The code

    One thread computes one number of y. In Python, this is what every thread does; a pixel outside the image adds nothing.
    """,
        rf"""
    学完这一课，你能够

    - 数出卷积把每个数取了多少次，以及为什么这就是它的代价；
    - 把卷积看成一个矩阵乘法，它左边的矩阵从不存储；
    - 说出在写出之前就加偏置、做 ReLU 和池化的内核省下什么。

    与第 {number("cuda_matmul")} 课一样，不需要 GPU：引擎自己的 `.cu` 文件在 CPU 上运行，每次访问都数下来。

    ## 公式

    $$y(i,j,f) = b_f + \sum_{{p,q,c}}$$

    $$x(i+p,\, j+q,\, c) \cdot w(p,q,c,f)$$

    GPU 内核计算的是互相关；对文中的卷积，引擎把旋转后的权重交给它们。

    ## 代码

    一个线程计算 y 的一个数。用 Python 写，这就是每个线程做的事；图像之外的像素不计入。
    """,
    )
    return


@app.cell
def _():
    def thread(i, j, f, x, w, y):
        total = 0.0
        for p, q, c in np.ndindex(w.shape[:3]):
            row, column = i + p - 1, j + q - 1  # a border of one pixel
            if 0 <= row < x.shape[0] and 0 <= column < x.shape[1]:
                total += x[row, column, c] * w[p, q, c, f]
        y[i, j, f] = total

    return (thread,)


@app.cell(hide_code=True)
def _(thread):
    _rng = np.random.default_rng(0)
    _x, _w, _y = _rng.normal(size=(4, 5, 3)), _rng.normal(size=(3, 3, 3, 2)), np.empty((4, 5, 2))
    for _at in np.ndindex(_y.shape):
        thread(*_at, _x, _w, _y)
    np.testing.assert_allclose(_y, ops.correlate2d(_x[None], _w, padding="same")[0])
    short(thread)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    ## Step 1: the sum as it stands

    Neighbouring threads have neighbouring filters f. Look for three things in the code: which number of y is this thread's, the loops
    over p, q and c, and the condition that skips what lies outside the image.
    """,
        """
    ## 第 1 步：照写的求和

    相邻的线程对应相邻的滤波器 f。在代码中找三样东西：这个线程负责 y 的哪个数，p、q、c 的循环，
    以及跳过图像之外的条件。
    """,
    )
    return


@app.cell
def _():
    def cu(file, first, after):
        """A file of the engine from the line that begins with `first` to before the next that begins with `after`."""
        whole = (HERE / file).read_text("utf-8")
        start = whole.index(f"\n{first}") + 1
        return cuda(file, whole[start : whole.index(f"\n{after}", start)].rstrip())

    cu("conv_direct.cu", 'extern "C" __global__ void forward', "extern")
    return (cu,)


@app.cell
def _():
    SIDE, CHANNELS, FILTERS, SECTOR = 16, 8, 64, 8  # pixels, channels, filters; numbers of a sector
    _rng = np.random.default_rng(0)
    x = _rng.normal(size=(1, SIDE, SIDE, CHANNELS)).astype("float32")
    w = _rng.normal(size=(3, 3, CHANNELS, FILTERS)).astype("float32")
    b = _rng.normal(size=FILTERS).astype("float32")
    geometry = convolution.geometry(x, w, stride=1, padding="same", dilation=1)
    shape = geometry.shape_of_y
    exact = ops.correlate2d.forward(x.astype(float), w.astype(float), b.astype(float), padding="same")[0]
    pixels, depth = SIDE * SIDE, w.size // FILTERS  # of y; products of one number of y
    return CHANNELS, FILTERS, SECTOR, SIDE, b, depth, exact, geometry, pixels, shape, w, x


@app.cell
def _():
    tap = mo.ui.slider(
        0, 8, value=4, label="position (p, q) of the kernel, 0 to 8 · 卷积核的位置 (p, q)", show_value=True, full_width=True
    )
    _about = text(
        """
    ## See it: what one warp fetches

    x is 16 x 16 pixels with 8 channels, w 3 x 3 x 8 for 64 filters; both as they lie in memory, row by row. Blue is what the 32 threads of
    a warp ask for at one moment, pale what memory moves besides. Above the sum as it stands, below the tiles of step 2.
    """,
        """
    ## 看一看：一个线程束取什么

    x 是 16 x 16 像素、8 个通道，w 是 3 x 3 x 8、64 个滤波器；都按在内存中的样子逐行画出。
    蓝色是一个线程束的 32 个线程在某一刻要的数，浅色是内存另外搬动的数。上面是照写的求和，下面是第 2 步的小块。
    """,
    )
    mo.vstack([_about, tap])
    return (tap,)


@app.cell
def _(CHANNELS, FILTERS, SECTOR, SIDE, tap):
    def seen(index, shape):
        """(numbers read, numbers moved), each as a picture of the array."""
        read, moved = np.zeros(shape, bool), np.zeros((np.prod(shape) // SECTOR, SECTOR), bool)
        read.flat[index] = True
        moved[np.unique(index // SECTOR)] = True
        return read, moved.reshape(shape)

    _row, _column = 8 + tap.value // 3 - 1, tap.value % 3 - 1  # where row 8 of y looks; its first pixel may look outside
    _lane, _in_x, _in_w = np.arange(32), (SIDE, SIDE * CHANNELS), (9 * CHANNELS, FILTERS)
    _first = (_row * SIDE + 1 + _column) * CHANNELS  # what pixel (8, 1) of y sees in channel 0
    _gathered = np.arange(max(_column, 0), SIDE + min(_column, 0))  # the pixels that 16 neighbours see inside the image
    warps = {
        "sum, x": seen(np.array([_first]), _in_x),
        "sum, w": seen(tap.value * CHANNELS * FILTERS + _lane, _in_w),
        "tiles, x": seen((_row * SIDE * CHANNELS + _gathered[:, None] * CHANNELS + np.arange(CHANNELS)).ravel(), _in_x),
        "tiles, w": seen(tap.value * CHANNELS * FILTERS + np.arange(4 * 32), _in_w),
    }
    sectors = {name: int(moved.sum()) // SECTOR for name, (_, moved) in warps.items()}
    assert (sectors["sum, x"], sectors["sum, w"], sectors["tiles, w"]) == (1, 4, 16) and sectors["tiles, x"] in (15, 16)
    assert int(warps["sum, w"][0].sum()) == 32
    return sectors, warps


@app.cell(hide_code=True)
def _(sectors, warps):
    _figure, _axes = canvas(2, 2, height=4.0, width_ratios=(1.2, 1))
    for _axis, (_name, (_read, _moved)) in zip(_axes.flat, warps.items(), strict=True):
        _axis.imshow(
            np.where(_read, 2, np.where(_moved, 1, 0)), cmap="Blues", vmin=0, vmax=2.4, aspect="auto", interpolation="none"
        )
        _count = sectors[_name]
        _of_x = _name.endswith("x")
        _axis.set(title=f"{_name}: {_count} sector{'s' if _count > 1 else ''}", xticks=[0, 64, 127] if _of_x else [0, 32, 63])
        _axis.set(
            xlabel="8 column + channel" if _of_x else "filter (number)",
            ylabel="row (pixels)" if _of_x else "8 (3 p + q) + channel",
        )
        _axis.set_yticks([0, 8, 15] if _of_x else [0, 24, 48, 71])
    show(
        _figure,
        "Four pictures of x and w in memory. For the plain sum a warp reads a single number of x and 32 of w; for the tiles "
        "it fetches a row of pixels with all channels, and two rows of w, sectors that are used whole.",
        "x 和 w 在内存中的四幅图。照写的求和中，线程束读 x 的一个数和 w 的 32 个数；小块中，它取一行像素的全部通道和 w 的两行，扇区都用满。",
    )
    return


@app.cell(hide_code=True)
def _(sectors):
    text(
        f"""
    Memory moves sectors of 8 numbers. In the plain sum a warp moves {sectors["sum, x"] + sectors["sum, w"]} sectors, and does 32 products with them. In the tiles it
    moves {sectors["tiles, x"] + sectors["tiles, w"]}, all of them used whole. More important is what happens to a number after it has arrived: how many products
    use it before it is forgotten.

    ## Step 2: a matrix product that is never written

    At one pixel of y, the kernel sees 3 · 3 · 8 numbers of x. Write them side by side as one row. The rows of all pixels of y form a
    matrix of patches, and the convolution is the product of this matrix with w.

    Stored, the matrix would be nine times as large as x. So it is never stored. The loop over tiles is that of the product in lesson {number("cuda_matmul")}.
    Only where the left tile is filled, the kernel **computes** where in the image the number lies, and fetches it from there. This is
    {term("implicit GEMM")}. Its central loop:
    """,
        f"""
    内存搬动的是 8 个数的扇区。照写的求和中，线程束搬动 {sectors["sum, x"] + sectors["sum, w"]} 个扇区，用它们做 32 次乘法。小块中搬动
    {sectors["tiles, x"] + sectors["tiles, w"]} 个，全部用满。更重要的是，一个数到达之后怎样：在被忘掉之前，有多少次乘法用到它。

    ## 第 2 步：从不写出的矩阵乘法

    在 y 的一个像素处，卷积核看到 x 的 3 · 3 · 8 个数。把它们并排写成一行。y 的所有像素的行组成一个矩阵，
    卷积就是这个矩阵与 w 的乘积。

    如果存储，这个矩阵会是 x 的九倍大。所以从不存储。小块的循环就是第 {number("cuda_matmul")} 课乘积的循环。
    只是在填左边小块的地方，内核**计算**这个数在图像的什么位置，再从那里取来。这就是
    {term("implicit GEMM")}。它的核心循环：
    """,
    )
    return


@app.cell(hide_code=True)
def _(cu):
    cu("conv_forward.cu", "    float sum[TM][TN] = {};", "    for (int j = 0; j < TN; j++) {")
    return


@app.cell
def _():
    side = mo.ui.slider(
        steps=[16, 32, 64, 128], value=32, label="pixels of a tile · 小块的像素数", show_value=True, full_width=True
    )
    _about = text(
        """
    ## See it: what a tile uses again

    Blue are the pixels of y that one block computes; red, how many of them look at each pixel of x.
    """,
        """
    ## 看一看：小块重复使用什么

    蓝色是一个线程块计算的 y 的像素；红色是其中有多少个看到 x 的每个像素。
    """,
    )
    mo.vstack([_about, side])
    return (side,)


@app.cell
def _(FILTERS, SIDE, side):
    def tile_of(m):
        """The tile with that many pixels: (pixels, filters, depth of a step; sums of a thread)."""
        return Tile(m, 32 if m < 64 else FILTERS, 16, 4 if m < 64 else 8, 4)

    _chosen = np.zeros(SIDE * SIDE)
    _chosen[SIDE * SIDE // 2 :][: side.value] = 1
    block = _chosen.reshape(SIDE, SIDE)
    used = sum(np.pad(block, 1)[2 - p : 2 - p + SIDE, 2 - q : 2 - q + SIDE] for p in range(3) for q in range(3))
    tile = tile_of(side.value)
    products = tile.BM * tile.BN / (tile.BM + tile.BN)
    assert used.max() <= 9 and tile.threads in (32, 64, 128, 256)
    return block, products, tile, tile_of, used


@app.cell(hide_code=True)
def _(block, used):
    _figure, (_left, _right) = canvas(1, 2, height=2.4, sharey=True)
    _left.imshow(block, cmap="Blues", vmin=0, vmax=1.2)
    _left.set(title="y: one tile", xlabel="column (pixels)", ylabel="row (pixels)", xticks=[0, 5, 10, 15], yticks=[0, 5, 10, 15])
    _drawn = _right.imshow(used, cmap="Reds", vmin=0, vmax=9)
    _right.set(title="x: what it needs", xlabel="column (pixels)", xticks=[0, 5, 10, 15])
    _figure.colorbar(_drawn, ax=_right, label="looked at (times)", shrink=0.8, ticks=[0, 3, 6, 9])
    show(
        _figure,
        "Left, the pixels of y in one tile. Right, the pixels of x that it needs, with how often each is looked at: up to nine times.",
        "左图：一个小块中 y 的像素。右图：它需要的 x 的像素，以及每个被看到多少次，最多九次。",
    )
    return


@app.cell
def _(b, exact, geometry, pixels, shape, tile_of, w, x):
    def measured(run):
        """(what it returns, KB of global memory moved): the launchers of the engine, their kernels under the checker."""
        with backend.emulation(), profile() as launches:
            y = run()
        lines = [line for launch in launches for line in launch.counters if not line.shared]
        return y, sum(32 * line.moved for line in lines) / 1024

    def direct():
        y = empty(shape)
        backend.each(convolution.DIRECT, "forward", y.size, x, w, b, y, geometry, 1, True)
        return y

    def tiled(tile):
        y, program = empty(shape), convolution.forward_program(tile)
        backend.launch(
            program, "forward", tiles_of(tile, pixels, shape[3]), tile.threads, x, w, b, y, empty(1, np.uint8), geometry, True
        )
        return y

    y_direct, kb_direct = measured(direct)
    traffic = {"the sum": kb_direct}
    for _m in (16, 32, 64, 128):
        _tile = tile_of(_m)
        _y, traffic[f"{_tile.BM} x {_tile.BN}"] = measured(lambda tile=_tile: tiled(tile))
        np.testing.assert_allclose(_y, exact, atol=1e-4)
    np.testing.assert_allclose(y_direct, exact, atol=1e-4)
    least = 4 * (x.size + w.size + b.size + exact.size) / 1024
    assert list(traffic.values()) == sorted(traffic.values(), reverse=True) and traffic["the sum"] > 10 * traffic["16 x 32"]
    return least, measured, traffic


@app.cell(hide_code=True)
def _(least, tile, traffic):
    _figure, _axis = canvas(height=2.4)
    _now = f"{tile.BM} x {tile.BN}"
    _axis.barh(
        list(traffic), traffic.values(), color=[GREY] + [BLUE if name == _now else "#92b8d8" for name in list(traffic)[1:]]
    )
    for _y, _kb in enumerate(traffic.values()):
        _axis.text(_kb * 1.1, _y, f"{_kb:,.0f}", va="center")
    _axis.axvline(least, color=RED, linewidth=1)
    _axis.text(least * 1.05, 4.75, "each number once", color=RED, fontsize=8)
    _axis.set(
        xscale="log", xlim=(20, 6 * max(traffic.values())), xlabel="global memory moved (KB)", ylabel="tile", ylim=(5, -0.6)
    )
    show(
        _figure,
        "The global memory that the plain sum and four sizes of tiles move, on a logarithmic scale, beside the least that is possible.",
        "照写的求和与四种大小的小块所搬动的全局内存，对数坐标，旁边是可能的最小值。",
    )
    return


@app.cell(hide_code=True)
def _(FILTERS, depth, least, pixels, products, tile, traffic, used):
    text(
        f"""
    This was counted by running the kernels. {pixels * FILTERS * depth / 1e6:.1f} million products need {least:.0f} KB, each number once. The plain sum moves
    **{traffic["the sum"] / least:.0f} times** as much, a tile of {tile.BM} pixels x {tile.BN} filters {traffic[f"{tile.BM} x {tile.BN}"] / least:.1f} times.

    A tile of $m$ pixels and $n$ filters fetches $m + n$ numbers for each term of the sums, and does $m \\cdot n$ products with them:
    {products:.0f} for each number fetched. So a tile should be large, and as square as it can be: the blocks of lessons {number("speed")} and {number("cuda_matmul")}, again.
    Its {tile.BM} pixels look at {int((used > 0).sum())} pixels of x, each {used.sum() / (used > 0).sum():.1f} times on average; the kernel fetches a pixel for every position
    of the kernel anew. On a GPU most of that is answered by the caches, which the counter does not know.

    ## Step 3: do not write what will be read again

    In the document's network a bias, ReLU and 2 x 2 max pooling follow. As three kernels, each writes its result to memory, and the
    next fetches it again. But the sums are in registers already. All that is missing is that one thread has all four sums of a pooling
    window. So the rows of the tile are ordered window by window: then four rows that follow each other are one window.
    This is {term("kernel fusion")}:
    """,
        f"""
    这是运行内核数出来的。{pixels * FILTERS * depth / 1e6:.1f} 百万次乘法需要 {least:.0f} KB，每个数一次。照写的求和搬动的是它的
    **{traffic["the sum"] / least:.0f} 倍**，{tile.BM} 像素 x {tile.BN} 滤波器的小块是 {traffic[f"{tile.BM} x {tile.BN}"] / least:.1f} 倍。

    $m$ 个像素、$n$ 个滤波器的小块，为求和的每一项取 $m + n$ 个数，用它们做 $m \\cdot n$ 次乘法：
    每取一个数做 {products:.0f} 次。所以小块应当大，而且尽量接近正方形：又是第 {number("speed")} 课和第 {number("cuda_matmul")} 课的块。
    它的 {tile.BM} 个像素看到 x 的 {int((used > 0).sum())} 个像素，每个平均 {used.sum() / (used > 0).sum():.1f} 次；对卷积核的每个位置，
    内核都重新取一次像素。在 GPU 上，其中大部分由缓存应答，计数器不知道缓存。

    ## 第 3 步：还要再读的就不写

    在文中的网络里，接下来是偏置、ReLU 和 2 x 2 最大池化。分成三个内核，每个都把结果写到内存，下一个再取回来。
    但求和本来就在寄存器里。只差一点：一个线程要拥有一个池化窗口的全部四个和。所以小块的行按窗口排序：
    于是相连的四行就是一个窗口。这就是{term("kernel fusion")}：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    def _pixel_of(m, pooled, columns=8):
        """Row m of the tile is this pixel of y, as in the file's output_pixel."""
        if not pooled:
            return m // columns, m % columns
        row, column = divmod(m // 4, columns // 2)
        return 2 * row + m % 4 // 2, 2 * column + m % 2

    orders = [np.zeros((4, 8), int) for _ in range(2)]
    for _m in range(32):
        orders[0][_pixel_of(_m, False)] = orders[1][_pixel_of(_m, True)] = _m
    _figure, _axes = canvas(1, 2, height=1.7, sharey=True)
    for _axis, _order, _title in zip(_axes, orders, ("row by row", "window by window"), strict=True):
        _axis.imshow(_order // 4 % 2 + 2 * (_order // 8 % 2), cmap="Blues", vmin=-1, vmax=7)
        for (_i, _j), _m in np.ndenumerate(_order):
            _axis.text(_j, _i, _m, ha="center", va="center", fontsize=8)
        _axis.set(title=_title, xlabel="column of y (pixels)", xticks=[0, 3, 7], yticks=[0, 3])
    _axes[0].set_ylabel("row of y")
    show(
        _figure,
        "Which row of the tile a pixel of y is: counted row by row, and counted so that the four pixels of a pooling window follow each other.",
        "y 的一个像素是小块的第几行：逐行数，以及按窗口数，使一个池化窗口的四个像素相连。",
    )
    return (orders,)


@app.cell(hide_code=True)
def _(cu):
    cu("conv_forward.cu", "// sum[i][j] = the largest", "extern")
    return


@app.cell
def _(b, exact, measured, orders, w, x):
    def in_three():
        y, _ = convolution.correlate2d_forward(x, w, b, padding="same")
        y, _ = elementwise.relu_forward(y)
        return pooling.max_pool2d_forward(y, size=2)[0]

    def in_one():
        return fused.pooled_forward(x, w, b, padding="same")[0]

    (y_three, kb_three), (y_one, kb_one) = measured(in_three), measured(in_one)
    np.testing.assert_array_equal(y_three, y_one)  # the same sums in the same order: not one bit differs
    np.testing.assert_allclose(y_one, ops.max_pool2d(ops.relu(exact), size=2), atol=1e-4)
    assert kb_one < kb_three / 2
    assert all((np.ptp(orders[1].reshape(2, 2, 4, 2).swapaxes(1, 2), axis=(2, 3)) == 3).ravel())  # a window is four in a row
    return kb_one, kb_three


@app.cell(hide_code=True)
def _(exact, kb_one, kb_three):
    text(
        f"""
    The three kernels move {kb_three:.0f} KB, the one **{kb_one:.0f} KB**, and the results agree to the last bit. The {4 * exact.size // 1024} KB of sums are never
    written. What is written besides, one byte a window, says which pixel won: backward needs it, as lesson {number("pooling_dense")} has shown.
    """,
        f"""
    三个内核搬动 {kb_three:.0f} KB，一个内核搬动 **{kb_one:.0f} KB**，结果一位不差。{4 * exact.size // 1024} KB 的和从不写出。
    另外写出的是每个窗口一个字节，说明哪个像素胜出：反向传播需要它，第 {number("pooling_dense")} 课说过。
    """,
    )
    return


@app.cell
def _(b, exact, geometry, pixels, shape, tile_of, w, x):
    _tile = tile_of(32)
    source = (HERE / "conv_forward.cu").read_text("utf-8")
    careless = source.replace("h >= 0 && h < g.height && c >= 0 && c < g.width", "h >= 0 && h < g.height")
    assert careless != source
    try:
        _kernel = load_module(careless, dict(convolution.forward_program(_tile).defines)).get_function("forward")
        _kernel(
            tiles_of(_tile, pixels, shape[3]),
            (_tile.threads,),
            (x, w, b, empty(shape), empty(1, np.uint8), backend.struct(geometry), np.int32(1)),
        )
        finding = ""
    except KernelError as error:
        finding = str(error).splitlines()[0]
    assert "out-of-bounds" in finding

    def wrapped():
        """What a GPU would compute without asking for the column: x as one long line of pixels, and zero around it."""
        n, rows, columns, filters = shape
        line = np.pad(x.reshape(-1, x.shape[3]).astype(float), ((columns + 1, columns + 1), (0, 0)))
        return b + sum(line[p * columns + q :][: rows * columns] @ w[p, q] for p in range(3) for q in range(3)).reshape(shape)

    wrong = int((np.abs(wrapped() - exact).max(axis=(0, 3)) > 1e-3).sum())
    assert wrong == 2 * shape[1]
    return finding, wrong


@app.cell(hide_code=True)
def _(finding, pixels, wrong):
    text(
        f"""
    ## A question

    Above, `inside` asks four things of a pixel: two of its row, two of its column. A programmer forgets the column. How many of the
    {pixels} pixels of y are wrong, and would a GPU stop?

    /// details | Answer
    {wrong}: those of the first and the last column. What lies left of the first pixel of a row is, in memory, the last pixel of the row above,
    so they see the other side of the image: a wrong number, and no error. A GPU would not even stop at the two ends of x; most of the time,
    something else lies there. The emulator, with the file so changed, says:

    > {finding.replace("<", "&lt;")}

    It finds the ends. The other wrong pixels only a comparison with the reference finds: that is why every kernel here has both.
    ///
    """,
        f"""
    ## 一个问题

    上面的 `inside` 对像素问四件事：两件关于行，两件关于列。程序员忘了列。y 的 {pixels} 个像素中有多少个是错的？
    GPU 会停下来吗？

    /// details | 答案
    {wrong} 个：第一列和最后一列的。一行第一个像素左边，在内存中是上一行的最后一个像素，所以它们看到图像的另一边：
    数是错的，却没有报错。连 x 的两端，GPU 也不会停；那里多半有别的东西。把文件这样改了之后，模拟器说：

    > {finding.replace("<", "&lt;")}

    它找到的是两端。其余的错像素，只有与基准比较才能发现：所以这里每个内核两样都有。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("cuda_convolution")
    return


if __name__ == "__main__":
    app.run()
