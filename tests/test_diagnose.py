"""The main job, from images to a report, on data small enough for a test; and the ways in which data can be wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from tinydx import cli, dispatch
from tinydx.datasets.folders import patient, set_aside
from tinydx.datasets.phantom import write_phantom_folders
from tinydx.diagnosis.kind import Options, Plan
from tinydx.diagnosis.kinds.image import KIND, augmentation, build_blocks, build_cnn, in_its_colours, input_shape, open_study
from tinydx.models import load_model
from tinydx.preprocessing.image import ImageDataGenerator, save_img


def bright_and_dark(folder, n=24, names=("bright", "dark"), size=28, seed=0):
    """Class folders that any model can tell apart: one is bright, one is dark."""
    rng = np.random.default_rng(seed)
    for k, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            level = 200 - 150 * k // (len(names) - 1)
            pixels = rng.integers(level - 40, level + 40, (size, size, 3)).astype("float32")
            save_img(folder / name / f"{i:03d}.png", pixels, scale=False)
    return folder


def run(data, output):
    """The document's program with settings that learn bright from dark in a second or two."""
    options = ["--network", "document", "--size", "28", "--epochs", "6", "--batch", "8", "--augment", "none"]
    return cli.main(["diagnose", "--data", str(data), *options, "--output", str(output)])


def stripes(folder, n=30, size=28, share=0.5, colour=False):
    """Class folders that no brightness tells apart: one has stripes along the rows, the other along the columns."""
    rng = np.random.default_rng(1)
    for k, name in enumerate(("across", "upright")):
        (folder / name).mkdir(parents=True)
        for i in range(round(2 * n * (share if k else 1 - share))):
            wave = np.sin(2 * np.pi * (np.arange(size) / 7 + rng.random()))
            grey = 120 + rng.uniform(20, 60) * np.broadcast_to(wave if k else wave[:, None], (size, size))
            pixels = grey[..., None] + rng.normal(0, 10, (size, size, 3 if colour else 1))
            save_img(folder / name / f"{i:03d}.png", np.broadcast_to(pixels, (size, size, 3)).astype("float32"), scale=False)
    return folder


@pytest.fixture(scope="module")
def by_default(tmp_path_factory):
    """One run of the default recipe with few steps; its data, output folder, metrics."""
    root = tmp_path_factory.mktemp("recipe")
    data, other, output = stripes(root / "data"), stripes(root / "elsewhere", n=10, share=0.8), root / "out"
    options = ["--size", "28", "--epochs", "3", "--steps", "20", "--batch", "16", "--also", str(other), "--output", str(output)]
    assert cli.main(["diagnose", "--data", str(data), *options]) == 0
    return data, output, json.loads((output / "metrics.json").read_text())


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """One run of the command on class folders without a test part; its data, output folder."""
    root = tmp_path_factory.mktemp("diagnose")
    data = bright_and_dark(root / "data")
    output = root / "out"
    assert run(data, output) == 0
    return data, output


def test_it_writes_model_history_metrics_and_page(result):
    _, output = result
    names = {"model.safetensors", "history.json", "history.csv", "metrics.json", "report.png", "card.md", "card.json"}
    assert names == {p.name for p in output.iterdir()}
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["roc_auc"] > 0.9 and metrics["data"]["images"]["test"]["bright"] > 0
    assert len(json.loads((output / "history.json").read_text())["loss"]) == 6


