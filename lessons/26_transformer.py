"""Attention, and one transformer block · 注意力与 Transformer

Minutes: 40
Exercises: masked_attention, residual, gelu
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    app_title="Attention, and one transformer block",
    css_file="lesson.css",
)

with app.setup:
    import marimo as mo
    import numpy as np

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx import ops
    from tinydx.evaluation import wilson_interval
    from tinydx.layers import Attention, Dense, Embedding, GlobalAveragePooling1D, LayerNormalization, SimpleRNN
    from tinydx.lessons.page import BLUE, GREY, RED, both, canvas, card, code, foot, head, number, short, show, term, text
    from tinydx.models import Model, Sequential
    from tinydx.optimizers import Adam


@app.cell(hide_code=True)
def _():
    head("transformer")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - compute {term("attention")} by hand, and say why its scores are divided by $\sqrt{{d}}$;
    - build a {term("transformer")} block from attention, residuals and normalisation, and say what each part is for;
    - look at attention weights without taking them for an explanation.

    ## The equation

    In lesson {number("translation")}, a decoder looked back at what an encoder had read. Here every word of a text looks at all others.
    A word asks with its query $q$. Every word offers a key $k$, which is compared with the query, and a value $v$, which is what it has to tell:

    $$s_j = \frac{{q \cdot k_j}}{{\sqrt{{d}}}}$$

    $$p_j = \frac{{e^{{s_j}}}}{{\sum_l e^{{s_l}}}}$$

    $$y = \sum_j p_j v_j$$

    The result is a mean of the values, in which those count most whose keys match the query. Query, key and value are three
    matrix products of the same word: $q = x W_q$, $k = x W_k$, $v = x W_v$.

    ## By numbers

    Three words, $d = 2$, and the query $q = (1, 2)$:
    """,
        rf"""
    学完这一课，你能够

    - 手算{term("attention")}，并说出得分为什么要除以 $\sqrt{{d}}$；
    - 用注意力、残差和归一化搭出一个 {term("transformer")} 块，并说出每一部分的用处；
    - 查看注意力权重，而不把它当成解释。

    ## 公式

    在第 {number("translation")} 课，解码器回头看编码器读过的内容。这里文本中的每个词都看所有的词。
    一个词用查询 $q$ 提问。每个词给出一个键 $k$，用来与查询比较，还给出一个值 $v$，就是它要说的内容：

    $$s_j = \frac{{q \cdot k_j}}{{\sqrt{{d}}}}$$

    $$p_j = \frac{{e^{{s_j}}}}{{\sum_l e^{{s_l}}}}$$

    $$y = \sum_j p_j v_j$$

    结果是值的平均，键与查询越相配，值的分量越重。查询、键和值是同一个词的三个矩阵乘积：
    $q = x W_q$，$k = x W_k$，$v = x W_v$。

    ## 手算

    三个词，$d = 2$，查询是 $q = (1, 2)$：
    """,
    )
    return


@app.function
def attention(q, k, v, hidden=False):
    scores = q @ k.T / np.sqrt(q.shape[-1])
    scores = np.where(hidden, -np.inf, scores)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = e / e.sum(axis=-1, keepdims=True)
    return weights @ v


@app.cell
def _():
    three_q = np.array([1.0, 2.0])
    three_k = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    three_v = np.array([10.0, 20.0, 30.0])
    dots = three_k @ three_q
    scaled = dots / np.sqrt(2)
    p = np.array([attention(three_q, three_k, np.eye(3)[_j]) for _j in range(3)])  # a value of 1 for one word: its weight
    p_hidden = np.array([attention(three_q, three_k, np.eye(3)[_j], np.arange(3) == 2) for _j in range(3)])
    mixed = {"all": attention(three_q, three_k, three_v), "hidden": attention(three_q, three_k, three_v, np.arange(3) == 2)}
    assert np.isclose(p.sum(), 1) and p_hidden[2] == 0 and np.isclose(mixed["all"], p @ three_v)
    return dots, mixed, p, p_hidden, scaled, three_k, three_v


