"""Several modalities of the same patients, one answer: an image, a heart sound, a report, a few numbers.

    cases.py         examples of several modalities, any of which may be missing
    networks.py      encoders, and the networks that join them
    calibration.py   log-odds as sure as they are right, for late fusion
    fitting.py       fit("early" | "intermediate" | "late", ...): the three fusions of arrays
    batches.py       training batches, in which modalities are dropped
    shares.py        what each modality contributed for each patient: exact Shapley values

    early            features ───────────────┐
                     features ───────────────┴> one classifier
    intermediate     encoder, trained ───────┐
                     encoder, trained ───────┴> the last layers        all trained together
    late             a model, calibrated ─ log-odds ┐
                     a model, calibrated ─ log-odds ┴> their sum, the prior counted once

All three have one graph and the same inputs: the modalities, then for each whether it is present. So one file holds any of them,
and a missing modality is a 0 where it is asked for.
"""

from tinydx.fusion.calibration import Calibration, calibrate
from tinydx.fusion.cases import Cases
from tinydx.fusion.fitting import FUSIONS, fit, probabilities
from tinydx.fusion.networks import added, encoder_of, joined
from tinydx.fusion.shares import Shares, modality_shares, subsets

__all__ = [
    "FUSIONS",
    "Calibration",
    "Cases",
    "Shares",
    "added",
    "calibrate",
    "encoder_of",
    "fit",
    "joined",
    "modality_shares",
    "probabilities",
    "subsets",
]
