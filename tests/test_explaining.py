"""`tinydx explain`: its pages for images, recordings and texts, whatever the files and classes are called."""

import base64
import re

import numpy as np
import pytest
from PIL import Image

import tinydx
from tinydx import cli
from tinydx.diagnosis.explaining import explain_files, wav
from tinydx.diagnosis.kinds.image import build_blocks
from tinydx.diagnosis.kinds.sound import augmentation, build_dense, build_rnn
from tinydx.diagnosis.kinds.text import build_bag, learn_codec
from tinydx.models import load_model
from tinydx.preprocessing.sound import load_sound, save_sound

HOSTILE = "<img src=x onerror=alert(1)> $x^{$"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A model of 32x32 images, not trained, and two files in a folder named like a class."""
    root = tmp_path_factory.mktemp("explain")
    tinydx.set_seed(0)
    model = build_blocks((32, 32, 1), 2)
    model.class_names = ["ill", HOSTILE]
    how = {"target_size": [32, 32], "color_mode": "grayscale", "interpolation": "bilinear", "rescale": None}
    model.preprocessing = {"kind": "image", **how, "standardise": True, "threshold": 0.5}
    model.save(root / "model.safetensors", include_optimizer=False)
    (root / "ill").mkdir()
    for k in range(2):
        pixels = np.random.default_rng(k).integers(0, 255, (40, 40), np.uint8)
        Image.fromarray(pixels).save(root / "ill" / f"{k} $a_b.png")
    return root


@pytest.mark.parametrize("method", [None, "gradient", "integrated_gradients", "occlusion", "guided_backpropagation"])
def test_images(images, tmp_path, method):
    files = [str(f) for f in sorted((images / "ill").iterdir())]
    said: list[str] = []
    page = tmp_path / "page.png"
    panels = explain_files(str(images / "model.safetensors"), files, method=method, output=page, say=said.append)
    with Image.open(page) as picture:
        assert picture.size[0] > 800 and np.ptp(np.asarray(picture)) > 0
    assert len(said) == 3 and "not a medical device" in said[-1] and said[-1].startswith("Look at")
    html = page.with_suffix(".html").read_text("utf-8")
    assert html.count("<figure") == 2 and "<img src=x" not in html and "{{" not in html
    assert not re.search(r"(src|href)=\"(?!data:)", html) and "http" not in html  # needs no network
    assert panels[0].truth == "ill" and 0 <= panels[0].error <= 1
    right = panels[0].called == "ill"
    assert panels[0].error == pytest.approx(1 - panels[0].probability if right else panels[0].probability)


def test_texts_are_shown_token_by_token(tmp_path):
    texts = ["fever and cough", "a broken bone", "cough", "bone"]
    codec = learn_codec(texts)
    tinydx.set_seed(0)
    model = build_bag(len(codec), 2)
    model.class_names, model.preprocessing = ["flu", "injury"], {"kind": "text", "codec": codec.config(), "size": 12}
    model.save(tmp_path / "model.safetensors", include_optimizer=False)
    page = tmp_path / "page.png"
    [panel] = explain_files(str(tmp_path / "model.safetensors"), ["fever and cough"], output=page, say=str)
    assert panel.parts and len(panel.parts) <= panel.explanation.map.shape[1]
    assert (panel.explanation.map[0, len(panel.parts) :] == 0).all() and panel.explanation.map.any()
    assert page.exists() and panel.truth is None and panel.error is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "magic"], "no method 'magic': there is gradient"),
        (["--target", "healthy"], "is no class of"),
        (["--output", "page.jpg"], "give a name that ends in .png"),
    ],
)
def test_what_cannot_be_explained_is_one_line(images, tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    file = str(next((images / "ill").iterdir()))
    assert cli.main(["explain", str(images / "model.safetensors"), file, *options]) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert words in error[-1] and error[-1].startswith("tinydx: ") and not list(tmp_path.iterdir())


def test_the_map_of_the_command_is_the_map_of_the_function(images, tmp_path):
    model = load_model(images / "model.safetensors")
    file = str(sorted((images / "ill").iterdir())[0])
    [panel] = explain_files(str(images / "model.safetensors"), [file], output=tmp_path / "p.png", say=str)
    assert np.array_equal(panel.explanation.map, tinydx.explain.grad_cam(model, panel.x[None]).map)


def test_a_folder_is_explained_file_by_file_and_a_lie_in_the_model_is_refused(images, tmp_path):
    said: list[str] = []
    panels = explain_files(str(images / "model.safetensors"), [str(images / "ill")], output=tmp_path / "p.png", say=said.append)
    assert len(panels) == 2 and said[0].startswith(str(images / "ill"))
    model = load_model(images / "model.safetensors")
    model.preprocessing = {**model.preprocessing, "target_size": [60000, 60000]}
    model.save(tmp_path / "lie.safetensors", include_optimizer=False)
    with pytest.raises(ValueError, match="does not say how to read images"):
        explain_files(str(tmp_path / "lie.safetensors"), [str(images / "ill")], output=tmp_path / "q.png", say=str)
    assert not (tmp_path / "q.png").exists()


# ---- recordings ----------------------------------------------------------------------------------------------------


def sound_model(path, summarised):
    """A model of recordings of 2 seconds, not trained."""
    tinydx.set_seed(0)
    how = {"kind": "sound", "seconds": 2, "features": augmentation("none").options}
    if summarised:
        how |= {"mean": [0.0] * 160, "spread": [1.0] * 160}
    model = build_dense(160, 2) if summarised else build_rnn(32, 2)
    model.class_names, model.preprocessing = ["murmur", "none"], how
    model.save(path, include_optimizer=False)
    return str(path)


@pytest.mark.parametrize("summarised", [False, True])
def test_recordings_are_played_back(tmp_path, summarised):
    pytest.importorskip("soundfile")
    model = sound_model(tmp_path / "model.safetensors", summarised)
    time = np.arange(4000) / 2000
    save_sound(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 90 * time) * (1 + np.sin(8 * time)) / 2, 2000)
    page = tmp_path / "page.png"
    [panel] = explain_files(model, [str(tmp_path / "a.wav")], output=page, say=str)
    assert (panel.parts is not None) == summarised and panel.heard.part.shape == panel.heard.whole.shape == (4000,)
    if summarised:
        assert len(panel.parts) == 160 and "Hz, " in panel.explanation.sentence
    html = page.with_suffix(".html").read_text("utf-8")
    inside = [base64.b64decode(data) for data in re.findall(r'src="data:audio/wav;base64,([^"]+)"', html)]
    beside = [(tmp_path / f"page-1-{what}.wav").read_bytes() for what in ("recorded", "heard")]
    assert inside == beside and not re.search(r"(src|href)=\"(?!data:)", html)
    samples, rate = load_sound(tmp_path / "page-1-recorded.wav")
    assert rate == 8000 and len(samples) == 16000  # browsers play nothing slower
    assert np.abs(samples[::4] - panel.heard.whole)[100:-100].max() < 0.01


def test_a_wav_is_never_louder_than_it_can_be():
    loud = wav(np.array([3.0, -1.5, 0.0]), 8000)
    assert np.frombuffer(loud[44:], "<i2").tolist() == [32767, -16384, 0]
    assert not np.frombuffer(wav(np.zeros(4), 44100)[44:], "<i2").any()


# ---- what cannot be read, and predict ------------------------------------------------------------------------------


def test_files_that_cannot_be_read_do_not_cost_the_page(images, tmp_path, capsys):
    good, bad = str(next((images / "ill").iterdir())), tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    page = str(tmp_path / "page.png")
    assert cli.main(["explain", str(images / "model.safetensors"), str(bad), good, "--output", page]) == 1
    found = capsys.readouterr()
    assert "bad.png" in found.err and "1 of 2 images could not be read; " in found.err and "Look at" in found.out
    assert (tmp_path / "page.png").exists() and (tmp_path / "page.html").read_text("utf-8").count("<figure") == 1
    assert cli.main(["explain", str(images / "model.safetensors"), str(bad), "--output", str(tmp_path / "none.png")]) == 1
    assert not (tmp_path / "none.png").exists()


def test_predict_writes_the_page_too(images, tmp_path, capsys):
    files = [str(f) for f in sorted((images / "ill").iterdir())]
    page = tmp_path / "page.png"
    assert cli.main(["predict", str(images / "model.safetensors"), *files, "--explain", str(page)]) == 0
    found = capsys.readouterr()
    assert len(found.out.splitlines()) == 2 and all(row.count("\t") == 2 for row in found.out.splitlines())
    assert "Look at" in found.err and page.exists() and page.with_suffix(".html").exists()
