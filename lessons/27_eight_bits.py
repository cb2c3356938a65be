"""A network in eight bits: what it costs, what it gains · 八位量化

Minutes: 30
Exercises: quantise
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="A network in eight bits", css_file="lesson.css")

with app.setup:
    import copy

    import marimo as mo
    import numpy as np

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx.bench.measure import interleave, summarize, verdict
    from tinydx.datasets.phantom import make_phantoms
    from tinydx.evaluation import roc_auc, wilson_interval
    from tinydx.layers import Conv2D, Dense, Flatten, MaxPooling2D
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, card, code, foot, head, number, short, show, term, text
    from tinydx.models import Sequential
    from tinydx.ops.quantized import to_int8
    from tinydx.optimizers import Adam


@app.cell(hide_code=True)
def _():
    head("eight_bits")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - round weights to a few bits with a scale for each column, and bound the error;
    - measure what {term("quantisation")} costs in accuracy, beside what another training would change;
    - say when fewer bytes save time, and when they do not.

    ## The equation

    A weight is stored as a float32: 32 bits. With $b$ bits there are only the whole numbers from $-m$ to $m$, where $m = 2^{{b-1}} - 1$; for 8 bits $m$ is 127.
    So each column $f$ of a dense layer gets a scale, by which its largest weight becomes $m$:

    $$s_f = \frac{{1}}{{m}} \max_d |w_{{df}}|$$

    $$q_{{df}} = \mathrm{{round}}\left( \frac{{w_{{df}}}}{{s_f}} \right)$$

    Rounding errs by half a unit at most, so $|w_{{df}} - s_f\, q_{{df}}| \le s_f / 2$. The layer computes with whole numbers and takes the scale out of the sum:

    $$y_f = s_f \sum_d x_d\, q_{{df}} + b_f$$

    In a few lines:
    """,
        rf"""
    学完这一课，你能够

    - 把权重舍入到几位，每列一个缩放系数，并给出误差的上界；
    - 测量{term("quantisation")}损失多少准确率，并与重新训练带来的变化相比；
    - 说出字节少了什么时候省时间，什么时候不省。

    ## 公式

    一个权重存成 float32：32 位。用 $b$ 位，就只有从 $-m$ 到 $m$ 的整数，其中 $m = 2^{{b-1}} - 1$；8 位时 $m$ 是 127。
    所以全连接层的每一列 $f$ 有一个缩放系数，使这一列最大的权重变成 $m$：

    $$s_f = \frac{{1}}{{m}} \max_d |w_{{df}}|$$

    $$q_{{df}} = \mathrm{{round}}\left( \frac{{w_{{df}}}}{{s_f}} \right)$$

    舍入最多错半个单位，所以 $|w_{{df}} - s_f\, q_{{df}}| \le s_f / 2$。这一层用整数计算，把缩放系数提到求和之外：

    $$y_f = s_f \sum_d x_d\, q_{{df}} + b_f$$

    写出来只有几行：
    """,
    )
    return


@app.function
def in_bits(w, bits):
    m = 2 ** (bits - 1) - 1
    scale = np.abs(w).max(axis=0) / m
    return np.rint(w / scale), scale


@app.cell(hide_code=True)
def _():
    _w = np.random.default_rng(0).normal(size=(50, 7))
    _q, _scale = in_bits(_w, 8)
    _engine_q, _engine_scale = to_int8(_w)
    assert (_q == _engine_q).all() and (_scale == _engine_scale).all()
    assert (np.abs(_w - _q * _scale) <= _scale / 2 * (1 + 1e-12)).all()
    short(in_bits)
    return


