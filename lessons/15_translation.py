"""Translation: reading a text, writing another · 序列到序列

Minutes: 35
Needs: simple-icd-10-cm
Exercises: attention
Data: a table (.tsv, .csv) with the columns source and target · 一个表格（.tsv、.csv），含 source 和 target 两列
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Translation", css_file="lesson.css")

with app.setup:
    import textwrap
    from collections import Counter, defaultdict

    import marimo as mo
    import numpy as np

    import tinydx
    from tinydx import ops

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx.datasets.terms import icd10cm_diagnoses, split_by_group, text_pairs
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
    from tinydx.preprocessing.text import PADDING, START, Codec, Words, pad_sequences
    from tinydx.text.decoding import beam_search
    from tinydx.text.retrieval import NearestText
    from tinydx.text.scores import bleu, exact_match
    from tinydx.text.sequences import Seq2Seq
    from tinydx.text.translation import PairBatches


@app.cell(hide_code=True)
def _():
    head("translation")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - say what encoder, decoder and {term("attention")} of a {term("sequence to sequence")} model do;
    - read from a heat map which words it looked at while it wrote;
    - explain why always taking the likeliest next word need not give the likeliest text, and how {term("beam search")} helps.

    ## The equations

    An **encoder** reads the source $x$ in both directions and makes a memory $m_s$ of each of its words. The **decoder** is a recurrence
    whose state $h_t$ represents what has been written so far. Attention determines which part of the memory matters now:

    $$a_{{ts}} = \frac{{\exp(h_t \cdot K m_s)}}{{\sum_r \exp(h_t \cdot K m_r)}}$$

    $$c_t = \sum_s a_{{ts}} m_s$$

    From the state and from $c_t$, the document's decoder computes a probability for every next word. (tinydx first mixes $h_t$ and $c_t$ in
    one layer, as Luong did.)

    $$p(y_t|y_{{<t}}, x) = \mathrm{{softmax}}(W_{{yx}} h_t + b_y)$$

    ## The task
    """,
        rf"""
    学完这一课，你能够

    - 说出{term("sequence to sequence")}模型的编码器、解码器和{term("attention")}各做什么；
    - 从热图上看出它写作时在看哪些词；
    - 解释为什么每次取最可能的下一个词未必得到最可能的文本，以及{term("beam search")}怎样帮助。

    ## 公式

    **编码器**从两个方向读源文本 $x$，给其中每个词一个记忆 $m_s$。**解码器**是一个循环，
    它的状态 $h_t$ 代表到目前为止写下的内容。注意力决定现在记忆的哪一部分重要：

    $$a_{{ts}} = \frac{{\exp(h_t \cdot K m_s)}}{{\sum_r \exp(h_t \cdot K m_r)}}$$

    $$c_t = \sum_s a_{{ts}} m_s$$

    文中的解码器由状态和 $c_t$ 算出每个下一个词的概率。（tinydx 像 Luong 那样，先用一层把 $h_t$ 和 $c_t$ 混合。）

    $$p(y_t|y_{{<t}}, x) = \mathrm{{softmax}}(W_{{yx}} h_t + b_y)$$

    ## 任务
    """,
    )
    return


@app.cell
def _():
    def shorthand(title):
        """A title as on a crowded chart: 'A of B' becomes 'B A', and every word is cut to three letters."""
        what, _, where = title.partition(" of ")
        return " ".join(word[:3] for word in (where + " " + what).split() if word != "the")

    def icd10cm_pairs(least=50, longest=7):
        """Pairs (shorthand, title) for titles of at most `longest` words, each of which occurs in at least `least` titles."""
        titles = {" ".join(Words().tokenize(t.text)) for t in icd10cm_diagnoses(longest=7)}
        titles = {title for title in titles if 2 <= len(title.split()) <= longest and title.replace(" ", "").isalpha()}
        often = Counter(word for title in titles for word in set(title.split()))
        return [(shorthand(title), title) for title in sorted(titles) if min(often[word] for word in title.split()) >= least]

    own = own_data()
    pairs = text_pairs(own) if own else icd10cm_pairs()
    train, test = split_by_group(pairs, lambda pair: pair[0] if own else pair[1], [0.1])  # no title is in both
    test = test[:300]
    if len(test) < 5:
        raise ValueError(f"{own} has {len(pairs)} pairs: at least 50 are needed")
    return own, pairs, shorthand, test, train


