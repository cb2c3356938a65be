"""Shared by all tests: Hypothesis profiles, the real data, and a fresh engine for each test.

The profiles quick (default) and proof are derandomised: each run tries the same examples, so a change
of the code is the only thing that can make a test fail. To explore with fresh seeds, run

    HYPOTHESIS_PROFILE=explore pytest

before handing over a change, and keep what it finds as an @example of the test.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from browser import Page, chromium

from tinydx import dispatch, language, random
from tinydx.gradcheck import check

# The first need Keras, librosa, Captum ..., and write what the tests read; the others compare with PyTorch when asked to.
collect_ignore_glob = ["*_reference/make_*.py", "keras_files/*.py", "torch_reference/*.py"]
DATA = Path(os.environ.get("TINYDX_DATA") or Path(__file__).parents[2] / "shared" / "data")

for name, examples in {"quick": 20, "proof": 100, "explore": 200}.items():
    hypothesis.settings.register_profile(
        name, max_examples=examples, deadline=None, print_blob=True, derandomize=name != "explore"
    )
PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or "quick"
hypothesis.settings.load_profile(PROFILE)


@pytest.fixture(scope="session")
def proof() -> bool:
    """Whether slow proofs run, those of the CUDA kernels first of all: HYPOTHESIS_PROFILE=proof."""
    return PROFILE == "proof"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A real browser, which reaches no other machine."""
    if not chromium():
        pytest.skip("not installed: chromium")
    pytest.importorskip("websockets", reason="not installed: marimo")
    with Page(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """real_data("meqsum") is the path of that public data set, in TINYDX_DATA or ../shared/data; it skips the test without it."""

    def find(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"real data not here: {name}")
        return DATA / name

    return find


@pytest.fixture(autouse=True)
def fresh_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts in English, with the automatic choice of implementation and the generator of seed 0.

    A check that is given no seed takes 0, 1, 2, ... in turn, unless the profile explores.
    """
    monkeypatch.setenv(language.VARIABLE, "en")  # whatever the machine's
    monkeypatch.setattr(dispatch, "_default", dispatch._Choice())
    dispatch._own.set(None)
    monkeypatch.setattr(random, "_generator", np.random.default_rng(0))
    monkeypatch.setattr(check, "SECONDS", 4 * check.SECONDS)  # so that a slow machine finds the same names
    if PROFILE != "explore":
        monkeypatch.setattr(random, "new_seed", itertools.count().__next__)
