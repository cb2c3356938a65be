"""Whether a result can be believed, and what to decide by it.

    folds.py         cross-validation, nested where a model is chosen, and with a site left out at a time
    areas.py         the ROC area over folds, and its interval
    splits.py        folds of whole patients and sites (scikit-learn)
    learners.py      what cross-validation trains: any model that can be fitted and asked
    sites.py         how well the site is recognised from a model's features
    noise.py         the noise test: what each of these says where there is nothing to learn
    delong.py        the interval of an ROC area, and the test of two areas on the same examples
    mcnemar.py       the test of two accuracies on the same examples
    duplicates.py    near duplicates among pictures, with what alignment.py says of two
    temperature.py   one number that makes probabilities as sure as they are right
    conformal.py     sets of classes that hold the true one as often as promised
    net_benefit.py   what decisions by a model are worth beside treating all or none
    sensitivity.py   the threshold for a wanted sensitivity

Arrays flow in, numbers flow out; only folds.py trains, and what it trains it is given.
"""

from tinydx.validation.conformal import conformal_quantile, conformal_scores, conformal_sets
from tinydx.validation.delong import delong_interval, delong_test
from tinydx.validation.duplicates import near_duplicates
from tinydx.validation.folds import cross_validate, leave_one_site_out, nested
from tinydx.validation.learners import Fitting
from tinydx.validation.mcnemar import mcnemar_test
from tinydx.validation.net_benefit import net_benefit
from tinydx.validation.noise import best_on_noise, shuffled_labels
from tinydx.validation.sensitivity import threshold_for_sensitivity
from tinydx.validation.temperature import fit_temperature, log_loss, logits_of, with_temperature

__all__ = [
    "Fitting",
    "best_on_noise",
    "conformal_quantile",
    "conformal_scores",
    "conformal_sets",
    "cross_validate",
    "delong_interval",
    "delong_test",
    "fit_temperature",
    "leave_one_site_out",
    "log_loss",
    "logits_of",
    "mcnemar_test",
    "near_duplicates",
    "nested",
    "net_benefit",
    "shuffled_labels",
    "threshold_for_sensitivity",
    "with_temperature",
]
