"""`tinydx bench shapes`: the shapes that lessons, small networks and well-known ones give to each op.

A line is an op (none: correlate2d), where the shape comes from, and the case as `tinydx bench OP --shapes` takes it. Those marked
FIRST are first layers: the gradient of their input is not needed.
"""

from __future__ import annotations

from dataclasses import replace

from tinydx.bench.cases import Case, read_case
from tinydx.op import Op, find
from tinydx.suggestions import did_you_mean

FIRST = "first"  # marks a first layer
CONVOLUTIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "lenet": (
        ("LeNet", "64x28x28x1, 5x5x1x6, 6, padding=same", FIRST),
        ("LeNet, batch 1", "1x28x28x1, 5x5x1x6, 6, padding=same", FIRST),
        ("LeNet", "64x14x14x6, 5x5x6x16, 16"),
        ("LeNet, batch 1", "1x14x14x6, 5x5x6x16, 16"),
    ),
    "alexnet": (
        ("AlexNet", "4x224x224x3, 11x11x3x64, 64, stride=4, padding=2", FIRST),
        ("AlexNet", "8x27x27x64, 5x5x64x192, 192, padding=2"),
        ("AlexNet, conv 3", "8x13x13x192, 3x3x192x384, 384, padding=1"),
        ("AlexNet, 2 groups", "8x13x13x192, 3x3x96x192, 192, padding=1, groups=2"),
    ),
    "vgg": (
        ("VGG", "2x224x224x3, 3x3x3x64, 64, padding=same", FIRST),
        ("VGG, conv 2", "1x112x112x64, 3x3x64x128, 128, padding=same"),
        ("VGG, conv 3", "2x56x56x128, 3x3x128x256, 256, padding=same"),
        ("VGG, conv 5", "8x14x14x512, 3x3x512x512, 512, padding=same"),
    ),
    "resnet": (
        ("ResNet", "2x224x224x3, 7x7x3x64, stride=2, padding=3", FIRST),
        ("ResNet, CIFAR", "128x32x32x3, 3x3x3x16, padding=same", FIRST),
        ("ResNet", "8x56x56x64, 3x3x64x64, padding=same"),
        ("ResNet, stride", "8x56x56x64, 3x3x64x128, stride=2, padding=1"),
        ("ResNet, shortcut", "8x56x56x64, 1x1x64x128, stride=2"),
        ("ResNet, bottleneck", "8x28x28x256, 1x1x256x64"),
        ("ResNet, CIFAR 32", "128x32x32x16, 3x3x16x16, padding=same"),
        ("ResNet, CIFAR 16", "128x16x16x32, 3x3x32x32, padding=same"),
        ("ResNet, CIFAR 8", "128x8x8x64, 3x3x64x64, padding=same"),
        ("ResNeXt, 4 groups", "16x28x28x32, 3x3x8x32, padding=same, groups=4"),
        ("ResNeXt, 32 groups", "8x28x28x128, 3x3x4x128, padding=same, groups=32"),
    ),
    "mobilenet": (
        ("MobileNet", "8x128x128x3, 3x3x3x32, stride=2, padding=1", FIRST),
        ("MobileNet, depthwise", "8x56x56x128, 3x3x1x128, padding=same, groups=128"),
        ("MobileNet, depthwise, stride", "8x56x56x64, 3x3x1x64, stride=2, padding=1, groups=64"),
        ("MobileNet, pointwise", "8x28x28x128, 1x1x128x128"),
    ),
    "unet": (
        ("U-Net", "4x128x128x1, 3x3x1x16, 16, padding=same", FIRST),
        ("U-Net, top", "4x128x128x16, 3x3x16x16, 16, padding=same"),
        ("U-Net, after a skip", "4x64x64x64, 3x3x64x32, 32, padding=same"),
        ("U-Net, bottom", "4x16x16x128, 3x3x128x128, 128, padding=same"),
        ("U-Net, output", "4x128x128x16, 1x1x16x1, 1"),
    ),
    "1d": (
        ("1-D, signals", "64x256x1x1, 9x1x1x16, 16, padding=same", FIRST),
        ("1-D, spectrograms", "16x200x32x1, 5x32x1x24", FIRST),
        ("1-D, signals", "64x128x1x16, 5x1x16x32, 32, padding=same"),
        ("1-D, rows", "32x1x512x8, 1x9x8x16, 16, padding=same"),
    ),
    "medmnist": (
        ("MedMNIST, grey", "128x28x28x1, 3x3x1x32, 32", FIRST),
        ("MedMNIST, colour", "128x28x28x3, 3x3x3x32, 32", FIRST),
        ("MedMNIST", "128x13x13x32, 3x3x32x64, 64"),
        ("MedMNIST, last", "128x5x5x64, 3x3x64x128, 128"),
        ("MedMNIST, batch 1", "1x13x13x32, 3x3x32x64, 64"),
    ),
    "odd": (
        ("large images", "1x224x224x3, 3x3x3x16, 16, padding=same", FIRST),
        ("odd channels", "64x12x12x10, 5x5x10x20, 20"),
        ("dilated", "4x32x32x32, 3x3x32x32, 32, dilation=2, padding=2"),
        ("5x5", "16x28x28x32, 5x5x32x64, 64, padding=same"),
    ),
}
OTHERS = {
    "dense": (
        ("dense", "MLP", "64x784, 784x128, 128"),
        ("dense", "MLP, small", "16x20, 20x32, 32"),
        ("dense", "MLP, batch 1", "1x784, 784x128, 128"),
        ("dense", "LeNet", "64x400, 400x120, 120"),
        ("dense", "MedMNIST", "128x1152, 1152x512, 512"),
        ("dense", "10 classes", "64x128, 128x10, 10"),
        ("dense", "2 classes", "32x512, 512x1, 1"),
        ("dense", "transformer", "1024x64, 64x256, 256"),
    ),
    "matmul": (
        *(("matmul", "square", f"{n}x{n}, {n}x{n}") for n in (16, 32, 64, 128, 192)),
        ("matmul", "row", "1x128, 128x128"),
        ("matmul", "odd", "100x50, 50x70"),
    ),
    "attention": (
        ("attention", "transformer", "32x32x64, 32x32x64, 32x32x64"),
        ("attention", "batch 1", "1x32x64, 1x32x64, 1x32x64"),
        ("attention", "long texts", "4x256x64, 4x256x64, 4x256x64"),
        ("matmul", "scores", "32x32x64, 32x64x32"),
        ("matmul", "mixtures", "32x32x32, 32x32x64"),
        ("softmax", "weights", "32x32x32"),
    ),
    "pooling": (
        ("max_pool2d", "LeNet", "64x28x28x6"),
        ("max_pool2d", "MedMNIST", "128x26x26x32"),
        ("max_pool2d", "ResNet", "8x112x112x64, size=3, stride=2, padding=1"),
        ("average_pool2d", "images, linear", "32x64x64x1"),
        ("average_pool2d", "MobileNet", "8x28x28x128"),
    ),
    "normalisation": (
        ("batch_normalization", "CIFAR", "128x32x32x16, 16, 16"),
        ("batch_normalization", "images of 64", "32x32x32x32, 32, 32"),
        ("batch_normalization", "dense", "64x128, 128, 128"),
        ("layer_normalization", "transformer", "32x32x64, 64, 64"),
        ("layer_normalization", "rows", "1024x256, 256, 256"),
    ),
    "elementwise": (
        ("relu", "MLP", "64x128"),
        ("relu", "MedMNIST", "128x26x26x32"),
        ("sigmoid", "gates", "32x128"),
        ("tanh", "states", "32x128"),
        ("silu", "MLP", "64x128"),
        ("silu", "images", "8x56x56x64"),
        ("elu", "MLP", "64x128"),
        ("add_relu", "residual", "128x32x32x16, 128x32x32x16"),
        ("add_relu", "residual, one image", "1x56x56x64, 1x56x56x64"),
    ),
    "softmax": (
        ("softmax", "10 classes", "64x10"),
        ("softmax", "words", "256x1000"),
    ),
    "loss": (
        ("sparse_softmax_crossentropy", "10 classes", "64x10, labels=64"),
        ("sparse_softmax_crossentropy", "words", "256x1000, labels=256"),
        ("sigmoid_binary_crossentropy", "2 classes", "32x1, target=32x1"),
        ("mean_squared_error", "numbers", "64x8, target=64x8"),
    ),
    "embedding": (("embedding", "texts", "5000x64, ids=32x80"), ("embedding", "short texts", "1000x64, ids=32x40")),
    "recurrence": (
        ("simple_rnn", "32 units", "32x50x16, 32x32, 16x32, 32x32, 32"),
        ("lstm", "32 units", "32x50x16, 32x32, 32x32, 16x128, 32x128, 128"),
        ("gru", "32 units", "32x50x16, 32x32, 16x96, 32x96, 2x96"),
        ("lstm", "texts", "32x80x64, 32x64, 32x64, 64x256, 64x256, 256"),
        ("gru", "texts", "32x80x64, 32x64, 64x192, 64x192, 2x192"),
        ("lstm", "batch 1", "1x50x16, 1x32, 1x32, 16x128, 32x128, 128"),
    ),
}
FAMILIES = (*CONVOLUTIONS, *OTHERS)


def teaching_cases(only: list[str] | None = None) -> list[tuple[Op, Case]]:
    """The ops and cases of these families, or of all; ValueError with close matches for an unknown family.

    >>> len(teaching_cases()) >= 60
    True
    """
    for name in only or []:
        if name not in FAMILIES:
            raise ValueError(f"--only: no family {name!r}{did_you_mean(name, FAMILIES)}")
    return [
        _case(*row) if family in OTHERS else _case("correlate2d", *row)
        for family in dict.fromkeys(only or FAMILIES)
        for row in {**CONVOLUTIONS, **OTHERS}[family]
    ]


def _case(name: str, words: str, text: str, first: str = "") -> tuple[Op, Case]:
    case, layer = read_case(find(name), text), ", first layer" if first else ""
    return find(name), replace(case, text=f"{name}, {words}{layer}: {text}", first=bool(first))
