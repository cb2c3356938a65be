"""What a resumed run must have in common with the run it goes on: else one line says what differs, and nothing changes."""

import random as standard
from contextlib import suppress

import numpy as np
import pytest
from small import dense_model, noisy_model, same_weights, two_classes

import tinydx
from tinydx import optimizers
from tinydx.callbacks import Callback, CSVLogger, ReduceLROnPlateau
from tinydx.layers import Dense
from tinydx.models import Sequential
from tinydx.preprocessing.image import ImageDataGenerator, save_img

X, Y = two_classes()


class Stop(Callback):
    """Interrupts after an epoch, before the run is saved."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def train(data, path=None, stop=None, epochs=5, make=dense_model, **options):
    """A run that may be interrupted; the model."""
    model = make()
    watching = [*options.pop("callbacks", []), Stop(stop)]
    with suppress(KeyboardInterrupt):
        model.fit(*data, epochs=epochs, verbose=0, resume=path, callbacks=watching, **options)
    return model


# ---- sources that shuffle by themselves ----------------------------------------------------------------------------


class Batches:
    """The Sequence of public scripts: batches of 8, in an order that on_epoch_end chooses."""

    def __init__(self):
        self.order = np.arange(len(X))
        self.on_epoch_end()

    def __len__(self):
        return 5

    def __getitem__(self, i):
        rows = self.order[8 * i : 8 * i + 8]
        return X[rows], Y[rows]

    def on_epoch_end(self):
        raise NotImplementedError


class Anew(Batches):
    def on_epoch_end(self):
        self.order = np.arange(len(X))
        np.random.shuffle(self.order)


class InPlace(Batches):
    def on_epoch_end(self):
        np.random.shuffle(self.order)


class ByPython(Batches):
    def on_epoch_end(self):
        order = list(range(len(X)))
        standard.shuffle(order)
        self.order = np.array(order)


class Seeded(Batches):
    def __init__(self):
        self.draws = np.random.default_rng(5)
        super().__init__()

    def on_epoch_end(self):
        self.order = self.draws.permutation(len(X))


class Remembering(Batches):
    """It draws where nobody can know, and says itself how it goes on."""

    def on_epoch_end(self):
        self.order = np.random.default_rng().permutation(len(X)) if hasattr(self, "shuffled") else self.order
        self.shuffled = True

    def state(self):
        return {"order": self.order}

    def load_state(self, state):
        self.order = np.asarray(state["order"])


class Unseeded(Batches):
    def on_epoch_end(self):
        self.order = np.random.default_rng().permutation(len(X))


def seed_all(seed):
    tinydx.set_seed(seed)
    np.random.seed(seed)
    standard.seed(seed)


@pytest.mark.parametrize("steps", [None, 3, 7])
@pytest.mark.parametrize("kind", [Anew, Seeded, ByPython])
def test_a_sequence_that_shuffles_goes_on_with_the_same_batches(kind, steps, tmp_path):
    seed_all(1)
    whole = train((kind(),), steps_per_epoch=steps, make=noisy_model)
    seed_all(1)
    train((kind(),), tmp_path / "run", stop=2, steps_per_epoch=steps, make=noisy_model)
    seed_all(99)  # a new process
    assert same_weights(whole, train((kind(),), tmp_path / "run", steps_per_epoch=steps, make=noisy_model))


def test_a_sequence_that_says_how_it_goes_on(tmp_path):
    seed_all(1)
    sequence = Remembering()
    train((sequence,), tmp_path / "run", stop=2, make=noisy_model)
    order = None

    class Look(Remembering):
        def load_state(self, state):
            nonlocal order
            order = state["order"]
            super().load_state(state)

    model = noisy_model()
    model.fit(Look(), epochs=3, verbose=0, resume=tmp_path / "run", callbacks=[Stop(None)])
    assert sorted(order.tolist()) == list(range(40)) and order.tolist() != list(range(40))


@pytest.mark.parametrize("kind", [Unseeded, InPlace])
def test_a_sequence_that_cannot_be_repeated_is_refused(kind, tmp_path):
    """InPlace shuffles what __init__ shuffled: another process begins from another order."""
    seed_all(1)
    train((kind(),), tmp_path / "run", stop=2)
    seed_all(99)
    model = dense_model()
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"the {kind.__name__} does not give the batches of the run: .*state.. and load_state"):
        model.fit(kind(), epochs=5, verbose=0, resume=tmp_path / "run", callbacks=[Stop(None)])
    assert same_weights(model, before)


def stream(seed):
    draws = np.random.default_rng(seed)
    while True:
        rows = draws.integers(0, len(X), 8)
        yield X[rows], Y[rows]


def test_a_generator_that_gives_other_batches_is_refused(tmp_path):
    tinydx.set_seed(0)
    whole = train((stream(3),), steps_per_epoch=4)
    tinydx.set_seed(0)
    train((stream(3),), tmp_path / "run", stop=2, steps_per_epoch=4)
    with pytest.raises(ValueError, match="the data generator gives other batches than in the run, its number 8 differs: seed it"):
        train((stream(4),), tmp_path / "run", steps_per_epoch=4)
    assert same_weights(whole, train((stream(3),), tmp_path / "run", steps_per_epoch=4))


@pytest.mark.parametrize("stop", [0, 2])
def test_a_list_of_batches(stop, tmp_path):
    batches = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 40, 8)]
    tinydx.set_seed(0)
    whole = train((batches,), make=noisy_model)
    tinydx.set_seed(0)
    train((batches,), tmp_path / "run", stop=stop, make=noisy_model)
    with pytest.raises(ValueError, match="the list does not give the batches of the run"):
        train((batches[::-1],), tmp_path / "run", make=noisy_model)
    assert same_weights(whole, train((batches,), tmp_path / "run", make=noisy_model))


def test_class_folders_are_known_by_their_files(tmp_path):
    def files(name="a.png"):
        root = tmp_path / f"data_{name}"
        for at, path in enumerate((f"ill/{name}", "ill/b.png", "well/c.png", "well/d.png")):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            save_img(root / path, np.full((4, 4, 1), 50.0 * at))
        flow = {"target_size": (4, 4), "color_mode": "grayscale", "class_mode": "binary", "batch_size": 2}
        return ImageDataGenerator().flow_from_directory(root, **flow)

    train((files(),), tmp_path / "run", epochs=1, make=image_model)
    with pytest.raises(ValueError, match="the state was saved with"):
        train((files("z.png"),), tmp_path / "run", epochs=2, make=image_model)
    train((files(),), tmp_path / "run", epochs=2, make=image_model)


# ---- what must be the same -----------------------------------------------------------------------------------------

OTHER_X, OTHER_Y = X.copy(), Y.copy()
OTHER_X[17, 2] += 1
OTHER_Y[3] = 1 - OTHER_Y[3]
WEIGHTS = {0: 1.0, 1: 2.0}
W = np.linspace(1, 2, 40)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {"data": (OTHER_X, Y)}, "x of the training data is another than in the run"),
        ({}, {"data": (X, OTHER_Y)}, "y of the training data is another than in the run"),
        ({}, {"data": (X.astype("float64"), Y)}, "x of the training data is another"),
        ({}, {"class_weight": WEIGHTS}, "class_weight was None in the run, now it is {'0': 1.0, '1': 2.0}"),
        ({"class_weight": WEIGHTS}, {}, "class_weight was .*now it is None"),
        ({"class_weight": WEIGHTS}, {"class_weight": {0: 1.0, 1: 3.0}}, "class_weight was"),
        ({}, {"sample_weight": W}, "sample_weight of the training data is another"),
        ({"sample_weight": W}, {"sample_weight": W + 1}, "sample_weight of the training data is another"),
        ({}, {"shuffle": False}, "shuffle of the training data was True in the run, now it is False"),
        ({}, {"batch_size": 20}, "trained on 40 examples in batches of 32, now there are 40 in 20"),
        ({}, {"steps_per_epoch": 5}, "steps_per_epoch was 2 in the run, now it is 5"),
        ({}, {"validation_data": (X, Y)}, "validation_data"),
        ({"validation_data": (X, Y)}, {}, "validation_data"),
        ({"validation_data": (X, Y)}, {"validation_data": (X, OTHER_Y)}, "y of the validation data is another"),
        ({"validation_data": (X, Y)}, {"validation_data": (X, Y), "validation_steps": 1}, "validation_steps was None"),
        ({"validation_split": 0.25}, {"validation_split": 0.5}, "trained on 30 examples"),
        ({}, {"make": lambda: dense_model(optimizer=optimizers.Adam(0.01))}, "learning_rate was 0.001 in the run, now"),
    ],
)
def test_other_data_and_settings_are_refused_by_name(first, second, message, tmp_path):
    train((X, Y), tmp_path / "run", epochs=2, **first)
    before = (tmp_path / "run").read_bytes()
    model = second.pop("make", dense_model)()
    weights = model.get_weights()
    with pytest.raises(ValueError, match=message) as caught:
        model.fit(*second.pop("data", (X, Y)), epochs=4, verbose=0, resume=tmp_path / "run", callbacks=[Stop(None)], **second)
    assert "\n" not in str(caught.value)
    assert same_weights(model, weights) and (tmp_path / "run").read_bytes() == before


@pytest.mark.parametrize(
    "options", [{}, {"class_weight": WEIGHTS, "sample_weight": W}, {"validation_split": 0.5, "shuffle": False}]
)
def test_the_same_data_in_other_memory_goes_on(options, tmp_path):
    train((X, Y), tmp_path / "run", epochs=2, **options)
    train((np.asfortranarray(X), Y.copy()), tmp_path / "run", epochs=3, **options)
    assert train((X[::-1][::-1], Y), tmp_path / "run", epochs=4, **options).optimizer.iterations > 0


def images(change=False, **augment):
    x, y = np.random.default_rng(0).random((12, 4, 4, 1)), np.arange(12) % 2
    x[5, 0, 0, 0] += change
    return ImageDataGenerator(**augment).flow(x, y, batch_size=4, seed=1)


def image_model():
    model = Sequential([tinydx.layers.Flatten(input_shape=(4, 4, 1)), Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model


@pytest.mark.parametrize("other", [{"change": True}, {"rotation_range": 5}, {"rescale": 0.5}])
def test_other_images_or_augmentation_are_refused(other, tmp_path):
    train((images(),), tmp_path / "run", epochs=1, make=image_model)
    with pytest.raises(ValueError, match="the state was saved with"):
        train((images(**other),), tmp_path / "run", epochs=2, make=image_model)
    train((images(),), tmp_path / "run", epochs=2, make=image_model)


def test_a_rate_that_a_callback_changed_is_no_other_rate(tmp_path):
    slower = {"callbacks": [ReduceLROnPlateau("loss", min_delta=100, patience=1)]}
    model = dense_model()
    for epochs in (3, 5):  # in one process: the second fit begins with the rate that the first one ended with
        options = {"resume": tmp_path / "run", "verbose": 0, "callbacks": [*slower["callbacks"], Stop(None)]}
        model.fit(X, Y, epochs=epochs, **options)
    assert model.optimizer.learning_rate < 1e-4
    assert train((X, Y), tmp_path / "run", epochs=5, **slower).optimizer.learning_rate == model.optimizer.learning_rate


# ---- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("stop", [0, 1, 3])
def test_the_csv_has_each_epoch_once(append, stop, tmp_path):
    log = tmp_path / "log.csv"
    if append:
        log.write_text("epoch,loss\n0,7.0\n")  # an earlier run's

    def rows(path, end, **options):
        train((X, Y), path, stop=end, callbacks=[CSVLogger(log, append=append)], **options)
        return [line.split(",")[0] for line in log.read_text().splitlines()]

    rows(tmp_path / "run", stop)
    earlier = ["0"] if append else []
    assert rows(tmp_path / "run", None) == ["epoch", *earlier, "0", "1", "2", "3", "4"]


def test_a_run_killed_in_its_first_epoch_goes_on_from_its_own_weights(tmp_path):
    tinydx.set_seed(1)
    whole = train((X, Y), make=noisy_model)
    tinydx.set_seed(1)
    train((X, Y), tmp_path / "run", stop=0, make=noisy_model)
    tinydx.set_seed(99)
    assert same_weights(whole, train((X, Y), tmp_path / "run", make=noisy_model))
