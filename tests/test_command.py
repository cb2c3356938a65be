"""How a command ends: Ctrl-C at any moment, a reader that goes away, a full disk, errors in one line."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tinydx import cli, command

ROOT = Path(__file__).parents[1]
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")

SCRIPT = """
import os, signal, sys
sys.path.insert(0, {root!r})
class Interrupt:
    def find_spec(name, path=None, target=None):
        if name == {moment!r}:
            try:
                os.kill(os.getpid(), signal.{name})
                sum(range(1000))  # Python calls its handler here
            except BaseException:
                pass  # as a library or a destructor swallows it
sys.meta_path.insert(0, Interrupt)
from tinydx.cli import main
sys.exit(main())
"""


def answering():
    """A job that a shell runs in the background ignores Ctrl-C, and so would its children."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def run(folder, arguments, moment="", name="SIGINT", **options):
    """The command in a process of its own, as pip's script starts it; it gets a signal where it imports a module."""
    script = folder / "tinydx"
    script.write_text(SCRIPT.format(root=str(ROOT), moment=moment, name=name))
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": answering, **options}
    return subprocess.run([sys.executable, str(script), *arguments], cwd=folder, check=False, **given)


@POSIX
@pytest.mark.parametrize("moment", ["numpy", "tinydx.tensor", "tinydx.cli", "tinydx.diagnosis.kinds", "tinydx.evaluation"])
def test_ctrl_c_is_answered_in_one_line_even_where_it_is_swallowed(tmp_path, moment):
    done = run(tmp_path, ["predict", "no.safetensors", "x.png"], moment)
    assert (done.returncode, done.stderr) == (130, b"tinydx: interrupted\n")


@POSIX
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_termination_is_answered_too(tmp_path, name, status):
    done = run(tmp_path, ["card", "relu"], "tinydx.cards", name)
    assert done.returncode == status and done.stderr.startswith(b"tinydx: terminated") and done.stderr.count(b"\n") == 1


@POSIX
def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    """`nohup tinydx diagnose` outlives its terminal."""
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    done = run(tmp_path, ["card", "relu"], "tinydx.cards", "SIGHUP", preexec_fn=ignore)
    assert done.returncode == 0 and done.stdout.startswith(b"relu")


@POSIX
def test_a_process_that_uses_the_package_keeps_its_own_handlers():
    code = "import signal, tinydx.cli; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, preexec_fn=answering)
    assert done.stdout == b"True\n"
    assert not command.is_command()


@pytest.mark.parametrize(
    ("argv", "orig", "answer"),
    [
        (["/usr/bin/tinydx", "card"], [], True),
        (["C:\\x\\tinydx.exe"] if os.name == "nt" else ["/x/tinydx.exe"], [], True),
        (["-m"], ["python", "-X", "dev", "-m", "tinydx", "card"], True),
        (["-m"], ["python", "-m", "tinydx.tasks.next_word"], True),
        (["-m"], ["python", "-m", "tinydx.bench.worker"], False),
        (["-m"], ["python", "-mpytest"], False),
        (["train.py"], ["python", "train.py", "-m", "tinydx"], False),
        ([], [], False),
    ],
)
def test_which_processes_are_the_command(monkeypatch, argv, orig, answer):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", orig)
    assert command.is_command() is answer


# ---- streams -------------------------------------------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize(("arguments", "status"), [(["data", "list"], 1), (["card", "conv2d"], 1)])
def test_a_reader_that_is_gone_ends_what_only_prints_without_a_word(tmp_path, arguments, status):
    read, write = os.pipe()
    os.close(read)
    done = run(tmp_path, arguments, stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (status, b"")


@pytest.fixture
def lasting(monkeypatch, tmp_path):
    """lasting(path) makes stdout a stream to that file which a command outlasts."""
    made = []

    def make(descriptor):
        stream = os.fdopen(descriptor, "w", encoding="ascii")
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "__stdout__", stream)
        command.outlast_readers()
        made.append((sys.stdout, stream))
        return sys.stdout

    yield make
    for outer, inner in made:
        outer.close()
        inner.close()


@POSIX
def test_what_writes_files_outlasts_its_reader(lasting, capsys):
    read, write = os.pipe()
    out = lasting(write)
    print("first", flush=True)
    assert os.read(read, 100) == b"first\n"
    os.close(read)
    print("second", flush=True)
    print("病", flush=True)
    assert out.buffer.raw.lost and command.run(lambda: None) == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux")
def test_a_full_disk_under_the_output_is_said_after_the_work(lasting, capsys):
    lasting(os.open("/dev/full", os.O_WRONLY))
    done = []
    assert command.run(lambda: (print("lost", flush=True), done.append(1), 0)[2]) == 1
    assert done and "standard output is incomplete: No space left on device" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux")
def test_a_full_disk_under_the_output_is_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        done = run(tmp_path, ["card", "conv2d"], stdout=full)
    assert done.returncode == 1 and b"No space left" in done.stderr and done.stderr.count(b"\n") == 1


@POSIX
def test_a_closed_output_is_no_error(tmp_path):
    assert run(tmp_path, ["card", "relu"], preexec_fn=lambda: os.close(1)).returncode == 0


# ---- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "out/model.safetensors"), "out/model.safetensors: Permission denied"),
        (FileNotFoundError("no file\n at x"), "no file at x"),
        (MemoryError(), "MemoryError"),
        (KeyError("x"), "'x'"),
    ],
)
def test_an_error_is_a_line_and_status_1(capsys, monkeypatch, error, line):
    monkeypatch.delenv("TINYDX_TRACEBACK", raising=False)

    def work():
        raise error

    assert command.run(work) == 1
    assert capsys.readouterr().err == f"tinydx: {line}\n"
    monkeypatch.setenv("TINYDX_TRACEBACK", "1")
    with pytest.raises(type(error)):
        command.run(work)


def test_the_result_of_a_task_is_no_status(capsys):
    assert command.run(lambda: {"accuracy": 0.5}) == command.run(lambda: 0.5) == command.run(lambda: 0) == 0
    assert command.run(lambda: 3) == 3


def test_an_interruption_from_python_is_a_line(capsys, monkeypatch):
    monkeypatch.setattr(command, "advice", "")

    def work():
        raise KeyboardInterrupt

    assert command.run(work) == 130 and capsys.readouterr().err == "tinydx: interrupted\n"
    assert cli.main(["card", "relu"]) == 0
