"""Networks that read and write texts, and what belongs to them.

    sequences.py      LanguageModel and Seq2Seq, with attention and copying
    decoding.py       a text from a model's probabilities: sampling, greedy, beam search
    translation.py    train a Seq2Seq on pairs of texts, and translate with it
    retrieval.py      the nearest text by TF-IDF: a baseline, and a source of drafts
    scores.py         exact match, BLEU, ROUGE-L, perplexity
    word_vectors.py   skip-gram, the document's mixing of word vectors, neighbours and a map

In flow ids from `tinydx.preprocessing.text`. Out flow probabilities of the next token, ids, texts, and scores. The tasks in
`tinydx.tasks` use this room; `tinydx translate` runs a saved translator.
"""
