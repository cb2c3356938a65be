"""Writes values.npz: what Captum and PyTorch say of a network, in float64.

    pip install torch captum==0.9 && python tests/explain_reference/make_reference.py

The network: convolution 3x3 (4 filters), ReLU, max pooling 2x2, convolution 3x3 (5), ReLU, mean over all places, dense (3).
Weights and inputs stand in the file in tinydx's layouts (N,H,W,C) and (kh,kw,C,F).
"""

from pathlib import Path

import numpy as np
import torch
from captum.attr import (
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    Occlusion,
    Saliency,
    ShapleyValues,
)
from torch import nn

TARGET, PATCH, FILL, STEPS = 1, 3, 0.25, 512

rng = np.random.default_rng(20260101)
weights = {
    "kernel1": rng.normal(0, 0.4, (3, 3, 2, 4)),
    "bias1": rng.normal(0, 0.2, 4),
    "kernel2": rng.normal(0, 0.3, (3, 3, 4, 5)),
    "bias2": rng.normal(0, 0.2, 5),
    "kernel3": rng.normal(0, 0.8, (5, 3)),
    "bias3": rng.normal(0, 0.2, 3),
}
x, baseline = rng.normal(size=(2, 12, 12, 2)), rng.normal(0, 0.3, (1, 12, 12, 2))

first, second, last = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 5, 3), nn.Linear(5, 3)
layers = [first, nn.ReLU(), nn.MaxPool2d(2), second, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last]
network = nn.Sequential(*layers).double()
with torch.no_grad():
    for layer, k in ((first, 1), (second, 2)):
        layer.weight.copy_(torch.tensor(weights[f"kernel{k}"].transpose(3, 2, 0, 1)))
        layer.bias.copy_(torch.tensor(weights[f"bias{k}"]))
    last.weight.copy_(torch.tensor(weights["kernel3"].T))
    last.bias.copy_(torch.tensor(weights["bias3"]))

there = lambda a: torch.tensor(a.transpose(0, 3, 1, 2))  # noqa: E731
back = lambda t: t.detach().numpy().transpose(0, 2, 3, 1)  # noqa: E731
inputs, origin = there(x), there(baseline)
quarters = np.zeros((12, 12), int)
quarters[:, 6:] += 1
quarters[6:] += 2
found = {
    "logits": network(inputs).detach().numpy(),
    "gradient": back(Saliency(network).attribute(inputs, TARGET, abs=False)),
    "gradient_times_input": back(InputXGradient(network).attribute(inputs, TARGET)),
    "integrated_gradients": back(
        IntegratedGradients(network).attribute(inputs, origin, TARGET, n_steps=STEPS, method="gausslegendre")
    ),
    "grad_cam": LayerGradCam(network, network[4]).attribute(inputs, TARGET, relu_attributions=True).detach().numpy()[:, 0],
    "occlusion": back(
        Occlusion(network).attribute(
            inputs, target=TARGET, sliding_window_shapes=(2, PATCH, PATCH), strides=(2, PATCH, PATCH), baselines=FILL
        )
    )[..., 0],
    "guided_backpropagation": back(GuidedBackprop(network).attribute(inputs, TARGET)),
    "shapley_values": back(
        ShapleyValues(network).attribute(inputs, origin, TARGET, feature_mask=torch.tensor(quarters)[None, None])
    )[..., 0],
}
given = {"x": x, "baseline": baseline, "quarters": quarters, **weights}
np.savez_compressed(Path(__file__).with_name("values.npz"), **given, **{f"captum_{k}": v for k, v in found.items()})