@app.cell(hide_code=True)
def _(dots, mixed, p, p_hidden, scaled, three_k, three_v):
    _rows = "\n    ".join(
        f"| ({three_k[j, 0]:g}, {three_k[j, 1]:g}) | {three_v[j]:g} | {dots[j]:g} | {scaled[j]:.2f} | {p[j]:.2f} | {p_hidden[j]:.2f} |"
        for j in range(3)
    )
    text(
        rf"""
    | $k_j$ | $v_j$ | $q \cdot k_j$ | $s_j$ | $p_j$ | masked |
    |---|---|---|---|---|---|
    {_rows}

    So $y$ = {mixed["all"]:.2f}. In the last column, the third word is hidden by a {term("causal mask")}: its score is set to
    $-\infty$, its weight becomes 0, and $y$ = {mixed["hidden"]:.2f}. A model that writes needs this in training: each word sees only those before
    it, or it would learn to copy the answer.

    ## See it: why divide?

    The dot product adds up $d$ products. If the numbers of $q$ and $k$ are independent with mean 0 and variance 1, then

    $$\mathrm{{Var}}(q \cdot k) = d$$

    so without a division the scores grow like $\sqrt{{d}}$, and softmax gives nearly all weight to one word.
    """,
        rf"""
    | $k_j$ | $v_j$ | $q \cdot k_j$ | $s_j$ | $p_j$ | 遮住 |
    |---|---|---|---|---|---|
    {_rows}

    所以 $y$ = {mixed["all"]:.2f}。最后一列中，第三个词被{term("causal mask")}遮住：它的得分设为
    $-\infty$，权重变成 0，于是 $y$ = {mixed["hidden"]:.2f}。会写作的模型在训练时需要它：每个词只能看见前面的词，
    否则它只会学着抄答案。

    ## 看一看：为什么要除？

    点积把 $d$ 个乘积加起来。如果 $q$ 和 $k$ 的各个数相互独立，均值为 0，方差为 1，那么

    $$\mathrm{{Var}}(q \cdot k) = d$$

    所以不除的话，得分像 $\sqrt{{d}}$ 一样增大，softmax 几乎把全部权重都给了一个词。
    """,
    )
    return


@app.cell
def _():
    dimension = mo.ui.slider(
        steps=[1, 2, 4, 8, 16, 32, 64, 128, 256, 512], value=64, label="d, numbers · 个数", show_value=True, full_width=True
    )
    dimension
    return (dimension,)


@app.cell
def _(dimension):
    _rng = np.random.default_rng(3)
    _q, _k = _rng.normal(size=(2000, 512)), _rng.normal(size=(2000, 8, 512))
    _d = dimension.value
    scores = np.einsum("nd,njd->nj", _q[:, :_d], _k[:, :, :_d])
    spread = float(scores.std())
    without = ops.softmax(scores)
    divided = ops.softmax(scores / np.sqrt(_d))
    slope_without, slope_divided = (float(np.median((w * (1 - w)).max(axis=1))) for w in (without, divided))
    assert np.isclose(spread, np.sqrt(_d), rtol=0.1) and divided.max(axis=1).mean() <= without.max(axis=1).mean() + 1e-12
    return divided, slope_divided, slope_without, spread, without


@app.cell(hide_code=True)
def _(dimension, divided, without):
    _figure, _axis = canvas(height=2.6)
    _words = np.arange(1, 9)
    for _weights, _colour, _name, _shift in (
        (without, RED, "q · k", -0.2),
        (divided, BLUE, r"q · k / $\sqrt{d}$", 0.2),
    ):
        _axis.bar(_words + _shift, np.sort(_weights, axis=1)[:, ::-1].mean(axis=0), 0.4, color=_colour, label=_name)
    _axis.set(
        title=f"d = {dimension.value}, mean of 2000 queries",
        xlabel="words, by weight",
        ylabel="weight p",
        ylim=(0, 1),
        xticks=_words,
    )
    _axis.legend(frameon=False)
    show(
        _figure,
        "The mean attention weights of eight words in descending order, with and without the division by the root of d.",
        "八个词的平均注意力权重，从大到小，分别是除以和不除以 d 的平方根。",
    )
    return