def test_predict_names_the_class_that_the_folder_had(result, capsys):
    data, output = result
    files = [str(data / name / "000.png") for name in ("bright", "dark")]
    assert cli.main(["predict", str(output / "model.safetensors"), *files]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == files and [line[1] for line in lines] == ["bright", "dark"]
    assert all(0.5 <= float(line[2]) <= 1 for line in lines)


def test_predict_reads_for_a_model_that_learnt_from_the_generator(result, capsys, tmp_path):
    data, output = result
    trained, model = load_model(output / "model.safetensors"), build_cnn((28, 28, 3), 2)
    batches = ImageDataGenerator(rescale=1 / 255).flow_from_directory(data, (28, 28), class_mode="binary")
    model.fit(batches, epochs=1, verbose=0)
    model.set_weights(trained.get_weights())
    model.save(tmp_path / "own.safetensors")
    capsys.readouterr()
    assert cli.main(["predict", str(tmp_path / "own.safetensors"), str(data / "dark" / "000.png")]) == 0
    assert "\tdark\t" in capsys.readouterr().out


def test_predict_refuses_a_model_that_does_not_know_how_to_read(result, capsys, tmp_path):
    data, output = result
    model = load_model(output / "model.safetensors")
    del model.preprocessing["kind"]
    model.save(tmp_path / "unknown.safetensors")
    assert cli.main(["predict", str(tmp_path / "unknown.safetensors"), str(data / "dark" / "000.png")]) == 1
    assert "`tinydx diagnose` did not make it" in capsys.readouterr().err


def test_predict_names_a_broken_file_and_goes_on(result, capsys, tmp_path):
    data, output = result
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    good = str(data / "dark" / "001.png")
    assert cli.main(["predict", str(output / "model.safetensors"), str(broken), good]) == 1
    captured = capsys.readouterr()
    first, *rest = captured.err.splitlines()
    assert "broken.png" in first and "broken.png" not in "".join(rest) and captured.out.startswith(good)


def test_the_same_seed_gives_the_same_model(result, tmp_path):
    data, output = result
    again = tmp_path / "again"
    run(data, again)
    first, second = (load_model(folder / "model.safetensors") for folder in (output, again))
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))


def test_three_classes_get_a_softmax(tmp_path):
    data = bright_and_dark(tmp_path / "data", n=12, names=("a", "b", "c"))
    output = tmp_path / "out"
    assert cli.main(["diagnose", "--data", str(data), "--size", "22", "--epochs", "1", "--output", str(output)]) == 0
    assert load_model(output / "model.safetensors").predict(np.zeros((1, 22, 22, 3), "float32")).shape == (1, 3)


def test_an_npz_without_test_images_is_tested_on_its_val_images(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 40), ("val", 16)):
        y = np.arange(n) % 2
        arrays[f"{split}_images"] = (rng.integers(0, 60, (n, 28, 28)) + 150 * y[:, None, None]).astype("uint8")
        arrays[f"{split}_labels"] = y[:, None].astype("uint8")
    np.savez(tmp_path / "pneumoniamnist.npz", **arrays)
    study = open_study(tmp_path)  # the folder that holds it will do
    assert study.class_names == ["normal", "pneumonia"] and len(study.test.y) == 16 and len(study.val.y) == 4
    assert study.train.x.shape == (36, 28, 28, 3) and any("its val images serve as the test" in note for note in study.notes)


def test_official_splits_are_kept(tmp_path):
    for split, n in (("train", 12), ("val", 3), ("test", 5)):
        bright_and_dark(tmp_path / split, n=n, seed=n)
    study = open_study(tmp_path, size=24)
    assert [len(s.y) for s in (study.train, study.val, study.test)] == [24, 6, 10] and not study.notes


def test_limit_takes_some_of_each_class(tmp_path):
    study = open_study(bright_and_dark(tmp_path / "data", n=20), size=24, limit=3)
    assert np.bincount(study.train.y).tolist() == [3, 3]


