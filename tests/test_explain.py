"""Explanations: the exact property of each method in float64, and checks that a wrong method fails."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

import tinydx
from tinydx import explain
from tinydx.datasets.phantom import chest_phantom, lungs_of, make_phantoms
from tinydx.explain.checks import similar
from tinydx.explain.grad_cam import resized
from tinydx.layers import (
    GRU,
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
)
from tinydx.models import Model, Sequential


def float64(model, seed=0, bias=True):
    """The model with random float64 weights; biases of 0 without `bias`."""
    rng = np.random.default_rng(seed)
    draw = lambda w: rng.normal(size=w.shape) * 0.5 * (bias or "bias" not in w.name)  # noqa: E731
    model.set_weights([draw(w) if "variance" not in w.name else rng.uniform(0.5, 2, w.shape) for w in model.weights])
    return model


def smooth(classes=1):
    last = Dense(classes, activation="sigmoid" if classes == 1 else "softmax")
    return float64(Sequential([Conv2D(3, 3, activation="tanh", input_shape=(6, 6, 2)), Flatten(), last]))


def rectified(bias=True):
    layers = [Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1)), MaxPooling2D(), Flatten(), Dense(5, activation="relu")]
    return float64(Sequential([*layers, Dense(3), Activation("softmax")]), bias=bias)


def linear(classes=1):
    last = Dense(classes, activation="sigmoid" if classes == 1 else "softmax")
    return float64(Sequential([Flatten(input_shape=(6, 4, 2)), last]))


def cam_network():
    layers = [Conv2D(5, 3, activation="relu", input_shape=(9, 7, 1)), GlobalAveragePooling2D(), Dense(3, activation="softmax")]
    return float64(Sequential(layers))


def x_for(model, n=3, seed=1):
    return np.random.default_rng(seed).normal(size=(n, *model.input_shape[1:]))


def logit(model, x, target):
    """The logits by NumPy's own hand: the weights of the last layer on what comes before it."""
    p = model.predict(x)
    z = np.log(p) if p.shape[1] > 1 else np.log(p / (1 - p))
    return z[:, target] if p.shape[1] > 1 else z[:, 0] * (1 if target else -1)


# ---- gradient ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "auto"])
def test_gradient_is_the_complex_step_of_the_logit(backend):
    model, h = smooth(), 1e-30
    x, (kernel, bias, w, b) = x_for(model, 1), model.get_weights()

    def logit_of(z):
        y = sum(np.einsum("hwc,cf->hwf", z[i : i + 4, j : j + 4], kernel[i, j]) for i in range(3) for j in range(3)) + bias
        return (np.tanh(y).ravel() @ w + b)[0]

    want = np.zeros(x[0].shape)
    for i in np.ndindex(want.shape):
        z = x[0].astype(complex)
        z[i] += 1j * h
        want[i] = logit_of(z).imag / h
    with tinydx.use(backend):
        found = explain.gradient(model, x, 1)
        assert np.allclose(explain.gradient(model, x, 0).map, -found.map, rtol=1e-14)  # the other class: the sign flips
    assert np.abs(found.map[0] - want).max() < 1e-10 and np.allclose(found.score, logit_of(x[0]), rtol=1e-12)


def test_logits_are_explained_where_probabilities_are_flat():
    model = linear()
    model.set_weights([40 * w for w in model.get_weights()])  # a probability of 1 whose gradient is 0
    found = explain.gradient(model, x_for(model), 1)
    assert np.allclose(found.map.reshape(3, -1), model.get_weights()[0][:, 0])


def test_gradient_times_input_sums_to_the_logit_without_biases():
    model = rectified(bias=False)
    x = x_for(model)
    found = explain.gradient_times_input(model, x, 2)
    assert np.abs(found.map.sum(axis=(1, 2, 3)) - found.score).max() < 1e-12


def test_the_called_class_is_explained_and_classes_have_names():
    model = rectified()
    model.class_names = ["flu", "cold", "none"]
    x = x_for(model, 6)
    called = model.predict(x).argmax(axis=1)
    found = explain.gradient(model, x)
    assert found.targets == [model.class_names[k] for k in called]
    one = explain.gradient(model, x[0], "cold")  # without the batch axis
    assert one.target == "cold" and one.map.shape == (1, 8, 8, 1)
    assert np.array_equal(one.map, explain.gradient(model, x[:1], 1).map)
    with pytest.raises(ValueError, match=r"no class .* knows flu, cold, none, or 0 to 2"):
        explain.gradient(model, x, "fever")