@app.cell(hide_code=True)
def _(dimension, divided, slope_divided, slope_without, spread, without):
    text(
        rf"""
    With $d$ = {dimension.value}, the scores of 2000 random queries spread by {spread:.1f}, and $\sqrt{{d}}$ is {np.sqrt(dimension.value):.1f}. The heaviest of eight words gets
    {without.max(axis=1).mean():.0%} of the weight without the division, and {divided.max(axis=1).mean():.0%} with it. What is worse: the slope of a softmax is
    $p (1-p)$, so at weights near 0 and 1 nothing gets back. The largest slope among the eight words is {slope_without:.2g} without and {slope_divided:.2g} with
    the division (medians). A network that begins there learns slowly or not at all.

    ## One block

    A block lets the words exchange what they know, and then lets each word think on its own. $\mathrm{{N}}$ is layer normalisation:

    $$h = x + \mathrm{{heads}}(\mathrm{{N}}(x))\, W_o$$

    $$y = h + \max(0, \mathrm{{N}}(h)\, W_1)\, W_2$$

    - **Heads.** One softmax can look at one kind of thing at a time. So the $D$ numbers of a word are divided: each {term("head")} gets
      $d$ of them and attends on its own; $W_o$ mixes what they found.
    - **Residual.** By the {term("residual connection")}, the block adds to $x$ and does not replace it. On the way back, the gradient of $x$
      has a path without any matrix, so it reaches the first of many blocks.
    - **Normalisation** gives each word a mean of 0 and a variance of 1, whatever the blocks before have added.
    - **Position.** Attention is a sum over words, and a sum has no order. So each place has a vector of its own, its
      {term("position embedding")}, which is added to the word's.

    Instead of $\max(0, z)$, most large models use GELU, a smooth relative: the exercise has its equation.
    """,
        rf"""
    取 $d$ = {dimension.value}，2000 个随机查询的得分，标准差是 {spread:.1f}，而 $\sqrt{{d}}$ 是 {np.sqrt(dimension.value):.1f}。八个词中最重的一个，
    不除时得到 {without.max(axis=1).mean():.0%} 的权重，除了得到 {divided.max(axis=1).mean():.0%}。更糟的是：softmax 的斜率是
    $p (1-p)$，权重接近 0 和 1 时什么也传不回来。八个词中最大的斜率，不除时是 {slope_without:.2g}，除了是 {slope_divided:.2g}
    （中位数）。从那里起步的网络学得很慢，甚至学不会。

    ## 一个块

    一个块先让各个词交换信息，再让每个词各自思考。$\mathrm{{N}}$ 是层归一化：

    $$h = x + \mathrm{{heads}}(\mathrm{{N}}(x))\, W_o$$

    $$y = h + \max(0, \mathrm{{N}}(h)\, W_1)\, W_2$$

    - **头。**一个 softmax 一次只能看一类东西。所以一个词的 $D$ 个数被分开：每个{term("head")}得到其中
      $d$ 个，各看各的；$W_o$ 把它们找到的混合起来。
    - **残差。**有了{term("residual connection")}，块是加在 $x$ 上，而不是替换它。反向时，$x$ 的梯度有一条不经过任何矩阵的路，
      所以能传到许多块中的第一块。
    - **归一化**让每个词的均值为 0、方差为 1，不管前面的块加了什么。
    - **位置。**注意力是对词求和，而求和没有次序。所以每个位置有自己的向量，即{term("position embedding")}，加到词的向量上。

    多数大模型不用 $\max(0, z)$，而用与它相近但光滑的 GELU：练习里有它的公式。
    """,
    )
    return


