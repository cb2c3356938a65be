"""Translation: reading a text, writing another · 序列到序列

Minutes: 35
Needs: simple-icd-10-cm
Exercises: attention
Data: a table (.tsv, .csv) with the columns source and target
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

    tinydx.use("numpy")  # the code that the cards show, which needs no compilation

    from tinydx.datasets.terms import icd10cm_diagnoses, split_by_group, text_pairs
    from tinydx.lessons.page import BLUE, GREY, RED, canvas, card, code, drawn, foot, head, own_data, said, show, term
    from tinydx.optimizers import Adam
    from tinydx.preprocessing.text import PADDING, START, Codec, Words, pad_sequences
    from tinydx.text.decoding import beam_search
    from tinydx.text.retrieval import NearestText
    from tinydx.text.scores import bleu, exact_match
    from tinydx.text.sequences import Seq2Seq
    from tinydx.text.translation import PairBatches


@app.cell(hide_code=True)
def _():
    head(12)
    return


@app.cell(hide_code=True)
def _():
    mo.md(rf"""
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
    """)
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
    _icd = f"""
    The titles of the ICD-10-CM are real. Their **shorthand is made by a rule**, which gives a translation that a short training can learn:
    "A of B" becomes "B A", and every word is cut to its first three letters:

    *fracture of left femur* → *{shorthand("fracture of left femur")}*

    The model must restore the words, their order and the "of". But {several:.0%} of the {len(_meant)} shorthands have several meanings,
    *{_most}* even {len(_meant[_most])} ({", ".join(sorted(_meant[_most])[:4])} ...), and only the neighbours tell which is meant. There are {len(train):,} pairs for
    training and {len(test)} for testing.
    """
    mo.md(f"Your data: {len(train):,} pairs for training and {len(test)} for testing." if own else _icd)
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
    _beats = f"exactly right more often than both, {_ours:.0%} against {_simple:.0%}"
    _here = _beats if _ours > _simple else "**not** exactly right more often than both"
    _icd = f"""
    Word by word (each shorthand becomes the word that it meant most often) gets words right, but not their order. The nearest pair gets
    the order right, but not the words: it is never exactly right, because no test title is in training. The trained model is {_here}.
    """
    _rows = "\n    ".join(f"| {who} | {exact:.0%} | {words:.0f} |" for who, (exact, words) in table.items())
    mo.md(f"""
    ## Training

    In {len(losses)} epochs the loss went from {losses[0]:.1f} to {losses[-1]:.1f} nats a word. On pairs that the model never saw:

    | written by | exactly right | BLEU |
    |---|---|---|
    {_rows}

    {"" if own else _icd} {term("BLEU")} counts sequences of one to four words that are right, so it gives credit to partly right texts.

    ## See it: where it looks
    """)
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
    chosen = mo.ui.dropdown({asked[i]: i for i in _long}, value=asked[_start], label="source", full_width=True)
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
    _axis.set(xticks=range(len(read)), xticklabels=list(map(drawn, read)), yticks=range(len(wrote)), yticklabels=list(map(drawn, wrote)))
    _axis.set(xlabel="word that is read", ylabel="word that is written")
    _figure.colorbar(_image, label="attention (share)")
    show(
        _figure,
        f"Attention while '{' '.join(wrote[:-1])}' was written from '{' '.join(read)}': dark where a written word looked at a read one.",
    )
    return


@app.cell(hide_code=True)
def _(by_chance, on_its_word, own):
    _icd = f"""
    The training data do not say which words correspond. In the titles that the model writes correctly, it looks most of all at the
    shorthand of the word that it writes next in {on_its_word:.0%} of the cases (by chance: {by_chance:.0%}). In the others it finds the information elsewhere, because a
    memory $m_s$ also represents its neighbours. Where a model looks is a hint at what it used, not a proof.
    """
    mo.md(f"""
    Read it row by row: every row adds up to 1. {"" if own else _icd}

    ## Greedy or not

    The probability of a text is the product of its words' probabilities. **Greedy** writing takes the likeliest word each time, but a likely
    word may have only unlikely continuations. A beam keeps the few best unfinished texts after every word, and drops the others.
    """)
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
    width = mo.ui.slider(1, 6, value=4, label="width of the beam, texts", show_value=True, full_width=True)
    mo.vstack([mo.md(f"*{said(asked[erring])}*, and what the beam keeps after every word:"), width])
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
    )
    return


@app.cell(hide_code=True)
def _(erring, ln_p, sources_test, table, texts, translate, truth):
    _count = lambda found: np.mean([len(text.split()) for text in found])  # noqa: E731
    by_sum, _ = translate(sources_test, width=4, length_penalty=0.0)
    lengths = {"sum": _count(by_sum), "mean": _count(texts["beam of 4"]), "truth": _count(truth)}
    _gain = ln_p["beam of 4"][erring] - ln_p["greedy"][erring]
    _found = f"According to the model, the second is e^{_gain:.1f} = **{np.exp(_gain):.1f} times** as probable"
    _found = _found if _gain > 0 else "In this test the beam has found no text that the model considers more probable than the greedy one"
    _shorter = "shorter" if lengths["sum"] < lengths["mean"] - 0.005 else "not shorter"
    mo.md(f"""
    Greedy writes *{said(texts["greedy"][erring])}*, the beam of 4 *{said(texts["beam of 4"][erring])}*. {_found}. With a width of 1, beam
    search is greedy.

    Every further word makes a text less probable, so the sum of logarithms favours short texts. {term("length normalisation")} compares the
    mean over the words instead. Here the texts by the sum are {_shorter}:

    | beam of 4 by | words of a text | exactly right |
    |---|---|---|
    | the sum | {lengths["sum"]:.2f} | {exact_match(by_sum, truth):.1%} |
    | the mean | {lengths["mean"]:.2f} | {table["beam of 4"][0]:.1%} |
    | (the right texts) | {lengths["truth"]:.2f} | |

    ## The engine's code
    """)
    return (lengths,)


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
def _(ln_p, texts, truth):
    _wrong = np.array([text != wanted for text, wanted in zip(texts["beam of 4"], truth, strict=True)])
    missed = int((_wrong & (ln_p["truth"] > ln_p["beam of 4"])).sum())
    mo.md(f"""
    ## A question

    {int(_wrong.sum())} of {len(truth)} texts of the beam are wrong. How many of these could be right with a beam so wide that it misses nothing?

    /// details | Answer
    Ask the model for how many of them it considers the right text more probable than the one that it wrote: {missed}. A wider beam can find
    only these, which the search missed. In the other {int(_wrong.sum()) - missed} the model prefers its own error: the search was good enough, the
    model was not. There, more search cannot help; more data and more training would.
    ///
    """)
    return


@app.cell(hide_code=True)
def _():
    foot(12)
    return


if __name__ == "__main__":
    app.run()
