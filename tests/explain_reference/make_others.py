"""Writes others.npz: what Captum and PyTorch say of networks of images, sequences, tables and words, in float64.

    pip install torch captum==0.9 && python tests/explain_reference/make_others.py

residual   convolution, ReLU; convolution, batch normalisation, added to it, ReLU; mean over all places, dense (2)
lstm       LSTM (4) over 6 steps of 3 numbers, its last state, dense (1): one sigmoid, the explained class is the first
table      dense (8), tanh, dense (3) of 5 columns
words      vectors (4) of 20 words, LSTM (3), dense (2)

Weights and inputs stand in the file in tinydx's layouts.
"""

from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion, Saliency, ShapleyValues
from torch import nn

rng = np.random.default_rng(20260202)
out: dict[str, np.ndarray] = {}


def keep(name: str, array: np.ndarray) -> torch.Tensor:
    """The array goes into the file; returns it as a tensor."""
    out[name] = array
    return torch.tensor(array)


def weight(name: str, *shape: int, scale: float = 0.5) -> torch.Tensor:
    return keep(name, rng.normal(0, scale, shape))


def found(name: str, tensor: torch.Tensor) -> None:
    out[name] = tensor.detach().numpy()


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4, eps=1e-3)
        self.relu1, self.relu2, self.last = nn.ReLU(), nn.ReLU(), nn.Linear(4, 2)

    def forward(self, x):
        a = self.relu1(self.first(x))
        return self.last(self.relu2(a + self.norm(self.second(a))).mean(dim=(2, 3)))


class Last(nn.Module):
    """An LSTM's last state and a dense layer, perhaps of word ids."""

    def __init__(self, inputs: int, units: int, classes: int, words: int = 0):
        super().__init__()
        self.embedding = nn.Embedding(words, inputs) if words else nn.Identity()
        self.lstm, self.last = nn.LSTM(inputs, units, batch_first=True), nn.Linear(units, classes)

    def forward(self, x):
        return self.last(self.lstm(self.embedding(x))[0][:, -1])


def fill_lstm(name: str, network: Last, inputs: int, units: int, classes: int) -> None:
    network.lstm.weight_ih_l0.copy_(weight(f"{name}_kernel", inputs, 4 * units).T)
    network.lstm.weight_hh_l0.copy_(weight(f"{name}_recurrent", units, 4 * units).T)
    network.lstm.bias_ih_l0.copy_(weight(f"{name}_bias", 4 * units))
    network.lstm.bias_hh_l0.zero_()
    network.last.weight.copy_(weight(f"{name}_dense", units, classes).T)
    network.last.bias.copy_(weight(f"{name}_dense_bias", classes))


with torch.no_grad():
    residual = Residual().double().eval()
    for k, layer in ((1, residual.first), (2, residual.second)):
        layer.weight.copy_(weight(f"residual_kernel{k}", 3, 3, layer.in_channels, 4).permute(3, 2, 0, 1))
        layer.bias.copy_(weight(f"residual_bias{k}", 4))
    residual.norm.weight.copy_(weight("residual_gamma", 4))
    residual.norm.bias.copy_(weight("residual_beta", 4))
    residual.norm.running_mean.copy_(weight("residual_mean", 4))
    residual.norm.running_var.copy_(keep("residual_variance", rng.uniform(0.5, 2, 4)))
    residual.last.weight.copy_(weight("residual_dense", 4, 2).T)
    residual.last.bias.copy_(weight("residual_dense_bias", 2))
    lstm, words = Last(3, 4, 1).double(), Last(4, 3, 2, words=20).double()
    fill_lstm("lstm", lstm, 3, 4, 1)
    words.embedding.weight.copy_(weight("words_vectors", 20, 4))
    fill_lstm("words", words, 4, 3, 2)
    table = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    for k, layer, shape in ((1, table[0], (5, 8)), (2, table[2], (8, 3))):
        layer.weight.copy_(weight(f"table_kernel{k}", *shape).T)
        layer.bias.copy_(weight(f"table_bias{k}", shape[1]))

x = weight("residual_x", 2, 8, 6, 1, scale=1).permute(0, 3, 1, 2)
gradient = Saliency(residual).attribute(x, 1, abs=False)
found("residual_gradient", gradient.permute(0, 2, 3, 1))
cam = LayerGradCam(residual, residual.relu2).attribute(x, 1, relu_attributions=True)
found("residual_grad_cam", cam[:, 0])
early = LayerGradCam(residual, residual.relu1).attribute(x, 1, relu_attributions=True)
found("residual_grad_cam_first", early[:, 0])
cover = Occlusion(residual).attribute(x, target=1, sliding_window_shapes=(1, 2, 3), strides=(1, 2, 3), baselines=0.0)
found("residual_occlusion", cover[:, 0])

x = weight("lstm_x", 2, 6, 3, scale=1)
found("lstm_gradient", -Saliency(lstm).attribute(x, 0, abs=False))
found("lstm_integrated_gradients", -IntegratedGradients(lstm).attribute(x, n_steps=256, target=0, method="gausslegendre"))

x, origin = weight("table_x", 2, 5, scale=1), weight("table_baseline", 1, 5, scale=1)
found("table_gradient", Saliency(table).attribute(x, 2, abs=False))
found("table_integrated_gradients", IntegratedGradients(table).attribute(x, origin, 2, n_steps=256, method="gausslegendre"))
found("table_shapley_values", ShapleyValues(table).attribute(x, origin, 2))

ids = keep("words_x", rng.integers(1, 20, (2, 5)))
vectors = words.embedding(ids).detach().requires_grad_()
words.embedding = nn.Identity()
score = words(vectors)[:, 0].sum()
found("words_gradient", torch.autograd.grad(score, vectors)[0].sum(dim=-1))
whole = IntegratedGradients(words).attribute(vectors, n_steps=256, target=0, method="gausslegendre")
found("words_integrated_gradients", whole.sum(dim=-1))

np.savez_compressed(Path(__file__).with_name("others.npz"), **out)
