"""From a text to its chapter, and a split that flatters · 文本分类

Minutes: 25
Needs: simple-icd-10-cm
Exercises: softmax_crossentropy
Data: a table (.csv, .tsv) with the columns text and label · 一个表格（.csv、.tsv），含 text 和 label 两列
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Text to diagnosis", css_file="lesson.css")

with app.setup:
    import re
    from collections import Counter

    import marimo as mo
    import numpy as np

    import tinydx
    from tinydx import ops

    tinydx.use("numpy")  # needs no compilation

    from tinydx.datasets.terms import CHAPTERS, icd10cm_terms, split_by_group
    from tinydx.diagnosis.kinds.text import build_bag, ids_of, open_table
    from tinydx.evaluation import wilson_interval
    from tinydx.lessons.page import (
        BLUE,
        GREY,
        RED,
        both,
        canvas,
        card,
        code,
        drawn,
        foot,
        head,
        own_data,
        said,
        short,
        show,
        term,
        text,
    )
    from tinydx.optimizers import Adam
    from tinydx.preprocessing.text import Codec, Subwords, Words
    from tinydx.text.retrieval import NearestText
    from tinydx.training import data


@app.cell(hide_code=True)
def _():
    head("text_diagnosis")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - cut a text into pieces, each a {term("token")}, turn tokens into vectors, and vectors into a probability for every class;
    - see which words of a text determined the model's decision;
    - split texts so that the test is honest, and measure how much another split exaggerates.

    ## The equations

    Each token $i$ of a text has a learned vector $\vec{{w_i}}$, its {term("embedding")}. Their mean stands for the text:

    $$h = \frac{{1}}{{T}} \sum_{{i=1}}^{{T}} \vec{{w_i}}$$

    The document's {term("softmax")} turns it into probabilities, with classes $y$ in place of next words:

    $$p(y|x) = \mathrm{{softmax}}(W_{{yx}} h + b_y)$$

    A mean ignores the order: this model reads a {term("bag of words")}. For a diagnosis of a few words, this is hard to beat.

    ## The texts
    """,
        rf"""
    学完这一课，你能够

    - 把文本切成小块，每块是一个{term("token")}，把词元变成向量，再把向量变成每个类别的概率；
    - 看出文本中的哪些词决定了模型的判断；
    - 把文本划分得使测试诚实，并量出另一种划分夸大了多少。

    ## 公式

    文本的每个词元 $i$ 有一个学出来的向量 $\vec{{w_i}}$，即它的{term("embedding")}。它们的平均代表整段文本：

    $$h = \frac{{1}}{{T}} \sum_{{i=1}}^{{T}} \vec{{w_i}}$$

    文中的{term("softmax")}把它变成概率，只是下一个词换成了类别 $y$：

    $$p(y|x) = \mathrm{{softmax}}(W_{{yx}} h + b_y)$$

    取平均不管顺序：这个模型读的是{term("bag of words")}。对几个词的诊断来说，这很难超越。

    ## 文本
    """,
    )
    return


@app.cell
def _():
    own = own_data()
    if own:
        names, parts, *_ = open_table(own, None, 0)
        examples = [(text, names[k], text) for part in parts.values() for text, k in part]  # text, label, what must stay together
    else:
        examples = [(t.text, t.chapter, t.category) for t in icd10cm_terms() if t.chapter in CHAPTERS[:-1]]  # the last has 6
        names = CHAPTERS[:-1]
    most = Counter(label for _, label, _ in examples).most_common(1)[0][1] / len(examples)
    return examples, most, names, own


@app.cell(hide_code=True)
def _(examples, most, names, own):
    _family = [text for text, _, group in examples if group == "J45"]
    _some = ", ".join(f"*{name}*" for name in _family[:4])
    _icd = both(
        f"""
    The texts are real: {len(examples):,} inclusion terms of the ICD-10-CM, the names that doctors use for its diagnoses, from {len(names)} of its 22
    chapters. They form families: the terms of a **category** share the first three characters of their code. Some of J45:

    {_some}

    A model that always predicts the largest chapter would be right for {most:.0%}.
    """,
        f"""
    文本是真实的：ICD-10-CM 的 {len(examples):,} 条包含用语，即医生对这些诊断的叫法，取自 22 章中的 {len(names)} 章。
    它们组成家族：同一**类目**的用语，编码的前三个字符相同。J45 的几条：

    {_some}

    总是预测最大一章的模型，正确率是 {most:.0%}。
    """,
    )
    _yours = both(
        f"Your data: {len(examples):,} texts with {len(names)} labels. A model that always predicts the most frequent label would be right "
        f"for {most:.0%}.",
        f"你的数据：{len(examples):,} 条文本，{len(names)} 个标签。总是预测最常见标签的模型，正确率是 {most:.0%}。",
    )
    _told = _yours if own else _icd
    text(_told.en, _told.zh)
    return


