"""Networks that write: a language model, and a sequence-to-sequence model with attention and copying.

    LanguageModel     tokens so far -> Embedding -> RNN, LSTM or GRU -> softmax: the next token

    Seq2Seq           source ids -> Embedding -> Bidirectional GRU -> memory m_1 ... m_S
                      tokens so far -> Embedding -> GRU -> h_t, whose first state is the encoder's last
                      attention    a_ts = softmax over s of score(h_t, m_s),  c_t = sum_s a_ts m_s
                      output       p(y_t | y_{<t}, x) = softmax(W tanh(V [h_t, c_t]) + b)            (document, 3.2)
                      copying      p = g_t p + (1 - g_t) sum_{s: x_s = y_t} a_ts                     (See 2017)

The score is h_t . K m_s ("dot") or v . tanh(Q h_t + K m_s) ("additive", Bahdanau's). Attention uses the new state h_t, as
Luong's does. Training uses teacher forcing: the tokens so far are the correct ones, so the decoder is a single recurrence over
the whole text, and attention treats all time steps at once. Writing uses `step`, one token at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinydx import ops
from tinydx.layers import (
    GRU,
    LSTM,
    AdditiveAttention,
    Attention,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    SimpleRNN,
)
from tinydx.models import Model
from tinydx.preprocessing.text import END, PADDING, pad_sequences
from tinydx.tensor import Tensor, no_grad
from tinydx.text.decoding import State

CELLS: dict[str, Any] = {"rnn": SimpleRNN, "lstm": LSTM, "gru": GRU}
ATTENTIONS: dict[str, Any] = {"dot": Attention, "additive": AdditiveAttention}
TINY = 1e-30  # added to probabilities before their logarithm
BATCH = 128  # texts that `log_probability` reads at a time


def teacher_forcing(texts: Sequence[Sequence[int]], longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of training, from texts START ... END.

    Arguments: texts, ids; longest, tokens of a text that are kept.
    Returns: (tokens so far, next tokens), both int32 (N,T); where the first is padding, the second does not count.

    >>> teacher_forcing([[2, 7, 8, 3], [2, 9, 3]], longest=10)
    (array([[2, 7, 8],
           [2, 9, 0]], dtype=int32), array([[7, 8, 3],
           [9, 3, 0]], dtype=int32))
    """
    kept = pad_sequences([[*text[:longest]] for text in texts], padding="post")
    return np.where(kept[:, :-1] == END, PADDING, kept[:, :-1]), kept[:, 1:]


def expect_tokens(model: Model, input_shape: Any, inputs: int) -> None:
    """ValueError unless a model gets that many inputs of ids (N,T)."""
    shapes = input_shape if isinstance(input_shape, list) else [input_shape]
    if len(shapes) != inputs or any(len(shape) != 2 for shape in shapes):
        wanted = "ids (N,T)" if inputs == 1 else "[source ids (N,S), ids (N,T)]"
        raise ValueError(f"{model.name}: expected {wanted}, got {shapes}")


