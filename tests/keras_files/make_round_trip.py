"""Makes round_trip.zip: what tinydx wrote for each of `cases.CASES`, what Keras computed with it, and what Keras wrote of it.

    PYTHONPATH=. python tests/keras_files/make_round_trip.py /path/to/an/environment/with/keras/bin/python

tests/test_keras_files.py compares what tinydx writes today with what Keras read then, and reads what Keras wrote. With
TINYDX_KERAS=.../bin/python it sends today's files through Keras instead. Keras on NumPy needs JAX and SciPy, 300 MB, which is too
much for the extra `test`.
"""

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from cases import CASES, as_list  # noqa: E402


def send(folder, names=CASES):
    """Write the files of all cases into the folder."""
    for name in names:
        model, x = CASES[name]()
        for kind in ("keras", "h5"):
            model.save(folder / f"{name}.{kind}")
        model.save_weights(folder / f"{name}.weights.h5")
        np.savez(folder / f"{name}.npz", **{str(i): a for i, a in enumerate(as_list(x))})


def through_keras(python, folder):
    """What Keras makes of the files in the folder, beside them."""
    subprocess.run([python, str(HERE / "through_keras.py"), str(folder)], check=True, stdout=subprocess.DEVNULL)


def main(python):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        send(folder)
        through_keras(python, folder)
        with zipfile.ZipFile(HERE / "round_trip.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.iterdir()):
                if ".back." in path.name or ".outputs." in path.name:
                    archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED)
            for case in CASES:
                config = zipfile.ZipFile(io.BytesIO((folder / f"{case}.keras").read_bytes())).read("config.json")
                archive.writestr(zipfile.ZipInfo(f"{case}.sent.json"), config, zipfile.ZIP_DEFLATED)
    print((HERE / "round_trip.zip").stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1])
