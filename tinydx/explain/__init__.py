"""Why does a model call this pneumonia? A score for each part of an input, with the property that proves the method.

    explanation.py            what every method returns
    subject.py                a model as one function: input -> the logit of a class
    gradients.py              gradient, gradient x input, integrated gradients
    grad_cam.py occlusion.py shapley.py
    guided.py                 guided backpropagation, the negative control: it fails `randomisation`
    checks.py                 randomisation, pointing game, evidence in a region, deletion: is it about model and finding?
    agreement.py              completeness, Grad-CAM beside CAM: is the method computed right?
    heard.py                  a map of a spectrogram, played back

A map says what the model used, not what is true, and nothing of why the patient is ill. Radiologists locate findings better than
every such method does (Saporta et al. 2022).
"""

from tinydx.explain.agreement import cam_agreement, completeness
from tinydx.explain.checks import deletion, evidence_in, pointing_game, randomisation
from tinydx.explain.explanation import Explanation
from tinydx.explain.grad_cam import grad_cam
from tinydx.explain.gradients import gradient, gradient_times_input, integrated_gradients
from tinydx.explain.guided import guided_backpropagation
from tinydx.explain.heard import heard
from tinydx.explain.occlusion import occlusion
from tinydx.explain.shapley import shapley_values

__all__ = [
    "Explanation",
    "cam_agreement",
    "completeness",
    "deletion",
    "evidence_in",
    "grad_cam",
    "gradient",
    "gradient_times_input",
    "guided_backpropagation",
    "heard",
    "integrated_gradients",
    "occlusion",
    "pointing_game",
    "randomisation",
    "shapley_values",
]
