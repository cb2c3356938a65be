"""A language model that writes diagnoses · 语言模型

Minutes: 30
Needs: simple-icd-10-cm
Exercises: softmax_decoding
Data: a table (.csv, .tsv) with the columns text and label
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
    from tinydx.lessons.page import BLUE, GREY, RED, canvas, card, code, drawn, foot, head, own_data, said, show, term
    from tinydx.optimizers import Adam
    from tinydx.preprocessing.text import START, Codec, Words
    from tinydx.tasks.next_word import bigram, unigram
    from tinydx.text import decoding
    from tinydx.text.scores import perplexity
    from tinydx.text.sequences import LanguageModel, teacher_forcing


@app.cell(hide_code=True)
def _():
    head(11)
    return


@app.cell(hide_code=True)
def _():
    mo.md(rf"""
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
    """)
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
    _source = "texts of yours" if own else "real titles of the ICD-10-CM"
    _apart = (
        ""
        if own
        else " A category, the first three characters of a code, is either in training or in the test: no test title has a sibling in training."
    )
    mo.md(f"""
    There are {len(train):,} {_source} for training and {len(test)} for testing, out of {len(known):,}: those of at most 12 words, each of which
    occurs in at least {least} texts.{_apart} The vocabulary has {len(codec)} entries; here a {term("token")} is a word. In training, the model must predict
    each word of a text, such as

    *{said(train[0])}*

    from the **right** words before it, not from its own predictions ({term("teacher forcing")}).

    ## Training
    """)
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
    )
    return


@app.cell(hide_code=True)
def _(after_epoch, by_frequency, by_pairs, codec):
    _by = 1 - after_epoch[-1] / by_pairs
    _here = f"Here its perplexity is {_by:.0%} lower" if _by > 0.01 else "Here it is **not** better: train it for longer, or on more texts"
    mo.md(f"""
    | model | PPL |
    |---|---|
    | all words equally likely | {len(codec)} |
    | frequency of the word | {by_frequency:.0f} |
    | its frequency after the previous word | {by_pairs:.1f} |
    | the recurrence, {len(after_epoch)} epochs | **{after_epoch[-1]:.1f}** |

    Counting pairs is a strong baseline: it needs no training, and the previous word is usually the most informative one. Where the
    recurrence is better, it uses words from further back. {_here}.

    ## See it: the next word

    Choose how a title begins. The sliders change the probabilities before a word is drawn:

    - **temperature**: scores are divided by it. Below 1 likely words become likelier, above 1 all words become more equally likely;
    - **top-k**: only the k likeliest words remain;
    - **top-p**: only the likeliest words remain, as many as are needed for a total probability of p.
    """)
    return


@app.cell
def _(codec, own, train):
    _wanted = ("malignant neoplasm of", "injury of", "other disorders of the", "acute", "congenital")
    _asked = [] if own else [text for text in _wanted if all(word in codec.vocabulary for word in Words().tokenize(text))]
    _starts = _asked or list(dict.fromkeys(Words().tokenize(text)[0] for text in train))[:8]
    begin = mo.ui.dropdown(_starts, value=_starts[0], label="so far", full_width=True)
    temperature = mo.ui.slider(0.2, 2, step=0.1, value=1, label="temperature", show_value=True, full_width=True)
    top_k = mo.ui.slider(1, 50, value=50, label="top-k, words", show_value=True, full_width=True)
    top_p = mo.ui.slider(0.1, 1, step=0.05, value=0.9, label="top-p, probability", show_value=True, full_width=True)
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
    mo.md(f"""
    At these settings, {left} words can come next. The model writes these six titles with the same settings:

    {_lines}

    ## Plausible is not true

    How many of such titles are real? The model writes 300 at each of three temperatures, and each one is looked up.
    """)
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
    )
    return


@app.cell(hide_code=True)
def _(fates):
    _less = "less" if fates[0.5][2] < fates[1.0][2] else "not less"
    _more = "because it repeats more" if fates[0.5][0] > fates[1.0][0] else "and it does not repeat more"
    mo.md(f"""
    At a temperature of 1, {fates[1.0][0]:.0%} are titles that it learned by heart, {fates[1.0][1]:.0%} are real titles that it had never seen,
    and **{fates[1.0][2]:.0%} do not exist**. Most of these are grammatical and sound medical. The model has learned how diagnoses are
    worded; nothing in its equations tests whether one is true. At 0.5 it invents {_less}, {fates[0.5][2]:.0%}, {_more}.

    ## The engine's code
    """)
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
    mo.md(f"""
    ## A question

    What is the perplexity of a model that gives each of the {len(codec)} tokens the same probability? What is that of a perfect model?
    What does a temperature near 0 do?

    /// details | Answer
    Each token gets 1/{len(codec)}, so the perplexity is {_uniform:.0f} for every text. A perfect model does not have 1, because the words before do not
    determine the next word: there is more than one diagnosis. The least possible perplexity depends on the true variety of titles, which
    is unknown. Near a temperature of 0, the likeliest word gets all the probability, here {_cold:.0%} at 0.01: the model always writes the same title.
    This is greedy decoding. Lesson 12 shows whether it finds the likeliest title.
    ///
    """)
    return


@app.cell(hide_code=True)
def _():
    foot(11)
    return


if __name__ == "__main__":
    app.run()