def test_patients_and_copies_stay_on_one_side(tmp_path):
    folder = tmp_path / "ill"
    folder.mkdir()
    files = []
    for i in range(60):
        path = folder / f"person{i // 3}_virus_{i}.png"
        path.write_bytes(bytes([i // 2]))  # files 2i and 2i+1 are copies of each other
        files.append((str(path), i % 2))
    rest, aside = set_aside(files, 0.2, seed=1)
    assert not {patient(p) for p, _ in rest} & {patient(p) for p, _ in aside}
    content = [{Path(p).read_bytes() for p, _ in part} for part in (rest, aside)]
    assert not content[0] & content[1] and {k for _, k in aside} == {0, 1}


def test_real_radiographs_are_split_patient_by_patient(real_data):
    study = open_study(real_data("chest_xray_kermany_folders"), size=32, limit=60)
    people = [{patient(f) for f in part.files or []} for part in (study.train, study.val, study.test)]
    assert not people[0] & people[2] and not people[0] & people[1] and not people[1] & people[2]
    assert study.class_names == ["normal", "pneumonia"]


# ---- the recipe ----------------------------------------------------------------------------------------------------


def test_the_recipe_learns_and_says_what_it_is(by_default):
    _, output, metrics = by_default
    recipe = metrics["recipe"]
    assert metrics["roc_auc"] > 0.9
    assert (recipe["network"], recipe["augment"], recipe["steps"], recipe["batch"]) == ("blocks", "framing", 60, 16)
    assert recipe["threshold"] == metrics["threshold"] == 0.5 and len(recipe["why"]) >= 5
    assert load_model(output / "model.safetensors").preprocessing["threshold"] == 0.5


def test_validation_says_what_changed_images_cost(by_default):
    _, _, metrics = by_default
    validation = metrics["validation"]
    assert {"roc_auc", "roc_auc_shifted", "accuracy", "accuracy_shifted", "sentence"} <= set(validation)
    means = np.mean([[change[k] for k in ("roc_auc", "accuracy")] for change in validation["changes"]], axis=0)
    assert [validation["roc_auc_shifted"], validation["accuracy_shifted"]] == pytest.approx(means.tolist())
    assert "ROC AUC when images are" in validation["sentence"]
    baseline = validation["baseline"]
    assert baseline["name"] in validation["sentence"] and f"{baseline['roc_auc']:.3f}" in validation["sentence"]


def test_predict_prepares_a_file_as_the_test_was_prepared(by_default, capsys):
    """Standardisation stands in the model's file: the command and the study's batches give the same probability."""
    data, output, _ = by_default
    model, study = load_model(output / "model.safetensors"), open_study(data, size=28)
    study.preprocessing = model.preprocessing
    expected = model.predict(KIND.plain_batches(study, study.test, 4))[:, 0]
    assert cli.main(["predict", str(output / "model.safetensors"), *study.test.files]) == 0
    printed = [line.split("\t")[1:] for line in capsys.readouterr().out.splitlines()]
    p = [float(value) if name == "upright" else 1 - float(value) for name, value in printed]
    assert p == pytest.approx(expected.tolist(), abs=6e-4)
    assert cli.main(["predict", str(output / "model.safetensors"), *study.test.files]) == 0
    assert [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()] == [
        study.class_names[k] for k in (expected > 0.5).astype(int)
    ]


def test_a_model_that_is_no_better_says_so_first(tmp_path, capsys):
    """Noise under two names: nothing to learn, and the first words after training are that nothing was learnt."""
    rng = np.random.default_rng(2)
    for name in ("ill", "well"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(20):
            save_img(tmp_path / "data" / name / f"{i}.png", rng.integers(0, 255, (24, 24, 1)).astype("float32"), scale=False)
    options = ["--size", "24", "--epochs", "2", "--steps", "5", "--batch", "8", "--output", str(tmp_path / "out")]
    assert cli.main(["diagnose", "--data", str(tmp_path / "data"), *options]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    closing = capsys.readouterr().out.split("\n\n", 1)[1]
    assert closing.startswith("Not better than") and closing.startswith(metrics["verdict"])
    names = [row["name"] for row in metrics["baselines"]]
    assert names[0].startswith("the majority class") and "pixels" in names[1]
    assert all(f"  {name}: " in closing for name in names) and "On 8 test images that training never saw" in closing


def test_the_other_folder_is_tested_too(by_default, capsys):
    _, _, metrics = by_default
    (row,) = metrics["elsewhere"]
    assert row["path"].endswith("elsewhere") and row["count"] == 20 and row["class_counts"] == {"across": 4, "upright": 16}


def test_the_same_seed_gives_the_same_recipe(by_default, tmp_path):
    data, output, _ = by_default
    options = ["--size", "28", "--epochs", "3", "--steps", "20", "--batch", "16", "--output", str(tmp_path)]
    assert cli.main(["diagnose", "--data", str(data), *options]) == 0
    first, second = (load_model(folder / "model.safetensors") for folder in (output, tmp_path))
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))


def planned(path, size=28, **options):
    study = open_study(path, size=size)
    return study, KIND.plan(study, Options(**options))


def test_real_images_get_the_recipe_and_the_document_s_program_stays(tmp_path):
    data = stripes(tmp_path, n=20)
    study, plan = planned(data)
    assert plan[:2] == ("blocks", "framing") and plan.weights == "last" and plan.epochs * plan.steps >= 300 and plan.batch == 64
    assert study.preprocessing["standardise"] and study.preprocessing["color_mode"] == "grayscale"
    for augment in ("document", "none"):
        study, plan = planned(data, network="document", augment=augment)
        assert plan._replace(why=()) == Plan("document", augment, 10, None, 32)
        assert study.preprocessing == {
            "target_size": [28, 28],
            "color_mode": "rgb",
            "interpolation": "bilinear",
            "rescale": 1 / 255,
        }
        batches, reference = KIND.training_batches(study, plan, 3), augmentation(augment)
        expected = reference.flow(study.train.x, study.train.y, batch_size=32, seed=3)
        assert all(np.array_equal(a, b) for a, b in zip(next(batches), next(expected), strict=True))
    study, plan = planned(data, network="document", augment="framing")
    assert plan.weights == "last" and KIND.build(study, plan).count_params() > 5e4 and study.preprocessing["standardise"]


def test_synthetic_images_keep_the_document_s_program(tmp_path):
    write_phantom_folders(tmp_path / "phantoms", size=32, train=4, val=2, test=2)
    study, plan = planned(tmp_path / "phantoms", size=32)
    assert study.synthetic and plan._replace(why=()) == Plan("document", "document", 8, 16, 32)
    assert KIND.usual_size(None, Options()) == KIND.usual_size(tmp_path / "phantoms", Options()) == 150
    assert (
        KIND.usual_size(tmp_path, Options()) is None
        and KIND.usual_size(tmp_path, Options(network="document", augment="none")) == 150
    )


def test_epochs_asked_for_are_passes(tmp_path):
    study, plan = planned(stripes(tmp_path, n=20), epochs=3, batch=5)
    assert plan.epochs == 3 and plan.steps == -(-len(study.train.y) // 5)


def test_colours_that_say_something_are_kept(tmp_path):
    study, _ = planned(stripes(tmp_path, colour=True))
    assert study.preprocessing["color_mode"] == "rgb" and input_shape(study) == (28, 28, 3)


def test_a_network_of_grey_images_takes_the_luminance_of_coloured_ones():
    x = np.zeros((1, 2, 2, 3), np.uint8)
    x[..., 1] = 100
    assert (in_its_colours(x, {"color_mode": "grayscale"}) == 59).all() and in_its_colours(x, {"color_mode": "rgb"}) is x


@pytest.mark.parametrize(("side", "last"), [(64, 4), (28, 3), (22, 5), (5, 5)])
def test_blocks_pool_while_six_pixels_are_left(side, last):
    shape = (None, side, side, 1)
    for layer in build_blocks(shape[1:], 2).layers[:-2]:
        shape = layer.output_shape(shape)
    assert shape == (None, last, last, 128)


def test_shifted_examples_are_a_fixed_set_of_changes(tmp_path):
    study, _ = planned(stripes(tmp_path, n=10))
    before = study.val.x.copy()
    first, again, other = (KIND.shifted(study, study.val, seed) for seed in (0, 0, 1))
    count = len(study.val.y)
    assert len(first.y) == len(KIND.changes) * count and first.x.dtype == np.uint8
    assert np.array_equal(first.y, np.tile(study.val.y, len(KIND.changes))) and first.files == study.val.files * len(KIND.changes)
    assert np.array_equal(first.x, again.x) and not np.array_equal(first.x, other.x) and np.array_equal(before, study.val.x)
    for k in range(len(KIND.changes)):
        assert not np.array_equal(first.x[k * count : (k + 1) * count], study.val.x)


def test_features_are_small_grey_pixels(tmp_path):
    study = open_study(stripes(tmp_path), size=64)
    assert KIND.features(study, study.test).shape == (len(study.test.y), 32 * 32)
    small = open_study(tmp_path, size=28)
    x = KIND.features(small, small.test)
    assert x.shape == (len(small.test.y), 28 * 28) and x.dtype == np.float32 and 0 <= x.min() < x.max() <= 1


def test_a_folder_of_other_classes_is_refused_before_training(tmp_path, capsys):
    data, other = stripes(tmp_path / "data", n=10), bright_and_dark(tmp_path / "other", n=2)
    options = ["--size", "28", "--output", str(tmp_path / "out")]
    for path, word in ((other, "bright"), (tmp_path / "nowhere", "nowhere")):
        assert cli.main(["diagnose", "--data", str(data), "--also", str(path), *options]) == 1
        err = capsys.readouterr().err
        assert word in err and err.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [["--network", "forest"], ["--kind", "image", "--network", "Blocks"]])
def test_an_unknown_network_is_one_line_and_nothing_is_written(tmp_path, capsys, option):
    data = stripes(tmp_path / "data", n=10)
    assert cli.main(["diagnose", "--data", str(data), *option, "--output", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert option[-1] in err and "blocks, document" in err and err.count("\n") == 1 and not (tmp_path / "out").exists()


# ---- data that cannot be used --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: (d / "dark" / "000.png").write_bytes(b"\x89PNG"), "000.png"),
        (lambda d: (d / "empty").mkdir(), "empty"),
        (lambda d: save_img(d / "loose.png", np.zeros((9, 9, 3))), "loose.png"),
        (lambda d: [p.unlink() for p in (d / "dark").iterdir()], "dark"),
    ],
)
def test_bad_folders_are_one_line_and_nothing_is_written(tmp_path, capsys, spoil, words):
    data = bright_and_dark(tmp_path / "data", n=8)
    spoil(data)
    assert cli.main(["diagnose", "--data", str(data), "--size", "28", "--output", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_an_unusable_file_is_told_what_would_be_usable(tmp_path):
    (tmp_path / "notes.md").write_text("no images here")
    with pytest.raises(ValueError, match="neither a folder nor a table"):
        open_study(tmp_path / "notes.md")


def test_images_too_small_for_the_network_are_refused():
    with pytest.raises(ValueError, match="does not fit"):
        build_cnn((20, 20, 3), 2)


def test_the_first_compilation_is_announced(capsys):
    """Half a minute of silence in the first epoch would look like a hang."""
    pytest.importorskip("numba", reason="the CPU kernels need numba: pip install numba")
    assert dispatch.load_kernels("numba") is None
    from tinydx_kernels.cpu.notice import Compilation

    compilation = Compilation()
    for _ in range(3):  # three kernels, one after the other
        compilation.on_start(None)
        compilation.on_end(None)
    assert compilation.kernels == 3
    assert len(capsys.readouterr().err.splitlines()) == 1  # said once
    compilation.seconds = 21.0
    compilation.report()
    assert "3 CPU kernels in 21 s" in capsys.readouterr().err
