"""Sounds: features against librosa's, files of every format, augmentation, and batches that resume after a stop."""

import os
from pathlib import Path

import numpy as np
import pytest

from tinydx.preprocessing import sound
from tinydx.preprocessing.sound import SoundDataGenerator, check_sounds, load_sound, save_sound

REFERENCE = np.load(Path(__file__).parent / "sound_reference" / "librosa.npz")
RATE = 2000
MELS = {"n_fft": 256, "hop": 50, "window": 128, "n_mels": 24, "fmin": 25, "fmax": 800}


def of_librosa(name: str) -> np.ndarray:
    return REFERENCE[name].swapaxes(-1, -2)  # ours are (time, frequency)


# --- features -----------------------------------------------------------------------------------------------------------

FEATURES = {
    "stft": lambda x: sound.stft(x, 256, 50, 128),
    "stft_default": lambda x: sound.stft(x, 512),
    "stft_left": lambda x: sound.stft(x, 256, 100, center=False),
    "mel": lambda x: sound.mel_spectrogram(x, RATE, **MELS),
    "mel_htk": lambda x: sound.mel_spectrogram(x, RATE, **MELS, htk=True),
    "log_mel": lambda x: sound.log_mel(x, RATE, **MELS),
    "mfcc": lambda x: sound.mfcc(x, RATE, 13, **MELS),
    "deltas": lambda x: sound.deltas(sound.mfcc(x, RATE, 13, **MELS)),
    "deltas_5": lambda x: sound.deltas(sound.mfcc(x, RATE, 13, **MELS), width=5),
}


