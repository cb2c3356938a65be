"""A language model that writes diagnoses · 语言模型

Minutes: 30
Needs: simple-icd-10-cm
Exercises: softmax, softmax_decoding
Data: a table (.csv, .tsv) with the columns text and label · 一个表格（.csv、.tsv），含 text 和 label 两列
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="A language model", css_file="lesson.css")

with app.setup:
    from collections import Counter

    import marimo as mo
    import numpy as np

    import tinydx

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx.datasets.terms import icd10cm_diagnoses, split_by_group
    from tinydx.diagnosis.kinds.text import open_table
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
        number,
        own_data,
        said,
        short,
        show,
        term,
        text,
    )
    from tinydx.optimizers import Adam
    from tinydx.preprocessing.text import START, Codec, Words
    from tinydx.tasks.next_word import bigram, unigram
    from tinydx.text import decoding
    from tinydx.text.scores import perplexity
    from tinydx.text.sequences import LanguageModel, teacher_forcing


@app.cell(hide_code=True)
def _():
    head("language_model")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - train the document's recurrence to predict the next word, and let it write;
    - measure a {term("language model")} by its {term("perplexity")}, and compare it with one that only counts;
    - control what it writes with {term("temperature")}, {term("top-k")} and {term("top-p")}, and say what none of them can guarantee.

    ## The equations

    The probability of a text is the product of its words' probabilities, each given the words before it. The document's recurrence
    remembers these words, and its output layer gives every word of the vocabulary a score:

    $$h_t = \tanh(W_{{hh}} h_{{t-1}} + W_{{xh}} x_t + b_h)$$

    $$y_t = W_{{hy}} h_t + b_y$$

    {term("softmax")} turns the scores into probabilities of the next word, with which a text can be drawn word by word:

    $$p(w_{{t+1}} | w_{{\le t}}) = \mathrm{{softmax}}(y_t)$$

    The perplexity measures how surprised the model is by texts that it never saw, over all their $n$ words:

    $$\mathrm{{PPL}} = \exp\left( -\frac{{1}}{{n}} \sum_t \ln\, p(w_{{t+1}} | w_{{\le t}}) \right)$$

    With a perplexity of 20, the model is on average as uncertain as with 20 equally likely words.

    ## The texts
    """,
        rf"""
    学完这一课，你能够

    - 训练文中的循环网络来预测下一个词，并让它写作；
    - 用{term("perplexity")}衡量{term("language model")}，并与只会计数的模型比较；
    - 用{term("temperature")}、{term("top-k")}和{term("top-p")}控制它写什么，并说出它们都保证不了什么。

    ## 公式

    一段文本的概率，是其中每个词在前面各词之后的概率之积。文中的循环网络记住前面的词，
    它的输出层给词表中的每个词一个得分：

    $$h_t = \tanh(W_{{hh}} h_{{t-1}} + W_{{xh}} x_t + b_h)$$

    $$y_t = W_{{hy}} h_t + b_y$$

    {term("softmax")}把得分变成下一个词的概率，由此可以逐词抽取出一段文本：

    $$p(w_{{t+1}} | w_{{\le t}}) = \mathrm{{softmax}}(y_t)$$

    困惑度衡量模型对从未见过的文本有多意外，取遍其中全部 $n$ 个词：

    $$\mathrm{{PPL}} = \exp\left( -\frac{{1}}{{n}} \sum_t \ln\, p(w_{{t+1}} | w_{{\le t}}) \right)$$

    困惑度为 20，表示模型平均而言与面对 20 个同样可能的词一样不确定。

    ## 文本
    """,
    )
    return


