"""The document's equations, and what training needs besides: the rows of the op table.

Each is callable: on Tensors it is recorded on the tape, on arrays it only computes. `tinydx card NAME` prints a row.
"""

from tinydx.ops.activation import elu, leaky_relu, relu, sigmoid, silu, softplus, tanh
from tinydx.ops.arithmetic import (
    add,
    concatenate,
    divide,
    exp,
    getitem,
    log,
    matmul,
    max,
    mean,
    multiply,
    power,
    reshape,
    sqrt,
    subtract,
    sum,
    transpose,
)
from tinydx.ops.convolution import conv2d, correlate2d
from tinydx.ops.dense import dense
from tinydx.ops.embedding import embedding, embedding_mixing
from tinydx.ops.fused import (
    conv2d_relu,
    conv2d_relu_max_pool2d,
    correlate2d_relu,
    correlate2d_relu_max_pool2d,
    dense_relu,
)
from tinydx.ops.gru import gru, gru_reset_before, gru_step
from tinydx.ops.image import affine_warp, channel_shift
from tinydx.ops.loss import (
    binary_crossentropy,
    categorical_crossentropy,
    huber,
    mean_absolute_error,
    mean_squared_error,
    sigmoid_binary_crossentropy,
    softmax_crossentropy,
    sparse_categorical_crossentropy,
    sparse_softmax_crossentropy,
)
from tinydx.ops.lstm import lstm, lstm_step
from tinydx.ops.normalization import batch_normalization, dropout, layer_normalization
from tinydx.ops.pointer import copy_mixture
from tinydx.ops.pooling import average_pool2d, max_pool2d
from tinydx.ops.recurrence import rnn_output, simple_rnn, simple_rnn_step
from tinydx.ops.softmax import log_softmax, softmax, softmax_decoding
from tinydx.ops.update import adagrad_update, adam_update, momentum_update, rmsprop_update, sgd_update

__all__ = [name for name in dir() if not name.startswith("_")]
