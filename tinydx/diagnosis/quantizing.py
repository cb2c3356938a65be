"""`tinydx quantize`: a finished model with the kernels of its Dense layers in 16 or 8 bits, as a model file of its own.

The new file predicts, explains and is evaluated as the old one; `tinydx evaluate` says of both what they are worth. It does not
train, and no patient's model is made from it: for these, keep the old file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tinydx.files import check_writable
from tinydx.layers.quantized import quantized_kernels
from tinydx.models import load_model
from tinydx.names import shown

WORTH = 0.5  # the share of the weights' bytes that must be quantized to be worth a word


def quantize(model_path: str, output: str, kind: str = "int8", say: Callable[[str], None] = print) -> Path:
    """Write a model file whose Dense kernels are stored in fewer bits.

    Arguments: model_path; output, the file to write; kind, "bf16" or "int8"; say, which is given each line.
    Returns: the path of the written file.
    Raises: the errors of `load_model` and of `Model.quantize`; ValueError for another ending than .safetensors, and where output
    is the model's own file. Then nothing is written.
    """
    if Path(output).suffix.lower() != ".safetensors":
        raise ValueError(f"--output {output}: a quantized model is a file whose name ends in .safetensors")
    if os.path.exists(output) and os.path.exists(model_path) and os.path.samefile(output, model_path):
        raise ValueError(f"--output {output} is the model itself, which can still be trained: give the file another name")
    check_writable(output)
    model = load_model(model_path)
    before = sum(w.size * w.dtype.itemsize for w in model.weights)
    model.quantize(kind)
    model.save(output, include_optimizer=False)
    found = quantized_kernels(model)
    share = sum(w.size * w.dtype.itemsize for w in found) / before
    after = before - sum(w.size * w.dtype.itemsize - w.nbytes for w in found)
    say(f"{before:,} bytes of weights became {after:,}: {len(found)} Dense kernels, {share:.0%} of the bytes, are now {kind}.")
    if share < WORTH:
        say("Most of this model is not in Dense kernels: it will be hardly smaller, and not faster.")
    say(f"tinydx evaluate {shown(output)} PATH   # on data with labels: compare it with {shown(model_path)}")
    return Path(output)