@app.cell
def _(examples, own):
    honest = split_by_group(examples, lambda example: example[2], [0.2])  # whole families on one side: [training, test]
    at_random = split_by_group(examples, lambda example: example, [0.2])

    def known(split):
        """The share of the test's texts that have a sibling in training."""
        families = {group for _, _, group in split[0]}
        return np.mean([group in families for _, _, group in split[1]])

    assert known(honest) == 0 and (own or known(at_random) > 0.8)
    return at_random, honest, known


@app.cell(hide_code=True)
def _(honest):
    shown = next((text for text, _, _ in honest[1] if re.fullmatch(r"\w{6,} \w{6,}", text)), honest[1][0][0])
    pieces = Subwords(4, 4)  # words, pairs of neighbours, and pieces of four letters
    _tokens = " ".join(f"<code>{said(token)}</code>" for token in pieces.tokenize(shown))
    text(
        f"""
    ## Tokens

    *{said(shown)}*, a test text, becomes

    {_tokens}

    These are its words, with < and > at their ends, pairs of neighbouring words, and pieces of four letters. A token that occurs at least
    three times in the training texts gets a number and a vector; others are left out.

    ## The code

    The model is a mean and a dense layer:
    """,
        f"""
    ## 词元

    *{said(shown)}* 是一条测试文本，它变成

    {_tokens}

    这些是它的词（首尾加上 < 和 >）、相邻的词对，以及四个字母的片段。在训练文本中至少出现三次的词元
    得到一个编号和一个向量；其余的略去。

    ## 代码

    模型就是一个平均和一个全连接层：
    """,
    )
    return pieces, shown


@app.cell
def _():
    def classify(ids, table, W, b):
        h = table[ids].mean(axis=0)
        scores = h @ W + b
        e = np.exp(scores - scores.max())
        return e / e.sum()

    return (classify,)


@app.cell(hide_code=True)
def _(classify):
    _rng = np.random.default_rng(0)
    _table, _w, _b, _ids = _rng.normal(size=(9, 4)), _rng.normal(size=(4, 3)), _rng.normal(size=3), np.array([1, 5, 5])
    _mean = ops.embedding(_table, ids=_ids[None]).mean(axis=1)
    np.testing.assert_allclose(classify(_ids, _table, _w, _b), ops.softmax(ops.dense(_mean, _w, _b))[0])
    short(classify)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The network that `tinydx diagnose --kind text` trains:
    """,
        """
    `tinydx diagnose --kind text` 训练的网络：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(build_bag)
    return


@app.cell
def _(at_random, honest, names, pieces):
    tinydx.set_threads(1)  # such small matrices are fastest on one core

    def learn(split, tokenizer):
        """Train a bag on the first part: the model, how it reads texts, and which texts of the second part it classifies correctly."""
        train, test = split
        codec = Codec.learn(tokenizer, [text for text, _, _ in train], minimum=3)
        reading = {"codec": codec.config(), "size": 60}  # tokens of a text
        x, x_test = (ids_of([text for text, _, _ in part], reading) for part in (train, test))
        y, y_test = (np.array([names.index(label) for _, label, _ in part]) for part in (train, test))
        tinydx.set_seed(0)
        model = build_bag(len(codec), max(len(names), 3))  # from 3 classes on it ends in a softmax
        model.compile(Adam(0.01), "sparse_categorical_crossentropy")  # larger steps than usual, so that it trains while you read
        model.fit(data.batches(x, y, batch_size=128, shuffle=True), epochs=3, verbose=0)
        return model, reading, model.predict(x_test).argmax(axis=1) == y_test

    def nearest(split):
        """Which test texts have the label of the nearest training text, by TF-IDF of words."""
        train, test = split
        found = NearestText([text for text, _, _ in train], Words().tokenize).nearest([text for text, _, _ in test])
        return np.array([train[i][1] == label for i, (_, label, _) in zip(found, test, strict=True)])

    splits = {"families apart": honest, "at random": at_random}
    right = {("nearest text", name): nearest(split) for name, split in splits.items()}
    *_, right["words and pieces", "at random"] = learn(at_random, pieces)
    model, reading, right["words and pieces", "families apart"] = learn(honest, pieces)
    accuracy = {of: float(found.mean()) for of, found in right.items()}
    contestants = tuple(dict.fromkeys(who for who, _ in right))
    return accuracy, contestants, learn, model, reading, right