@pytest.mark.parametrize("which", ["chirp", "click"])
@pytest.mark.parametrize("feature", FEATURES)
def test_features_are_those_of_librosa(which, feature):
    expected = of_librosa(f"{which}/{feature}")
    ours = FEATURES[feature](REFERENCE[f"{which}/x"])
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("which", ["chirp", "click"])
def test_float32_is_kept_and_loses_little(which):
    x = REFERENCE[f"{which}/x"].astype(np.float32)
    for feature in ("mel", "log_mel", "mfcc"):
        ours = FEATURES[feature](x)
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, of_librosa(f"{which}/{feature}"), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("slaney", {"rate": 16000, "n_fft": 512, "n_mels": 40}),
        ("slaney_part", {"rate": 8000, "n_fft": 1024, "n_mels": 20, "fmin": 100, "fmax": 3000}),
        ("htk", {"rate": 16000, "n_fft": 512, "n_mels": 40, "htk": True}),
    ],
)
def test_filter_banks_are_those_of_librosa(name, options):
    np.testing.assert_allclose(sound.mel_filterbank(**options), REFERENCE[f"filter/{name}"], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("which", ["chirp", "click"])
def test_resampling_is_that_of_librosa(which):
    x = REFERENCE[f"{which}/x"]
    np.testing.assert_allclose(sound.resample(x, RATE, 1500), REFERENCE[f"{which}/resampled"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("rate", "to"), [(44100, 2000), (11025, 2000), (2000, 4000), (192000, 2000), (48000, 44100)])
def test_resampling_keeps_a_tone_and_drops_what_the_new_rate_cannot_hold(rate, to):
    t = np.arange(rate // 2) / rate
    tone, too_high = np.sin(2 * np.pi * 100 * t), np.sin(2 * np.pi * 0.8 * rate / 2 * t)
    expected = np.sin(2 * np.pi * 100 * np.arange(to // 2) / to)
    middle = slice(to // 8, -to // 8)
    heard = sound.resample(tone + too_high, rate, to) if to < 0.7 * rate else sound.resample(tone, rate, to)
    assert abs(len(heard) - to // 2) <= 1
    np.testing.assert_allclose(heard[middle], expected[: len(heard)][middle], atol=0.02)


def test_leading_axes_are_a_batch():
    x = np.random.default_rng(0).normal(size=(2, 3, 900))
    for feature in ("stft", "mel", "mfcc", "deltas"):
        whole = FEATURES[feature](x)
        np.testing.assert_allclose(whole[1, 2], FEATURES[feature](x[1, 2]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sound.frames(np.ones(5), 8, 2), "5 samples are less than one frame of 8"),
        (lambda: sound.stft(np.ones(50), 16, window=32), "expected 1 to n_fft"),
        (lambda: sound.mel_filterbank(2000, 256, fmax=1500), "half the rate"),
        (lambda: sound.mel_filterbank(2000, 64, n_mels=64), "too narrow"),
        (lambda: sound.mfcc(np.ones(900), 2000, 30, **MELS), "expected 1 to 24"),
        (lambda: sound.deltas(np.ones((5, 2)), 9), "must be odd"),
        (lambda: sound.resample(np.ones(5), 0, 2000), "1 Hz or more"),
        (lambda: sound.pad_sounds([]), "give some"),
        (lambda: sound.pad_sounds([[1.0], []]), "none that is empty"),
        (lambda: SoundDataGenerator(time_mask=-1), "time_mask is -1, expected 0 or a number above it"),
        (lambda: SoundDataGenerator(crop=0.01), "less than one transform"),
        (lambda: SoundDataGenerator(n_mels=400), "too narrow"),
        (lambda: SoundDataGenerator().flow(np.ones(5)), r"\(N, samples\)"),
        (lambda: SoundDataGenerator().flow(np.ones((5, 400)), [0, 1]), r"x \(5, 400\), y \(2,\)"),
    ],
)
def test_impossible_arguments_raise(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# --- augmentation -------------------------------------------------------------------------------------------------------


def test_noise_has_the_requested_power():
    x = np.sin(np.arange(40_000) * 0.3)
    for snr in (-5.0, 0.0, 20.0):
        noise = sound.add_noise(x, snr, np.random.default_rng(0)) - x
        assert 10 * np.log10(np.mean(x**2) / np.mean(noise**2)) == pytest.approx(snr, abs=0.1)


def test_augmentation_does_not_change_its_input():
    x = np.random.default_rng(0).normal(size=4000).astype("float32")
    x.setflags(write=False)
    augment = SoundDataGenerator(crop=1.0, time_shift=0.5, gain_range=6, noise_range=(0, 9), time_mask=0.3, band_mask=4)
    shape = augment.shape(4000)
    assert shape == (41, 32)
    for seed in range(5):
        assert augment.apply_transform(x, augment.get_random_transform(shape, seed)).shape == shape


def test_masks_stay_inside_and_reach_their_size():
    augment = SoundDataGenerator(time_mask=0.25, band_mask=4)
    drawn = [augment.get_random_transform((40, 32), seed) for seed in range(300)]
    for name, most, size in (("time_mask", 10, 40), ("band_mask", 4, 32)):
        assert {d[name][1] for d in drawn} == set(range(most + 1))
        assert all(first >= 0 and first + width <= size for d in drawn for first, width in [d[name]])


def test_normalised_features_do_not_depend_on_loudness():
    x = np.random.default_rng(0).normal(size=4000)
    plain = SoundDataGenerator()
    one, other = (plain.standardize(plain.features(scale * x)) for scale in (1.0, 0.01))
    np.testing.assert_allclose(one, other, atol=1e-9)
    assert abs(one.mean()) < 1e-9 and one.std() == pytest.approx(1)


# --- batches ------------------------------------------------------------------------------------------------------------


def noisy(seed: int | None = 3) -> sound.SoundArrayIterator:
    x = np.random.default_rng(0).normal(size=(7, 3000)).astype("float32")
    augment = SoundDataGenerator(crop=1.0, time_shift=0.2, noise_range=(0, 20), time_mask=0.2, band_mask=4)
    return augment.flow(x, np.arange(7), batch_size=3, seed=seed)


def test_a_saved_position_gives_the_same_batches_again():
    first = noisy()
    for _ in range(4):
        next(first)
    state, second = first.state(), noisy()
    second.load_state(state)
    for _ in range(4):
        (x, y), (again, labels) = next(first), next(second)
        assert x.tobytes() == again.tobytes() and y.tolist() == labels.tolist()


def test_the_seed_decides_and_an_epoch_has_every_sound():
    assert all(a[0].tobytes() == b[0].tobytes() for a, b, _ in zip(noisy(), noisy(), range(3), strict=False))
    assert next(noisy())[0].tobytes() != next(noisy(4))[0].tobytes()
    batches = noisy()
    assert sorted(int(label) for _ in range(len(batches)) for label in next(batches)[1]) == list(range(7))


def test_padding_comes_with_a_mask():
    features = [np.ones((3, 2)), np.ones((5, 2))]
    batch, mask = sound.pad_sounds(features, length=4)
    assert batch.shape == (2, 4, 2) and mask.sum(axis=1).tolist() == [3, 4] and (batch.any(axis=2) == mask).all()


# --- files --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def soundfile():
    return pytest.importorskip("soundfile", reason="reading sounds needs soundfile: pip install soundfile")


def tone(rate: int, seconds: float = 0.5) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 100 * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("rate", [2000, 8000, 44100, 192000])
def test_every_wav_format_gives_the_same_samples(soundfile, tmp_path, subtype, rate):
    x = tone(rate)
    soundfile.write(tmp_path / "a.wav", np.stack([x, x], axis=1), rate, subtype=subtype)  # stereo
    y, now = load_sound(tmp_path / "a.wav", rate=2000)
    assert now == 2000 and y.dtype == np.float32 and y.shape == (1000,)
    np.testing.assert_allclose(y[100:-100], tone(2000)[100:-100], atol=0.01)


def test_flac_and_parts_of_files(soundfile, tmp_path):
    save_sound(tmp_path / "a.flac", tone(8000, 2.0), 8000)
    whole, rate = load_sound(tmp_path / "a.flac")
    part, _ = load_sound(tmp_path / "a.flac", seconds=0.5, offset=1.0)
    assert rate == 8000 and len(whole) == 16000 and part.tolist() == whole[8000:12000].tolist()


def test_only_the_requested_part_of_a_long_file_is_read(soundfile, tmp_path, monkeypatch):
    with soundfile.SoundFile(tmp_path / "hour.wav", "w", 8000, 1, subtype="PCM_U8") as file:
        for _ in range(60):
            file.write(tone(8000, 60.0))
    read = []
    original = soundfile.SoundFile.read
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda self, frames, **k: read.append(frames) or original(self, frames, **k))
    assert sound.load_samples(tmp_path / "hour.wav", 2000, 10.0).shape == (20000,) and read == [80000]


def spoil(soundfile, path: Path, how: str) -> None:
    """A file that cannot be used, each in its own way."""
    with_nan = tone(2000)
    with_nan[500] = np.nan
    if how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("this is no sound at all, whatever its name says\n" * 9)
    elif how == "cut off":
        save_sound(path, tone(2000), 2000)
        path.write_bytes(path.read_bytes()[:30])
    elif how == "no samples":
        soundfile.write(path, np.zeros(0), 2000)
    elif how == "silent":
        soundfile.write(path, np.zeros(1000), 2000)
    elif how == "NaN":
        soundfile.write(path, with_nan, 2000, subtype="FLOAT")
    elif how == "huge":
        soundfile.write(path, 1e30 * tone(2000, 0.2), 2000, subtype="DOUBLE")
    elif how == "1 Hz":
        soundfile.write(path, tone(2000), 1)
    elif how == "short":
        soundfile.write(path, tone(2000, 0.01), 2000)


BAD = {
    "empty": "cannot read sound",
    "text": "cannot read sound",
    "cut off": "cannot read sound",
    "no samples": "holds no samples",
    "silent": "is silent",
    "NaN": "NaN or infinite, the first after 0.250 s",
    "huge": "holds a sample of ",
    "1 Hz": "its rate is 1 Hz",
    "short": "lasts 0.01 s: too short",
}


@pytest.mark.parametrize("how", BAD)
def test_a_file_that_is_not_a_recording_is_named(soundfile, tmp_path, how):
    spoil(soundfile, tmp_path / "bad.wav", how)
    with pytest.raises((OSError, ValueError), match=BAD[how]) as error:
        sound.load_samples(tmp_path / "bad.wav", 2000, 10.0)
    assert "bad.wav" in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_and_an_offset_beyond_the_end(soundfile, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.wav"):
        load_sound(tmp_path / "nowhere.wav")
    save_sound(tmp_path / "a.wav", tone(2000), 2000)
    with pytest.raises(ValueError, match=r"lasts 0.5 s: there is nothing after 2 s"):
        load_sound(tmp_path / "a.wav", offset=2.0)
    for wrong in ({"offset": -1.0}, {"seconds": 0.0}):
        with pytest.raises(ValueError, match="give more than 0"):
            load_sound(tmp_path / "a.wav", **wrong)


def rf64(path, x, rate):
    __import__("soundfile").write(path, x, rate, format="RF64", subtype="PCM_16")


def extensible(path, x, rate):
    __import__("soundfile").write(path, x, rate, format="WAVEX", subtype="PCM_24")


@pytest.mark.parametrize("ending, write", [("wav", save_sound), ("wav", rf64), ("wav", extensible), ("flac", save_sound)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_named(soundfile, tmp_path, ending, write, share):
    path = tmp_path / f"a.{ending}"
    write(path, tone(2000, 20.0), 2000)
    whole = path.read_bytes()
    assert len(load_sound(path)[0]) == 40_000
    path.write_bytes(whole[: int(len(whole) * share)])
    for read in (load_sound, lambda path: load_sound(path, seconds=0.01), lambda path: check_sounds([path])):
        with pytest.raises(OSError, match=rf"cannot read sound .*a\.{ending}"):
            read(path)


def test_the_promise_of_a_wav_is_in_the_message(soundfile, tmp_path):
    save_sound(tmp_path / "a.wav", tone(2000, 1.0), 2000)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[: 44 + 400])
    with pytest.raises(OSError, match="cut off: its header promises 4000 bytes of sound, 400 are there"):
        load_sound(tmp_path / "a.wav")
    (tmp_path / "a.wav").write_bytes(whole[:40] + (400).to_bytes(4, "little") + whole[44:])  # the header was never finished
    with pytest.raises(OSError, match="its header is wrong: its header promises 400 bytes of sound, 4000 are there"):
        load_sound(tmp_path / "a.wav")


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_stream_whose_header_names_no_size_is_read(soundfile, tmp_path, size):
    save_sound(tmp_path / "a.wav", tone(2000, 1.0), 2000)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[:40] + size.to_bytes(4, "little") + whole[44:])
    check_sounds([tmp_path / "a.wav"])
    assert size == 0 or len(load_sound(tmp_path / "a.wav")[0]) == 2000  # of size 0, libsndfile reads nothing, which is an error


LIST = b"LIST\4\0\0\0INFO"


@pytest.mark.parametrize("before, after", [(LIST, b""), (b"", LIST), (b"", bytes(5000)), (b"", b"x")])
def test_other_chunks_and_filling_are_no_damage(soundfile, tmp_path, before, after):
    save_sound(tmp_path / "a.wav", tone(2000, 1.0), 2000)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[:36] + before + whole[36:] + after)
    assert len(load_sound(tmp_path / "a.wav")[0]) == 2000


def test_bad_sounds_are_all_named_and_other_formats_refused(soundfile, tmp_path):
    for i in range(4):
        save_sound(tmp_path / f"{i}.wav", tone(2000), 2000)
    (tmp_path / "1.wav").write_bytes(b"")
    soundfile.write(tmp_path / "2.wav", tone(2000), 2000, format="AIFF")
    soundfile.write(tmp_path / "3.wav", tone(2000), 1)
    with pytest.raises((OSError, ValueError)) as caught:
        check_sounds([str(tmp_path / f"{i}.wav") for i in range(4)])
    words = str(caught.value)
    assert "0.wav" not in words and "1.wav: it is empty" in words and "2.wav: it is AIFF" in words and "rate is 1 Hz" in words
    assert words.endswith("(3 such files of 4)")


def test_hidden_sounds_are_left_out(soundfile, tmp_path):
    (tmp_path / "a" / ".trash").mkdir(parents=True)
    for name in ("a/1.wav", "a/._1.wav", "a/.trash/2.wav"):
        save_sound(tmp_path / name, tone(2000), 2000)
    assert list(sound.find_sounds(tmp_path)["a"]) == [os.path.join("a", "1.wav")]


def test_without_soundfile_the_command_that_brings_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(ImportError, match="pip install soundfile scipy"):
        load_sound(tmp_path / "a.wav")


def test_a_directory_gives_batches_of_its_classes(soundfile, tmp_path, capsys):
    for name, pitch in (("high", 300), ("low", 60)):
        (tmp_path / name).mkdir()
        for i in range(3):
            save_sound(tmp_path / name / f"{i}.wav", np.sin(np.arange(4000 + 1000 * i) * 2 * np.pi * pitch / 4000), 4000)
    batches = SoundDataGenerator(n_mels=16).flow_from_directory(tmp_path, seconds=2.0, class_mode="binary", batch_size=6, seed=1)
    assert "Found 6 recordings belonging to 2 classes." in capsys.readouterr().out
    x, y = next(batches)
    assert x.shape == (6, 81, 16) and batches.class_indices == {"high": 0, "low": 1}
    loudest = x.mean(axis=1).argmax(axis=1)
    assert (loudest[y == 0] > loudest[y == 1].max()).all()
    assert np.array_equal(sound.load_features(batches.last_files, batches.preprocessing), x)
    with pytest.raises(ValueError, match="needs 2 class folders"):
        (tmp_path / "third").mkdir()
        save_sound(tmp_path / "third" / "0.wav", tone(2000), 2000)
        SoundDataGenerator().flow_from_directory(tmp_path, class_mode="binary")