@app.cell
def _():
    LONGEST = 12  # words
    own = own_data()
    if own:
        _, parts, *_ = open_table(own, None, 0)
        known, least = [(text, text) for part in parts.values() for text, _ in part], 2
    else:
        known, least = [(t.text, t.category) for t in icd10cm_diagnoses(longest=4)], 12
    _often = Counter(word for text, _ in known for word in set(Words().tokenize(text)))
    _common = lambda text: len(words := Words().tokenize(text)) <= LONGEST and min(_often[w] for w in words) >= least  # noqa: E731
    kept = [(text, group) for text, group in known if _common(text)]
    if len(kept) < 100:
        raise ValueError(
            f"{own} has {len(kept)} texts of at most {LONGEST} words that all occur in other texts, too: at least 100 are needed"
        )
    train, test = ([text for text, _ in part] for part in split_by_group(kept, lambda item: item[1], [0.1]))
    codec = Codec.learn(Words(), train)
    ids, ids_test = ([codec.encode(text, ends=True) for text in part] for part in (train, test))
    return LONGEST, codec, ids, ids_test, known, least, own, test, train


@app.cell(hide_code=True)
def _(codec, known, least, own, test, train):
    _source, _apart = both("texts of yours", "你的文本"), both("", "")
    if not own:
        _source = both("real titles of the ICD-10-CM", "ICD-10-CM 的真实条目名称")
        _apart = both(
            " A category, the first three characters of a code, is either in training or in the test: no test title has a sibling in "
            "training.",
            "类目即编码的前三个字符，一个类目要么在训练集，要么在测试集：测试条目在训练集中没有同类。",
        )
    text(
        f"""
    There are {len(train):,} {_source.en} for training and {len(test)} for testing, out of {len(known):,}: those of at most 12 words, each of which
    occurs in at least {least} texts.{_apart.en} The vocabulary has {len(codec)} entries; here a {term("token")} is a word. In training, the model must predict
    each word of a text, such as

    *{said(train[0])}*

    from the **right** words before it, not from its own predictions ({term("teacher forcing")}).

    ## Training
    """,
        f"""
    共有 {len(train):,} 条{_source.zh}用于训练，{len(test)} 条用于测试，取自 {len(known):,} 条：每条最多 12 个词，每个词
    至少出现在 {least} 条文本中。{_apart.zh}词表有 {len(codec)} 个条目；这里一个{term("token")}就是一个词。训练时，模型必须根据前面**正确**的词，
    而不是它自己的预测，来预测文本中的每个词，这叫{term("teacher forcing")}，例如

    *{said(train[0])}*

    ## 训练
    """,
    )
    return


@app.cell
def _(LONGEST, codec, ids, ids_test):
    tinydx.set_seed(0)
    tinydx.set_threads(1)  # such small matrices are fastest on one core
    model = LanguageModel(len(codec), dimension=64, units=96, cell="rnn")
    model.compile(Adam(0.006, global_clipnorm=1.0), "sparse_categorical_crossentropy")
    words_so_far, next_words = teacher_forcing(ids, LONGEST + 2)
    after_epoch = []
    for _ in range(6):
        model.fit(words_so_far, next_words, batch_size=64, epochs=1, verbose=0)
        after_epoch.append(perplexity(np.concatenate(model.log_probability(ids_test))))

    by_frequency = perplexity(np.log(unigram(ids, ids_test, len(codec))))
    by_pairs = perplexity(np.log(bigram(ids, ids_test, len(codec))))
    return after_epoch, by_frequency, by_pairs, model


@app.cell(hide_code=True)
def _(after_epoch, by_frequency, by_pairs):
    _epochs = np.arange(1, len(after_epoch) + 1)
    _figure, _axis = canvas(height=2.6)
    _axis.semilogy(_epochs, after_epoch, "o-", color=BLUE)
    for _level, _name in ((by_frequency, "counting words"), (by_pairs, "counting pairs of words")):
        _axis.axhline(_level, color=GREY, linewidth=0.8)
        _axis.text(_epochs[-1], 1.05 * _level, _name, color=GREY, ha="right")
    _ticks = [10, 20, 50, 100, 200]
    _axis.set(xlabel="epochs", ylabel="perplexity (words)", ylim=(10, 300), yticks=_ticks, yticklabels=_ticks)
    _axis.minorticks_off()
    show(
        _figure,
        "The perplexity on test titles over the epochs, beside that of counting words and of counting pairs of words.",
        "各轮次在测试条目上的困惑度，旁边是词频计数和词对计数的困惑度。",
    )
    return


