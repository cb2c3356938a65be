"""What all tests share: Hypothesis profiles, the real data, and a clean engine before each test."""

import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from tinydx import dispatch, random

collect_ignore_glob = ["*_reference/make_reference.py"]  # they need Keras, librosa ..., and write what the tests read
DATA = Path(os.environ.get("TINYDX_DATA") or Path(__file__).parents[2] / "shared" / "data")

hypothesis.settings.register_profile("quick", max_examples=20, deadline=None, print_blob=True)
hypothesis.settings.register_profile("deep", max_examples=40, deadline=None, print_blob=True)
hypothesis.settings.register_profile("proof", max_examples=100, deadline=None, print_blob=True)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("deep" if os.environ.get("CI") == "true" else "quick")
hypothesis.settings.load_profile(PROFILE)


@pytest.fixture(scope="session")
def proof() -> bool:
    """Whether what takes long is to be proved, the CUDA kernels first of all: HYPOTHESIS_PROFILE=proof."""
    return PROFILE == "proof"


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """real_data("meqsum") is the path of that public data set (in TINYDX_DATA or ../shared/data), or skips the test."""

    def find(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"real data not here: {name}")
        return DATA / name

    return find


@pytest.fixture(autouse=True)
def clean_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins with the automatic choice of implementation and the same chance, whatever another test left."""
    monkeypatch.setattr(dispatch, "_choice", dispatch._Choice())
    monkeypatch.setattr(random, "_generator", np.random.default_rng(0))