class LanguageModel(Model):
    """The next token from the tokens so far: ids (N,T) -> probabilities (N,T,V).

    Arguments: vocabulary, number of tokens V; dimension of their vectors; units of a recurrent layer; cell, "rnn", "lstm" or
    "gru"; depth, number of recurrent layers; dropout, before and after them; common, options of every Model.
    Raises: ValueError for another cell.

    >>> LanguageModel(50, 8, 16)(np.array([[2, 7, 8]])).shape
    (1, 3, 50)
    """

    def __init__(
        self,
        vocabulary: int,
        dimension: int = 128,
        units: int = 256,
        cell: str = "gru",
        depth: int = 1,
        dropout: float = 0.2,
        **common: Any,
    ):
        super().__init__(**common)
        if cell not in CELLS:
            raise ValueError(f"LanguageModel: cell is {cell!r}, expected one of {', '.join(CELLS)}")
        self.embedding = Embedding(vocabulary, dimension, mask_zero=True)
        self.cells = [CELLS[cell](units, return_sequences=True, return_state=True) for _ in range(depth)]
        self.dropout = Dropout(dropout)
        self.scores = Dense(vocabulary, activation="softmax")

    def build(self, input_shape: Any) -> None:
        """Make the weights, by a run on one token: they do not depend on how many there are."""
        expect_tokens(self, input_shape, 1)
        super().build((1, 1))

    def output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, self.scores.units)

    def call(self, x: Any, training: bool = False) -> Tensor:
        """Probabilities (N,T,V) of the token after each of the ids x (N,T)."""
        y = self.embedding(x)
        for cell in self.cells:
            y = cell(self.dropout(y))[0]
        return self.scores(self.dropout(y))

    def log_probability(self, texts: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """The log-probability of every next token of some texts.

        Arguments: texts, ids START ... END.
        Returns: for each text an array (tokens - 1,), natural logarithms.

        >>> model = LanguageModel(10, 4, 8)
        >>> [logs.shape for logs in model.log_probability([[2, 7, 3], [2, 3]])]
        [(2,), (1,)]
        """
        found = []
        for first in range(0, len(texts), BATCH):
            words, following = teacher_forcing(texts[first : first + BATCH], max(map(len, texts)))
            p = np.take_along_axis(self.predict_on_batch(words), following[..., None], axis=-1)[..., 0]
            found += [np.log(row[real] + TINY) for row, real in zip(p, words != PADDING, strict=True)]
        return found

    # ---- one token at a time ----

    def start(self, n: int) -> State:
        """The state before the first token of n texts."""
        return [np.zeros((n, c.units), self.compute_dtype) for c in self.cells for _ in c.states]

    def step(self, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """One time step; see `tinydx.text.decoding`.

        Arguments: tokens (N,), ids; state, from `start` or `step`.
        Returns: (log-probabilities of the next tokens (N,V), the next state).
        """
        with no_grad():
            y, after, before = self.embedding(tokens[:, None]), [], list(state)
            for cell in self.cells:
                own, before = before[: len(cell.states)], before[len(cell.states) :]
                y, *states = cell(y, initial_state=[Tensor(s) for s in own])
                after += [s.data for s in states]
            return np.log(self.scores(y).data[:, 0] + TINY), after


class Seq2Seq(Model):
    """A text from a text: [source ids (N,S), tokens so far (N,T)] -> probabilities of the next tokens (N,T,V).

    Source and target share one vocabulary, so that source tokens can be copied.

    Arguments: vocabulary, number of tokens V; dimension of their vectors; units of encoder and decoder, an even number;
    attention, "dot" or "additive"; copy, whether source tokens can be copied; dropout; common, options of every Model.
    Raises: ValueError for another attention, and for an odd number of units.

    >>> Seq2Seq(50, 8, 16)([np.array([[7, 8, 9, 0]]), np.array([[2, 7]])]).shape
    (1, 2, 50)
    """

    def __init__(
        self,
        vocabulary: int,
        dimension: int = 128,
        units: int = 256,
        attention: str = "dot",
        copy: bool = True,
        dropout: float = 0.2,
        **common: Any,
    ):
        super().__init__(**common)
        if attention not in ATTENTIONS:
            raise ValueError(f"Seq2Seq: attention is {attention!r}, expected one of {', '.join(ATTENTIONS)}")
        if units % 2:
            raise ValueError(f"Seq2Seq: units is {units}, expected an even number, half of it for each direction")
        self.embedding = Embedding(vocabulary, dimension, mask_zero=True)
        self.encoder = Bidirectional(GRU(units // 2, return_sequences=True, return_state=True))
        self.bridge = Dense(units, activation="tanh")
        self.decoder = GRU(units, return_sequences=True, return_state=True)
        self.query = Dense(units, use_bias=False) if attention == "additive" else None
        self.key = Dense(units, use_bias=False)
        self.attention = ATTENTIONS[attention]()
        self.join, self.dropout = Concatenate(), Dropout(dropout)
        self.mix, self.scores = Dense(units, activation="tanh"), Dense(vocabulary)
        self.gate = Dense(1, activation="sigmoid") if copy else None

    def build(self, input_shape: Any) -> None:
        """Make the weights, by a run on one token each: they do not depend on how many there are."""
        expect_tokens(self, input_shape, 2)
        super().build([(1, 1), (1, 1)])

    def output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[1], self.scores.units)

    def call(self, x: list[Any], training: bool = False) -> Tensor:
        """Probabilities (N,T,V) from x = [source ids (N,S), tokens so far (N,T)]."""
        source, words = (np.asarray(v) for v in x)
        p = self._next(*self._states(source, words), source)
        p.mask = words != PADDING
        return p

    def looks(self, source: np.ndarray, words: np.ndarray) -> np.ndarray:
        """The attention weights.

        Arguments: source (N,S); words (N,T), the tokens so far.
        Returns: a (N,T,S), the weight of each source token for the token after each of `words`.
        """
        with no_grad():
            return self._attend(*self._states(source, words), source)[1].data

    def _states(self, source: np.ndarray, words: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """The decoder's states (N,T,U) after these tokens, the memory and its keys."""
        h, memory, keys = self._encode(source)
        y = self.dropout(self.embedding(words))
        y.mask = words != PADDING
        return self.decoder(y, initial_state=[h])[0], memory, keys

    def _encode(self, source: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """The decoder's first state (N,U), the memory (N,S,U), and the keys of the memory."""
        y = self.dropout(self.embedding(source))
        y.mask = source != PADDING
        memory, forwards, backwards = self.encoder(y)
        return self.bridge(self.join([forwards, backwards])), memory, self.key(memory)

    def _next(
        self, states: Tensor, memory: Tensor, keys: Tensor, source: np.ndarray
    ) -> Tensor:
        """The next token's probabilities (N,T,V) for each of the decoder's states (N,T,U)."""
        context, a = self._attend(states, memory, keys, source)
        mixed = self.dropout(self.mix(self.join([states, context])))
        z = self.scores(mixed)
        if self.gate is None:
            return ops.softmax(z)
        return ops.copy_mixture(z, a, self.gate(mixed), source=source)

    def _attend(
        self, states: Tensor, memory: Tensor, keys: Tensor, source: np.ndarray
    ) -> list[Tensor]:
        """[context of each state (N,T,U), attention weights (N,T,S)]."""
        query = states if self.query is None else self.query(states)
        inputs, mask = [query, memory, keys], [None, source != PADDING]
        return self.attention(inputs, mask=mask, return_attention_scores=True)

    # ---- one token at a time ----

    def start(self, source: np.ndarray) -> State:
        """The state before the first token, after the encoder has read the sources (N,S)."""
        with no_grad():
            h, memory, keys = self._encode(np.asarray(source))
        return [h.data, memory.data, keys.data, np.asarray(source)]

    def step(self, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """One time step; see `tinydx.text.decoding`.

        Arguments: tokens (N,), ids; state, from `start` or `step`.
        Returns: (log-probabilities of the next tokens (N,V), the next state).
        """
        h, memory, keys, source = state
        with no_grad():
            states, h = self.decoder(self.embedding(tokens[:, None]), initial_state=[Tensor(h)])
            p = self._next(states, Tensor(memory), Tensor(keys), source)
        return np.log(p.data[:, 0] + TINY), [h.data, memory, keys, source]
