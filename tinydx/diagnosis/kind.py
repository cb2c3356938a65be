"""Kind: what differs between a diagnosis from images, from sounds and from texts.

diagnose                                   Kind
open the data  -> train, val, test         open_study
make a network                             build
fit                                        training_batches, schedule
test                                       plain_batches
write the report                           plot, and the words of its page
predict                                    read
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinydx.datasets.study import Examples, Study
from tinydx.layers import Dense


class Kind:
    """A kind of data: its words, and the parts of a diagnosis that depend on it."""

    noun: str  # a word for the examples, in the plural: "images"
    endings: tuple[str, ...]  # of this kind's files, in lower case
    network: str  # the network of `build` in a few words, for the page
    synthetic_title: str  # title of the page for synthetic data
    synthetic_notice: str  # the sentence on the page that says that the data is synthetic
    schedule: tuple[int, int | None] = (10, None)  # epochs, and batches in each (None: one pass over the data)
    synthetic_schedule: tuple[int, int | None] = (10, None)  # the same for synthetic data
    batch: int = 32  # examples in a batch
    columns: int  # of the page's grid of examples
    panel_height: float  # of an example with its caption on the page, in inches

    def open_study(self, path: str | Path | None, *, size: int | None, limit: int | None, seed: int) -> Study:
        """Read the data at a path into memory, as splits; without a path, synthetic data.

        Arguments: path; size, how much of an example is kept, in this kind's unit (None: its default); limit, at most how many
        examples of each class and split (None: all); seed of the splits.
        Raises: one-line errors for data that cannot be used.
        """
        raise NotImplementedError

    def build(self, study: Study) -> Any:
        """A compiled model for these examples and classes."""
        raise NotImplementedError

    def training_batches(self, study: Study, batch: int, augment: str, seed: int) -> Any:
        """Endless shuffled batches (x, y) of the training examples, augmented unless augment is "none"."""
        raise NotImplementedError

    def plain_batches(self, study: Study, part: Examples, batch: int) -> Any:
        """Batches (x, y) of some examples in their order, without augmentation."""
        raise NotImplementedError

    def read(self, entry: str, preprocessing: dict[str, Any]) -> np.ndarray:
        """Read one input of `tinydx predict`.

        Arguments: entry, a file's path, or a text; preprocessing, the study's attribute of that name.
        Returns: a batch of one example (1, ...) for the model.
        Raises: OSError or ValueError, in one line that names the entry.
        """
        raise NotImplementedError

    def plot(self, axes: Any, example: Any) -> None:
        """Plot an example of `Examples.x` on matplotlib's axes, which have neither ticks nor grid."""
        raise NotImplementedError


def output_layer(classes: int) -> Dense:
    """The last layer of a classifier: one sigmoid unit for two classes, a softmax for more.

    >>> output_layer(2).units, output_layer(3).units
    (1, 3)
    """
    return Dense(1, activation="sigmoid") if classes == 2 else Dense(classes, activation="softmax")


def classification_loss(classes: int) -> str:
    """The loss that belongs to `output_layer`, for class numbers as labels.

    >>> classification_loss(2)
    'binary_crossentropy'
    """
    return "binary_crossentropy" if classes == 2 else "sparse_categorical_crossentropy"
