"""Embedding: how a vector gets a meaning · 词嵌入

Minutes: 25
Needs: simple-icd-10-cm
Exercises: embedding, embedding_mixing
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Embedding", css_file="lesson.css")

with app.setup:
    import re
    from collections import Counter

    import marimo as mo
    import numpy as np
    import simple_icd_10_cm as icd

    import tinydx
    from tinydx import ops

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx.lessons.page import BLUE, GREY, canvas, card, foot, head, short, show, term, text


@app.cell(hide_code=True)
def _():
    head("embedding")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - read the document's equation of a word's {term("embedding")};
    - turn random vectors into vectors in which related words are close together, with one matrix product;
    - say what such vectors represent, and what they do not.

    ## The equation

    The vector of word $i$ is a mixture of the vectors of all words $j$, weighted by how related the two words are:

    $$\vec{{w_i}} = \sum_{{j=1}}^{{n}} a_{{ij}} \vec{{v_j}} + \vec{{b_i}}$$

    ## The words

    They come from the titles of the ICD-10-CM, the catalogue with which hospitals code diagnoses. Two words are related if they
    occur in the same title more often than independent words would:

    $$a_{{ij}} = \max\left(0,\; \ln \frac{{P(i, j)}}{{P(i)\, P(j)}}\right)$$
    """,
        rf"""
    学完这一课，你能够

    - 读懂文中一个词的{term("embedding")}公式；
    - 用一次矩阵乘法把随机向量变成相关的词彼此靠近的向量；
    - 说出这样的向量代表什么，不代表什么。

    ## 公式

    词 $i$ 的向量是所有词 $j$ 的向量的混合，按两个词的相关程度加权：

    $$\vec{{w_i}} = \sum_{{j=1}}^{{n}} a_{{ij}} \vec{{v_j}} + \vec{{b_i}}$$

    ## 词

    这些词来自 ICD-10-CM 的条目名称，即医院给诊断编码所用的目录。如果两个词出现在同一条名称中的次数
    比互相独立的词更多，它们就是相关的：

    $$a_{{ij}} = \max\left(0,\; \ln \frac{{P(i, j)}}{{P(i)\, P(j)}}\right)$$
    """,
    )
    return


@app.cell
def _():
    titles = [icd.get_description(code) for code in icd.get_all_codes() if len(code) <= 5]  # A01.0, but not A01.01
    sentences = [set(re.findall(r"[a-z]{4,}", title.lower())) for title in titles]
    often = Counter(word for sentence in sentences for word in sentence)
    words = sorted(word for word, n in often.items() if n >= 12)
    number = {word: i for i, word in enumerate(words)}

    stands_in = np.zeros((len(titles), len(words)))
    for t, sentence in enumerate(sentences):
        stands_in[t, [number[word] for word in sentence if word in number]] = 1
    together = stands_in.T @ stands_in / len(titles)  # P(i, j), and P(i) on the diagonal
    alone = together.diagonal()
    with np.errstate(divide="ignore"):
        a = np.maximum(0, np.log(together / np.outer(alone, alone)))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    assert np.allclose(together, together.T) and len(words) > 300
    return a, number, titles, words


@app.cell(hide_code=True)
def _(titles, words):
    text(
        f"""
    There are {len(titles):,} titles, such as "{titles[40]}"; {len(words)} words occur in at least 12 of them.

    ## See it

    Every word begins with a **random** vector. Then the equation mixes them once. Choose a word and the length of the vectors.
    """,
        f"""
    共有 {len(titles):,} 条名称，例如“{titles[40]}”；其中 {len(words)} 个词至少出现在 12 条中。

    ## 看一看

    每个词开始时是一个**随机**向量。然后公式把它们混合一次。选一个词和向量的长度。
    """,
    )
    return


@app.cell
def _(words):
    _known = [
        word for word in ("pneumonia", "fracture", "diabetes", "retinopathy", "heart", "asthma", "leukemia") if word in words
    ]
    word = mo.ui.dropdown({name: name for name in _known}, value=_known[0], label="word · 词", full_width=True)
    size = mo.ui.slider(
        steps=[4, 16, 64, 256], value=256, label="length of a vector · 向量的长度", show_value=True, full_width=True
    )
    mo.vstack([size, word])
    return size, word


@app.cell
def _(a, number, size, words):
    def cosines(vectors, name):
        """The cosine of the angle between every word's vector and this word's, -1 to 1."""
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit @ unit[number[name]]

    def vectors(numbers):
        """Random vectors, and what the equation makes of them."""
        v = np.random.default_rng(0).normal(size=(len(words), numbers)) / np.sqrt(numbers)
        return v, ops.embedding_mixing(a, v, np.zeros_like(v))

    before, after = vectors(size.value)
    return after, before, cosines, vectors