@app.cell(hide_code=True)
def _(after_epoch, by_frequency, by_pairs, codec):
    _by = 1 - after_epoch[-1] / by_pairs
    _here = both(
        "Here it is **not** better: train it for longer, or on more texts", "在这里它**没有**更好：训练久一些，或者用更多文本"
    )
    if _by > 0.01:
        _here = both(f"Here its perplexity is {_by:.0%} lower", f"在这里它的困惑度低 {_by:.0%}")
    text(
        f"""
    | model | PPL |
    |---|---|
    | all words equally likely | {len(codec)} |
    | frequency of the word | {by_frequency:.0f} |
    | its frequency after the previous word | {by_pairs:.1f} |
    | the recurrence, {len(after_epoch)} epochs | **{after_epoch[-1]:.1f}** |

    Counting pairs is a strong baseline: it needs no training, and the previous word is usually the most informative one. Where the
    recurrence is better, it uses words from further back. {_here.en}.

    ## See it: the next word

    Choose how a title begins. The sliders change the probabilities before a word is drawn:

    - **temperature**: scores are divided by it. Below 1 likely words become likelier, above 1 all words become more equally likely;
    - **top-k**: only the k likeliest words remain;
    - **top-p**: only the likeliest words remain, as many as are needed for a total probability of p.
    """,
        f"""
    | 模型 | PPL |
    |---|---|
    | 所有词同样可能 | {len(codec)} |
    | 词的频率 | {by_frequency:.0f} |
    | 在前一个词之后的频率 | {by_pairs:.1f} |
    | 循环网络，{len(after_epoch)} 个轮次 | **{after_epoch[-1]:.1f}** |

    词对计数是很强的基准：它不需要训练，而前一个词通常包含的信息最多。循环网络如果更好，
    就是利用了更前面的词。{_here.zh}。

    ## 看一看：下一个词

    选择一条名称怎样开头。滑块在抽取词之前改变概率：

    - **温度**：得分除以它。小于 1 时可能的词更可能，大于 1 时所有词趋于同样可能；
    - **top-k**：只留下最可能的 k 个词；
    - **top-p**：只留下最可能的词，留到总概率达到 p 为止。
    """,
    )
    return


@app.cell
def _(codec, own, train):
    _wanted = ("malignant neoplasm of", "injury of", "other disorders of the", "acute", "congenital")
    _asked = [] if own else [text for text in _wanted if all(word in codec.vocabulary for word in Words().tokenize(text))]
    _starts = _asked or list(dict.fromkeys(Words().tokenize(text)[0] for text in train))[:8]
    begin = mo.ui.dropdown(_starts, value=_starts[0], label="so far · 开头", full_width=True)
    temperature = mo.ui.slider(0.2, 2, step=0.1, value=1, label="temperature · 温度", show_value=True, full_width=True)
    top_k = mo.ui.slider(1, 50, value=50, label="top-k, words · 词数", show_value=True, full_width=True)
    top_p = mo.ui.slider(0.1, 1, step=0.05, value=0.9, label="top-p, probability · 概率", show_value=True, full_width=True)
    mo.vstack([begin, temperature, top_k, top_p])
    return begin, temperature, top_k, top_p


@app.cell
def _(begin, codec, model, temperature, top_k, top_p):
    def scores_after(text):
        """The logarithms of the next words' probabilities (V,)."""
        state = model.start(1)
        for token in (START, *codec.encode(text)):
            logits, state = model.step(np.array([token]), state)
        return logits[0].astype(float)

    def softmax(logits):
        e = np.exp(logits - logits.max())
        return e / e.sum()

    logits = scores_after(begin.value)
    plain = softmax(logits)
    steered = decoding.keep_top_k(decoding.with_temperature(logits, temperature.value), top_k.value)
    steered = softmax(decoding.keep_top_p(steered, top_p.value))
    left = int((steered > 0).sum())
    assert np.isclose(plain.sum(), 1) and left <= top_k.value and steered.argmax() == plain.argmax()
    return left, plain, scores_after, softmax, steered