@app.cell
def _():
    def heads(x, h):
        """x (N,T,D) -> (N,h,T,D/h)"""
        n, t, d = x.shape
        return x.reshape(n, t, h, d // h).transpose(0, 2, 1, 3)

    class Block(Model):
        """Words -> one block -> the probability that the answer is yes, read from the last word."""

        def __init__(self, places=True, h=2, dimension=32):
            super().__init__()
            self.h, self.dimension, self.places = h, dimension, places
            self.words = Embedding(SYMBOLS, dimension)
            self.position = Embedding(LENGTH, dimension)
            self.norm_1, self.norm_2 = LayerNormalization(), LayerNormalization()
            self.project = [Dense(dimension) for _ in range(3)]
            self.mix, self.narrow = Dense(dimension), Dense(dimension)
            self.wide = Dense(2 * dimension, activation="relu")
            self.answer = Dense(1, activation="sigmoid")

        def attend(self, x):
            q, k, v = (heads(layer(x), self.h) for layer in self.project)
            scores = q @ k.transpose(0, 1, 3, 2) * (self.dimension // self.h) ** -0.5
            self.weights_of_words = ops.softmax(scores)
            y = (self.weights_of_words @ v).transpose(0, 2, 1, 3)
            return self.mix(y.reshape(*x.shape))

        def call(self, ids, training=False):
            x = self.words(ids)
            if self.places:
                x = x + self.position(np.broadcast_to(np.arange(LENGTH), ids.shape))
            x = x + self.attend(self.norm_1(x))
            x = x + self.narrow(self.wide(self.norm_2(x)))
            return self.answer(x[:, -1])

    FINDINGS = ["fever", "cough", "rash", "pain", "nausea", "fatigue", "seizure", "headache"]
    SURGERY, SYMBOLS, LENGTH = len(FINDINGS), 2 * len(FINDINGS) + 1, 7  # a question has tokens of its own
    return Block, FINDINGS, LENGTH, SURGERY, SYMBOLS


@app.cell
def _(FINDINGS, LENGTH, SURGERY):
    def histories(n, rng):
        """Five findings in order of time, surgery somewhere among them, and a question: (N,7), and 1 for yes."""
        x, y = np.empty((n, LENGTH), int), np.empty(n, int)
        for i in range(n):
            asked, surgery = rng.permutation(6)[:2]
            findings = rng.permutation(len(FINDINGS))[:5]
            x[i, :6] = np.insert(findings, surgery, SURGERY)
            x[i, 6], y[i] = SURGERY + 1 + x[i, asked], asked < surgery
        return x, y

    def said_in_words(row):
        return [*((*FINDINGS, "SURGERY")[i] for i in row[:-1]), FINDINGS[row[-1] - SURGERY - 1] + "?"]

    x_train, y_train = histories(4000, np.random.default_rng(0))
    x_test, y_test = histories(1000, np.random.default_rng(1))
    asked_at = (x_test[:, :-1] == x_test[:, -1:] - SURGERY - 1).argmax(axis=1)
    surgery_at = (x_test == SURGERY).argmax(axis=1)
    assert ((asked_at < surgery_at) == y_test).all()
    return (
        asked_at,
        said_in_words,
        surgery_at,
        x_test,
        x_train,
        y_test,
        y_train,
    )


@app.cell(hide_code=True)
def _(asked_at, said_in_words, surgery_at, x_test, x_train, y_test):
    _order = np.arange(x_test.shape[1])
    _order[[asked_at[0], surgery_at[0]]] = surgery_at[0], asked_at[0]
    _example, _other = (" · ".join(said_in_words(row)) for row in (x_test[0], x_test[0][_order]))
    text(
        f"""
    ## A task that a bag of words cannot do

    A history lists five findings in order of time, with surgery somewhere among them. The question: did this finding come **before** surgery?

    - {_example} (answer: {y_test[0]})
    - {_other} (answer: {1 - y_test[0]})

    The same words in another order have another answer, so a {term("bag of words")} cannot know. {len(x_train):,} such histories
    are for training, and {len(x_test):,} others for testing; {y_test.mean():.0%} of these have the answer 1.
    """,
        f"""
    ## 词袋做不到的任务

    一份病史按时间顺序列出五个表现，手术在其间某处。问题是：这个表现出现在手术**之前**吗？

    - {_example}（答案：{y_test[0]}）
    - {_other}（答案：{1 - y_test[0]}）

    同样的词换个顺序，答案就不同，所以{term("bag of words")}不可能知道。这样的病史有 {len(x_train):,} 份用于训练，
    另有 {len(x_test):,} 份用于测试，后者有 {y_test.mean():.0%} 的答案是 1。
    """,
    )
    return


@app.cell
def _(Block, SYMBOLS, asked_at, x_test, x_train, y_test, y_train):
    def trained(model, epochs=8):
        model.compile(Adam(0.003), "binary_crossentropy")
        model.fit(x_train, y_train, batch_size=64, epochs=epochs, verbose=0)
        return model

    def right(model):
        return float(((model.predict(x_test)[:, 0] > 0.5) == y_test).mean())

    tinydx.set_seed(0)
    tinydx.set_threads(1)  # such small matrices are fastest on one core
    _ends = lambda: Dense(1, activation="sigmoid")  # noqa: E731
    _bag = trained(Sequential([Embedding(SYMBOLS, 32), GlobalAveragePooling1D(), Dense(64, activation="relu"), _ends()]))
    _rnn = trained(Sequential([Embedding(SYMBOLS, 32), SimpleRNN(48), _ends()]))
    block = trained(Block())
    accuracy = {
        "place of the finding alone": float(((asked_at < 3) == y_test).mean()),
        "bag of words": right(_bag),
        "block without positions": right(trained(Block(places=False))),
        "recurrence": right(_rnn),
        "block, 1 head": right(trained(Block(h=1))),
        "block, 2 heads": right(block),
    }
    return accuracy, block


@app.cell(hide_code=True)
def _(accuracy):
    _figure, _axis = canvas(height=2.6)
    _colours = [GREY, GREY, GREY, GREY, BLUE, BLUE]
    _axis.barh(list(accuracy), accuracy.values(), color=_colours)
    for _y, _share in enumerate(accuracy.values()):
        _axis.text(_share + 0.01, _y, f"{_share:.1%}", va="center")
    _axis.axvline(0.5, color=RED, linewidth=1)
    _axis.set(xlabel="right answers (share)", xlim=(0, 1.15), xticks=[0, 0.5, 1])
    _axis.invert_yaxis()
    show(
        _figure,
        "The share of right answers of six ways to decide, from a guess by the place of the finding to a block with two heads.",
        "六种判断方法的正确率，从只看表现的位置来猜，到有两个头的块。",
    )
    return


@app.cell(hide_code=True)
def _(accuracy, x_test):
    _n = len(x_test)
    _of = lambda name: wilson_interval(round(accuracy[name] * _n), _n)  # noqa: E731
    _block, _rnn, _one = _of("block, 2 heads"), _of("recurrence"), _of("block, 1 head")
    _than = both("**can't tell** which of the two is better", "两者哪个更好，**无法判断**")
    if _block[0] > _rnn[1]:
        _than = both("the block is better", "块更好")
    elif _rnn[0] > _block[1]:
        _than = both("the recurrence is better", "循环网络更好")
    _heads = both("whether the second head helps, we **can't tell**", "第二个头有没有用，**无法判断**")
    if _block[0] > _one[1]:
        _heads = both("the second head helps", "第二个头有用")
    elif _one[0] > _block[1]:
        _heads = both("one head is better here", "在这里一个头更好")
    text(
        f"""
    The bag of words and the block without positions have {accuracy["bag of words"]:.1%} and {accuracy["block without positions"]:.1%}: for both, all orders of the words are
    the same. A guess from the finding's place alone (early: before) has {accuracy["place of the finding alone"]:.1%}; a model must also know where surgery is. The document's
    recurrence, which reads in order, has {accuracy["recurrence"]:.1%} after as many epochs, and the block {accuracy["block, 2 heads"]:.1%}. By their 95 % intervals over the test
    histories, {_block[0]:.1%} to {_block[1]:.1%} and {_rnn[0]:.1%} to {_rnn[1]:.1%}, {_than.en}; {_heads.en}. (One training each: another seed gives other numbers.)

    ## See it: where the question looks

    Choose a history. Each row is a head; the darker a word, the more of it flows into the question's word.
    """,
        f"""
    词袋和没有位置的块分别是 {accuracy["bag of words"]:.1%} 和 {accuracy["block without positions"]:.1%}：对它们来说，词的所有次序都
    一样。只按表现的位置来猜（靠前就是之前），正确率是 {accuracy["place of the finding alone"]:.1%}；模型还必须知道手术在哪里。文中的
    循环网络按顺序读，经过同样多的轮次，是 {accuracy["recurrence"]:.1%}，块是 {accuracy["block, 2 heads"]:.1%}。看它们在测试病史上的 95 % 区间，
    {_block[0]:.1%} 到 {_block[1]:.1%} 和 {_rnn[0]:.1%} 到 {_rnn[1]:.1%}，{_than.zh}；{_heads.zh}。（每种只训练一次：换个种子，数字就不同。）

    ## 看一看：问题在看哪里

    选一份病史。每行是一个头；词的颜色越深，流入问题这个词的内容越多。
    """,
    )
    return


@app.cell
def _():
    chosen = mo.ui.slider(1, 20, value=1, label="history · 病史", show_value=True, full_width=True)
    chosen
    return (chosen,)


@app.cell
def _(block, x_test):
    block.predict_on_batch(x_test[:400])
    looked = np.array(block.weights_of_words.data)[:, :, -1]  # (N,heads,words): the question's row
    assert np.allclose(looked.sum(axis=-1), 1, atol=1e-5)
    return (looked,)


@app.cell(hide_code=True)
def _(block, chosen, looked, said_in_words, x_test, y_test):
    _i = chosen.value - 1
    _p = float(block.predict_on_batch(x_test[_i : _i + 1])[0, 0])
    _figure, _axis = canvas(height=2.4)
    _image = _axis.imshow(looked[_i], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _axis.set(title=f"before surgery? p = {_p:.2f}, true {y_test[_i]}", ylabel="head", yticks=[0, 1], yticklabels=[1, 2])
    _axis.set_xticks(range(looked.shape[-1]), said_in_words(x_test[_i]), rotation=40, ha="right")
    _figure.colorbar(_image, label="weight p")
    show(
        _figure,
        "The attention weights of the question's word in two heads, over the words of the chosen history.",
        "所选病史中，问题这个词在两个头里对各个词的注意力权重。",
    )
    return


@app.cell
def _(FINDINGS, block, looked, x_test):
    def effect_of_words(row):
        """How much the answer changes when a word is replaced by a finding that does not occur: largest change (7,)."""
        rest = [i for i in range(len(FINDINGS)) if i not in row and i + len(FINDINGS) + 1 != row[-1]]
        changed = np.repeat(row[None], 6 * len(rest), axis=0)
        for k in range(6):
            changed[k * len(rest) : (k + 1) * len(rest), k] = rest
        p = block.predict_on_batch(np.concatenate([row[None], changed]))[:, 0]
        return np.abs(p[1:] - p[0]).reshape(6, len(rest)).max(axis=1)

    effects = np.array([effect_of_words(row) for row in x_test[:200]])
    most_looked = looked[:200, :, :6].mean(axis=1).argmax(axis=1)
    same_word = int((most_looked == effects.argmax(axis=1)).sum())
    quiet = int((effects[np.arange(200), most_looked] < 0.1).sum())
    return most_looked, quiet, same_word


@app.cell(hide_code=True)
def _(asked_at, looked, most_looked, quiet, same_word, surgery_at):
    _rows = np.arange(len(looked))
    _to_asked = looked[_rows, :, asked_at[: len(looked)]].mean(axis=0)
    _to_surgery = looked[_rows, :, surgery_at[: len(looked)]].mean(axis=0)
    _often = both("Often the two agree, but not always", "两者常常一致，但并不总是一致")
    if same_word < 100:
        _often = both("Mostly the two do **not** agree", "两者多半**不**一致")
    elif same_word == 200:
        _often = both("Here the two always agree", "在这里两者总是一致")
    text(
        f"""
    Over {len(looked)} test histories, the heads give the finding that is asked for {_to_asked[0]:.0%} and {_to_asked[1]:.0%} of their weight, and surgery
    {_to_surgery[0]:.0%} and {_to_surgery[1]:.0%}; an equal share would be {1 / looked.shape[-1]:.0%}.

    ## Attention is not explanation

    It is tempting to read such a picture as the reason for the answer. Test it: replace one word at a time by a finding that does not
    occur, and see which change moves the answer most. In {same_word} of {len(most_looked)} histories, that is the word with the largest weight. {_often.en}. In
    {quiet}, replacing the most attended word moves the probability by less than 0.1.

    The weights say **from where** something was read, not **what** was read, nor what became of it: that also depends on the values, on
    $W_o$, on the layers behind, and on the way past the attention, the residual. Who wants to know what a model used must change its
    inputs, and compare with a model that learned nothing.

    ## The code

    The equation of one head in a few lines:
    """,
        f"""
    在 {len(looked)} 份测试病史上，两个头给所问的表现 {_to_asked[0]:.0%} 和 {_to_asked[1]:.0%} 的权重，给手术
    {_to_surgery[0]:.0%} 和 {_to_surgery[1]:.0%}；平分的话是 {1 / looked.shape[-1]:.0%}。

    ## 注意力不是解释

    人们很容易把这样的图看成答案的理由。检验一下：每次把一个词换成没有出现的表现，看哪个改动使答案变化最大。
    {len(most_looked)} 份病史中有 {same_word} 份，这个词就是权重最大的词。{_often.zh}。有
    {quiet} 份，换掉权重最大的词，概率的变化不到 0.1。

    权重说的是**从哪里**读，而不是读到了**什么**，也不是读到之后怎样：这还取决于值、
    $W_o$、后面的层，以及绕过注意力的路，即残差。想知道模型用了什么，就必须改变它的输入，
    并与什么也没学过的模型比较。

    ## 代码

    一个头的公式只要几行：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    _rng = np.random.default_rng(5)
    _q, _k, _v = (_rng.normal(size=(6, 4)) for _ in range(3))
    _future = np.arange(6) > np.arange(6)[:, None]
    for _hidden in (False, _future):
        _engine = Attention(dtype="float64")([a[None] for a in (_q / 2, _v, _k)], use_causal_mask=_hidden is not False)
        np.testing.assert_allclose(attention(_q, _k, _v, _hidden), _engine.numpy()[0], atol=1e-12)  # 2 is the root of d
    _order = _rng.permutation(6)
    np.testing.assert_allclose(attention(_q, _k[_order], _v[_order]), attention(_q, _k, _v), atol=1e-12)  # no order
    short(attention)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's layer gives the same, with and without the causal mask; and if keys and values change their order together, the
    result stays. The block that was trained above:
    """,
        """
    引擎的层给出同样的结果，有没有因果掩码都一样；键和值一起换次序，结果不变。上面训练的块：
    """,
    )
    return


@app.cell(hide_code=True)
def _(Block):
    short(Block.attend, Block.call)
    return


@app.cell(hide_code=True)
def _():
    code(Attention.scores)
    return


@app.cell(hide_code=True)
def _():
    card("softmax", "forward", "backward")
    return


@app.cell(hide_code=True)
def _(LENGTH, block):
    _rng = np.random.default_rng(6)
    _q, _k = _rng.normal(size=(2, 5, 4))
    assert np.allclose(attention(_q, _k, np.ones((5, 3))), 1)
    _size = sum(w.size for w in block.weights)
    text(
        rf"""
    ## A question

    If all values $v_j$ are equal, what does attention return, and what do its weights then mean? And what does a text that is ten times
    as long cost?

    /// details | Answer
    The weights add up to 1, so the mean of equal values is that value: $y = v$, **whatever the weights are**. The picture of the weights
    looks as sharp as ever, and the output does not depend on it at all.

    Every word is compared with every word, so a head computes $T^2$ scores: here {LENGTH} · {LENGTH} = {LENGTH**2}, and 100 times as many for a text ten times as
    long. The weights of the model, here {_size:,}, do not grow but for the positions. A recurrence takes $T$ steps, but one after the other;
    attention computes all words at once, which suits many cores.
    ///
    """,
        rf"""
    ## 一个问题

    如果所有的值 $v_j$ 都相等，注意力给出什么？这时权重又有什么意义？文本长到十倍，代价是多少？

    /// details | 答案
    权重之和为 1，所以相等的值的平均还是这个值：$y = v$，**不管权重是多少**。权重图看上去照样分明，
    而输出完全不依赖它。

    每个词都与每个词比较，所以一个头要算 $T^2$ 个得分：这里是 {LENGTH} · {LENGTH} = {LENGTH**2}，文本长到十倍就是 100 倍。
    模型的权重，这里是 {_size:,} 个，除了位置之外并不增加。循环网络要 $T$ 步，而且只能一步接一步；
    注意力同时算所有的词，适合很多核心。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("transformer")
    return


if __name__ == "__main__":
    app.run()
