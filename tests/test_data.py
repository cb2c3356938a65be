"""Sources of batches: order, shuffling, state, lengths, splits and weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinydx
from tinydx.preprocessing.image import ImageDataGenerator
from tinydx.training import data
from tinydx.training.data import ArrayBatches, as_batch, batches, split_off_validation
from tinydx.training.weighting import class_weights_of, combined_weight, number_of_classes


def taken(source, count):
    return [next(source) for _ in range(count)]


@given(st.integers(1, 30), st.integers(1, 12), st.booleans())
def test_a_pass_has_every_example_once(n, size, shuffle):
    x, y = np.arange(n), np.arange(n) * 10
    source = batches(x, y, batch_size=size, shuffle=shuffle)
    for _ in range(2):
        parts = taken(source, len(source))
        assert sorted(np.concatenate([b.x for b in parts])) == list(range(n))
        assert all((b.y == b.x * 10).all() for b in parts)
        assert [len(b.x) for b in parts[:-1]] == [size] * (len(source) - 1)
        if not shuffle:
            assert np.concatenate([b.x for b in parts]).tolist() == x.tolist()


def test_each_pass_is_shuffled_anew_and_the_seed_decides():
    def order():
        tinydx.set_seed(3)
        source = batches(np.arange(20), batch_size=6, shuffle=True)
        return [np.concatenate([b.x for b in taken(source, 4)]).tolist() for _ in range(3)]

    first = order()
    assert first == order() and len({tuple(p) for p in first}) == 3


@given(st.integers(1, 25), st.integers(1, 7), st.integers(0, 12), st.booleans())
def test_state_goes_on_at_the_same_place(n, size, given_out, shuffle):
    source = batches(np.arange(n), batch_size=size, shuffle=shuffle)
    taken(source, given_out)
    state = source.state()
    generator = tinydx.random.state()
    expected = [b.x.tolist() for b in taken(source, 9)]
    other = batches(np.arange(n), batch_size=size, shuffle=shuffle)
    tinydx.set_seed(99)
    tinydx.random.load_state(generator)
    other.load_state(state)
    assert [b.x.tolist() for b in taken(other, 9)] == expected


def test_state_of_other_data():
    state = batches(np.arange(10), batch_size=4).state()
    with pytest.raises(ValueError, match="trained on 10 examples in batches of 4, now there are 11 in 4"):
        batches(np.arange(11), batch_size=4).load_state(state)


def test_reset_goes_back():
    source = batches(np.arange(5), batch_size=2)
    next(source)
    source.reset()
    assert next(source).x.tolist() == [0, 1]


# ---- kinds of data -------------------------------------------------------------------------------------------------


class Series:
    """A sequence of batches that counts its passes."""

    def __init__(self, length=3):
        self.length, self.passes = length, 0

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        return np.full(2, i), np.full(2, 10 * i), np.full(2, 0.5)

    def on_epoch_end(self):
        self.passes += 1


def test_sequences():
    series = Series()
    source = batches(series)
    assert [b.x[0] for b in taken(source, 7)] == [0, 1, 2, 0, 1, 2, 0] and series.passes == 2
    assert next(source).weight.tolist() == [0.5, 0.5]
    other = batches(Series())
    other.load_state(source.state())
    assert next(other).x[0] == next(source).x[0] == 2
    listed = batches([(np.zeros(2), np.ones(2)), (np.ones(2), np.ones(2))])
    assert len(listed) == 2 and next(listed).y.tolist() == [1, 1]


def test_generators():
    source = batches((np.full(1, i), np.full(1, i)) for i in range(5))
    assert not hasattr(source, "__len__")
    assert [b.x[0] for b in taken(source, 3)] == [0, 1, 2]
    other = batches((np.full(1, i), np.full(1, i)) for i in range(5))
    other.load_state(source.state())
    assert next(other).x[0] == 3
    taken(source, 2)
    with pytest.raises(ValueError, match="ended after 5 batches, but more were asked for"):
        next(source)


def test_package_iterators_tell_their_files():
    class Images(Series):
        last_files = None

        def __next__(self):
            self.last_files = ["a.png", "b.png"]
            return np.zeros(2), np.ones(2)

        def state(self):
            return {"at": 7}

        def load_state(self, state):
            self.at = state["at"]

        def reset(self):
            self.at = 0

    images = Images()
    source = batches(images)
    assert next(source).files == ["a.png", "b.png"] and source.state() == {"at": 7}
    source.load_state({"at": 3})
    assert images.at == 3
    source.reset()
    assert images.at == 0


def test_batches_of_tuples():
    x, y = np.zeros((2, 3)), np.ones(2)
    assert as_batch(x).y is None and as_batch((x,)).y is None and as_batch((x, y)).weight is None
    several = as_batch(((x, x), y.tolist()))
    assert isinstance(several.x, list) and several.y.tolist() == [1, 1]
    assert as_batch((tinydx.Tensor(x), y)).x is x
    with pytest.raises(ValueError, match="gave 4 things at once"):
        as_batch((x, y, y, y))


def test_arrays_of_all_kinds():
    assert batches([[1, 2], [3, 4]]).x.dtype == "float32"
    assert [a.shape for a in batches([np.zeros((4, 2)), np.zeros((4, 3))]).x] == [(4, 2), (4, 3)]
    assert batches(tinydx.Tensor(np.ones((2, 2)))).x.tolist() == [[1, 1], [1, 1]]

    class Frame:  # as a table library has it: a shape and __array__, no dtype
        shape = (3, 2)

        def __array__(self, dtype=None, copy=None):
            return np.ones((3, 2))

    assert len(batches(Frame(), [1, 0, 1]).x) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((5, 2)), np.zeros(4)), "lengths differ: x has 5 examples, y has 4 examples"),
        ((np.zeros((5, 2)), np.zeros(5), np.zeros(6)), "x has 5 examples, y has 5 examples, sample_weight has 6"),
        (([np.zeros((5, 2)), np.zeros((4, 2))], np.zeros(5)), r"x\[0\] has 5 examples, x\[1\] has 4"),
        ((np.zeros((0, 2)), np.zeros(0)), "no data: x has 0 examples"),
        ((np.zeros((3, 2)), 1), "y is a single value"),
        ((np.zeros((3, 2)), np.zeros(3), None, 0), "batch_size is 0, expected a whole number of at least 1"),
        (("folder",), "data is a str: expected arrays, or a generator"),
        (({"a": 1},), "data is a dict"),
        ((None,), "data is a NoneType"),
        ((3,), "data is a int"),
        ((Series(0),), "no data: the Series has 0 batches"),
        ((Series(), np.zeros(3)), "y or sample_weight was given besides a generator"),
        ((Series(), None, np.zeros(3)), "y or sample_weight was given besides a generator"),
    ],
)
def test_data_that_cannot_be_used(arguments, message):
    with pytest.raises(ValueError, match=message):
        batches(*arguments)


# ---- splits and weights --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "share", "cut"), [(10, 0.2, 8), (10, 0.25, 7), (3, 0.5, 1), (50, 0.3, 35)])
def test_the_last_part_validates(n, share, cut):
    x, y, w = np.arange(n), np.arange(n) * 2, np.arange(n) * 3
    (a, b, c), (d, e, f) = split_off_validation([x, x], y, w, share)
    assert a[0].tolist() == a[1].tolist() == list(range(cut)) and d[0].tolist() == list(range(cut, n))
    assert (b == a[0] * 2).all() and (e == d[0] * 2).all() and (c == a[0] * 3).all() and (f == d[0] * 3).all()
    assert split_off_validation(x, y, None, share)[0][2] is None


@pytest.mark.parametrize(
    ("share", "message"), [(1.0, "between 0 and 1"), (-0.1, "between 0 and 1"), (0.95, "leaves one side empty")]
)
def test_splits_that_leave_nothing(share, message):
    with pytest.raises(ValueError, match=message):
        split_off_validation(np.zeros(5), np.zeros(5), None, share)


def test_class_weights():
    for labels in ([0, 1, 2], [[0], [1], [2]], [0.0, 1.0, 2.0], np.eye(3)):
        assert class_weights_of(labels, {0: 1.0, 1: 2.0, 2: 0.5}).tolist() == [1, 2, 0.5]
    assert class_weights_of(np.array([True, False]), {0: 1, 1: 3}).tolist() == [3, 1]
    for bad, weights in (
        ([0, 1], {"ill": 2.0}),
        (np.zeros((2, 3, 4)), {0: 1.0}),
        (["ill", "well"], {0: 1.0}),
        ([0, 1, 1], {1: 3.0}),  # a class without a weight: in Keras it weighs 1, without a word
        ([0, 1], {0: 1.0, 1: -1.0}),
        ([0, 1], {0: 1.0, 1: float("nan")}),
        ([0, 1], {0: 1.0, 1: "2"}),
        ([0, 1], {0: 1.0, -1: 1.0, 1: 1.0}),
        ([0, 1], {}),
        ([0, 1], [1.0, 2.0]),
        ([[1, 1], [0, 1]], {0: 1.0, 1: 2.0}),  # two labels in a row
        ([0.5, 1], {0: 1.0, 1: 2.0}),
    ):
        with pytest.raises(ValueError, match="class_weight"):
            class_weights_of(bad, weights)


def test_classes_that_are_known_before_training():
    flow = ImageDataGenerator().flow(np.zeros((4, 2, 2, 1)), [0, 2, 1, 2], batch_size=2)
    for source, classes in (
        (batches(np.zeros(4), np.array([0, 2, 1, 0])), 3),
        (batches(np.zeros(4), np.zeros(4)), 2),
        (batches(np.zeros(4), np.eye(4)), 4),
        (batches(flow), 3),
        (batches(Series()), None),
    ):
        assert number_of_classes(source) == classes


def test_sample_and_class_weights_multiply():
    y, w = np.array([0, 1, 1]), np.array([1.0, 2.0, 4.0])
    assert combined_weight(y, w, {0: 1.0, 1: 3.0}).tolist() == [1, 6, 12]
    assert combined_weight(y, w[:, None], {0: 1.0, 1: 3.0}).tolist() == [1, 6, 12]  # and not a table of 3 x 3
    assert combined_weight(y, w, None) is w and combined_weight(y, None, None) is None
    with pytest.raises(ValueError, match="beside class_weight"):
        combined_weight(y, np.ones((3, 2)), {0: 1.0, 1: 3.0})


def test_order_is_drawn_once_a_pass(monkeypatch):
    drawn = []
    real = np.random.default_rng
    monkeypatch.setattr(data.np.random, "default_rng", lambda seed: drawn.append(seed) or real(seed))
    source = ArrayBatches(np.arange(100), batch_size=1, shuffle=True)
    taken(source, 100)
    assert len(drawn) == 1