@app.cell(hide_code=True)
def _(begin, codec, plain, steered):
    _order = np.argsort(-plain)[:12]
    _names = [drawn(codec.vocabulary.tokens[_i].replace("</s>", "(end)")) for _i in _order]
    _figure, _axis = canvas(height=3.4)
    _axis.barh(np.arange(12) + 0.2, plain[_order], 0.38, color=GREY, label="model")
    _axis.barh(np.arange(12) - 0.2, steered[_order], 0.38, color=BLUE, label="with these settings")
    _axis.set(title=f"{drawn(begin.value)} ...", xlabel="probability", yticks=np.arange(12), yticklabels=_names)
    _axis.invert_yaxis()
    _axis.legend(loc="lower right", frameon=False)
    show(
        _figure,
        f"The twelve likeliest words after '{begin.value}': the probabilities that the model gives them, and those with which they are drawn at these settings.",
        f"“{begin.value}”之后最可能的十二个词：模型给它们的概率，以及按这些设置抽取时的概率。",
    )
    return


@app.cell
def _(LONGEST, codec, model, temperature, top_k, top_p):
    def write(n, **how):
        """n titles, written word by word."""
        tinydx.set_seed(1)
        return [codec.decode(row) for row in decoding.sample(model.step, model.start(n), n, LONGEST + 1, **how)]

    written = write(6, temperature=temperature.value, top_k=top_k.value, top_p=top_p.value)
    return write, written


@app.cell(hide_code=True)
def _(left, written):
    _lines = "<br>".join(f"• *{said(text)}*" for text in written)
    text(
        f"""
    At these settings, {left} words can come next. The model writes these six titles with the same settings:

    {_lines}

    ## Plausible is not true

    How many of such titles are real? The model writes 300 at each of three temperatures, and each one is looked up.
    """,
        f"""
    按这些设置，接下来可能出现 {left} 个词。模型用同样的设置写出这六条：

    {_lines}

    ## 像真的，不等于是真的

    这样的名称有多少是真实存在的？模型在三种温度下各写 300 条，逐条查对。
    """,
    )
    return


@app.cell
def _(codec, known, own, train, write):
    _plain = lambda texts: {codec.tokenizer.join(Words().tokenize(text)) for text in texts}  # noqa: E731
    seen, real = _plain(train), _plain(text for text, _ in known) if own else _plain(t.text for t in icd10cm_diagnoses())
    fates = {}
    for degree in (0.5, 1.0, 1.5):
        texts = write(300, temperature=degree)
        learned, found = sum(text in seen for text in texts), sum(text in real for text in texts)
        fates[degree] = np.array([learned, found - learned, len(texts) - found]) / len(texts)
    assert all(np.isclose(shares.sum(), 1) for shares in fates.values())
    return (fates,)


@app.cell(hide_code=True)
def _(fates):
    _figure, _axis = canvas(height=1.9)
    _before = np.zeros(len(fates))
    for _name, _colour, _share in zip(
        ("learned", "real, never seen", "invented"), (GREY, BLUE, RED), np.transpose(list(fates.values())), strict=True
    ):
        _axis.barh(range(len(fates)), _share, left=_before, color=_colour, label=_name)
        _before = _before + _share
    _axis.set(
        xlabel="titles written (share)", ylabel="temperature", yticks=range(len(fates)), yticklabels=list(fates), xlim=(0, 1)
    )
    _figure.legend(loc="outside upper center", ncols=3, frameon=False)
    show(
        _figure,
        "At three temperatures, the shares of written titles that were in training, that are real but were never seen, and that are invented.",
        "三种温度下，写出的名称中训练时见过的、真实但没见过的、编造的各占多少。",
    )
    return


