r"""FiLM: a patient's recordings become a condition, which scales and shifts the features of the patient's other recordings.

    e = [ sum_i h_i,  sum_i (y_i - p_i) h_i ] / (k + SHARE)         what the k labelled recordings say
    h' = (1 + e G) h + e B                                           features, scaled and shifted
    p  = sigmoid(h' w + b)                                           by the population's last layer

The first half of e says where the patient lies, the second half in which direction the population's model errs there: it is the
negative gradient of its log loss by w. G and B are trained on patients who are no part of the population's model, each with
some of its recordings as condition and the others to be told apart; the rest of the model stays. Without recordings e = 0, and
the answer is the population's, bit for bit.

Source: Perez et al. 2018 (the layer); the condition is ours.
"""

from __future__ import annotations

import numpy as np

from tinydx.layers import Dense, FiLM, Input
from tinydx.models import Model

SHARE = 2.0  # recordings that "nothing known" counts for


def conditions(h: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The condition of a patient.

    Arguments: h (k,D), features of the patient's recordings; y (k,), labels of 0 and 1; p (k,), the population's
    probabilities of class 1.
    Returns: float32 (2D,); zeros for k = 0.

    >>> conditions(np.array([[2.0]]), np.array([1]), np.array([0.5]))
    array([0.6666667 , 0.33333334], dtype=float32)
    """
    where, error = h.sum(axis=0), ((y - p)[:, None] * h).sum(axis=0)
    return (np.concatenate([where, error]) / (len(h) + SHARE)).astype(np.float32)


def film_model(last: Dense) -> Model:
    """A last layer behind a FiLM layer, of which only the FiLM layer can be trained.

    Arguments: last, the population's built last layer, with a sigmoid; the model uses its weights, and stops their training.
    Returns: a model of [features (N,D), conditions (N,2D)]; as made, and for conditions of 0, it answers as `last` does.

    >>> last = Dense(1, activation="sigmoid", input_shape=(3,))
    >>> last.ensure_built((None, 3))
    >>> model = film_model(last)
    >>> h, e = np.ones((2, 3), "float32"), np.ones((2, 6), "float32")
    >>> np.array_equal(model.predict([h, e]), last(h).numpy())
    True
    """
    width = last.kernel.shape[0]
    features, condition = Input((width,)), Input((2 * width,))
    model = Model([features, condition], last(FiLM()([features, condition])), name="film")
    last.trainable = False  # after the model is made, which lets all its layers train
    return model
