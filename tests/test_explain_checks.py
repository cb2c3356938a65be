"""The checks of explanations catch what they are for: planted Grad-CAMs, incomplete maps, a shortcut; sounds played back."""

import re
from dataclasses import replace

import numpy as np
import pytest

import tinydx
from tinydx import explain
from tinydx.datasets.phantom import chest_phantom, make_letter_phantoms
from tinydx.explain.checks import METHODS
from tinydx.explain.grad_cam import outputs_of
from tinydx.explain.subject import Subject
from tinydx.layers import Activation, BatchNormalization, Conv2D, Dense, Flatten, GlobalAveragePooling2D, MaxPooling2D
from tinydx.models import Sequential
from tinydx.preprocessing.sound import istft, log_mel, stft
from tinydx.tasks import shortcut
from tinydx.tensor import gradients


def network(classes=3, seed=0):
    layers = [
        Conv2D(5, 3, padding="same", activation="relu", name="first", input_shape=(9, 8, 1)),
        Conv2D(6, 3, padding="same", activation="relu", name="second"),
        GlobalAveragePooling2D(),
        Dense(classes, activation="sigmoid" if classes == 1 else "softmax"),
    ]
    model, rng = Sequential(layers), np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) * 0.5 for w in model.weights])
    return model


X = np.random.default_rng(1).normal(size=(6, 9, 8, 1))

# ---- Grad-CAM beside CAM -------------------------------------------------------------------------------------------


def written_out(model, x, target, layer, *, relu=True, weights=None):
    """Grad-CAM in five lines, into which mistakes can be planted."""
    subject, chosen = Subject(model, x, target), next(v for v in model.layers if v.name == layer)
    score, outputs = outputs_of(subject, np.arange(len(x)), [chosen])
    a, slope = outputs[chosen].numpy(), gradients(score, [outputs[chosen]])[0]
    maps = ((slope if weights is None else weights(a)).mean(axis=(1, 2), keepdims=True) * a).sum(axis=-1)
    maps = np.maximum(maps, 0) if relu else maps
    return explain.Explanation("Grad-CAM", maps, subject.targets, score.numpy(), layer=layer, layer_map=maps)


PLANTED = {
    "wrong layer": lambda m, x, t, layer: written_out(m, x, t, "first"),
    "ReLU forgotten": lambda m, x, t, layer: written_out(m, x, t, layer, relu=False),
    "mean of the activations for the gradient's": lambda m, x, t, layer: written_out(m, x, t, layer, weights=lambda a: a),
    "plain mean of the channels": lambda m, x, t, layer: written_out(m, x, t, layer, weights=lambda a: np.ones_like(a)),
    "the other class": lambda m, x, t, layer: written_out(m, x, [(k + 1) % 2 for k in t], layer),
}


@pytest.mark.parametrize("classes", [1, 3])
def test_a_right_grad_cam_is_cam(classes):
    for method in ("grad_cam", lambda m, x, t, layer: written_out(m, x, t, layer)):
        found = explain.cam_agreement(network(classes), X, method, 1)
        assert found.passed and found.error < 1e-10


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("mistake", PLANTED)
def test_a_broken_grad_cam_is_found(classes, mistake):
    found = explain.cam_agreement(network(classes), X, PLANTED[mistake], 1)
    assert not found.passed and found.error > 0.01


def test_cam_needs_a_mean_over_places_and_one_dense_layer():
    flat = Sequential([Conv2D(2, 3, activation="relu", input_shape=(9, 8, 1)), Flatten(), Dense(2)])
    with pytest.raises(ValueError, match="does not end in a mean over places"):
        explain.cam_agreement(flat, X)
    two = Sequential([Conv2D(2, 3, input_shape=(9, 8, 1)), GlobalAveragePooling2D(), Dense(4, activation="relu"), Dense(2)])
    with pytest.raises(ValueError, match="CAM needs one dense layer"):
        explain.cam_agreement(two, X)


def test_cam_at_a_layer_that_pools():
    layers = [Conv2D(4, 3, use_bias=False, input_shape=(9, 8, 1)), BatchNormalization(), Activation("relu"), MaxPooling2D()]
    model = Sequential([*layers, GlobalAveragePooling2D(), Dense(2, activation="softmax")])
    assert explain.cam_agreement(model, X.astype("float32")).passed


# ---- completeness, regions, deletion -------------------------------------------------------------------------------