@pytest.mark.parametrize(("bad", "words"), [(np.nan, "NaN"), (np.inf, "infinite")])
def test_nothing_is_said_of_nan(bad, words):
    model = linear()
    x = x_for(model)
    x[0, 0, 0, 0] = bad
    with pytest.raises(ValueError, match=words):
        explain.gradient(model, x)


# ---- integrated gradients ------------------------------------------------------------------------------------------


def test_integrated_gradients_are_complete_for_a_smooth_network():
    model = smooth(3)
    found = explain.integrated_gradients(model, x_for(model), 1)
    difference = found.score - found.baseline_score
    assert (found.completeness_error < 1e-6 * np.abs(difference)).all()
    assert np.allclose(found.map.sum(axis=(1, 2, 3)), difference, rtol=1e-6)


def test_integrated_gradients_bisect_until_the_bound_holds():
    model = rectified()
    x = x_for(model)
    coarse = explain.integrated_gradients(model, x, 0, steps=8)
    fine = explain.integrated_gradients(model, x, 0, steps=8, tolerance=1e-5)
    assert coarse.completeness_error.max() > 1e-4 and fine.completeness_error.max() <= 1e-5
    assert np.abs(fine.map.sum(axis=(1, 2, 3)) - (fine.score - fine.baseline_score)).max() <= 1e-5


def test_integrated_gradients_say_what_was_reached(monkeypatch):
    monkeypatch.setattr("tinydx.explain.gradients.MOST", 16)
    with pytest.raises(ValueError, match=r"completeness error .* after 1?\d+ steps, not 1e-30"):
        explain.integrated_gradients(rectified(), x_for(rectified(), 1), 0, steps=8, tolerance=1e-30)


def test_integrated_gradients_of_a_linear_model_are_exact():
    model = linear()
    x, origin = x_for(model), x_for(model, 1, seed=5)[0]
    found = explain.integrated_gradients(model, x, 1, baseline=origin)
    assert np.abs(found.map - model.get_weights()[0][:, 0].reshape(6, 4, 2) * (x - origin)).max() < 1e-12
    assert found.baseline is not None and np.allclose(found.baseline_score, logit(model, origin[None], 1))


def test_texts_are_explained_token_by_token():
    layers = [Embedding(20, 4, mask_zero=True, input_shape=(None,)), GRU(5), Dense(3, activation="softmax")]
    model = float64(Sequential(layers))
    ids = np.array([[3, 4, 5, 0, 0], [7, 8, 9, 10, 11]])
    found = explain.integrated_gradients(model, ids, 2)
    assert found.map.shape == (2, 5) and (found.map[0, 3:] == 0).all()  # padding adds nothing
    assert np.allclose(found.map.sum(axis=1), found.score - found.baseline_score, rtol=1e-6)
    assert explain.gradient(model, ids).map.shape == explain.occlusion(model, ids).map.shape == (2, 5)
    table = Embedding(20, 1, mask_zero=True, input_shape=(None,))
    bag = float64(Sequential([table, GlobalAveragePooling1D(), Activation("sigmoid")]))
    table = bag.get_weights()[0][:, 0]
    assert np.allclose(explain.occlusion(bag, ids, 1).map[1], table[ids[1]] / 5)


# ---- Grad-CAM ------------------------------------------------------------------------------------------------------


def test_grad_cam_is_cam():
    model = cam_network()
    x = x_for(model)
    kernel, bias, w, _ = model.get_weights()
    views = np.lib.stride_tricks.sliding_window_view(x[..., 0], (3, 3), axis=(1, 2))
    channels = np.maximum(np.einsum("nhwij,ijk->nhwk", views, kernel[:, :, 0]) + bias, 0)
    for target in range(3):
        found = explain.grad_cam(model, x, target)
        cam = np.maximum(channels @ w[:, target], 0) / (7 * 5)
        assert found.layer == model.layers[0].name and found.map.shape == (3, 9, 7)
        assert np.abs(found.layer_map - cam).max() < 1e-12
        assert np.array_equal(found.map, resized(found.layer_map, (9, 7)))


