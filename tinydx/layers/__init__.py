"""Keras-style building blocks: each layer is weights and a function of Tensors."""

from tinydx.keras_words import LAYERS, word_for
from tinydx.layers.attention import AdditiveAttention, Attention
from tinydx.layers.base import Input, Layer
from tinydx.layers.convolution import (
    AveragePooling2D,
    Conv2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
    ZeroPadding2D,
)
from tinydx.layers.core import (
    Activation,
    Add,
    Average,
    BatchNormalization,
    Concatenate,
    Dense,
    Dropout,
    Flatten,
    LayerNormalization,
    Multiply,
    ReLU,
    Reshape,
)
from tinydx.layers.film import FiLM
from tinydx.layers.recurrent import GRU, LSTM, Bidirectional, Masking, SimpleRNN, TimeDistributed
from tinydx.layers.separable import DepthwiseConv2D, SeparableConv2D
from tinydx.layers.text import Embedding, GlobalAveragePooling1D
from tinydx.suggestions import did_you_mean

# Keras's other names
AvgPool2D, MaxPool2D, Convolution2D = AveragePooling2D, MaxPooling2D, Conv2D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalMaxPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalMaxPooling2D

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "Add",
    "AdditiveAttention",
    "Attention",
    "Average",
    "AveragePooling2D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "FiLM",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Input",
    "Layer",
    "LayerNormalization",
    "Masking",
    "MaxPooling2D",
    "Multiply",
    "ReLU",
    "Reshape",
    "SeparableConv2D",
    "SimpleRNN",
    "TimeDistributed",
    "ZeroPadding2D",
]


def __getattr__(name: str) -> object:
    raise AttributeError(f"tinydx.layers has no {name!r}{word_for(name, LAYERS) or did_you_mean(name, __all__)}")
