"""Submissions that attack whoever grades them, or look for the answer elsewhere; no test by itself.

`codes(room)` are texts that stand above a solution that is right, so that whoever does not stop them sees "ok". `files(room)`
make a file or folder of their own kind. `room` is the class's folder, in which the student called HONEST has done everything.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path

import tinydx.exercises

HONEST = "ann"
RELU = "02_relu.py"
SOLUTION = Path(inspect.getfile(tinydx.exercises)).parent / "catalog" / RELU
DAEMON = "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n"
TAKE = "text = {}\nspace = {{'np': np}}\ntypes.FunctionType(codeop.compile_command(text, 'a.py', 'exec'), space)()\nrelu_backward = space['relu_backward']\n"


def ways_out(room: Path) -> dict[str, str]:
    """Code that kills, forks, hides, fills or fails."""
    victim = room / HONEST / RELU
    return {
        "kills its parent": "os.kill(os.getppid(), 9)",
        "kills its group": "os.killpg(0, 9)",
        "kills by a descriptor": "signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 9)",
        "kills by ctypes": "import ctypes\nctypes.CDLL(None).kill(os.getppid(), 9)",
        "limits its parent": "import resource\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
        "forks by ctypes": "import ctypes\nwhile True:\n    ctypes.CDLL(None).fork()",
        "a fork bomb": "while True:\n    os.fork()",
        "a daemon": DAEMON,
        "a daemon by ctypes": "import _ctypes\n" + DAEMON,
        "a thread bomb": "while True:\n    threading.Thread(target=time.sleep, args=(60,)).start()",
        "a shell": "os.system('touch shelled')",
        "a shell by posix": "import posix\nposix.system('touch shelled')",
        "a process": "subprocess.run(['touch', 'shelled'])",
        "a process without an event": "import _posixsubprocess\n_posixsubprocess.fork_exec()",
        "another module object": "sys.modules.pop('_posixsubprocess')\nsys.modules.pop('subprocess')\nimport subprocess\nsubprocess.run('true')",
        "multiprocessing": "import multiprocessing as m\nm.get_context('spawn').Process(target=print).start()",
        "an interpreter inside": "import _xxsubinterpreters as i\ni.run_string(i.create(), 'import os; os.fork()')",
        "the network": "import socket\nsocket.create_connection(('127.0.0.1', 9))",
        "a large file": "open('big', 'wb').write(b'0' * 2**26)",
        "many files": "for i in range(10**6):\n    open(f'f{i}', 'wb').write(b'0' * 2**20)",
        "overwrites a classmate": f"open({str(victim)!r}, 'w').write('')",
        "overwrites a classmate by a rename": f"open('x', 'w').write('')\nos.rename('x', {str(victim)!r})",
        "removes the class": f"import shutil\nshutil.rmtree({str(room)!r})",
        "removes a classmate by a link": f"os.symlink({str(room)!r}, 'a')\nos.remove('a/{HONEST}/{RELU}')",
        "writes outside": f"open({str(room.parent / 'outside')!r}, 'w').write('')",
        "writes above": "open('../outside', 'w').write('')",
        "changes its folder": f"os.chdir({str(room.parent)!r})\nopen('outside', 'w')",
        "forges the table's cell": "open(f'/proc/{os.getppid()}/fd/1', 'w').write('cell ok\\n')",
        "memory": "x = [0]\nwhile True:\n    x += x",
        "an endless loop": "while True:\n    pass",
        "an endless loop that catches all": "while True:\n    try:\n        time.sleep(1)\n    except BaseException:\n        pass",
        "ends itself": "os._exit(0)",
        "an interrupt": "raise KeyboardInterrupt",
        "an exit": "sys.exit(0)",
        "a crash": "import faulthandler\nfaulthandler._sigsegv()",
        "stops itself": "os.kill(os.getpid(), signal.SIGSTOP)",
        "its pipes closed": "os.closerange(0, 64)",
        "its pipes replaced": "for i in range(3, 20):\n    try: os.dup2(os.open('x', os.O_CREAT | os.O_WRONLY), i)\n    except OSError: pass",
        "forged answers": "for i in range(3, 20):\n    try: os.write(i, b'{\"kind\": \"value\", \"value\": true}\\n')\n    except OSError: pass",
        "a shape without end": "for i in range(3, 20):\n    try: os.write(i, b'{\"kind\": 1, \"value\": ' + b'[' * 10**5 + b'\\n')\n    except OSError: pass",
        "the hook switched off": "import __main__\n__main__.REFUSED.clear()\n__main__.refuse = print\nos.fork()",
        "the hook's words replaced": "import builtins\nbuiltins.isinstance = lambda *a: False\nos.fsdecode = lambda p: 'x'\nos.name = 'nt'\nopen('../outside', 'w')",
        "a text that lies": "class P(str):\n    def startswith(self, *a): return True\n    def __contains__(self, a): return False\n"
        "open(P('../outside'), 'w')",
        "deep nesting": "x = " + "(" * 50_000 + ")" * 50_000,
        "a deep sum": "x = 0" + " + 1" * 49_000,
        "minus minus": "x = " + "-" * 90_000 + "1",
    }


def ways_to_the_answer(room: Path) -> dict[str, str]:
    """Code that looks for another's work, or the engine's; each ends with a `text` or a `relu_backward` if it finds it."""
    victim, solution = str(room / HONEST / RELU), str(SOLUTION)
    return {
        "a classmate's file": f"text = open({victim!r}).read()",
        "a classmate's file above": f"text = open('../{HONEST}/{RELU}').read()",
        "a classmate's file by os": f"text = os.read(os.open({victim!r}, os.O_RDONLY), 9999).decode()",
        "a classmate's file by NumPy": f"text = np.fromfile({victim!r}, 'u1').tobytes().decode()",
        "a classmate's file by memory": f"text = bytes(np.memmap({victim!r}, mode='r')).decode()",
        "a classmate as a module": f"import importlib.util as u\ns = u.spec_from_file_location('m', {victim!r})\n"
        "m = u.module_from_spec(s)\ns.loader.exec_module(m)\nrelu_backward = m.relu_backward",
        "a classmate by runpy": f"import runpy\nrelu_backward = runpy.run_path({victim!r})['relu_backward']",
        "a classmate by readline": f"import readline\nreadline.read_history_file({victim!r})\ntext = readline.get_history_item(1)",
        "the solution's file": f"text = open({solution!r}).read()",
        "the solution by a loader": f"import importlib.machinery as m\ntext = m.SourceFileLoader('a', {solution!r}).get_data({solution!r}).decode()",
        "the solution by pkgutil": "import pkgutil\ntext = pkgutil.get_data('tinydx.exercises.catalog', '02_relu.py').decode()",
        "the solution by import": f"sys.path.insert(0, {str(SOLUTION.parents[3])!r})\nfrom tinydx.exercises import find\ntext = find('relu').solution",
        "the solution by linecache": f"import linecache\ntext = ''.join(linecache.getlines({solution!r})) or 1 / 0",
        "the solution by inspect": "import inspect\ntext = inspect.getsource(sys.modules['tinydx.ops'])",
        "the solution in objects": "import gc\ntext = next(o for o in gc.get_objects() if 'relu_backward' in getattr(o, '__dict__', ()) and o.__name__ != 'exercise')",
        "the solution in modules": "relu_backward = next(m.relu_backward for n, m in sys.modules.items() if n != 'exercise' and hasattr(m, 'relu_backward'))",
        "the solution in frames": "f = sys._getframe()\nwhile 'relu_backward' not in f.f_globals: f = f.f_back\nrelu_backward = f.f_globals['relu_backward']",
        "the checker's memory": "text = open(f'/proc/{os.getppid()}/mem', 'rb').read(10)",
        "the checker's words": "text = open(f'/proc/{os.getppid()}/cmdline').read()",
        "the worker's file": "text = __import__('__main__').__loader__.get_data(sys.argv[0]).decode()",
        "torch": "import torch",
        "torch by a text": "import importlib\nimportlib.import_module('to' + 'rch')",
    }


def codes(room: Path) -> dict[str, str]:
    """Kind -> the whole text of a submission."""
    head = "import codeop, os, signal, subprocess, sys, threading, time, types\nimport numpy as np\n"
    right = "\n\ndef relu_backward(dy, x):\n    return dy * (x > 0)\n"
    out = {kind: head + code + right for kind, code in ways_out(room).items()}
    take = "\nif 'relu_backward' not in globals():\n    code = codeop.Compile()(text, 'a.py', 'exec')\n    space = {'np': np}\n"
    take += "    types.FunctionType(code, space)()\n    relu_backward = space['relu_backward']\n"
    return out | {kind: head + code + take for kind, code in ways_to_the_answer(room).items()}


def files(room: Path) -> dict[str, Callable[[Path], None]]:
    """Kind -> what makes the student's file, given its path."""
    victim = room / HONEST / RELU
    big = "x = 0\n" * 2_500_000
    return {
        "15 MB of source": lambda p: p.write_text(big) and None,
        "10 GB without content": lambda p: p.open("wb").truncate(10 * 2**30) and None,
        "a pipe": lambda p: os.mkfifo(p),
        "a folder": lambda p: p.mkdir(),
        "a link to a classmate": lambda p: p.symlink_to(victim),
        "a link to a classmate, relative": lambda p: p.symlink_to(Path("..", HONEST, RELU)),
        "a link to the system": lambda p: p.symlink_to("/etc/passwd"),
        "a link without end": lambda p: p.symlink_to("/dev/zero"),
        "a link to itself": lambda p: p.symlink_to(p.name),
        "a link to nothing": lambda p: p.symlink_to("nothing"),
        "null bytes": lambda p: p.write_bytes(b"x = 1\0\n") and None,
        "no text": lambda p: p.write_bytes(bytes(range(256)) * 9) and None,
        "nothing": lambda p: p.write_bytes(b"") and None,
    }
