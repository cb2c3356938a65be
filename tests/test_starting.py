"""`tinydx diagnose --from FILE`: what is taken over, what is new, what is frozen, what is said, and what is refused."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from test_diagnose import stripes
from test_diagnose_text import texts, write_table

from tinydx import cli
from tinydx.diagnosis import elsewhere, ensemble, kinds, starting
from tinydx.diagnosis.kind import Options
from tinydx.layers import Activation, Conv2D, Dense, Flatten, GlobalAveragePooling2D
from tinydx.models import Sequential, load_model

SIZE = 16


def trained(kind, path, file, size=SIZE, **options):
    """The file of a model as `tinydx diagnose` writes it, after a few steps; and its study."""
    subject = kinds.get(kind)
    study = subject.open_study(path, size=size, limit=None, seed=0)
    plan = subject.plan(study, Options(epochs=1, steps=3, batch=8, **options))
    model = subject.build(study, plan)
    model.fit(subject.training_batches(study, plan, 0), epochs=1, steps_per_epoch=3, verbose=0)
    model.class_names, model.preprocessing = study.class_names, {"kind": kind, **study.preprocessing, "threshold": 0.5}
    elsewhere.remember(model, subject, study, {"count": 4, "roc_auc": 0.9, "accuracy": 0.8})
    model.save(file, include_optimizer=False)
    return study


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the data of a source and of a target, which share some images, and the source's file."""
    root = tmp_path_factory.mktemp("starting")
    stripes(root / "source", n=16, size=SIZE)
    stripes(root / "target", n=12, size=SIZE)
    study = trained("image", root / "source", root / "source.safetensors")
    seen = {image.tobytes() for image in study.train.x}
    assert seen
    return root, seen


def diagnosed(root, output, *more):
    options = ["--data", str(root / "target"), "--from", str(root / "source.safetensors"), "--output", str(output)]
    return cli.main(["diagnose", *options, "--epochs", "1", "--steps", "4", "--batch", "8", *more])


@pytest.fixture(scope="module")
def finished(place, tmp_path_factory):
    """A run with all layers but the last one frozen: its output, and its metrics."""
    output = tmp_path_factory.mktemp("begun") / "out"
    assert diagnosed(place[0], output, "--freeze", "all") == 0
    return output, json.loads((output / "metrics.json").read_text())


def test_frozen_layers_are_those_of_the_file_bit_for_bit_and_the_last_is_new(place, finished):
    source, model = load_model(place[0] / "source.safetensors"), load_model(finished[0] / "model.safetensors")
    mine, theirs = model.get_weights(), source.get_weights()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(mine[:-2], theirs[:-2], strict=True))
    assert not np.array_equal(mine[-2], theirs[-2])
    assert [layer.trainable for layer in model.layers] == [False] * (len(model.layers) - 1) + [True]
    reading = [{k: v for k, v in m.preprocessing.items() if k in starting.READ["image"]} for m in (model, source)]
    assert reading[0] == reading[1]


def test_it_says_what_the_source_was_and_what_it_had_seen(place, finished):
    root, seen = place
    output, metrics = finished
    start, file = metrics["start"], root / "source.safetensors"
    assert start["digest"] == hashlib.sha256(file.read_bytes()).hexdigest() == metrics["settings"]["from"]
    assert len(start["frozen"]) == start["layers"] - 1 == metrics["settings"]["freeze"]
    study = kinds.get("image").open_study(root / "target", size=SIZE, limit=None, seed=0)
    counted = {split: sum(x.tobytes() in seen for x in getattr(study, split).x) for split in ("train", "val", "test")}
    assert start["seen"] == counted and counted["test"] > 0
    assert start["training"] == len(load_model(file).preprocessing["training"]["digests"]) // 8 > 0
    card = (output / "card.md").read_text()
    for said in (start["warning"], "its file does not name patients", "Initial weights of the last layer"):
        assert said.lower() in card.lower()
    why = metrics["recipe"]["why"]
    assert "source.safetensors" in why[0] and not any("3x3 convolution" in line for line in why)


def test_the_new_file_remembers_what_trained_the_source(place, finished):
    both = load_model(finished[0] / "model.safetensors").preprocessing["training"]["digests"]
    assert both.endswith(load_model(place[0] / "source.safetensors").preprocessing["training"]["digests"])


def test_without_freeze_every_weight_moves_and_members_share_a_beginning(place):
    start = starting.open_start(str(place[0] / "source.safetensors"))
    kind = starting.begin_from(start, "image")
    study = kind.open_study(place[0] / "target", size=None, limit=None, seed=0)
    plan = kind.plan(study, Options(epochs=1, steps=3, batch=8))
    one, two = kind.build(study, plan), kind.build(study, plan)
    before = one.get_weights()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before[:-2], two.get_weights()[:-2], strict=True))
    assert not np.array_equal(before[-2], two.get_weights()[-2])
    one.fit(kind.training_batches(study, plan, 0), epochs=1, steps_per_epoch=3, verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(before, one.get_weights(), strict=True))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before[:-2], start.model.get_weights()[:-2], strict=True))


def test_other_classes_get_an_output_each(place):
    source = load_model(place[0] / "source.safetensors")
    for classes, outputs in ((2, 1), (5, 5)):
        model = starting.begun(source, "adam", classes, freeze=3)
        assert model.output_shape(source.input_shape)[-1] == outputs
        assert [layer.trainable for layer in model.layers] == [False] * 3 + [True] * (len(model.layers) - 3)