def test_grad_cam_says_that_there_is_no_evidence():
    model = cam_network()
    w = model.get_weights()
    w[2][:, 1] = -np.abs(w[2][:, 1])
    model.set_weights(w)
    found = explain.grad_cam(model, x_for(model), 1)
    assert not found.map.any() and f"no positive evidence in layer {model.layers[0].name}" in found.sentence


def test_grad_cam_finds_its_layer_or_takes_the_one_named():
    inputs = Input((12, 12, 1), dtype="float64")
    a = Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    b = Activation("relu", name="second")(BatchNormalization()(Conv2D(4, 3, padding="same")(a)))
    pooled = GlobalAveragePooling2D()(MaxPooling2D()(Add(name="sum")([a, b])))
    model = float64(Model(inputs, Dense(2, activation="softmax")(pooled)))
    x = x_for(model)
    assert explain.grad_cam(model, x).layer == "sum"
    assert explain.grad_cam(model, x, layer="first").layer == "first"
    with pytest.raises(ValueError, match="no layer 'third': it has first"):
        explain.grad_cam(model, x, layer="third")
    with pytest.raises(ValueError, match="needs a convolution"):
        explain.grad_cam(linear_on_flat(), np.ones((2, 5)))


def linear_on_flat():
    return float64(Sequential([Dense(4, input_shape=(5,)), Dense(1, activation="sigmoid")]))


# ---- occlusion, Shapley --------------------------------------------------------------------------------------------


def test_occlusion_of_a_linear_model():
    model = linear()
    x = x_for(model)
    parts = (model.get_weights()[0][:, 0].reshape(6, 4, 2) * (x - 0.3)).sum(axis=-1)
    found = explain.occlusion(model, x, 1, patch=2, fill=0.3)
    assert np.abs(found.map - parts.reshape(3, 3, 2, 2, 2).sum(axis=(2, 4)).repeat(2, 1).repeat(2, 2)).max() < 1e-12
    each = explain.occlusion(model, x, 1, patch=(3, 1), stride=(1, 1), fill=0.3).map
    falls = np.array([parts[:, i : i + 3].sum(axis=1) for i in range(4)])  # (4, N, W): by the patch's first row
    want = np.array([np.mean([falls[k] for k in range(4) if k <= r < k + 3], axis=0) for r in range(6)])
    assert np.abs(each - want.transpose(1, 0, 2)).max() < 1e-12
    with pytest.raises(ValueError, match="patch is 9"):
        explain.occlusion(model, x, patch=9)


def test_shapley_values_are_the_mean_over_all_orders():
    model = float64(Sequential([Dense(6, activation="tanh", input_shape=(5,)), Dense(3, activation="softmax")]))
    x, origin, groups = x_for(model, 2), x_for(model, 1, seed=7)[0], np.array([0, 1, 1, 2, 3])
    found = explain.shapley_values(model, x, 1, groups=groups, baseline=origin)
    raw = lambda v: np.tanh(v @ model.get_weights()[0] + model.get_weights()[1]) @ model.get_weights()[2][:, 1]  # noqa: E731
    want = np.zeros((2, 4))
    for order in permutations(range(4)):
        v = np.tile(origin, (2, 1))
        for g in order:
            before = raw(v)
            v = np.where(groups == g, x, v)
            want[:, g] += (raw(v) - before) / 24
    assert np.abs(found.values - want).max() < 1e-12
    assert found.completeness_error.max() < 1e-12 and np.array_equal(found.map, found.values[:, groups])