@app.cell
def _():
    images, y = make_phantoms(1000, seed=0, size=32)
    x = (images[..., None] / 255).astype(np.float32)
    x_train, y_train, x_test, y_test = x[:500], y[:500], x[500:], y[500:]

    def trained(seed):
        """A small network like the document's: a convolution, and two dense layers that hold nearly all weights."""
        tinydx.set_seed(seed)
        tinydx.set_threads(1)  # such a small network is fastest on one core
        layers = [Conv2D(8, 3, activation="relu", input_shape=(32, 32, 1)), MaxPooling2D(2), Flatten()]
        model = Sequential([*layers, Dense(64, activation="relu"), Dense(1, activation="sigmoid")])
        model.compile(Adam(0.001), "binary_crossentropy")
        model.fit(x_train, y_train, batch_size=16, epochs=12, verbose=0)
        return model

    model, another = trained(0), trained(1)
    p_float, p_another = (m.predict(x_test)[:, 0] for m in (model, another))
    return model, p_another, p_float, x_test, y_test


@app.cell
def _(model, p_another, p_float, x_test, y_test):
    def as_good_as(p):
        """Beside the float32 model: images with the same class, the largest change of a probability, and the area."""
        return int(((p > 0.5) == (p_float > 0.5)).sum()), float(np.abs(p - p_float).max()), roc_auc(y_test, p)

    def predict_in_bits(bits):
        small = copy.deepcopy(model)
        for layer in small.layers:
            if isinstance(layer, Dense):
                q, scale = in_bits(layer.kernel.data, bits)
                layer.kernel.data = (q * scale).astype(np.float32)
        return small.predict(x_test)[:, 0]

    all_bits = np.arange(2, 17)
    by_bits = {int(bits): as_good_as(predict_in_bits(bits)) for bits in all_bits}
    of_float, of_another = as_good_as(p_float), as_good_as(p_another)
    assert of_float[0] == len(y_test) and by_bits[16][1] < 1e-3 < by_bits[2][1]
    return all_bits, by_bits, of_another, of_float


@app.cell(hide_code=True)
def _():
    text(
        """
    ## See it: fewer and fewer bits

    A small network like the document's learns on 500 phantoms; its dense layers are then rounded. The figure shows one column of the first dense layer,
    and below what remains of the network's answers on 500 other phantoms.
    """,
        """
    ## 看一看：位数越来越少

    一个与文中相似的小网络在 500 张模拟图像上学习；然后把它的全连接层舍入。图中是第一个全连接层的一列，
    下面是网络在另外 500 张模拟图像上的回答还剩多少。
    """,
    )
    return


@app.cell
def _():
    bits = mo.ui.slider(2, 16, value=4, label="b, bits · 位数", show_value=True, full_width=True)
    bits
    return (bits,)


@app.cell
def _(bits, model):
    kernel = next(layer for layer in model.layers if isinstance(layer, Dense)).kernel.data.astype(float)
    q_now, scale_now = in_bits(kernel, bits.value)
    error = np.abs(kernel - q_now * scale_now)
    assert (error <= scale_now / 2 * (1 + 1e-4)).all()
    _one = np.abs(kernel).max() / (2 ** (bits.value - 1) - 1)
    rms = float(np.sqrt((error**2).mean()))
    rms_one_scale = float(np.sqrt(((kernel - np.rint(kernel / _one) * _one) ** 2).mean()))
    return error, kernel, q_now, rms, rms_one_scale, scale_now


@app.cell(hide_code=True)
def _(all_bits, bits, by_bits, kernel, of_another, q_now, scale_now, y_test):
    _figure, (_top, _bottom) = canvas(2, 1, height=4.2)
    _order = np.argsort(kernel[:, 0])
    _top.plot(kernel[_order, 0], color=GREY, label="float32")
    _top.plot((q_now * scale_now)[_order, 0], color=BLUE, linewidth=1, label=f"{bits.value} bits")
    _top.set(xlabel="weights of a column, by size", ylabel="w (no unit)")
    _top.legend(frameon=False, loc="upper left")
    _bottom.plot(all_bits, [by_bits[int(b)][0] / len(y_test) for b in all_bits], "o-", color=BLUE)
    _bottom.plot(bits.value, by_bits[bits.value][0] / len(y_test), "o", color=RED, markersize=9)
    _bottom.axhline(of_another[0] / len(y_test), color=GREY, linewidth=0.8)
    _bottom.text(16, of_another[0] / len(y_test) - 0.004, "another training", color=GREY, ha="right", va="top")
    _bottom.set(xlabel="bits", ylabel="same class (share)", xticks=range(2, 17, 2))
    show(
        _figure,
        "Above, the weights of a column as float32 and as rounded; below, the share of images with the same class against the number of bits.",
        "上图是一列权重的 float32 值和舍入后的值；下图是得到相同类别的图像比例随位数的变化。",
    )
    return