def test_texts_are_read_with_the_words_of_the_source(tmp_path):
    rows = list(texts())
    source = trained("text", write_table(tmp_path / "source.csv", rows), tmp_path / "m.safetensors", size=None)
    other = [(text.replace("fever", "pyrexia"), label) for text, label in rows]
    kind = starting.begin_from(starting.open_start(str(tmp_path / "m.safetensors"), 1), "text")
    study = kind.open_study(write_table(tmp_path / "target.csv", other), size=None, limit=None, seed=0)
    assert study.preprocessing["codec"] == source.preprocessing["codec"]
    plan = kind.plan(study, Options(epochs=1, steps=2, batch=8))
    model = kind.build(study, plan)
    table = model.get_weights()[0]
    model.fit(kind.training_batches(study, plan, 0), epochs=1, steps_per_epoch=2, verbose=0)
    assert model.get_weights()[0].tobytes() == table.tobytes() == kind.start.model.get_weights()[0].tobytes()


def test_sounds_are_scaled_as_the_source_scaled_them(tmp_path):
    pytest.importorskip("soundfile", reason="writing sounds needs soundfile: pip install soundfile")
    from test_diagnose_sound import high_and_low

    source = trained("sound", high_and_low(tmp_path / "a"), tmp_path / "m.safetensors", size=1)
    kind = starting.begin_from(starting.open_start(str(tmp_path / "m.safetensors")), "sound")
    study = kind.open_study(high_and_low(tmp_path / "b", n=8), size=None, limit=None, seed=0)
    assert study.preprocessing["mean"] == source.preprocessing["mean"]
    plan = kind.plan(study, Options(epochs=1, steps=2, batch=8))
    model = kind.build(study, plan)
    assert model.predict(kind.plain_batches(study, study.test, 8)).shape == (len(study.test.y), 1)


def test_a_network_from_elsewhere_is_said_to_be_guessed(tmp_path):
    layers = [Conv2D(3, 3, input_shape=(SIZE, SIZE, 1)), GlobalAveragePooling2D(), Dense(7, activation="softmax")]
    Sequential(layers).save(tmp_path / "m.safetensors")
    start = starting.open_start(str(tmp_path / "m.safetensors"), "all")
    assert (start.size, start.reading["color_mode"], start.freeze) == (SIZE, "grayscale", 2)
    assert "0 to 1 is assumed, and may be wrong" in starting.sentences(start)[-1]
    kind = starting.begin_from(start, "image")
    study = kind.open_study(stripes(tmp_path / "data", n=6, size=20), size=None, limit=None, seed=0)
    for data in (study, replace(study, synthetic=True)):  # synthetic images are trained on as the document does
        plan = kind.plan(data, Options(epochs=1, steps=1, batch=4))
        x, _ = next(kind.training_batches(data, plan, 0))
        assert plan.augment == "document" and x.shape == (4, SIZE, SIZE, 1) and 0 <= x.min() < x.max() <= 1


# ---- what is refused -----------------------------------------------------------------------------------------------


def other_file(path, which):
    """A file of a network from which nothing can begin, by its name."""
    end = Dense(1, activation="sigmoid")
    if which == "logits":
        made = Sequential([Flatten(input_shape=(SIZE, SIZE, 1)), Dense(1), Activation("sigmoid", name="end")])
    elif which == "rows":
        made = Sequential([Dense(4, input_shape=(5,)), end])
    elif which == "ensemble":
        made = ensemble.average([Sequential([Flatten(input_shape=(SIZE, SIZE, 1)), Dense(1)]) for _ in range(2)])
    else:
        path.write_bytes(b"no model")
        return
    made.save(path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--size", "20"], "--size 20: SOURCE reads images of size 16: leave --size out"),
        (["--network", "small"], "--network small: the network is that of SOURCE: leave --network out"),
        (["--augment", "none"], "--augment none: SOURCE reads each image standardised: give --augment framing"),
        (["--freeze", "17"], "--freeze 17: SOURCE has 15 layers before the last one: give at most 15, or all"),
        (["--choose"], "--choose compares networks, --from gives one: leave one of them out"),
        (["--folds", "3"], "--from is for a single training: leave it out, or --folds and --site"),
        (["--kind", "text"], "SOURCE reads images, the data holds texts: begin from a network of that kind"),
        (["--from", "nowhere.safetensors"], "no model file at nowhere.safetensors"),
        (["--from", "logits"], "has end (Activation) as its last layer: to begin from it, it must end in one Dense layer"),
        (["--from", "ensemble"], "holds 2 models: begin from a single one"),
        (["--from", "rows"], "does not say how its inputs are read, and their shape (None, 5) is none of square images"),
        (["--from", "broken"], "is not a whole model file, but truncated, damaged or foreign"),
    ],
)
def test_what_does_not_fit_is_one_line_before_anything_is_trained(place, tmp_path, capsys, more, message):
    root = place[0]
    if more[0] == "--from" and "." not in more[1]:
        other_file(tmp_path / more[1], more[1])
        more = ["--from", str(tmp_path / more[1])]
    assert diagnosed(root, tmp_path / "out", *more) == 1
    error = capsys.readouterr().err
    assert message.replace("SOURCE", str(root / "source.safetensors")) in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_freeze_needs_a_file_and_a_number(tmp_path, capsys):
    assert cli.main(["diagnose", "--freeze", "2", "--output", str(tmp_path / "out")]) == 1
    assert "--freeze is for the network of --from FILE" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["diagnose", "--freeze", "some"])
    assert "'some' is neither a number of layers nor all" in capsys.readouterr().err