@app.cell(hide_code=True)
def _(honest, own, shown):
    typed = mo.ui.text(
        value=shown if own else "inflammation of the gallbladder", label="a term of your own · 你自己的术语", full_width=True
    )
    _about = text(
        f"""
    ## See it

    The model was trained on {len(honest[0]):,} texts. Type a term in English and press Enter. Below the probabilities you see the effect of each
    word: how far the probability of the first class falls when the word is left out. Then try *bleeding ulcer of the stomach*: which word decides?
    """,
        f"""
    ## 看一看

    模型在 {len(honest[0]):,} 条文本上训练过。输入一个英语术语，按回车。概率下方是每个词的作用：
    去掉这个词后，第一个类别的概率下降多少。再试试 *bleeding ulcer of the stomach*：哪个词起决定作用？
    """,
    )
    mo.vstack([_about, typed])
    return (typed,)


@app.cell
def _(model, names, reading, typed):
    def probabilities(texts):
        """(N, classes)"""
        return model.predict(ids_of(texts, reading))[:, : len(names)]

    words = [word for word in Words().tokenize(typed.value) if word[0].isalnum()]
    p = probabilities([typed.value])[0]
    first = int(p.argmax())
    without = probabilities([" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))])[:, first] if words else np.zeros(0)
    effect = p[first] - without
    understood = bool(ids_of([typed.value], reading).any())
    cat = probabilities(["the cat sat on the mat"])[0]
    assert np.isclose(p.sum(), 1, atol=1e-3)
    return cat, effect, first, p, understood, words


@app.cell(hide_code=True)
def _(effect, first, names, p, typed, words):
    _order = np.argsort(-p)[:5]
    _figure, (_above, _below) = canvas(2, 1, height=2.6 + 0.2 * len(words), height_ratios=(5, max(len(words), 1)))
    _above.barh([drawn(names[_i]) for _i in _order], p[_order], color=[BLUE if _i == first else GREY for _i in _order])
    _above.set(title=drawn(typed.value[:50]), xlabel="probability", xlim=(0, 1))
    _above.invert_yaxis()
    _places = np.arange(len(words))  # by place: a word may be there twice
    _below.barh(_places, effect, color=[BLUE if _e > 0 else RED for _e in effect])
    _below.set(
        xlabel=f"what it adds to P({drawn(names[first])})",
        yticks=_places,
        yticklabels=list(map(drawn, words)),
        xlim=(-1, 1),
        xticks=[-1, -0.5, 0, 0.5, 1],
    )
    _below.axvline(0, color=GREY, linewidth=0.8)
    _below.invert_yaxis()
    show(
        _figure,
        f"The five most probable classes of '{typed.value}', and for each of its words how much it adds to the first one's probability.",
        f"“{typed.value}”最可能的五个类别，以及每个词给第一个类别的概率增加多少。",
    )
    return


@app.cell(hide_code=True)
def _(cat, first, names, p, understood):
    _told = both(f"It says **{said(names[first])}**, at {p[first]:.0%}.", f"它说是 **{said(names[first])}**，{p[first]:.0%}。")
    if not understood:
        _told = both(
            "**No part of this text occurred in training.** What you see is the bias alone: the model knows nothing about this text and does "
            "not say so.",
            "**这段文本的任何部分都没有在训练中出现过。**你看到的只是偏置：模型对这段文本一无所知，却不说出来。",
        )
    text(
        f"""
    {_told.en}

    The model gives probabilities for any text, and they always add up to 1 over its {len(names)} classes. For *the cat sat on the mat* it
    says {said(names[cat.argmax()])}, at {cat.max():.0%}.

    ## The split that flatters

    A fifth of the texts, drawn at random as the test set, contains siblings of training texts.
    """,
        f"""
    {_told.zh}

    模型对任何文本都给出概率，它们在 {len(names)} 个类别上的总和总是 1。对 *the cat sat on the mat*，
    它说是 {said(names[cat.argmax()])}，{cat.max():.0%}。

    ## 会夸大的划分

    随机抽取五分之一的文本作测试集，其中就会有训练文本的同类。
    """,
    )
    return


@app.cell(hide_code=True)
def _(accuracy, contestants, right):
    _figure, _axis = canvas(height=2.0)
    for _offset, _split, _colour in ((-0.2, "at random", RED), (0.2, "families apart", BLUE)):
        for _k, _who in enumerate(contestants):
            _found = right[_who, _split]
            _low, _high = wilson_interval(int(_found.sum()), len(_found))
            _axis.barh(_k + _offset, accuracy[_who, _split], 0.38, color=_colour, label=_split if _k == 0 else None)
            _axis.plot([_low, _high], [_k + _offset] * 2, color="black", linewidth=1)
    _axis.set(yticks=range(len(contestants)), yticklabels=contestants, xlim=(0, 1), xlabel="right (share of test texts)")
    _axis.invert_yaxis()
    _figure.legend(loc="outside upper center", ncols=2, frameon=False)
    show(
        _figure,
        "The accuracy of two ways to name the class, each tested on texts drawn at random and on whole families, with 95 % intervals.",
        "两种判断类别的方法的准确率，分别在随机抽取的文本和整个家族上测试，带 95 % 区间。",
    )
    return


@app.cell(hide_code=True)
def _(accuracy, at_random, contestants, known, own):
    _named = {"nearest text": "最近的文本", "words and pieces": "词和片段"}
    _shares = {who: f"{accuracy[who, 'at random']:.0%} | {accuracy[who, 'families apart']:.0%}" for who in contestants}
    _rows = both(
        "\n    ".join(f"| {who} | {shares} |" for who, shares in _shares.items()),
        "\n    ".join(f"| {_named[who]} | {shares} |" for who, shares in _shares.items()),
    )
    _gain = accuracy["words and pieces", "families apart"] - accuracy["nearest text", "families apart"]
    _worth = both("Here it does **not** beat it", "在这里它**没有**超过基准")
    if _gain > 0.01:
        _worth = both(f"Here it is right for {100 * _gain:.0f} in 100 texts more", f"在这里它每 100 条多对 {100 * _gain:.0f} 条")
    _about = both(
        f"With a random split, {known(at_random):.0%} of the test texts have a sibling in training, and the model only needs to recognise "
        "the family. With whole families apart, as with new diagnoses, none has one. The difference between the columns is not skill, and "
        "the first column alone does not show this.",
        f"随机划分时，{known(at_random):.0%} 的测试文本在训练集中有同类，模型只需要认出家族。按整个家族分开，如同遇到新的诊断，"
        "就一条也没有。两列之差不是本事，而只看第一列是看不出来的。",
    )
    if own:
        _about = both(
            "Your table does not say which texts belong together, so both splits are random. Do you know which texts belong together?",
            "你的表格没有说哪些文本属于一起，所以两种划分都是随机的。你知道哪些文本属于一起吗？",
        )
    text(
        f"""
    | right | at random | families apart |
    |---|---|---|
    {_rows.en}

    {_about.en}

    The nearest text is the baseline. It needs no training and no learned vectors, only {term("TF-IDF")}, which counts the tokens that two texts
    share and gives rare ones more weight. A network that does not beat it is not worth its cost. {_worth.en} (families apart).

    The engine's embedding and its decoder:
    """,
        f"""
    | 正确率 | 随机 | 按家族分开 |
    |---|---|---|
    {_rows.zh}

    {_about.zh}

    最近的文本是基准。它不需要训练，也不需要学出来的向量，只需要{term("TF-IDF")}，即统计两段文本
    共有的词元，并给稀有的词元更大的权重。不能超过它的网络不值得花费。{_worth.zh}（按家族分开）。

    引擎中的词嵌入和解码器：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    card("embedding", "forward", "backward")
    return


@app.cell(hide_code=True)
def _():
    card("softmax_decoding", "forward", "backward")
    return


@app.cell(hide_code=True)
def _(honest, learn, right):
    vocabulary = {word for text, _, _ in honest[0] for word in Words().tokenize(text)}
    new = np.array([not vocabulary.issuperset(Words().tokenize(text)) for text, _, _ in honest[1]])
    if new.any():
        by_words, by_pieces = learn(honest, Words())[2][new].mean(), right["words and pieces", "families apart"][new].mean()
        found = both(
            f"Trained in the same way, it classifies {by_words:.0%} of these texts correctly. With pieces it is {by_pieces:.0%}",
            f"用同样的方法训练，它对这些文本的正确率是 {by_words:.0%}。用片段则是 {by_pieces:.0%}",
        )
    else:
        found = both(
            "In this test that costs nothing. With pieces the word need not be left out",
            "在这个测试集中，这没有损失。用片段就不必略去这个词",
        )
    text(
        f"""
    ## A question

    {new.mean():.0%} of the honest test's texts have a word that no training text has. What can the model know of such a word?

    /// details | Answer
    A bag of whole words knows nothing: it leaves the word out. {found.en}: *-itis* means
    inflammation and *derm-* means skin in every word. Medical words are built from parts, and a model can read them as you do.
    ///
    """,
        f"""
    ## 一个问题

    诚实的测试集中，{new.mean():.0%} 的文本含有训练文本里没有的词。模型对这样的词能知道什么？

    /// details | 答案
    整词的词袋什么也不知道：它略去这个词。{found.zh}：*-itis* 在每个词里都表示
    炎症，*derm-* 都表示皮肤。医学词汇由部件构成，模型可以像你一样读懂它们。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("text_diagnosis")
    return


if __name__ == "__main__":
    app.run()
