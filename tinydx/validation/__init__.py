"""Whether a result can be believed, and what to decide by it.

    delong.py        the interval of an ROC area, and the test of two areas on the same examples
    mcnemar.py       the test of two accuracies on the same examples
    temperature.py   one number that makes probabilities as sure as they are right
    conformal.py     sets of classes that hold the true one as often as promised
    net_benefit.py   what decisions by a model are worth beside treating all or none
    sensitivity.py   the threshold for a wanted sensitivity

Arrays flow in, numbers flow out; nothing here trains or draws.
"""

from tinydx.validation.conformal import conformal_quantile, conformal_scores, conformal_sets
from tinydx.validation.delong import delong_interval, delong_test
from tinydx.validation.mcnemar import mcnemar_test
from tinydx.validation.net_benefit import net_benefit
from tinydx.validation.sensitivity import threshold_for_sensitivity
from tinydx.validation.temperature import fit_temperature, log_loss, logits_of, with_temperature

__all__ = [
    "conformal_quantile",
    "conformal_scores",
    "conformal_sets",
    "delong_interval",
    "delong_test",
    "fit_temperature",
    "log_loss",
    "logits_of",
    "mcnemar_test",
    "net_benefit",
    "threshold_for_sensitivity",
    "with_temperature",
]