@app.cell(hide_code=True)
def _(own, pairs, shorthand, test, train):
    _meant = defaultdict(set)
    for _, _title in pairs:
        for _word in _title.split():
            _meant[_word[:3]].add(_word)
    several = sum(len(words) > 1 for words in _meant.values()) / len(_meant)
    _most = max(sorted(_meant), key=lambda short: len(_meant[short]))
    _most_words = f"*{_most}*", f"{len(_meant[_most])}", ", ".join(sorted(_meant[_most])[:4])
    _icd = both(
        f"""
    The titles of the ICD-10-CM are real. Their **shorthand is made by a rule**, which gives a translation that a short training can learn:
    "A of B" becomes "B A", and every word is cut to its first three letters:

    *fracture of left femur* → *{shorthand("fracture of left femur")}*

    The model must restore the words, their order and the "of". But {several:.0%} of the {len(_meant)} shorthands have several meanings,
    {_most_words[0]} even {_most_words[1]} ({_most_words[2]} ...), and only the neighbours tell which is meant. There are {len(train):,} pairs
    for training and {len(test)} for testing.
    """,
        f"""
    ICD-10-CM 的条目名称是真实的。它们的**简写由规则生成**，这样短时间的训练就能学会翻译：
    “A of B”变成“B A”，每个词只留前三个字母：

    *fracture of left femur* → *{shorthand("fracture of left femur")}*

    模型必须恢复词、词序和“of”。但是 {len(_meant)} 个简写中有 {several:.0%} 有多种意思，
    {_most_words[0]} 甚至有 {_most_words[1]} 种（{_most_words[2]} ...），只有旁边的词才说明是哪一种。共有 {len(train):,} 对用于训练，
    {len(test)} 对用于测试。
    """,
    )
    _yours = both(
        f"Your data: {len(train):,} pairs for training and {len(test)} for testing.",
        f"你的数据：{len(train):,} 对用于训练，{len(test)} 对用于测试。",
    )
    _told = _yours if own else _icd
    text(_told.en, _told.zh)
    return


@app.cell
def _(own, test, train):
    tinydx.set_seed(0)
    tinydx.set_threads(1)  # such small matrices are fastest on one core
    LONGEST = max(len(Words().tokenize(target)) for _, target in train) + 1
    codec = Codec.learn(Words(), [text for pair in train for text in pair], size=4000)
    sources, sources_test = ([codec.encode(source) for source, _ in part] for part in (train, test))
    targets = [codec.encode(target, ends=True) for _, target in train]
    model = Seq2Seq(len(codec), dimension=64, units=96, copy=False, dropout=0.1)
    model.compile(Adam(0.01, global_clipnorm=1.0), "sparse_categorical_crossentropy")
    losses = model.fit(PairBatches(sources, targets, 32), epochs=5, verbose=0).history["loss"]

    def translate(ids, **beam):
        """The texts written by beam search for these sources' ids, and their scores."""
        written, scores = beam_search(model.step, model.start(pad_sequences(ids, padding="post")), len(ids), LONGEST, **beam)
        return [codec.decode(row) for row in written], scores

    return LONGEST, codec, losses, model, sources_test, translate


@app.cell
def _(own, sources_test, test, train, translate):
    _meant = defaultdict(Counter)
    for _, _title in train:
        for _word in _title.split():
            _meant[_word[:3]][_word] += 1
    _by_word = lambda text: text if own else " ".join(_meant[w].most_common(1)[0][0] if w in _meant else w for w in text.split())  # noqa: E731

    asked, truth = [source for source, _ in test], [target for _, target in test]
    _nearest = NearestText([source for source, _ in train]).nearest(asked)
    baseline = "source itself" if own else "word by word"
    texts = {
        baseline: [_by_word(source) for source in asked],
        "nearest pair": [train[i][1] for i in _nearest],
        "greedy": translate(sources_test, width=1)[0],
        "beam of 4": translate(sources_test, width=4)[0],
    }
    table = {who: (exact_match(found, truth), bleu(found, truth)) for who, found in texts.items()}
    return asked, baseline, table, texts, truth


