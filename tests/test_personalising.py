"""`tinydx personalise`: a patient's model file from a finished one; what it changes, says, refuses, and leaves alone."""

import json

import numpy as np
import pytest
from test_predicting import SIZE, pictures

from tinydx import cli
from tinydx.datasets import make_patient_sounds
from tinydx.datasets.study import Examples, Study
from tinydx.diagnosis import elsewhere, ensemble, kinds, personalising
from tinydx.diagnosis.kinds import sound
from tinydx.diagnosis.networks import linear_on_tokens
from tinydx.layers import Activation, AveragePooling2D, Dense, Flatten
from tinydx.models import Sequential, load_model
from tinydx.personal.choosing import log_loss
from tinydx.personal.shrinkage import probabilities
from tinydx.preprocessing.files import save_img
from tinydx.preprocessing.sound import save_sound

HOW = {"kind": "image", "target_size": [SIZE, SIZE], "color_mode": "rgb", "interpolation": "bilinear", "rescale": 1 / 255}
NAMES = ["ill", "normal"]


def image_model(outputs=1):
    pool = AveragePooling2D((4, 4), input_shape=(SIZE, SIZE, 3))
    last = Dense(outputs, activation="sigmoid" if outputs == 1 else "softmax")
    model = Sequential([pool, Flatten(), Dense(8, activation="relu"), last])
    model.class_names = NAMES if outputs == 1 else [*NAMES, "other"]
    model.preprocessing = {**HOW, "temperature": 1.5, "conformal_scores": [0.1, 0.2]}
    return model


