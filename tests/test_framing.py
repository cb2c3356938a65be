"""Framing, photometry and balanced batches: what they change, what they leave, and that a seed fixes all of it."""

import numpy as np
import pytest

from tinydx.preprocessing.framing import BalancedIterator, Framing, blurred, recoloured, reframed, standardised


def chest(size=64):
    """A smooth bright spot above the middle, to the left, on a dark ground."""
    down, right = np.mgrid[:size, :size] / size
    return (20 + 200 * np.exp(-((down - 0.4) ** 2 + (right - 0.35) ** 2) / 0.02)).astype(np.float32)[..., None]


def centre_of(image):
    """The spot's centre (down, right) as shares of the sides."""
    weight = (image - image.min()).squeeze() ** 4
    down, right = np.mgrid[: image.shape[0], : image.shape[1]] / image.shape[0]
    return np.array([(weight * down).sum(), (weight * right).sum()]) / weight.sum()


def test_the_same_seed_draws_the_same_change():
    first, again, other = (Framing().random_transform(chest(), seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_draws_stay_within_their_ranges_and_fill_them():
    drawn = [Framing().get_random_transform((64, 64, 1), seed=seed) for seed in range(400)]
    ranges = {"window": (0.7, 1.1), "down": (-0.1, 0.1), "right": (-0.1, 0.1), "rotation": (-7, 7), "brightness": (-0.1, 0.1)}
    ranges |= {name: (np.exp(-r), np.exp(r)) for name, r in (("aspect", 0.175), ("gamma", 0.5), ("contrast", 0.2))}
    ranges |= {"blur": (0, 0.019), "noise": (0, 0.05)}
    for name, (low, high) in ranges.items():
        values = np.array([transform[name] for transform in drawn])
        assert low <= values.min() < low + 0.1 * (high - low) and high >= values.max() > high - 0.1 * (high - low), name
    assert 0.4 < np.mean([transform["blur"] > 0 for transform in drawn]) < 0.6


def test_one_range_set_to_zero_leaves_the_other_draws_alone():
    usual, upright = (f.get_random_transform((64, 64, 1), seed=5) for f in (Framing(), Framing(rotation=0)))
    assert upright["rotation"] == 0 and {k: v for k, v in usual.items() if k != "rotation"} == {
        k: v for k, v in upright.items() if k != "rotation"
    }


def test_the_centre_of_the_window_becomes_the_centre_of_the_image():
    for transform in (
        {"down": -0.1, "right": -0.15},
        {"down": -0.1, "right": -0.15, "window": 0.7, "aspect": 1.2, "rotation": 7.0},
    ):
        assert np.abs(centre_of(reframed(chest(), transform)) - 0.5).max() < 0.015


def test_a_window_of_half_the_side_doubles_what_it_shows():
    spread = [
        np.sqrt(((image - image.min()) > 100).sum()) for image in (chest(), reframed(chest(), {"window": 0.5, "right": -0.15}))
    ]
    assert spread[1] / spread[0] == pytest.approx(2, rel=0.05)


def test_aspect_is_height_over_width_and_keeps_the_area():
    ramp = np.arange(64 * 64, dtype=np.float64).reshape(64, 64, 1)
    higher = reframed(ramp, {"aspect": 1.21})
    inside = higher[20:44, 20:44, 0]
    assert np.diff(inside, axis=0).mean() == pytest.approx(64 * 1.1) and np.diff(inside, axis=1).mean() == pytest.approx(1 / 1.1)


def test_nothing_to_change_returns_the_image_itself():
    image = chest()
    assert reframed(image, {}) is image and recoloured(image, {"gamma": 1.0}) is image


def test_framing_never_mirrors():
    for seed in range(20):
        assert centre_of(Framing(blur=0, noise=0).random_transform(chest(), seed))[1] < 0.5 + 0.1 / 0.7


def test_photometry_stays_within_the_image_s_own_range_without_noise():
    for transform in ({"gamma": 1.6}, {"contrast": 1.2, "brightness": 0.1}, {"gamma": 0.6, "blur": 0.02}):
        changed = recoloured(chest(), transform)
        assert changed.min() >= chest().min() - 1e-3 and changed.max() <= chest().max() + 1e-3
        assert not np.allclose(changed, chest(), atol=1)


def test_gamma_keeps_the_order_of_grey_values():
    grey = np.linspace(0, 255, 64, dtype=np.float32).reshape(8, 8, 1)
    changed = recoloured(grey, {"gamma": 1.5}).ravel()
    assert (
        (np.diff(changed) > 0).all() and changed[0] == 0 and changed[-1] == pytest.approx(255) and changed[32] < grey.ravel()[32]
    )


def test_noise_has_the_deviation_asked_for_and_its_own_seed():
    flat = np.zeros((64, 64, 1), np.float32)
    flat[0, 0] = 100
    noisy = [recoloured(flat, {"noise": 0.05, "noise_seed": seed}) for seed in (1, 1, 2)]
    assert (noisy[0] - flat).std() == pytest.approx(5, rel=0.05)
    assert np.array_equal(noisy[0], noisy[1]) and not np.array_equal(noisy[0], noisy[2])


def test_a_blur_keeps_the_sum_and_has_its_deviation():
    point = np.zeros((41, 41, 2))
    point[20, 20] = 1
    spot = blurred(point, 2.0)
    down = np.arange(41) - 20
    assert spot.sum() == pytest.approx(2)
    assert np.sqrt((spot[..., 0].sum(axis=1) * down**2).sum()) == pytest.approx(2, rel=0.1)


def test_standardised_ignores_brightness_and_contrast_and_bears_empty_images():
    image = chest()
    assert np.allclose(standardised(image * 0.9 + 10), standardised(image), atol=0.02)
    assert np.array_equal(standardised(np.full((4, 4, 1), 7.0)), np.zeros((4, 4, 1)))
    together = standardised(np.stack([image, image * 0.5]))
    assert np.allclose(together[0], standardised(image))


@pytest.mark.parametrize("wrong", [{"window": (0, 1)}, {"window": (1.1, 0.7)}, {"rotation": -1}])
def test_impossible_ranges_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Framing(**wrong)


# ---- balanced batches ----------------------------------------------------------------------------------------------


def balanced(counts, batch_size, seed=0):
    y = np.repeat(np.arange(len(counts)), counts)
    x = np.arange(len(y), dtype=np.float32)[:, None, None, None] * np.ones((1, 4, 4, 1), np.float32)
    return BalancedIterator(x, y, Framing(blur=0, noise=0), batch_size=batch_size, seed=seed)


@pytest.mark.parametrize(("counts", "batch_size"), [((90, 10), 32), ((5, 200), 64), ((40, 8, 3), 30)])
def test_every_class_has_the_same_share_of_each_batch(counts, batch_size):
    batches = balanced(counts, batch_size)
    for _ in range(2 * len(batches) + 1):
        share = np.bincount(next(batches)[1], minlength=len(counts))
        assert share.sum() == batch_size and share.max() - share.min() <= (1 if batch_size % len(counts) else 0)


def test_an_epoch_shows_a_class_completely_before_it_repeats():
    batches = balanced((64, 6), 32)
    order = batches._permutation(np.random.RandomState(0))
    rare = order[order >= 64]
    assert len(batches) == 3 and len(set(order[order < 64])) == 48  # half of 3 batches, nothing twice
    assert all(set(rare[k : k + 6]) == set(range(64, 70)) for k in range(0, 48, 6))


def test_balanced_batches_repeat_by_seed_and_continue_from_a_state():
    first, again = balanced((20, 5), 8), balanced((20, 5), 8)
    for _ in range(3):
        assert np.array_equal(next(first)[1], next(again)[1])
    state = first.state()
    expected = [next(first) for _ in range(6)]
    again.load_state(state)
    for x, y in expected:
        found = next(again)
        assert np.array_equal(found[0], x) and np.array_equal(found[1], y)