@app.cell(hide_code=True)
def _(baseline, losses, own, table):
    _ours, _simple = (max(table[who][0] for who in pair) for pair in (("greedy", "beam of 4"), (baseline, "nearest pair")))
    _here = both("**not** exactly right more often than both", "完全正确的次数**没有**超过两者")
    if _ours > _simple:
        _here = both(
            f"exactly right more often than both, {_ours:.0%} against {_simple:.0%}",
            f"完全正确的次数超过两者，{_ours:.0%} 对 {_simple:.0%}",
        )
    _told = both("", "")
    if not own:
        _told = both(
            "Word by word (each shorthand becomes the word that it meant most often) gets words right, but not their order. The nearest "
            "pair gets the order right, but not the words: it is never exactly right, because no test title is in training. The trained "
            f"model is {_here.en}.",
            "逐词翻译（每个简写变成它最常代表的词）词对了，词序不对。最近的一对词序对了，词不对：它从不完全正确，"
            f"因为测试条目都不在训练集中。训练好的模型{_here.zh}。",
        )
    _named = {
        baseline: "源文本本身" if own else "逐词",
        "nearest pair": "最近的一对",
        "greedy": "贪心",
        "beam of 4": "宽度为四的束",
    }
    _rows = both(
        "\n    ".join(f"| {who} | {exact:.0%} | {words:.0f} |" for who, (exact, words) in table.items()),
        "\n    ".join(f"| {_named[who]} | {exact:.0%} | {words:.0f} |" for who, (exact, words) in table.items()),
    )
    text(
        f"""
    ## Training

    In {len(losses)} epochs the loss went from {losses[0]:.1f} to {losses[-1]:.1f} nats a word. On pairs that the model never saw:

    | written by | exactly right | BLEU |
    |---|---|---|
    {_rows.en}

    {_told.en} {term("BLEU")} counts sequences of one to four words that are right, so it gives credit to partly right texts.

    ## See it: where it looks
    """,
        f"""
    ## 训练

    经过 {len(losses)} 个轮次，损失从每词 {losses[0]:.1f} nats 降到 {losses[-1]:.1f}。在模型从未见过的文本对上：

    | 由谁写 | 完全正确 | BLEU |
    |---|---|---|
    {_rows.zh}

    {_told.zh}{term("BLEU")}统计一到四个词的序列有多少正确，所以部分正确的文本也得分。

    ## 看一看：它在看哪里
    """,
    )
    return


@app.cell
def _(asked, codec, model, sources_test, texts, truth):
    _right = [i for i, (text, wanted) in enumerate(zip(texts["beam of 4"], truth, strict=True)) if text == wanted] or [0]
    hits, by_chance = {}, []  # for each right text: at which of its words the model looked most of all at that word's shorthand
    for _i in _right:
        _words, _read = (codec.tokenizer.tokenize(text) for text in (truth[_i], asked[_i]))
        _looks = model.looks(np.array([sources_test[_i]]), np.array([[START, *codec.vocabulary.ids(_words)]]))[0].argmax(axis=1)
        hits[_i] = [_read[_looks[t]] == word[:3] for t, word in enumerate(_words) if word[:3] in _read]
        by_chance += [1 / len(_read)] * len(hits[_i])
    on_its_word, by_chance = np.mean([hit for found in hits.values() for hit in found] or [0]), np.mean(by_chance or [0])

    _long = sorted(_right, key=lambda i: -len(asked[i].split()))[:12]
    _start = max(_long, key=lambda i: sum(hits[i]))
    chosen = mo.ui.dropdown({asked[i]: i for i in _long}, value=asked[_start], label="source · 源文本", full_width=True)
    chosen
    return by_chance, chosen, on_its_word