def test_completeness_passes_integrated_gradients_and_fails_others():
    model = network()
    x = X[:2]
    whole = explain.integrated_gradients(model, x, 1, tolerance=1e-3)
    assert explain.completeness(model, x, whole, tolerance=0.01).passed
    assert not explain.completeness(model, x, explain.gradient(model, x, 1), tolerance=0.01).passed
    assert not explain.completeness(model, x, explain.gradient_times_input(model, x, 1), tolerance=0.01).passed  # it has biases
    assert not explain.completeness(model, x, replace(whole, map=1.1 * whole.map), tolerance=0.01).passed
    assert not explain.completeness(model, x, explain.integrated_gradients(model, x, 1, baseline=1.0), tolerance=0.01).passed
    assert explain.completeness(model, x, explain.shapley_values(model, x, 1, groups=np.arange(9) // 3), tolerance=1e-9).passed


def test_evidence_in_a_region():
    region = np.zeros((50, 8, 8), bool)
    region[:, :4] = True
    rng = np.random.default_rng(0)
    inside = explain.evidence_in(region + 0.1 * rng.random(region.shape), region)
    assert inside.verdict == "inside" and inside.share > 0.9 and "looks at the lungs" in inside.sentence
    outside = explain.evidence_in(~region + 0.1 * rng.random(region.shape), region)
    assert outside.verdict == "outside" and outside.sentence.endswith("the model looks outside the lungs.")
    anywhere = explain.evidence_in(rng.random(region.shape), region)
    assert anywhere.verdict == "outside" and abs(anywhere.density - 1) < 0.1
    twice = explain.evidence_in((1 + region[:4]) * rng.random((4, 8, 8)), region[:4])
    assert twice.interval[0] < 2 / 3 < twice.interval[1] and "cannot be told" in twice.sentence
    some = explain.evidence_in(np.where(np.arange(50)[:, None, None] < 10, region + 0.0, -1.0), region)
    assert some.count == 10 and some.share == 1  # maps without positive evidence say nothing of where it lies
    with pytest.raises(ValueError, match="no map has positive evidence"):
        explain.evidence_in(-region.astype(float), region)


def test_verdicts_of_pointing_and_deletion():
    lesions, lungs = np.zeros((40, 8, 8), bool), np.zeros((40, 8, 8), bool)
    lesions[:, 2:4, 2:4], lungs[:, 1:5, 1:5] = True, True
    rng = np.random.default_rng(0)
    assert explain.pointing_game(lesions + 0.5 * rng.random(lesions.shape), lesions, lungs).passed
    anywhere_in_lungs = explain.pointing_game(lungs * rng.random(lesions.shape), lesions, lungs)
    assert anywhere_in_lungs.rate > 2 * anywhere_in_lungs.area and not anywhere_in_lungs.passed
    linear = Sequential([Dense(1, input_shape=(20,))])
    x = rng.normal(size=(30, 20)).astype("float32")
    maps = explain.gradient_times_input(linear, x, 1)
    assert explain.deletion(linear, x, maps, 0.0, 1).passed
    assert not explain.deletion(linear, x, rng.normal(size=x.shape), 0.0, 1).passed  # a second random order
    assert not explain.deletion(linear, x, -maps.map, 0.0, 1).passed


# ---- the shortcut --------------------------------------------------------------------------------------------------


def test_letters_mark_the_class_as_often_as_asked():
    tied = make_letter_phantoms(40, 3, 32, letter=1)
    assert np.array_equal(tied.lettered, tied.labels == 0) and tied.lesions[tied.labels == 0].any(axis=(1, 2)).all()
    assert not tied.lesions[tied.labels == 1].any()
    coin = make_letter_phantoms(200, 3, 16, letter=0.5, opacities=0.75)
    assert 0.4 < np.mean(coin.lettered == (coin.labels == 0)) < 0.6
    assert 0.65 < np.mean(coin.lesions.any(axis=(1, 2)) == (coin.labels == 0)) < 0.85
    assert np.array_equal(tied.images[0], make_letter_phantoms(1, 3, 32, letter=1).images[0])
    with_letter, without = (chest_phantom(np.random.default_rng(5), True, 64, letter=letter) for letter in (True, False))
    changed = np.abs(with_letter - without) > 1e-6
    assert 0 < changed.mean() < 0.02 and not changed[20:, :40].any()  # in the corner, and nothing else


@pytest.fixture(scope="module")
def looks():
    """Accuracy, and what gradient x input and Grad-CAM say, of a model of the control and of one of the shortcut set."""
    found = {}
    test = make_letter_phantoms(120, 8, 32, **shortcut.SETS["control"])
    for name in ("control", "letter"):
        model = shortcut.trained(make_letter_phantoms(300, 7, 32, **shortcut.SETS[name]), 10, 0)
        seen = [shortcut.look(model, test, method) for method in ("gradient_times_input", "grad_cam")]
        found[name] = shortcut.accuracy(model, test), *seen
    return found


def test_the_evidence_moves_to_the_letter(looks):
    (right, seen, _), (left, moved, _) = looks["control"], looks["letter"]
    assert left < right
    assert moved.letter.share > 3 * seen.letter.share and moved.letter.share > 5 * moved.letter.area
    assert moved.lungs.share < seen.lungs.share and moved.pointing.rate < seen.pointing.rate


def test_the_report_says_that_the_model_looks_outside_the_lungs(looks):
    (_, pixels, places), (_, moved_pixels, moved_places) = looks["control"], looks["letter"]
    assert pixels.lungs.verdict == places.lungs.verdict == "inside" and moved_pixels.lungs.verdict != "inside"
    assert moved_places.lungs.sentence.endswith("the model looks outside the lungs.") and moved_places.lungs.density < 1


# ---- sounds --------------------------------------------------------------------------------------------------------


def test_the_inverse_transform_gives_the_sound_back():
    x = np.random.default_rng(0).normal(size=1013)
    for n_fft, hop, window in ((256, 64, None), (512, 50, 128), (200, 30, 120)):
        assert np.abs(istft(stft(x, n_fft, hop, window), len(x), n_fft, hop, window) - x).max() < 1e-12


def test_what_is_heard_is_what_the_map_marks():
    rate, spectrum = 2000, {"n_fft": 512, "window": 128, "hop": 50, "n_mels": 32, "fmin": 10.0, "fmax": 1000.0}
    time = np.arange(2 * rate) / rate
    early, late = (np.sin(2 * np.pi * f * time) * on for f, on in ((120, time < 1), (600, time >= 1)))
    bands = log_mel(early + late, rate, **spectrum)
    evidence = np.where(np.arange(len(bands))[:, None] * 50 < rate, bands - bands.min(), -1.0)  # the first second only
    y = explain.heard(early + late, evidence, rate, **spectrum)
    assert y.shape == time.shape and abs(np.abs(y).max() - 1) < 0.01
    assert np.square(y[time >= 1.1]).sum() < 1e-3 * np.square(y).sum()
    assert not explain.heard(early, -np.ones_like(bands), rate, **spectrum).any()  # nothing speaks for the class
    everything = explain.heard(early, np.ones(32), rate, **spectrum)
    assert np.abs(everything - early)[100:-100].max() < 0.05
    with pytest.raises(ValueError, match="frames and 32 bands"):
        explain.heard(early, np.ones((3, 32)), rate, **spectrum)


# ---- randomisation -------------------------------------------------------------------------------------------------


def test_guided_backpropagation_fails_below_dense_layers_too():
    """Two dense layers on top, as in the document's network: a measure of brightness takes maps of speckles for alike."""
    part = make_letter_phantoms(200, 5, 32, letter=0.5)
    x = shortcut.inputs_of(part.images)
    tinydx.set_seed(0)
    layers = [Conv2D(8, 3, activation="relu", input_shape=(32, 32, 1)), MaxPooling2D(), Conv2D(16, 3, activation="relu")]
    model = Sequential([*layers, Flatten(), Dense(32, activation="relu"), Dense(1, activation="sigmoid")])
    model.compile(tinydx.optimizers.Adam(0.003), "binary_crossentropy")
    model.fit(x[:184], part.labels[:184], epochs=6, verbose=0)
    guided = explain.randomisation(model, x[184:], "guided_backpropagation")
    assert not guided.passed and list(guided.similarity.values())[-1] > guided.limit + 0.2
    for method in ("gradient", "gradient_times_input", "grad_cam"):
        assert explain.randomisation(model, x[184:], method).passed, method


# ---- equations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*METHODS.values(), explain.shapley_values])
def test_every_method_has_its_equation_and_its_source(method):
    words = method.__doc__.split("Arguments:")
    assert re.search(r"\$[^$]+=[^$]+\$", words[0]) and "Source: " in words[1]