def test_shapley_values_are_symmetric_and_additive_and_know_dummies():
    def network(w):
        model = Sequential([Dense(3, activation="tanh", input_shape=(4,)), Dense(1)])
        model.set_weights([w, np.zeros(3), np.ones((3, 1)), np.zeros(1)])
        return model

    rng = np.random.default_rng(0)
    w = rng.normal(size=(4, 3))
    w[1], w[3] = w[0], 0  # 0 and 1 are alike, 3 does nothing
    x = np.array([[0.7, 0.7, -0.4, 2.0]])
    values = explain.shapley_values(network(w), x, 1, groups=range_of(4)).values[0]
    assert abs(values[0] - values[1]) < 1e-12 and abs(values[3]) < 1e-12
    wide = Sequential([Dense(6, activation="tanh", input_shape=(4,)), Dense(1)])
    other = rng.normal(size=(4, 3))
    wide.set_weights([np.hstack([w, other]), np.zeros(6), np.ones((6, 1)), np.zeros(1)])
    both = explain.shapley_values(wide, x, 1, groups=range_of(4)).values[0]
    assert np.abs(both - values - explain.shapley_values(network(other), x, 1, groups=range_of(4)).values[0]).max() < 1e-12
    with pytest.raises(ValueError, match="at most 12"):
        explain.shapley_values(Sequential([Dense(1, input_shape=(13,))]), np.ones((1, 13)), groups=range_of(13))


def range_of(n):
    return np.arange(n)


# ---- the checks ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    """A small network that tells bright squares from bright circles of random places, and its test images."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 0.15, (320, 16, 16, 1)).astype("float32"), np.arange(320) % 2
    for image, label in zip(x, y, strict=True):
        i, j = rng.integers(0, 11, 2)
        shape = np.ones((5, 5)) if label else np.eye(5) + np.eye(5)[::-1]
        image[i : i + 5, j : j + 5, 0] += shape
    tinydx.set_seed(0)
    layers = [
        Conv2D(8, 3, activation="relu", input_shape=(16, 16, 1)),
        Conv2D(8, 3, activation="relu"),
        GlobalAveragePooling2D(),
        Dense(1, activation="sigmoid"),
    ]
    model = Sequential(layers)
    model.compile(tinydx.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x[:256], y[:256], epochs=15, verbose=0)
    assert model.evaluate(x[256:], y[256:], verbose=0)[1] > 0.9
    return model, x[256:]


@pytest.fixture(scope="module")
def phantoms():
    """A small network trained on phantoms of chests, which have edges of their own, and test images."""
    x, y = make_phantoms(320, 1, 32)
    x = x[..., None].astype("float32")
    x = (x - x.mean(axis=(1, 2, 3), keepdims=True)) / x.std(axis=(1, 2, 3), keepdims=True)
    tinydx.set_seed(0)
    first = Conv2D(8, 3, activation="relu", input_shape=(32, 32, 1))
    layers = [first, Conv2D(8, 3, activation="relu"), GlobalAveragePooling2D(), Dense(1, activation="sigmoid")]
    model = Sequential(layers)
    model.compile(tinydx.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x[:256], y[:256], epochs=15, verbose=0)
    assert model.evaluate(x[256:], y[256:], verbose=0)[1] > 0.65
    return model, x[256:]


def test_randomisation_passes_sound_methods_and_fails_guided_backpropagation(phantoms):
    model, x = phantoms
    before = model.get_weights()
    sound = explain.randomisation(model, x[:32], "gradient")
    guided = explain.randomisation(model, x[:32], "guided_backpropagation")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert sound.passed and not guided.passed, (sound, guided)
    assert explain.randomisation(model, x[:32], "grad_cam").passed
    assert list(sound.similarity) == [layer.name for layer in reversed(model.layers) if layer.weights]


def test_a_map_of_the_input_alone_fails_randomisation(trained):
    model, x = trained
    edges = lambda model, x, target: explain.Explanation("edges", np.abs(np.diff(x, axis=1)), [], np.zeros(0))  # noqa: E731
    found = explain.randomisation(model, x[:8], edges)
    assert not found.passed and list(found.similarity.values())[-1] == pytest.approx(1)


def test_pointing_game_and_its_baselines():
    lesions, lungs = np.zeros((40, 8, 8), bool), np.zeros((40, 8, 8), bool)
    lesions[:, 2:4, 2:4], lungs[:, 1:5, 1:5] = True, True
    rng = np.random.default_rng(0)
    right = explain.pointing_game(lesions + 0.5 * rng.random((40, 8, 8)), lesions, lungs)
    assert right.rate == 1 and right.area == 4 / 64 and right.region_area == 4 / 16 and right.interval[0] > 0.9
    noise = explain.pointing_game(rng.random((4000, 8, 8)), np.tile(lesions, (100, 1, 1)))
    assert abs(noise.rate - noise.area) < 0.02
    with pytest.raises(ValueError, match="without a lesion"):
        explain.pointing_game(np.ones((1, 4, 4)), np.zeros((1, 4, 4)))