@app.cell
def _(chosen, codec, model, sources_test, texts):
    read = codec.vocabulary.words(sources_test[chosen.value])
    wrote = [*Words().tokenize(texts["beam of 4"][chosen.value]), "(end)"]
    looks = model.looks(np.array([sources_test[chosen.value]]), np.array([[START, *codec.vocabulary.ids(wrote[:-1])]]))[0]
    assert looks.shape == (len(wrote), len(read)) and np.allclose(looks.sum(axis=1), 1, atol=1e-4)
    return looks, read, wrote


@app.cell(hide_code=True)
def _(looks, read, wrote):
    _figure, _axis = canvas(height=0.9 + 0.3 * len(wrote))
    _image = _axis.imshow(looks, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _axis.set(
        xticks=range(len(read)), xticklabels=list(map(drawn, read)), yticks=range(len(wrote)), yticklabels=list(map(drawn, wrote))
    )
    _axis.set(xlabel="word that is read", ylabel="word that is written")
    _figure.colorbar(_image, label="attention (share)")
    show(
        _figure,
        f"Attention while '{' '.join(wrote[:-1])}' was written from '{' '.join(read)}': dark where a written word looked at a read one.",
        f"从“{' '.join(read)}”写出“{' '.join(wrote[:-1])}”时的注意力：写出的词看了读到的词，颜色就深。",
    )
    return


@app.cell(hide_code=True)
def _(by_chance, on_its_word, own):
    _told = both("", "")
    if not own:
        _told = both(
            "The training data do not say which words correspond. In the titles that the model writes correctly, it looks most of all "
            f"at the shorthand of the word that it writes next in {on_its_word:.0%} of the cases (by chance: {by_chance:.0%}). In the "
            "others it finds the information elsewhere, because a memory $m_s$ also represents its neighbours. Where a model looks is a "
            "hint at what it used, not a proof.",
            "训练数据没有说哪些词互相对应。在模型写对的条目中，它有 "
            f"{on_its_word:.0%} 的时候最注意的正是它接下来要写的词的简写（随机：{by_chance:.0%}）。其余时候，它从别处得到信息，"
            "因为记忆 $m_s$ 也代表它的邻居。模型看哪里，是它用了什么的线索，而不是证明。",
        )
    text(
        f"""
    Read it row by row: every row adds up to 1. {_told.en}

    ## Greedy or not

    The probability of a text is the product of its words' probabilities. **Greedy** writing takes the likeliest word each time, but a likely
    word may have only unlikely continuations. A beam keeps the few best unfinished texts after every word, and drops the others.
    """,
        f"""
    逐行来读：每行之和是 1。{_told.zh}

    ## 贪心与否

    一段文本的概率是各词概率之积。**贪心**写作每次取最可能的词，但可能的词后面也许只有不大可能的接续。
    束搜索在每个词之后保留几个最好的未完成文本，丢掉其余的。
    """,
    )
    return


@app.cell
def _(codec, model, sources_test, texts, truth):
    def so_far(sources, written):
        """ln p of each text after each of its words (N,T); written (N,1+T) begins with START."""
        p = model.predict([pad_sequences(sources, padding="post"), written[:, :-1]])
        p = np.take_along_axis(p, written[:, 1:, None], axis=-1)[..., 0]
        return np.log(np.where(written[:, 1:] == PADDING, 1, np.maximum(p, 1e-30))).cumsum(axis=1)

    def ids_of(texts):
        return pad_sequences([codec.encode(text, ends=True) for text in texts], padding="post")

    ln_p = {who: so_far(sources_test, ids_of(written))[:, -1] for who, written in (*texts.items(), ("truth", truth))}
    _better = [g != w == b for g, b, w in zip(texts["greedy"], texts["beam of 4"], truth, strict=True)]
    _gain = ln_p["beam of 4"] - ln_p["greedy"]
    erring = int(
        np.argmax(_gain + 100 * (np.array(_better) & (_gain > 0)))
    )  # greedy is wrong, the beam right and likelier by far
    return erring, ids_of, ln_p, so_far


@app.cell
def _(asked, erring):
    width = mo.ui.slider(1, 6, value=4, label="width of the beam, texts · 束的宽度，文本数", show_value=True, full_width=True)
    _about = text(
        f"""
    *{said(asked[erring])}*, and what the beam keeps after every word:
    """,
        f"""
    *{said(asked[erring])}*，以及束搜索在每个词之后保留的文本：
    """,
    )
    mo.vstack([_about, width])
    return (width,)


@app.cell
def _(LONGEST, codec, erring, ids_of, model, so_far, sources_test, texts, width):
    _kept = []

    def _step(tokens, state):
        """The model's step, which also records what the beam has written: a state may hold anything that belongs to a text."""
        *inner, written = state
        written = np.column_stack([written, tokens])
        _kept.append(written)
        logits, inner = model.step(tokens, inner)
        return logits, [*inner, written]

    _source = sources_test[erring]
    _state = [*model.start(np.array([_source])), np.empty((1, 0), int)]
    _found, _ = beam_search(_step, _state, 1, LONGEST, width.value)
    beam_text = codec.decode(_found[0])
    branches = [so_far([_source] * width.value, written) for written in _kept[1:]]
    greedy_path, beam_path = (so_far([_source], ids_of([text]))[0] for text in (texts["greedy"][erring], beam_text))
    assert all(len(branch) == width.value for branch in branches)
    return beam_path, beam_text, branches, greedy_path


@app.cell(hide_code=True)
def _(asked, beam_path, beam_text, branches, erring, greedy_path, texts, width):
    _figure, _axis = canvas(height=3.2)
    for _branch in branches:
        for _path in _branch:
            _axis.plot(range(len(_path) + 1), [0, *_path], ".-", color=GREY, alpha=0.35, linewidth=0.8, markersize=3)
    for _path, _colour, _text in ((greedy_path, RED, texts["greedy"][erring]), (beam_path, BLUE, beam_text)):
        _axis.plot(range(len(_path) + 1), [0, *_path], "o-", color=_colour, label=textwrap.fill(f"{drawn(_text)} (end)", 48))
    _axis.set(
        xlabel="words written", ylabel="ln p of the text so far (nats)", ylim=(1.4 * min(*greedy_path, *beam_path) - 0.5, 0.2)
    )
    _figure.legend(loc="outside upper center", frameon=False)
    show(
        _figure,
        f"From {asked[erring]}: the logarithm of the probability falls word by word, for greedy writing, for the best text of a "
        f"beam of {width.value}, and in grey for all texts that the beam kept.",
        f"从 {asked[erring]} 开始：概率的对数逐词下降，分别是贪心写作、宽度为 {width.value} 的束中最好的文本，以及用灰色表示的束保留过的全部文本。",
    )
    return


@app.cell(hide_code=True)
def _(erring, ln_p, sources_test, table, texts, translate, truth):
    _count = lambda found: np.mean([len(text.split()) for text in found])  # noqa: E731
    by_sum, _ = translate(sources_test, width=4, length_penalty=0.0)
    lengths = {"sum": _count(by_sum), "mean": _count(texts["beam of 4"]), "truth": _count(truth)}
    _gain = ln_p["beam of 4"][erring] - ln_p["greedy"][erring]
    _found = both(
        "In this test the beam has found no text that the model considers more probable than the greedy one",
        "在这个测试集中，束搜索没有找到模型认为比贪心更可能的文本",
    )
    if _gain > 0:
        _found = both(
            f"According to the model, the second is e^{_gain:.1f} = **{np.exp(_gain):.1f} times** as probable",
            f"按照模型，第二个的可能性是第一个的 e^{_gain:.1f} = **{np.exp(_gain):.1f} 倍**",
        )
    _shorter = both("shorter", "更短") if lengths["sum"] < lengths["mean"] - 0.005 else both("not shorter", "并不更短")
    text(
        f"""
    Greedy writes *{said(texts["greedy"][erring])}*, the beam of 4 *{said(texts["beam of 4"][erring])}*. {_found.en}. With a width of 1, beam
    search is greedy.

    Every further word makes a text less probable, so the sum of logarithms favours short texts. {term("length normalisation")} compares the
    mean over the words instead. Here the texts by the sum are {_shorter.en}:

    | beam of 4 by | words of a text | exactly right |
    |---|---|---|
    | the sum | {lengths["sum"]:.2f} | {exact_match(by_sum, truth):.1%} |
    | the mean | {lengths["mean"]:.2f} | {table["beam of 4"][0]:.1%} |
    | (the right texts) | {lengths["truth"]:.2f} | |

    ## The code

    Attention takes four lines: the product of each state with each memory, a softmax, a weighted sum.
    """,
        f"""
    贪心写出 *{said(texts["greedy"][erring])}*，宽度为 4 的束写出 *{said(texts["beam of 4"][erring])}*。{_found.zh}。宽度为 1 时，
    束搜索就是贪心。

    每多写一个词，文本就更不可能，所以对数之和偏爱短文本。{term("length normalisation")}改为比较各词的平均值。
    在这里，按总和选出的文本{_shorter.zh}：

    | 宽度为 4 的束，依据 | 每条文本的词数 | 完全正确 |
    |---|---|---|
    | 总和 | {lengths["sum"]:.2f} | {exact_match(by_sum, truth):.1%} |
    | 平均值 | {lengths["mean"]:.2f} | {table["beam of 4"][0]:.1%} |
    | （正确的文本） | {lengths["truth"]:.2f} | |

    ## 代码

    注意力只要四行：每个状态与每个记忆的内积，柔性最大值，加权和。
    """,
    )
    return (lengths,)


@app.cell
def _():
    def attend(h, memory, K):
        scores = h @ (memory @ K.T).T
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        a = e / e.sum(axis=1, keepdims=True)
        return a @ memory, a

    return (attend,)


@app.cell(hide_code=True)
def _(attend):
    _rng = np.random.default_rng(0)
    _h, _m, _k = _rng.normal(size=(3, 4)), _rng.normal(size=(5, 6)), _rng.normal(size=(4, 6))
    _c, _a = attend(_h, _m, _k)
    np.testing.assert_allclose(_a, ops.softmax(_h @ _k @ _m.T))
    np.testing.assert_allclose(_c[0], sum(_a[0, s] * _m[s] for s in range(5)))
    short(attend)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's decoding step, its beam search and its decoder:
    """,
        """
    引擎中的解码步骤、束搜索和解码器：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(Seq2Seq._next, Seq2Seq._attend)
    return


@app.cell(hide_code=True)
def _():
    code(beam_search)
    return


@app.cell(hide_code=True)
def _():
    card("softmax_decoding", "literal")
    return


@app.cell(hide_code=True)
def _(codec, ln_p, texts, truth):
    def _mean(who, written):
        """ln p of each text as a mean over its words and its end, by which the beam compares texts."""
        return ln_p[who] / np.array([len(codec.encode(text, ends=True)) for text in written])

    _wrong = np.array([text != wanted for text, wanted in zip(texts["beam of 4"], truth, strict=True)])
    missed = int((_wrong & (_mean("truth", truth) > _mean("beam of 4", texts["beam of 4"]))).sum())
    text(
        f"""
    ## A question

    {int(_wrong.sum())} of {len(truth)} texts of the beam are wrong. How many of these could be right with a beam so wide that it misses nothing?

    /// details | Answer
    Ask the model for how many of them it considers the right text more probable than the one that it wrote, by the mean over the words
    as the beam does: {missed}. A wider beam can find only these, which the search missed. In the other {int(_wrong.sum()) - missed} the model prefers its own error: the search was good enough, the
    model was not. There, more search cannot help; more data and more training would.
    ///
    """,
        f"""
    ## 一个问题

    束搜索的 {len(truth)} 条文本中有 {int(_wrong.sum())} 条是错的。如果束宽到什么也不漏，其中有多少条能变对？

    /// details | 答案
    问模型，其中有多少条，它认为正确的文本比它写下的更可能（与束搜索一样，按每个词的平均值来比）：{missed} 条。更宽的束只能找回这些，它们是搜索漏掉的。
    另外 {int(_wrong.sum()) - missed} 条，模型更喜欢自己的错误：搜索足够好，是模型不够好。那里再多搜索也没有用；
    更多的数据和训练才有用。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("translation")
    return


if __name__ == "__main__":
    app.run()
