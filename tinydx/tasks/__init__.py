"""The document's tasks, worked end to end: each file is a command that prints its results beside simple baselines.

    python -m tinydx.tasks.heart_sounds     a recording of a heart -> normal or abnormal
    python -m tinydx.tasks.icd_chapters     the name of a diagnosis -> its chapter of ICD-10-CM
    python -m tinydx.tasks.next_word        a language model of the names of diagnoses
    python -m tinydx.tasks.translation      term -> official diagnosis, lay -> clinical, English -> Spanish, two summaries
    python -m tinydx.tasks.heart_sites      heart sounds of five sites, each left out once, and how well the site is recognised
    python -m tinydx.tasks.personalisation  the model of one patient beside that of all, after 0 to 8 recordings
    python -m tinydx.tasks.word_vectors     words of these names as vectors, their neighbours and a map
    python -m tinydx.tasks.scale            what several processes gain, and what limits them
    python -m tinydx.tasks.transfer DATA    features and weights of a trained network, for few images of another place
    python -m tinydx.tasks.eightbits        a network in 16 and 8 bits: what it costs in accuracy, what it gains in time

In flow the data sets that each file names (`tinydx.datasets.terms` reads the texts). Out flow printed scores, and with --output a
model or a picture. Every file has `main(arguments)`, which also returns its scores.
"""

from __future__ import annotations

from tinydx.files import check_writable

ROOM = 50_000_000  # bytes: more than any task writes


def check_output(path: str | None) -> None:
    """Find out before training whether the file of --output can be written (None: nothing is); the errors of `check_writable`.

    >>> check_output(None)
    """
    if path is not None:
        check_writable(path, ROOM)
