"""Which inputs `tinydx predict` calls unlike the training data: a rate for each sort of input, and the rate of false alarms.

    python -m tinydx.tasks.unlike_inputs FOLDER [--kind KIND] [--of PATH ...] [--limit N] [--seed 0]

The limit is made of FOLDER's training and validation examples, as `tinydx diagnose` does; no model is trained. False alarms
are counted on its test examples. This program makes strange inputs; those of --of are files, folders, or lines of texts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tinydx import command
from tinydx.datasets.study import Examples
from tinydx.diagnosis import kinds, unlike
from tinydx.diagnosis.kind import Options
from tinydx.diagnosis.kinds.sound import RATE

COUNT = 60  # inputs of each sort


def main(arguments: Sequence[str] | None = None) -> dict[str, tuple[int, int]]:
    """Print a table; returns (called unlike, all) of each sort of input."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.unlike_inputs", description=__doc__.split("\n")[0])
    parser.add_argument("folder", help="data as `tinydx diagnose --data` takes it; - for the kind's synthetic data")
    parser.add_argument("--kind", choices=kinds.names(), help="of the data (default: the kind of most files)")
    parser.add_argument("--of", action="append", default=[], metavar="PATH", help="other inputs: files, or lines of texts")
    parser.add_argument("--limit", type=int, metavar="N", help="use at most N examples of each class and split")
    parser.add_argument("--seed", type=int, default=0, help="of the division and of the strange inputs (default 0)")
    a = parser.parse_args(arguments)
    path = None if a.folder == "-" else a.folder
    name = a.kind or kinds.guess(path)
    kind = kinds.get(name)
    study = kind.open_study(path, size=kind.usual_size(path, Options()), limit=a.limit, seed=a.seed)
    known = unlike.learn(kind, study.train, study.val, study.preprocessing)
    found: dict[str, tuple[int, int]] = {}

    def measure(sort: str, x: np.ndarray) -> None:
        part = Examples(x, np.zeros(len(x), np.int64))
        count = unlike.false_alarms(known, kind, part, study.preprocessing)
        found[sort] = count["alarms"], count["count"]
        low, high = count["rate_interval"]
        shares = f"{count['rate']:.3f} ({low:.3f} to {high:.3f})"
        print(f"{sort:<32} {count['alarms']:>4} of {count['count']:>4}  {shares}", flush=True)

    measure("test examples: false alarms", study.test.x)
    for sort, x in STRANGE[name](study.test.x, np.random.default_rng(a.seed)):
        measure(sort, x)
    for other in a.of:
        lines = name == "text"
        entries = Path(other).read_text(encoding="utf-8").splitlines() if lines else kind.inputs(other, study.preprocessing)
        measure(Path(other).name, np.concatenate([kind.example(entry, study.preprocessing).x for entry in entries]))
    return found


def strange_images(x: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Pictures of no patient, and the test images x (N,H,W,3) as they should not be."""
    n, shape, some = COUNT, x.shape[1:], x[rng.permutation(len(x))[:200]]
    grey = rng.normal(rng.uniform(40, 215, (n, 1, 1, 1)), rng.uniform(10, 60, (n, 1, 1, 1)), (n, *shape[:2], 1))
    yield "noise, grey", np.clip(grey, 0, 255).astype(np.uint8).repeat(3, axis=3)
    yield "noise in colour", rng.integers(0, 256, (n, *shape)).astype(np.uint8)
    yield "blank", np.linspace(0, 255, n).astype(np.uint8)[:, None, None, None] * np.ones(shape, np.uint8)
    yield "text as a picture", np.array([_page_of_text(shape, rng, dark=bool(i % 2)) for i in range(n)])
    yield "negated", 255 - some
    yield "coloured", (some * rng.uniform(0.5, 1, (len(some), 1, 1, 3))).astype(np.uint8)
    yield "on its side", some.transpose(0, 2, 1, 3)
    yield "upside down", some[:, ::-1]


def _page_of_text(shape: tuple[int, ...], rng: np.random.Generator, dark: bool) -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFont

    page, size = Image.new("L", (480, 480), 0 if dark else 255), int(rng.integers(12, 48))
    for top in range(8, 480, int(1.3 * size)):
        line = " ".join("".join(rng.choice([*"abcdefghijklmnopqrstuvwxyz"], rng.integers(2, 9))) for _ in range(14))
        ImageDraw.Draw(page).text((8, top), line, fill=255 if dark else 0, font=ImageFont.load_default(size))
    return np.asarray(page.resize((shape[1], shape[0]), Image.Resampling.BILINEAR).convert("RGB"))


def strange_sounds(x: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Sounds of no heart, and the test recordings x (N,L) at another rate or level."""
    n, length = COUNT // 2, x.shape[1]
    time, some = np.arange(length) / RATE, x[rng.permutation(len(x))[:60]]
    yield "hiss at -80 dB", 1e-4 * rng.standard_normal((n, length))
    yield "white noise", rng.choice([0.01, 0.05, 0.2], (n, 1)) * rng.standard_normal((n, length))
    yield "a tone", 0.3 * np.sin(2 * np.pi * rng.uniform(50, 900, (n, 1)) * time)
    yield "like speech", np.array([_speech(time, rng) for _ in range(n)])
    yield "music", np.array([_music(time, rng) for _ in range(n)])
    slow, fast = ([np.interp(np.arange(length) * step % (length - 1), np.arange(length), v) for v in some] for step in (0.5, 2))
    yield "at half the speed", np.array(slow)
    yield "at twice the speed", np.array(fast)
    yield "a tenth of the level", 0.1 * some


def _speech(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Harmonics of a pitch that wanders, in syllables, strongest at about 500 Hz."""
    pitch = rng.uniform(90, 220) * np.exp(0.0008 * np.cumsum(rng.standard_normal(len(time))))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.exp(-(((k * pitch - 500) / 200) ** 2) / 2) * np.sin(k * phase) * (k * pitch < 950) for k in range(1, 10))
    return 0.2 * voice * np.clip(np.sin(2 * np.pi * rng.uniform(2, 5) * time), 0, None) + 1e-3 * rng.standard_normal(len(time))


def _music(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two plucked notes a second."""
    pitch = 110 * 2 ** (rng.choice([0, 3, 5, 7, 10, 12, 15], int(2 * time[-1]) + 1) / 12)[(2 * time).astype(int)]
    waves = sum(np.sin(2 * np.pi * h * pitch * time) / h * (h * pitch < 1000) for h in range(1, 8))
    return 0.2 * waves * np.exp(-4 * (time % 0.5))


def strange_texts(x: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Texts of no language, and the test texts in other letters."""

    def word(letters: str, longest: int) -> str:
        return "".join(rng.choice([*letters], rng.integers(2, longest)))

    letters = "abcdefghijklmnopqrstuvwxyz"
    yield "random letters", _texts(" ".join(word(letters, 10) for _ in range(rng.integers(2, 12))) for _ in range(COUNT))
    yield "digits", _texts(" ".join(word("0123456789", 7) for _ in range(rng.integers(1, 9))) for _ in range(COUNT))
    yield "in capitals (alike)", _texts(text.upper() for text in x[:200])
    yield "in small letters (alike)", _texts(text.lower() for text in x[:200])


def _texts(texts: Iterator[str]) -> np.ndarray:
    return np.array([*texts, None], object)[:-1]


STRANGE = {"image": strange_images, "sound": strange_sounds, "text": strange_texts}

if __name__ == "__main__":
    sys.exit(command.run(main))
