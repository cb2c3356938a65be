"""A model for one patient: what k recordings of that patient change in the model of all.

    population's model ──┐
    k of the patient's ──┴─> statistics   the patient's mean and spread, shrunk towards all patients'      normalisation.py
                             conditions   features scaled and shifted by what the recordings say (FiLM)    film.py
                             last layer   weights fitted to the recordings, shrunk towards all patients'   shrinkage.py

Without recordings each of them is the population's model, bit for bit. How strongly to shrink is chosen on other patients, who
are no part of the model (choosing.py). `tinydx personalise` fits the last layer (tinydx/diagnosis/personalising.py), and
`python -m tinydx.tasks.personalisation` compares all three.
"""

from tinydx.personal.choosing import choose_strength
from tinydx.personal.film import conditions, film_model
from tinydx.personal.normalisation import Statistics, patient_statistics, statistics_of
from tinydx.personal.shrinkage import shrunken_least_squares, shrunken_log_loss

__all__ = [
    "Statistics",
    "choose_strength",
    "conditions",
    "film_model",
    "patient_statistics",
    "shrunken_least_squares",
    "shrunken_log_loss",
    "statistics_of",
]
