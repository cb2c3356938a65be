"""Whether a result can be believed: intervals and tests that take the drawing of the test examples into account.

    duplicates.py near duplicates among pictures, with what alignment.py says of two
    delong.py     the interval of an ROC area, and the test of two areas on the same examples
    mcnemar.py    the test of two accuracies on the same examples

Arrays flow in, numbers flow out; nothing here trains or draws.
"""

from tinydx.validation.delong import delong_interval, delong_test
from tinydx.validation.duplicates import near_duplicates
from tinydx.validation.mcnemar import mcnemar_test

__all__ = ["delong_interval", "delong_test", "mcnemar_test", "near_duplicates"]