@app.cell(hide_code=True)
def _(after, before, cosines, word, words):
    _figure, _axes = canvas(2, 1, height=3.8, sharex=True)
    for _axis, _vectors, _title, _colour in ((_axes[0], before, "random", GREY), (_axes[1], after, "mixed", BLUE)):
        _near = cosines(_vectors, word.value)
        _order = np.argsort(-_near)[1:7]
        _axis.barh([words[_i] for _i in _order], _near[_order], color=_colour)
        _axis.set(title=f"nearest to {word.value}: {_title}", xlim=(0, 1))
        _axis.invert_yaxis()
    _axes[1].set_xlabel("cosine (no unit)")
    show(
        _figure,
        f"The six words nearest to {word.value}: unrelated words with random vectors, related ones with mixed vectors.",
        f"与 {word.value} 最近的六个词：随机向量时是不相关的词，混合后是相关的词。",
    )
    return


@app.cell
def _(cosines, number, vectors):
    random, mixed = vectors(256)
    pairs = [
        ("pneumonia", "influenza"),
        ("pneumonia", "fracture"),
        ("left", "right"),
        ("benign", "malignant"),
        ("acute", "chronic"),
    ]
    table = {pair: (cosines(random, pair[0])[number[pair[1]]], cosines(mixed, pair[0])[number[pair[1]]]) for pair in pairs}
    assert table[pairs[0]][1] > table[pairs[1]][1] + 0.1
    assert min(table[pair][1] for pair in pairs[2:]) > 0.5
    return (table,)


@app.cell(hide_code=True)
def _(table):
    _rows = "\n    ".join(f"| {one}, {other} | {r:.2f} | {m:.2f} |" for (one, other), (r, m) in list(table.items())[:3])
    text(
        f"""
    | cosine of | random | mixed |
    |---|---|---|
    {_rows}

    Nothing here says what pneumonia is. Words that occur beside the same words get almost the same mixture, so their vectors have
    almost the same direction, whatever the random vectors were. Vectors of 4 numbers have no room for all differences: move the slider.

    In a language model, $a$ and $v$ are learned, but from the same information: which words occur together.

    ## The code

    The equation is one matrix product.
    """,
        f"""
    | 两词的余弦 | 随机 | 混合 |
    |---|---|---|
    {_rows}

    这里没有任何东西说明肺炎是什么。出现在同样的词旁边的词，得到几乎相同的混合，所以它们的向量
    方向几乎相同，不管随机向量是什么。只有 4 个数的向量容不下所有差别：移动滑块。

    在语言模型里，$a$ 和 $v$ 是学出来的，但依据的是同样的信息：哪些词一起出现。

    ## 代码

    公式就是一次矩阵乘法。
    """,
    )
    return


@app.cell
def _():
    def mix(a, v, b):
        return a @ v + b

    return (mix,)


@app.cell(hide_code=True)
def _(a, after, before, mix):
    np.testing.assert_allclose(mix(a, before, np.zeros_like(before)), after)
    short(mix)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's own, and its gradient:
    """,
        """
    引擎中的代码，以及它的梯度：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    card("embedding_mixing", "literal", "forward", "backward")
    return


@app.cell(hide_code=True)
def _(table):
    text(
        f"""
    ## A question

    *Left* and *right* are near each other, at {table["left", "right"][1]:.2f}. For a surgeon they are opposites. Is that an error?

    /// details | Answer
    No, this is what such vectors represent: *left* and *right* occur in the same titles and beside the same words. The same holds for
    *benign* and *malignant*, {table["benign", "malignant"][1]:.2f}, and for *acute* and *chronic*, {table["acute", "chronic"][1]:.2f}. A vector says what a text is about, not
    what it claims. Never let nearness decide where a negation or a side matters.
    ///
    """,
        f"""
    ## 一个问题

    *left*（左）和 *right*（右）很近，余弦是 {table["left", "right"][1]:.2f}。对外科医生来说它们正好相反。这是错误吗？

    /// details | 答案
    不是，这样的向量代表的正是这个：*left* 和 *right* 出现在同样的名称里，在同样的词旁边。
    *benign*（良性）和 *malignant*（恶性）也是这样，{table["benign", "malignant"][1]:.2f}；*acute*（急性）和 *chronic*（慢性）是 {table["acute", "chronic"][1]:.2f}。
    向量说的是一段文本关于什么，而不是它断言什么。在否定或左右有关系的地方，绝不能靠远近来决定。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("embedding")
    return


if __name__ == "__main__":
    app.run()