@app.cell(hide_code=True)
def _(
    bits,
    by_bits,
    error,
    of_another,
    of_float,
    p_float,
    rms,
    rms_one_scale,
    y_test,
):
    _n, (_same, _change, _area) = len(y_test), by_bits[bits.value]
    _low, _high = wilson_interval(_same, _n)
    _beside = both("That is less than another training changes", "这比重新训练带来的变化小")
    if _same <= of_another[0]:
        _beside = both("That is as much as another training changes, or more", "这不小于重新训练带来的变化")
    text(
        f"""
    | on {_n} images | {bits.value} bits | float32 | another training |
    |---|---|---|---|
    | same class as float32 | {_same} | {of_float[0]} | {of_another[0]} |
    | largest change of $p$ | {_change:.2g} | 0 | {of_another[1]:.2g} |
    | ROC AUC | {_area:.3f} | {of_float[2]:.3f} | {of_another[2]:.3f} |

    With {bits.value} bits, a weight is off by at most {error.max():.1e}, and by {rms:.1e} in the root mean square; with **one** scale for the whole layer that would
    be {rms_one_scale:.1e}. The same class on {_same} of {_n} images means {_low:.1%} to {_high:.1%} (95 % interval): so few images cannot show more. The yardstick is another
    training of the same network from another seed. {_beside.en}. A class changes only where $p$ lies near the threshold; here {np.mean(np.abs(p_float - 0.5) < 0.1):.1%} of the images
    have a $p$ between 0.4 and 0.6.

    ## The engine: bytes
    """,
        f"""
    | {_n} 张图像 | {bits.value} 位 | float32 | 重新训练 |
    |---|---|---|---|
    | 与 float32 类别相同 | {_same} | {of_float[0]} | {of_another[0]} |
    | $p$ 的最大变化 | {_change:.2g} | 0 | {of_another[1]:.2g} |
    | ROC AUC | {_area:.3f} | {of_float[2]:.3f} | {of_another[2]:.3f} |

    用 {bits.value} 位，一个权重最多错 {error.max():.1e}，均方根是 {rms:.1e}；如果整层只用**一个**缩放系数，
    就是 {rms_one_scale:.1e}。{_n} 张中有 {_same} 张类别相同，意味着 {_low:.1%} 到 {_high:.1%}（95 % 区间）：图像这么少，不能说明更多。
    参照是同一网络换一个种子重新训练。{_beside.zh}。只有 $p$ 接近阈值时类别才会改变；这里有 {np.mean(np.abs(p_float - 0.5) < 0.1):.1%} 的图像的
    $p$ 在 0.4 与 0.6 之间。

    ## 引擎：字节
    """,
    )
    return


@app.cell
def _(by_bits, model, p_float, x_test):
    stored = copy.deepcopy(model)
    stored.quantize("int8")
    p_stored = stored.predict(x_test)[:, 0]
    bytes_before, bytes_after = (
        sum(w.nbytes if hasattr(w, "nbytes") else w.data.nbytes for w in m.weights) for m in (model, stored)
    )
    same_stored = int(((p_stored > 0.5) == (p_float > 0.5)).sum())
    assert bytes_after < 0.3 * bytes_before and abs(same_stored - by_bits[8][0]) <= 2
    return bytes_after, bytes_before, same_stored