def test_deletion_falls_fastest_in_the_right_order(trained):
    model, x = trained
    maps = explain.gradient_times_input(model, x, 1)
    right = explain.deletion(model, x, maps, 0.0, 1)
    assert right.area > 0 and right.score[0] == pytest.approx(maps.score.mean(), abs=1e-4)
    assert explain.deletion(model, x, -maps.map, 0.0, 1).area < 0  # the wrong way round


def test_similarity_is_one_for_equal_maps_and_low_for_unrelated_ones():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 16, 16))
    assert similar(a, 3 * a) == pytest.approx(1) and similar(a, b) < 0.3 and np.isfinite(similar(a * 0, b))


# ---- phantoms with known lesions -----------------------------------------------------------------------------------


def test_a_phantom_says_where_its_lesions_are():
    for seed in range(3):
        image, mask = chest_phantom(np.random.default_rng((7, seed)), True, 64, return_mask=True)
        healthy, nothing = chest_phantom(np.random.default_rng((7, seed)), False, 64, return_mask=True)
        assert np.array_equal(image, chest_phantom(np.random.default_rng((7, seed)), True, 64))
        lungs = lungs_of(np.random.default_rng((7, seed)), 64)
        assert mask.dtype == bool and not nothing.any() and 0 < mask.mean() < lungs.mean() < 0.5
        assert (mask & ~lungs).sum() <= 0.2 * mask.sum()  # the lungs' edge is soft
        assert (image - healthy)[mask].mean() > 0.02 > (image - healthy)[lungs & ~mask].mean()
    assert make_phantoms(2, 3, 32)[0].shape == (2, 32, 32)


# ---- beside Captum -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def captum():
    """Captum's values (see explain_reference/make_reference.py), and the same network of tinydx's layers."""
    values = np.load(Path(__file__).parent / "explain_reference" / "values.npz")
    first = Conv2D(4, 3, activation="relu", input_shape=(12, 12, 2))
    layers = [first, MaxPooling2D(), Conv2D(5, 3, activation="relu"), GlobalAveragePooling2D(), Dense(3, activation="softmax")]
    model = Sequential(layers)
    model.set_weights([values[f"{kind}{k}"] for k in (1, 2, 3) for kind in ("kernel", "bias")])
    return values, model


METHODS = {
    "gradient": lambda m, v: explain.gradient(m, v["x"], 1).map,
    "gradient_times_input": lambda m, v: explain.gradient_times_input(m, v["x"], 1).map,
    "guided_backpropagation": lambda m, v: explain.guided_backpropagation(m, v["x"], 1).map,
    "grad_cam": lambda m, v: explain.grad_cam(m, v["x"], 1).layer_map,
    "occlusion": lambda m, v: explain.occlusion(m, v["x"], 1, patch=3, fill=0.25).map,
    "shapley_values": lambda m, v: explain.shapley_values(m, v["x"], 1, groups=v["quarters"], baseline=v["baseline"]).map,
}


@pytest.mark.parametrize("name", METHODS)
def test_beside_captum(captum, name):
    values, model = captum
    assert np.abs(METHODS[name](model, values) - values[f"captum_{name}"]).max() < 1e-6


def test_integrated_gradients_beside_captum(captum):
    """Captum's sum over 512 nodes has the error of ReLUs that switch: ours is as far from it as it is from completeness."""
    values, model = captum
    found = explain.integrated_gradients(model, values["x"], 1, baseline=values["baseline"][0], tolerance=1e-7)
    theirs = values["captum_integrated_gradients"]
    missed = np.abs(theirs.sum(axis=(1, 2, 3)) - (found.score - found.baseline_score))
    assert np.abs(found.map - theirs).max() < 10 * missed.max() < 0.02 and found.completeness_error.max() <= 1e-7
    assert np.abs(found.score - values["captum_logits"][:, 1]).max() < 1e-12
