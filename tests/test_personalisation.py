"""`python -m tinydx.tasks.personalisation`: its features, its groups of patients, its table, and that it can fail."""

import json

import numpy as np
import pytest

from tinydx.datasets import make_patient_sounds
from tinydx.tasks import personalisation as task


@pytest.fixture(scope="module")
def recordings():
    """Features of six recordings of each of 10 patients, labels, patients."""
    x, y, patient = make_patient_sounds(10, 6, seed=0, seconds=2.0)
    return task.Recordings(np.array([task.features(samples) for samples in x]), y, patient)


@pytest.fixture(scope="module")
def population(recordings):
    return task.Population(recordings.take(recordings.patient < 6), seed=0)


def test_the_cycle_finds_the_beat_and_begins_with_its_loudest_part():
    """A click every 0.8 seconds, in bands that differ by a constant: one phase of twelve is loud, whatever the constant."""
    bands = np.zeros((250, 8))
    bands[np.arange(10, 250, 40)] = 20.0
    found = task.cycle(bands + np.arange(8) * 7.0)
    assert found.shape == (12, 8) and found[0].min() > 3 and np.abs(found[1:]).max() < 1
    np.testing.assert_allclose(found, task.cycle(np.roll(bands, 13, axis=0)), atol=0.5)


def test_without_recordings_every_method_is_the_population_s_model_bit_for_bit(recordings, population):
    tuning, new = recordings.take(recordings.patient == 6), recordings.take(recordings.patient == 9)
    before, none = population(new.x), new.take(slice(0, 0))
    film = task.film(population, tuning, seed=0)
    film_weights = [np.random.default_rng(i).normal(size=(32, 16)).astype(np.float32) for i in range(2)]
    for personal, strength in ((task.own_statistics(population), 3.0), (task.last_layer(population), 0.3)):
        assert personal(none.x, none.y, strength)(new.x).tobytes() == before.tobytes()
        assert personal(new.x, new.y, strength)(new.x).tobytes() != before.tobytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "train_film", lambda *_: film_weights)
        assert film(none.x, none.y, 1.0)(new.x).tobytes() == before.tobytes()
        assert film(new.x, new.y, 1.0)(new.x).tobytes() != before.tobytes()


def test_the_population_s_answers_are_those_of_its_network(recordings):
    population = task.Population(recordings, seed=1)
    h = population.hidden(recordings.x)
    expected = 1 / (1 + np.exp(-(h @ population.weights[:-1] + population.weights[-1])[:, 0].astype(float)))
    np.testing.assert_allclose(population(recordings.x), expected, rtol=1e-5)
    assert np.mean((expected > 0.5) == recordings.y) > 0.7  # it has learnt what it was given


def test_shuffled_recordings_are_all_of_other_patients_and_keep_their_labels(recordings):
    cases = [task.Case(part.take(slice(0, 4)), part.take(slice(4, None))) for part in
             (recordings.take(recordings.patient == name) for name in range(10))]  # fmt: skip
    label_of = {row.tobytes(): label for row, label in zip(recordings.x, recordings.y, strict=True)}
    for seed in range(20):
        for case, moved in zip(cases, task.shuffled(cases, seed), strict=True):
            own = {row.tobytes() for row in case.known.x}
            assert not own & {row.tobytes() for row in moved.known.x} and moved.new is case.new
            assert [label_of[row.tobytes()] for row in moved.known.x] == moved.known.y.tolist()


def test_pairs_hold_one_of_each_class():
    of = task.Recordings(np.arange(30.0)[:, None], (np.arange(30) % 3 == 0).astype(int), np.zeros(30))
    rows = task.in_pairs(of, np.random.default_rng(0))
    assert len(rows) == len(set(rows)) == 20 and of.y[rows].reshape(-1, 2).sum(axis=1).tolist() == [1] * 10
    case = task.split_site(of, np.random.default_rng(0))
    assert len(case.known.y) == 8 and sorted([*case.known.x[:, 0], *case.new.x[:, 0]]) == list(range(30))


def test_a_table_says_better_only_where_the_interval_lies_above_zero():
    rng = np.random.default_rng(0)
    base = np.full((40, 5), 0.7)
    own = {"global": base, "FiLM": base + 0.1 + 0.01 * rng.normal(size=(40, 5)), "last layer": base + rng.normal(size=(40, 5))}
    rows = task.table(own, {**own, "FiLM": base})
    found = {(row["method"], row["k"]): row for row in rows}
    assert {found["FiLM", k]["verdict"] for k in task.COUNTS} == {"better"}
    assert {found["last layer", k]["verdict"] for k in task.COUNTS} <= {"can't tell", "better", "worse"}
    assert found["FiLM", 8]["shuffled_gain"] == 0 and found["FiLM", 8]["gain_interval"][0] > 0.09
    assert task.sentence(rows).endswith("better: FiLM at k = 0, 1, 2, 4, 8.") and task.markdown(rows).count("\n") == 11


def test_the_command_prints_and_writes_its_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(task, "FILM_STEPS", 3)
    monkeypatch.setattr(task, "EPOCHS", 2)
    monkeypatch.setattr(task, "SECONDS", 1.5)
    files = [str(tmp_path / name) for name in ("a.json", "a.png")]
    found = task.main(["--seeds", "0", "1", "--patients", "4", "4", "3", "--json", files[0], "--picture", files[1]])
    said = capsys.readouterr().out
    assert said.count("6 test patients of 2 seeds") == 2 and said.count("| last layer | 8 |") == 2
    rows = [row for part in ("synthetic", "control") for row in json.loads((tmp_path / "a.json").read_text())[part]["rows"]]
    assert len(rows) == 30 and rows[:15] == found["synthetic"]["rows"] and (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert all(row["gain"] == row["shuffled_gain"] == 0 for row in rows if row["k"] == 0)
    with pytest.raises(ValueError, match="each group needs at least 2"):
        task.main(["--patients", "4", "4", "1"])
    with pytest.raises(OSError, match="create it first"):
        task.main(["--json", str(tmp_path / "no" / "a.json")])


def test_the_real_sites_are_read(real_data):
    found = task.read_sites(real_data("heart_sounds_physionet2016"))
    assert found.x.shape == (1099, 112) and np.isfinite(found.x).all()
    counts = {name: np.bincount(found.y[found.patient == name]).tolist() for name in np.unique(found.patient)}
    assert counts["a"] == [292, 117] and sum(map(sum, counts.values())) == 1099


def test_every_site_is_left_out_once_and_no_site_is_on_two_sides(recordings, monkeypatch):
    monkeypatch.setattr(task, "FILM_STEPS", 2)
    monkeypatch.setattr(task, "EPOCHS", 1)
    monkeypatch.setattr(task, "DRAWS", 2)
    sites, seen = recordings._replace(patient=np.array(list("abcde"))[recordings.patient // 2]), []

    def watched(cases, population, methods, usual=task.scores):
        seen.append([{str(v)[:1] for v in case.new.patient} | {str(v)[:1] for v in case.known.patient} for case in cases])
        return usual(cases, population, methods)

    monkeypatch.setattr(task, "scores", watched)
    names, own, other = task.real(sites, seed=0)
    assert names == [*"abcde"] and all(v.shape == (5, 5) for part in (own, other) for v in part.values())
    assert seen[::2] == [[{name}] * 2 for name in names]  # the first of each two: the site's own recordings
    assert all(len(case) > 1 for draws in seen[1::2] for case in draws)  # strangers' recordings, and the site's to be told apart