@app.cell(hide_code=True)
def _(bytes_after, bytes_before, same_stored, y_test):
    text(
        f"""
    ```python
    model.quantize("int8")
    ```

    stores the kernels of the dense layers so: {bytes_before:,} bytes of weights become {bytes_after:,}. The same class comes out on {same_stored} of {len(y_test)}
    images. Convolutions and biases stay float32, because they are few. A quantised model predicts and is saved as before, but **it does not train**: the slope of a rounding is 0.

    ## Time

    One image through a dense layer uses every weight **once**: a multiplication and an addition for 4 bytes from memory. A core adds faster than memory
    delivers, so a quarter of the bytes may take a quarter of the time. Many images at once use each weight many times: then arithmetic is the limit, and
    little is gained. A layer of 16,384 x 512 weights, measured just now, in turns:
    """,
        f"""
    ```python
    model.quantize("int8")
    ```

    这样存储全连接层的权重：{bytes_before:,} 字节变成 {bytes_after:,} 字节。{len(y_test)} 张图像中有 {same_stored} 张
    类别相同。卷积和偏置仍是 float32，因为它们很少。量化后的模型照样预测和保存，但**不能训练**：舍入的斜率是 0。

    ## 时间

    一张图像经过全连接层，每个权重只用**一次**：从内存取 4 个字节，做一次乘法和一次加法。核心加得比内存送得快，
    所以字节只有四分之一，时间也可能只要四分之一。许多图像一起算，每个权重用许多次：这时限制在算术，
    省不了多少。一个有 16,384 x 512 个权重的层，刚刚轮流测得：
    """,
    )
    return


@app.cell
def _():
    with tinydx.use("auto"):  # the engine's kernels, where Numba is installed; they are compiled once
        _rng = np.random.default_rng(1)
        _large = Sequential([Dense(512, input_shape=(16384,))])
        _small = copy.deepcopy(_large)
        _small.quantize("int8")
        samples = {}
        for _n in (1, 32):
            _x = _rng.random((_n, 16384), np.float32)
            _calls = {"float32": lambda x=_x: _large.predict_on_batch(x), "int8": lambda x=_x: _small.predict_on_batch(x)}
            samples[_n] = interleave(_calls, seconds=0.5)
    found = {n: verdict(of["int8"], of["float32"]) for n, of in samples.items()}
    assert all(v.ratio > 0 for v in found.values())
    return found, samples


@app.cell(hide_code=True)
def _(samples):
    _figure, _axes = canvas(1, 2, height=2.3)
    for _axis, (_n, _of) in zip(_axes, samples.items(), strict=True):
        for _y, (_name, _colour) in enumerate((("float32", GREY), ("int8", BLUE))):
            _s = summarize(_of[_name])
            _axis.barh(_y, 1e3 * _s.median, color=_colour)
            _axis.plot([1e3 * _s.low, 1e3 * _s.high], [_y, _y], color=RED, linewidth=2)
        _axis.set(
            title=f"{_n} image{'s' if _n > 1 else ''} at once", xlabel="time (ms)", yticks=[0, 1], yticklabels=["float32", "int8"]
        )
        _axis.set_xlim(left=0)
    show(
        _figure,
        "The time of the layer in float32 and in int8, for one image and for 32 at once: medians, and in red the middle half of the samples.",
        "该层用 float32 和用 int8 的时间，一张图像和 32 张一起：柱是中位数，红线是中间一半的样本。",
    )
    return


@app.cell(hide_code=True)
def _(found, samples):
    def said_of(n):
        """A sentence for what was measured with n images at once: chosen, because a clock decides."""
        v, ms = found[n], {k: 1e3 * summarize(s).median for k, s in samples[n].items()}
        if v.words == "can't tell":
            return both(
                f"with {n}: **can't tell**, {ms['int8']:.2f} ms and {ms['float32']:.2f} ms; the interval of their ratio contains 1",
                f"{n} 张：**无法判断**，{ms['int8']:.2f} ms 与 {ms['float32']:.2f} ms；两者之比的区间含有 1",
            )
        low, high = v.interval
        more = (
            both("times as fast", "倍的速度") if v.ratio > 1 else both("times as fast, which is slower", "倍的速度，也就是更慢")
        )
        return both(
            f"with {n}: int8 is {v.ratio:.2f} (95 % interval {low:.2f} to {high:.2f}) {more.en}, {ms['int8']:.2f} ms and {ms['float32']:.2f} ms",
            f"{n} 张：int8 是 {v.ratio:.2f}（95 % 区间 {low:.2f} 到 {high:.2f}）{more.zh}，{ms['int8']:.2f} ms 与 {ms['float32']:.2f} ms",
        )

    one_image, many_images = said_of(1), said_of(32)
    return many_images, one_image