@app.cell(hide_code=True)
def _(fates):
    _less = both("less", "较少") if fates[0.5][2] < fates[1.0][2] else both("not less", "并不少")
    _more = both("and it does not repeat more", "而且重复得并不更多")
    if fates[0.5][0] > fates[1.0][0]:
        _more = both("because it repeats more", "因为它重复得更多")
    text(
        f"""
    At a temperature of 1, {fates[1.0][0]:.0%} are titles that it learned by heart, {fates[1.0][1]:.0%} are real titles that it had never seen,
    and **{fates[1.0][2]:.0%} do not exist**. Most of these are grammatical and sound medical. The model has learned how diagnoses are
    worded; nothing in its equations tests whether one is true. At 0.5 it invents {_less.en}, {fates[0.5][2]:.0%}, {_more.en}.

    ## The code

    Writing is a loop: compute the probabilities, draw a word, go on from there.
    """,
        f"""
    温度为 1 时，{fates[1.0][0]:.0%} 是它背下来的名称，{fates[1.0][1]:.0%} 是它从未见过的真实名称，
    而 **{fates[1.0][2]:.0%} 根本不存在**。后者大多合乎语法，听起来像医学名词。模型学会了诊断怎样措辞；
    它的公式里没有任何东西检验诊断是否真实。温度为 0.5 时，它编造得{_less.zh}，{fates[0.5][2]:.0%}，{_more.zh}。

    ## 代码

    写作只是一个循环：算概率，抽一个词，再接着算。
    """,
    )
    return


@app.cell
def _():
    def write_one(model, longest, rng):
        state, token, words = model.start(1), START, []
        while len(words) < longest:
            logits, state = model.step(np.array([token]), state)
            p = np.exp(logits[0].astype(float) - logits.max())
            token = int(rng.choice(len(p), p=p / p.sum()))
            words.append(token)
        return words

    return (write_one,)


@app.cell(hide_code=True)
def _(model, write_one):
    assert len(write_one(model, 3, np.random.default_rng(0))) == 3
    short(write_one)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's decoder, and the functions that control it:
    """,
        """
    引擎中的解码器，以及控制它的函数：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    card("softmax_decoding", "literal", "forward")
    return


@app.cell(hide_code=True)
def _():
    code(decoding.with_temperature, decoding.keep_top_k, decoding.keep_top_p, decoding.draw, perplexity)
    return


@app.cell(hide_code=True)
def _(codec, scores_after, softmax):
    _uniform = perplexity(np.full(100, -np.log(len(codec))))
    _cold = softmax(decoding.with_temperature(scores_after(""), 0.01)).max()
    assert np.isclose(_uniform, len(codec))
    text(
        f"""
    ## A question

    What is the perplexity of a model that gives each of the {len(codec)} tokens the same probability? What is that of a perfect model?
    What does a temperature near 0 do?

    /// details | Answer
    Each token gets 1/{len(codec)}, so the perplexity is {_uniform:.0f} for every text. A perfect model does not have 1, because the words before do not
    determine the next word: there is more than one diagnosis. The least possible perplexity depends on the true variety of titles, which
    is unknown. Near a temperature of 0, the likeliest word gets all the probability, here {_cold:.0%} at 0.01: the model always writes the same title.
    This is greedy decoding. Lesson {number("translation")} shows whether it finds the likeliest title.
    ///
    """,
        f"""
    ## 一个问题

    给 {len(codec)} 个词元同样概率的模型，困惑度是多少？完美的模型呢？温度接近 0 会怎样？

    /// details | 答案
    每个词元得到 1/{len(codec)}，所以任何文本的困惑度都是 {_uniform:.0f}。完美模型的困惑度不是 1，因为前面的词不能决定下一个词：
    诊断不止一种。可能达到的最小困惑度取决于名称真正的多样程度，这是未知的。温度接近 0 时，最可能的词得到全部概率，
    这里在 0.01 时是 {_cold:.0%}：模型总是写同一条名称。
    这叫贪心解码。第 {number("translation")} 课说明它是否找到最可能的名称。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("language_model")
    return


if __name__ == "__main__":
    app.run()