def own_pictures(folder, count=6, seed=0):
    """A patient's pictures in folders ill/ and normal/: the ill ones are darker."""
    for i, picture in enumerate(pictures(np.random.default_rng(seed), count)):
        name = NAMES[i % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        save_img(folder / name / f"{i}.png", picture // (2 if name == "ill" else 1), scale=False)
    return folder


@pytest.fixture
def place(tmp_path):
    """A folder with an image model, and a patient's pictures in anna/."""
    image_model().save(tmp_path / "model.safetensors")
    own_pictures(tmp_path / "anna")
    return tmp_path


def answers(capsys, model, *entries):
    assert cli.main(["predict", str(model), *map(str, entries)]) == 0
    return capsys.readouterr()


def same(a, b):
    return a.tobytes() == b.tobytes()


# ---- what it does ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_last_layer_moves_towards_the_patient_and_nothing_else_does(place, capsys, outputs):
    image_model(outputs).save(place / "model.safetensors")
    out = place / "anna.safetensors"
    assert cli.main(["personalise", str(place / "model.safetensors"), str(place / "anna"), "--output", str(out)]) == 0
    said = capsys.readouterr().out
    before, after = (load_model(path) for path in (place / "model.safetensors", out))
    weights = list(zip(before.get_weights(), after.get_weights(), strict=True))
    assert all(same(a, b) for a, b in weights[:-2]) and not any(same(a, b) for a, b in weights[-2:])
    assert "6 images of one patient: 3 ill, 3 normal" in said and f"the {9 * outputs} weights of the last layer" in said
    assert "Each left out in turn" in said and "conformal scores" in said and "Warning" not in said
    assert after.preprocessing["temperature"] == 1.5 and "conformal_scores" not in after.preprocessing
    assert after.preprocessing["personal"]["counts"][:2] == [3, 3]
    own = personalising.read_own(before, kinds.get("image"), [str(place / "anna")], None)
    w, v = (personalising.weights_of(m.layers[-1]) for m in (before, after))
    p, target = probabilities(own.x @ v), own.y[:, None] if outputs == 1 else np.eye(3)[own.y]
    penalty = after.preprocessing["personal"]["penalty"]
    np.testing.assert_allclose(own.x.T @ (p - target) + 2 * penalty * (v - w), 0, atol=1e-4 * penalty)  # the minimum
    assert log_loss(own.y, p) < log_loss(own.y, probabilities(own.x @ w))
    told = answers(capsys, out, place / "anna")
    assert "a model of one patient, from 6 images: it is for no other" in told.err and len(told.out.splitlines()) == 6


def test_without_recordings_the_answers_are_the_same_bit_for_bit(place, capsys):
    out = place / "none.safetensors"
    assert cli.main(["personalise", str(place / "model.safetensors"), "--output", str(out)]) == 0
    assert "nothing is changed" in capsys.readouterr().out
    x = pictures(np.random.default_rng(1), 5) / np.float32(255)
    before, after = (load_model(path) for path in (place / "model.safetensors", out))
    assert same(before.predict_on_batch(x), after.predict_on_batch(x)) and before.preprocessing == after.preprocessing
    first, second = (answers(capsys, path, place / "anna") for path in (place / "model.safetensors", out))
    assert first.out == second.out and "one patient" not in second.err


def test_the_stronger_the_nearer_to_the_model_of_all(place, capsys):
    far = []
    for strength in ("0.01", "1", "1e6"):
        out = place / f"{strength}.safetensors"
        arguments = ["personalise", str(place / "model.safetensors"), str(place / "anna"), "--output", str(out)]
        assert cli.main([*arguments, "--strength", strength]) == 0
        last = [personalising.weights_of(load_model(p).layers[-1]) for p in (place / "model.safetensors", out)]
        far.append(np.linalg.norm(last[1] - last[0]))
    assert far[0] > far[1] > far[2] and far[2] < 1e-4


def test_few_recordings_and_one_class_are_warned_of(place, capsys):
    arguments = [str(place / "anna" / "ill" / "0.png"), "--output", str(place / "a.safetensors")]
    assert cli.main(["personalise", str(place / "model.safetensors"), *arguments]) == 0
    said = capsys.readouterr().out
    assert "Warning: few images (1)" in said and "Warning: all images are of class ill" in said
    assert said.index("Warning") < said.index("Changed") and "left out in turn" not in said


def test_unlike_inputs_are_warned_of(place, capsys):
    rng = np.random.default_rng(0)
    model, parts = image_model(), [Examples(pictures(rng, n), np.arange(n) % 2) for n in (40, 30, 30)]
    how = {k: v for k, v in HOW.items() if k != "kind"}
    study = Study("disks", NAMES, *parts, False, [], how, "images", "16x16")
    elsewhere.remember(model, kinds.get("image"), study, {"count": 1, "roc_auc": None, "accuracy": 1.0})
    model.save(place / "model.safetensors")
    save_img(place / "anna" / "ill" / "noise.png", rng.uniform(0, 255, (40, 40, 3)), scale=False)
    arguments = ["personalise", str(place / "model.safetensors"), str(place / "anna"), "--output", str(place / "a.safetensors")]
    assert cli.main(arguments) == 0
    assert "unlike the training data, such as" in capsys.readouterr().out


def test_the_strength_is_chosen_on_other_patients(place, capsys):
    rng = np.random.default_rng(2)
    for i, picture in enumerate(pictures(rng, 24)):
        folder = place / "others" / NAMES[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        save_img(folder / f"patient{i // 6:03d}-{i}.png", picture // (2 if i % 2 == 0 else 1), scale=False)
    arguments = ["personalise", str(place / "model.safetensors"), str(place / "anna"), "--output", str(place / "a.safetensors")]
    assert cli.main([*arguments, "--patients", str(place / "others")]) == 0
    said = capsys.readouterr().out
    strength = load_model(place / "a.safetensors").preprocessing["personal"]["strength"]
    assert strength in personalising.STRENGTHS and f"Strength {strength:g}: of 0.01, " in said and "for 4 patients of" in said
    assert cli.main([*arguments, "--patients", str(place / "anna")]) == 1
    assert "--patient PATTERN says whose each file is" in capsys.readouterr().err


def test_heart_sounds_go_the_same_way(tmp_path, capsys):
    pytest.importorskip("soundfile", reason="writing sounds needs soundfile: pip install soundfile")
    x, y, _ = make_patient_sounds(1, 4, seed=0, seconds=2.0)
    for i, samples in enumerate(x):
        folder = tmp_path / "anna" / ("abnormal", "normal")[y[i]]
        folder.mkdir(parents=True, exist_ok=True)
        save_sound(folder / f"{i}.wav", samples, sound.RATE)
    model = sound.build_dense(160, 2)
    features = sound.augmentation("none").options
    model.preprocessing = {"kind": "sound", "seconds": 2, "features": features, "mean": [0.0] * 160, "spread": [1.0] * 160}
    model.class_names = ["abnormal", "normal"]
    model.save(tmp_path / "model.safetensors")
    out = tmp_path / "a.safetensors"
    assert cli.main(["personalise", str(tmp_path / "model.safetensors"), str(tmp_path / "anna"), "--output", str(out)]) == 0
    assert "4 recordings of one patient: 2 abnormal, 2 normal" in capsys.readouterr().out
    assert len(answers(capsys, out, tmp_path / "anna").out.splitlines()) == 4


# ---- what it refuses, in one line, with nothing written --------------------------------------------------------------


def refused(capsys, place, *arguments):
    files = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert cli.main(["personalise", *map(str, arguments)]) == 1
    said = capsys.readouterr().err
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == files
    assert said.startswith("tinydx: ") and len(said.splitlines()) == 1, said
    return said


def test_wrong_inputs_are_refused(place, capsys):
    model, out = place / "model.safetensors", place / "out.safetensors"
    loose, copy, empty = place / "loose.png", place / "anna" / "normal" / "copy.png", place / "anna2" / "ill" / "broken.png"
    loose.write_bytes((place / "anna" / "ill" / "0.png").read_bytes())
    assert "lies in no folder named after a class (ill, normal)" in refused(capsys, place, model, loose, "--output", out)
    assert "is no class of the model" in refused(capsys, place, model, loose, "--label", "sick", "--output", out)
    assert "but --label says normal" in refused(capsys, place, model, place / "anna", "--label", "normal", "--output", out)
    copy.write_bytes(loose.read_bytes())
    assert "is a copy of" in refused(capsys, place, model, place / "anna", "--output", out)
    empty.parent.mkdir(parents=True)
    empty.write_bytes(b"no picture")
    assert "broken.png" in refused(capsys, place, model, place / "anna2", "--output", out)
    assert "missing.png" in refused(capsys, place, model, place / "ill" / "missing.png", "--output", out)


def test_wrong_outputs_and_strengths_are_refused_first(place, capsys):
    model, anna = place / "model.safetensors", place / "anna"
    assert "is the model" in refused(capsys, place, model, anna, "--output", model)
    assert "ends in .safetensors" in refused(capsys, place, model, anna, "--output", anna / "ill" / "0.png")
    assert "create it first" in refused(capsys, place, model, anna, "--output", place / "no" / "x.safetensors")
    for strength in ("0", "-1", "nan", "inf"):
        words = refused(capsys, place, model, anna, "--output", place / "x.safetensors", f"--strength={strength}")
        assert "a number above 0" in words
    assert "leave one of them out" in refused(
        capsys, place, model, anna, "--output", place / "x.safetensors", "--strength", 1, "--patients", anna
    )


def test_models_of_the_wrong_kind_are_refused(place, capsys):
    anna, path, out = place / "anna", place / "wrong.safetensors", place / "out.safetensors"

    def save(model):
        model.class_names, model.preprocessing = NAMES, HOW
        model.save(path)

    save(Sequential([Flatten(input_shape=(SIZE, SIZE, 3)), Dense(1), Activation("sigmoid")]))
    assert "only a Dense layer with a sigmoid or softmax" in refused(capsys, place, path, anna, "--output", out)
    save(ensemble.average([image_model(), image_model()]))
    assert "is an ensemble" in refused(capsys, place, path, anna, "--output", out)
    linear_on_tokens(50, 2).save(path)
    assert "`tinydx diagnose` did not make it" in refused(capsys, place, path, anna, "--output", out)
    assert cli.main(["personalise", str(place / "model.safetensors"), str(anna), "--output", str(path)]) == 0
    capsys.readouterr()
    assert "a patient's model already" in refused(capsys, place, path, anna, "--output", out)


def test_a_forged_note_of_the_patient_is_refused(place, capsys):
    for forged in ({"counts": "many"}, {"counts": [-1]}, {}, 7):
        model = image_model()
        model.preprocessing = json.loads(json.dumps({**model.preprocessing, "personal": forged}))
        model.save(place / "forged.safetensors")
        assert cli.main(["predict", str(place / "forged.safetensors"), str(place / "anna")]) == 1
        assert "does not say how to read" in capsys.readouterr().err