@app.cell
def _():
    # of docs/eightbits.md, as measured there: its name in Chinese, float32, int8, how many times as fast
    MEASURED = {
        "one image, 1 thread": ("一张图像，1 个线程", "3.59 ms", "2.10 ms", "1.71x"),
        "32 images, 1 thread": ("32 张图像，1 个线程", "31.8 ms", "29.7 ms", "1.07x"),
        "its Dense layer alone, one image, 1 thread": ("单独的全连接层，一张图像，1 个线程", "1.94 ms", "0.62 ms", "3.13x"),
    }
    return (MEASURED,)


@app.cell(hide_code=True)
def _(MEASURED, many_images, one_image):
    _table = lambda rows: "\n    ".join(f"| {' | '.join(row)} |" for row in rows)  # noqa: E731
    _english = _table([(name, *row[1:]) for name, row in MEASURED.items()])
    _rows = both(_english, _table(MEASURED.values()))
    text(
        f"""
    - {one_image.en}
    - {many_images.en}

    On an idle machine, for the document's network with its 76.1 MB of weights, which become 19.3 MB (docs/eightbits.md):

    | batch, threads | float32 | int8 | times as fast |
    |---|---|---|---|
    {_rows.en}

    So a quarter of the bytes is not a quarter of the time: one image's time also holds the convolutions, which nothing shortens, and 8 bits must be widened before
    they are multiplied. Without Numba, NumPy widens the whole matrix at each call, and int8 is usually slower. What limits a program decides what helps it, as in lesson {number("speed")}.

    ## The code
    """,
        f"""
    - {one_image.zh}
    - {many_images.zh}

    在空闲的机器上，文中的网络有 76.1 MB 权重，量化后是 19.3 MB（docs/eightbits.md）：

    | 批，线程 | float32 | int8 | 倍数 |
    |---|---|---|---|
    {_rows.zh}

    所以字节的四分之一并不是时间的四分之一：一张图像的时间还包括卷积，那部分没有缩短；8 位的数在相乘之前还要扩展。
    没有 Numba 时，NumPy 每次都把整个矩阵扩展一遍，int8 往往反而更慢。什么限制了程序，就决定什么对它有用，如第 {number("speed")} 课。

    ## 代码
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(to_int8)
    return


@app.cell(hide_code=True)
def _():
    card("dense_int8", "literal", "forward", "backward")
    return


@app.cell(hide_code=True)
def _(kernel):
    outlier = kernel.copy()
    outlier[0] = 100 * np.abs(kernel).max(axis=0)
    lost, lost_before = (float((in_bits(w, 8)[0] == 0).mean()) for w in (outlier, kernel))
    assert lost > lost_before
    text(
        f"""
    ## A question

    One weight of each column becomes 100 times as large as the largest one was. What happens to the others in 8 bits? Would you rather have one scale for the layer,
    or one for each column?

    /// details | Answer
    The scale becomes 100 times as large, and every weight below half a scale becomes 0: here {lost:.0%} of them, where it was {lost_before:.1%} before. A single outlier ruins its column,
    and with one scale for the whole layer it would ruin all columns. That is why each column has its own; large language models, whose weights and inputs have
    such outliers, take one for every few dozen weights.
    ///
    """,
        f"""
    ## 一个问题

    每列有一个权重变成原来最大值的 100 倍。其余的权重在 8 位中会怎样？你宁愿整层一个缩放系数，还是每列一个？

    /// details | 答案
    缩放系数变成 100 倍，小于它一半的权重都变成 0：这里有 {lost:.0%}，原来是 {lost_before:.1%}。一个离群值就毁掉它那一列；
    如果整层只有一个缩放系数，就毁掉所有的列。所以每列有自己的系数；大语言模型的权重和输入有这样的离群值，
    它们每几十个权重就用一个系数。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("eight_bits")
    return


if __name__ == "__main__":
    app.run()
