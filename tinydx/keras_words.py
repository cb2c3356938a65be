"""Words of Keras, its old versions and of public scripts that tinydx does not have, and what to write instead.

Keras itself renamed many of them. An error about an unknown name ends in the entry here, if there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DECAY = "give a schedule instead, learning_rate=schedules.InverseTimeDecay(rate, decay_steps=1, decay_rate=decay)"
_STATISTICS = "statistics of the data set are not computed: subtract the mean and divide in a preprocessing_function"
_THREADS = "leave it out: an iterator of tinydx prepares its batches in threads by itself"
_ONE_OUTPUT = "leave it out: a model is trained on one output"
_COMPILED = "leave it out: every step runs as compiled kernels, see tinydx.use"
_CONSTRAINT = "weights have no constraints: use a regularizer, or an optimizer's weight_decay"
_START = "this weight starts as in Keras's default: use set_weights for other values"
_FILES = "to look at augmented images, write them with save_img(path, images[i])"

# the argument: (what to write instead, an argument that the thing has if this is the cure, or None), the first that fits
ARGUMENTS: dict[str, tuple[tuple[str, str | None], ...]] = {
    # optimizers
    "lr": (("it is called learning_rate", "learning_rate"), ("it is called min_lr", "min_lr")),
    "decay": ((_DECAY, "learning_rate"),),
    "amsgrad": (("leave it out: AMSGrad is not offered, Adam and AdamW are", None),),
    "gradient_accumulation_steps": (("leave it out: take a larger batch_size instead", None),),
    # layers
    "input_dim": (
        ("write input_shape=(input_dim,) instead", "input_shape"),
        ("it is called the shape: Input((input_dim,))", "shape"),
    ),
    "batch_input_shape": (("write input_shape= without the batch axis instead", "input_shape"),),
    "input_length": (("leave it out: the length is that of the data", None),),
    "output_dim": (("it is called units", "units"),),
    "nb_filter": (("it is called filters", "filters"),),
    "border_mode": (("it is called padding", "padding"),),
    "subsample": (("it is called strides", "strides"),),
    "dim_ordering": (("leave it out: images are (N, height, width, channels)", None),),
    "data_format": (("leave it out: images are (N, height, width, channels), transpose others", None),),
    "init": (("it is called kernel_initializer", "kernel_initializer"),),
    "W_regularizer": (("it is called kernel_regularizer", "kernel_regularizer"),),
    "b_regularizer": (("it is called bias_regularizer", "bias_regularizer"),),
    "bias": (("it is called use_bias", "use_bias"),),
    "p": (("it is called rate", "rate"),),
    "seed": (("call tinydx.set_seed(seed) first instead", None),),
    "weights": (
        ("load weights after the layer is built instead, layer.set_weights(arrays)", "input_shape"),
        ("it is called sample_weight or class_weight", "sample_weight"),
    ),
    "activity_regularizer": (("leave it out: weights have regularizers (kernel_regularizer), outputs have none", None),),
    "kernel_constraint": ((_CONSTRAINT, None),),
    "bias_constraint": ((_CONSTRAINT, None),),
    "recurrent_constraint": ((_CONSTRAINT, None),),
    "embeddings_constraint": ((_CONSTRAINT, None),),
    "gamma_initializer": ((_START, None),),
    "beta_initializer": ((_START, None),),
    "moving_mean_initializer": ((_START, None),),
    "moving_variance_initializer": ((_START, None),),
    "stateful": (("give the last states to the next call instead: return_state=True, and initial_state=", None),),
    "unroll": (("leave it out: a sequence runs as one kernel", None),),
    "inner_activation": (("it is called recurrent_activation", "recurrent_activation"),),
    "dropout_W": (("it is called dropout", "dropout"),),
    "dropout_U": (("it is called recurrent_dropout", "recurrent_dropout"),),
    # compile, fit, evaluate, predict
    "nb_epoch": (("it is called epochs", "epochs"),),
    "samples_per_epoch": (("give steps_per_epoch instead, batches in an epoch", "steps_per_epoch"),),
    "nb_val_samples": (("give validation_steps instead, batches of the validation", "validation_steps"),),
    "val_samples": (("give validation_steps instead, batches of the validation", "validation_steps"),),
    "show_accuracy": (("write compile(metrics=['accuracy']) instead", None),),
    "generator": (("it is called x", "x"),),
    "validation_batch_size": (("leave it out: batch_size holds for validation, too", "validation_data"),),
    "validation_freq": (("leave it out: validation runs after every epoch", "validation_data"),),
    "max_q_size": ((_THREADS, None),),
    "max_queue_size": ((_THREADS, None),),
    "workers": ((_THREADS, None),),
    "nb_worker": ((_THREADS, None),),
    "pickle_safe": ((_THREADS, None),),
    "use_multiprocessing": ((_THREADS, None),),
    "loss_weights": ((_ONE_OUTPUT, None),),
    "sample_weight_mode": (("leave it out: weights (N,) count examples, weights (N,T) time steps", None),),
    "run_eagerly": ((_COMPILED, None),),
    "steps_per_execution": ((_COMPILED, None),),
    "jit_compile": ((_COMPILED, None),),
    "auto_scale_loss": ((_COMPILED, None),),
    "callbacks": (("callbacks are told of training only: give them to fit instead", None),),
    # losses and metrics
    "reduction": (("leave it out: a loss is the mean over the batch, write a Loss for another", None),),
    "axis": (("leave it out: classes are the last axis", None),),
    "ignore_class": (("give these examples sample_weight 0 instead", None),),
    "top_k": (("leave it out: give class_id= for one class of several", "class_id"),),
    "curve": (("leave it out: the area is that under the ROC curve", None),),
    "summation_method": (("leave it out: areas are summed by trapezoids", None),),
    "multi_label": (("give class_id= for one column, or metrics of your own for each", "class_id"),),
    "threshold": (("it is called thresholds", "thresholds"),),
    "thresholds": (("it is called threshold", "threshold"), ("give num_thresholds, evenly spaced", "num_thresholds")),
    # callbacks
    "epsilon": (("it is called min_delta", "min_delta"),),
    "save_weights_only": (("leave it out: the file holds the model with its weights, load_model reads it", "filepath"),),
    "save_freq": (("leave it out: the model is saved after each epoch", "filepath"),),
    "period": (("leave it out: the model is saved after each epoch", "filepath"),),
    "separator": (("leave it out: the separator is a comma", "filename"),),
    # preprocessing
    "featurewise_center": ((_STATISTICS, None),),
    "samplewise_center": ((_STATISTICS, None),),
    "featurewise_std_normalization": ((_STATISTICS, None),),
    "samplewise_std_normalization": ((_STATISTICS, None),),
    "zca_whitening": ((_STATISTICS, None),),
    "save_to_dir": ((_FILES, None),),
    "save_prefix": ((_FILES, None),),
    "save_format": ((_FILES, None),),
    "follow_links": (("leave it out: links are followed", None),),
    "keep_aspect_ratio": (("leave it out: images are resized to target_size, crop them to its ratio before", None),),
}

# options of Keras that tinydx does not have, with the values by which they ask for nothing
_OFF: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("featurewise_center", "samplewise_center", "featurewise_std_normalization"), (False,)),
    **dict.fromkeys(("samplewise_std_normalization", "zca_whitening", "follow_links", "keep_aspect_ratio"), (False,)),
    **dict.fromkeys(("stateful", "unroll", "amsgrad", "multi_label", "use_multiprocessing", "save_weights_only"), (False,)),
    **dict.fromkeys(("run_eagerly", "auto_scale_loss", "jit_compile", "synchronized", "time_major", "renorm"), (False,)),
    **dict.fromkeys(("kernel_constraint", "bias_constraint", "recurrent_constraint", "embeddings_constraint"), (None,)),
    **dict.fromkeys(("activity_regularizer", "seed", "loss_weights", "sample_weight_mode", "ignore_class"), (None,)),
    **dict.fromkeys(("save_to_dir", "top_k", "gradient_accumulation_steps", "input_length", "weights", "callbacks"), (None,)),
    **dict.fromkeys(("gamma_initializer", "moving_variance_initializer"), ("ones",)),
    **dict.fromkeys(("beta_initializer", "moving_mean_initializer"), ("zeros",)),
    **dict.fromkeys(("workers", "steps_per_execution", "validation_freq", "period"), (1,)),
    "decay": (0, 0.0, None),
    "data_format": (None, "channels_last"),
    "validation_batch_size": (None,),
    "save_freq": ("epoch",),
    "separator": (",",),
    "reduction": ("sum_over_batch_size", "auto"),
    "axis": (-1,),
    "curve": ("ROC",),
    "summation_method": ("interpolation",),
    "zca_epsilon": (1e-6,),
    "save_prefix": ("",),
    "save_format": ("png",),
    "implementation": (1, 2),
    "max_queue_size": (10,),
}


def asks_for_nothing(name: str, value: Any) -> bool:
    """Whether the argument is an option of Keras that is off, as in featurewise_center=False: it may stand there.

    >>> asks_for_nothing("featurewise_center", False), asks_for_nothing("featurewise_center", True)
    (True, False)
    """
    return any(type(value) is type(off) and value == off for off in _OFF.get(name, ()))


_SAVED = "model.save(path) writes weights and model, tinydx.models.load_model(path) reads them"

# attributes of models
ATTRIBUTES: dict[str, str] = {
    "fit_generator": "write fit(generator, ...) instead",
    "evaluate_generator": "write evaluate(generator, ...) instead",
    "predict_generator": "write predict(generator, ...) instead",
    "predict_proba": "write predict(x) instead, it gives probabilities",
    "to_json": f"{_SAVED}: write these instead",
    "to_yaml": f"{_SAVED}: write these instead",
    "export": f"{_SAVED}: write these instead",
    "trainable_variables": "write trainable_weights instead",
    "variables": "write weights instead",
    "metrics_names": "write ['loss', *(m.name for m in model.metrics)] instead",
    "history": "write history = model.fit(...) instead",
    "reset_states": "layers keep no states between calls: give initial_state= instead",
    "make_predict_function": "leave it out: nothing has to be made before predict",
    "_make_predict_function": "leave it out: nothing has to be made before predict",
}

# names in tinydx.layers
LAYERS: dict[str, str] = {
    "InputLayer": "write Input(shape) instead",
    "LeakyReLU": "write Activation('leaky_relu') instead, its slope is 0.2",
    "ELU": "write Activation('elu') instead",
    "Softmax": "write Activation('softmax') instead",
    "SpatialDropout1D": "write Dropout(rate, noise_shape=(None, 1, None)) instead",
    "SpatialDropout2D": "write Dropout(rate, noise_shape=(None, 1, 1, None)) instead",
    "CuDNNLSTM": "write LSTM instead: it runs as one kernel on a GPU, too",
    "CuDNNGRU": "write GRU instead: it runs as one kernel on a GPU, too",
    "Lambda": "write a subclass of Layer with call(x) instead",
    "add": "write Add()([a, b]) instead",
    "average": "write Average()([a, b]) instead",
    "concatenate": "write Concatenate()([a, b]) instead",
    "multiply": "write Multiply()([a, b]) instead",
    "merge": "write Add()([a, b]) or Concatenate()([a, b]) instead",
    "Permute": "write x.transpose(0, ...) in a subclass of Layer instead",
}


# attributes of an ImageDataGenerator and of iterators
GENERATORS: dict[str, str] = {
    "flow_from_dataframe": "write flow(x, y) of arrays that load_img reads instead, or sort the files into class folders",
    "random_brightness": "write ImageDataGenerator(brightness_range=...).random_transform(x) instead",
}
ITERATORS: dict[str, str] = {
    "next": "write next(iterator) instead",
    "labels": "write classes instead",
    "index_generator": "write iterator[i] instead, its batch i",
    "batch_index": "write iterator.state() instead",
    "total_batches_seen": "write iterator.state() instead",
}

# modules of Keras that tinydx does not have
MODULES: dict[str, str] = {
    "keras": "write tinydx.layers, tinydx.models and so on instead",
    "utils": "write np.eye(classes)[labels] instead of to_categorical, tinydx.set_seed instead of set_random_seed",
    "backend": "write NumPy, tinydx.ops and tinydx.Tensor instead",
    "applications": "there are no networks that were trained on other images: write one of tinydx.layers instead",
    "Sequential": "write tinydx.models.Sequential instead",
    "Model": "write tinydx.models.Model instead",
    "Input": "write tinydx.layers.Input instead",
}


def word_for(name: str, words: Mapping[str, str]) -> str:
    """The end of an error message for a name of Keras: ": write ... instead"; "" for any other name.

    >>> word_for("fit_generator", ATTRIBUTES)
    ': write fit(generator, ...) instead'
    """
    return f": {words[name]}" if name in words else ""


def missing_attribute(thing: Any, name: str, words: Mapping[str, str]) -> Any:
    """What an object's `__getattr__` does: an AttributeError with the word for the name, or else Python's own."""
    if name in words:
        raise AttributeError(f"{type(thing).__name__} has no {name!r}{word_for(name, words)}")
    return object.__getattribute__(thing, name)
