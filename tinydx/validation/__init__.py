"""Whether a result can be believed: folds, intervals and tests that take the drawing of the examples into account.

    delong.py     the interval of an ROC area, and the test of two areas on the same examples
    mcnemar.py    the test of two accuracies on the same examples
    folds.py      cross-validation, nested where a model is chosen, and with a site left out at a time
    areas.py      the ROC area over folds, and its interval
    splits.py     folds of whole patients and sites (scikit-learn)
    learners.py   what cross-validation trains: any model that can be fitted and asked
    sites.py      how well the site is recognised from a model's features
    noise.py      the noise test: what each of these says where there is nothing to learn

Arrays flow in, numbers flow out; only folds.py trains, and what it trains it is given.
"""

from tinydx.validation.delong import delong_interval, delong_test
from tinydx.validation.folds import cross_validate, leave_one_site_out, nested
from tinydx.validation.learners import Fitting
from tinydx.validation.mcnemar import mcnemar_test
from tinydx.validation.noise import best_on_noise, shuffled_labels

__all__ = [
    "Fitting",
    "best_on_noise",
    "cross_validate",
    "delong_interval",
    "delong_test",
    "leave_one_site_out",
    "mcnemar_test",
    "nested",
    "shuffled_labels",
]
