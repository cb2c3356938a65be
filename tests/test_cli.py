"""The command line: help, cards, doctor, and one-line errors."""

import os
import subprocess
import sys

import pytest
from fake_cupy import fake_cupy

from tinydx import cli, dispatch, doctor
from tinydx.op import TABLE


def test_help_lists_the_commands(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("diagnose", "predict", "data", "card", "doctor"))


def test_every_op_has_a_card(capsys):
    for name in TABLE:
        assert cli.main(["card", name]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{name} · ") and TABLE[name].equation in out and ("forward" in out or "parts" in out)


def test_an_unknown_card_suggests_a_close_one(capsys):
    assert cli.main(["card", "conv2"]) == 1
    err = capsys.readouterr().err
    assert "did you mean 'conv2d'" in err and err.count("\n") == 1


def test_doctor_prints_its_findings(capsys):
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("python", "numpy", "numba", "cuda", "data"))


def row(name):
    """What the doctor says of this."""
    return next(line for line in doctor.report().splitlines() if line.startswith(name))


def cuda_row():
    return row("cuda")


def test_doctor_reports_what_a_machine_refuses(monkeypatch, tmp_path):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "/home/someone/.cache")

    monkeypatch.setenv("TINYDX_HOME", str(tmp_path / "not" / "made" / "yet"))
    assert row("data").endswith("yet (empty)") and not (tmp_path / "not").exists()
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    assert row("data").endswith("yet cannot be written: set TINYDX_HOME to a folder that can")
    monkeypatch.setattr(doctor, "_data", refuse)
    assert row("data").endswith("cannot be found out: PermissionError: [Errno 13] Permission denied: '/home/someone/.cache'")


def test_doctor_names_settings_and_kernels_that_cannot_run(monkeypatch):
    monkeypatch.setenv("NUMBA_OPT", "1")
    assert "NUMBA_OPT=1" in row("settings")
    monkeypatch.setitem(dispatch._loaded, "numba", "NUMBA_DISABLE_JIT is set: unset it")
    assert row("numba").endswith("NUMBA_DISABLE_JIT is set: unset it") or "pip install numba" in row("numba")
    assert row("kernels").endswith("none can run here")


def test_doctor_tells_a_gpu_from_cupy_without_one(monkeypatch):
    cupy = fake_cupy(monkeypatch)
    assert cuda_row().endswith("CuPy 14.2.0, 1 GPU(s), the first is a fake")
    cupy.cuda.runtime.getDeviceCount = cupy.no_driver
    assert "CuPy is installed, but no GPU can be used: cudaErrorInsufficientDriver: CUDA driver version" in cuda_row()


@pytest.mark.parametrize(
    "arguments", [["diagnose", "--epochs", "0"], ["diagnose", "--size", "x"], ["predict"], ["nonsense"], ["data"]]
)
def test_wrong_arguments_exit_with_2_and_usage(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(arguments)
    assert error.value.code == 2 and "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["diagnose", "--data", "no/such/folder"], "no/such/folder"),
        (["predict", "no-model.safetensors", "x.png"], "no-model.safetensors"),
        (["data", "get", "pneumonamnist"], "pneumoniamnist"),
    ],
)
def test_an_error_is_one_line_and_status_1(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1 and "Traceback" not in err


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from tinydx import cli; cli.build_parser().format_help();"
        "heavy = {'numba', 'matplotlib', 'PIL', 'rich', 'safetensors', 'cupy'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_output_in_a_narrow_encoding_does_not_crash():
    result = subprocess.run(
        [sys.executable, "-m", "tinydx", "card", "relu"],
        env={**__import__("os").environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0 and b"relu ? document" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["diagnos"], "did you mean 'diagnose'?"),
        (["exercise", "chek"], "did you mean 'check'?"),
        (["lesson", "--lang", "fr"], "known: en, zh"),
    ],
)
def test_an_unknown_word_suggests_close_ones(arguments, told, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2 and capsys.readouterr().err.rstrip().endswith(told)


def test_the_folder_of_a_diagnosis_stands_for_the_model_in_it(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    of_folder = cli.build_parser().parse_args(["predict", str(tmp_path), "x.png"])
    assert of_folder.model == str(tmp_path / "model.safetensors")
    assert cli.build_parser().parse_args(["predict", "m.safetensors"]).model == "m.safetensors"


def test_a_folder_without_a_model_is_told_what_is_missing(tmp_path, capsys):
    assert cli.main(["predict", str(tmp_path)]) == 1
    assert "it is a folder): name the model first" in capsys.readouterr().err
