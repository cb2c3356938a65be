"""Compiles what a piece of work needs before it goes on: all of it together, on all cores, with a count.

    the first kernel that is not compiled
      -> the work is rehearsed (tinydx/rehearsal.py): kernels only note with which types they are called
      -> this process and helpers compile them, the longest first, so that all end at about the same time
      -> the work goes on, and finds everything in memory or on disk
      -> a helper that `begin` has started goes on, too, with what later work will need

A helper is another process, because Numba compiles one function at a time in each. It is given kernels through its standard
input, keeps their code on disk, and ends when that input is closed, so it cannot outlive this process. What a helper did not
finish, for whatever reason, is compiled when it is called: helpers cost time at worst. Without a place on disk there are none.
"""

import atexit
import contextlib
import functools
import gc
import glob
import importlib
import inspect
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np
from numba.core.dispatcher import Dispatcher

from tinydx import rehearsal
from tinydx_kernels.cpu.cache import kept_in, not_kept, writing
from tinydx_kernels.cpu.notice import compilation

WORTH = 4  # kernels for which a helper pays: to start one takes as long as to compile two or three
MOST = 3  # helpers
KEPT = 1 << 20  # bytes: what a kernel's file keeps for all calls, such as a table, is smaller
NICE = 10  # how much a helper steps back behind the work that goes on
PATIENCE = 60  # seconds after which a helper that does not answer is given up
PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
import tinydx
from tinydx_kernels.cpu.ahead import help_out
help_out()
"""

kernels: list[Dispatcher] = []  # all that Python can call
_noted: ContextVar[list | None] = ContextVar("tinydx.noted", default=None)  # in a rehearsal
_cleared: list[tuple[np.ndarray, np.ndarray]] = []  # arrays that a rehearsal has filled with zeros, and what they held
_one_at_a_time = threading.RLock()
_at_work = None  # the helper that `begin` has started
_foreseen: list[list] = []  # what it was given: for each work what that will need


class Wanted(NamedTuple):
    """A kernel, and the types of the arguments for which it is to be compiled."""

    kernel: Dispatcher
    types: tuple

    def is_there(self):
        """Whether it is compiled, in memory or on disk."""
        k = self.kernel
        return self.types in k.overloads or (hasattr(k._cache, "holds") and k._cache.holds(self.types, k.targetctx))


def _missing(wanted, begun=()):
    """Those not compiled yet, the longest first, in groups of one kernel: two processes must not write to a kernel's index at the
    same time."""
    groups = {}
    for w in dict.fromkeys(wanted):
        if w not in begun and not w.is_there():
            groups.setdefault(w.kernel, []).append(w)
    return sorted(groups.values(), key=lambda group: -_length(group[0].kernel))


def _length(kernel):
    """How much there is to compile: the bytes of Python's code of the kernel and of all that it calls."""
    called, new = set(), {kernel}
    while new:
        called |= new
        known = [inspect.getclosurevars(k.py_func) for k in new]
        new = {f for names in known for f in (*names.globals.values(), *names.nonlocals.values()) if isinstance(f, Dispatcher)}
        new -= called
    return sum(len(k.py_func.__code__.co_code) for k in called)


def watch(kernel):
    """The kernel, whose first call for any types comes here."""
    kernels.append(kernel)
    kernel._compile_for_args = functools.partial(_first_call, kernel, kernel._compile_for_args)
    return kernel


def _first_call(kernel, compile_for, *arguments):
    """What Python then calls: the kernel compiled for these arguments; in a rehearsal, a stand-in for it."""
    wanted = Wanted(kernel, tuple(kernel.typeof_pyval(a) for a in arguments))
    noted = _noted.get()
    if noted is not None:
        noted.append(wanted)
        return _clear
    work = rehearsal.work.get()
    foreseen = next((group for group in _foreseen if wanted in group), None)
    if (foreseen or work) and not wanted.is_there():
        with _one_at_a_time:
            if not wanted.is_there():
                compile_all([wanted, *(foreseen or _rehearsed(work))])
    return compile_for(*arguments)


def _clear(*arguments):
    """Zeros in all arrays, and as the result: a stand-in that leaves nothing to chance. `_restore` undoes it where an array may
    outlive this."""
    for a in arguments:
        if isinstance(a, tuple):
            _clear(*a)
        elif isinstance(a, np.ndarray) and a.flags.writeable:
            if a.nbytes <= KEPT:
                _cleared.append((a, a.copy()))
            a.fill(0)
    return 0.0


def _restore():
    """Give the arrays that were cleared their numbers back, those of the first time last."""
    while _cleared:
        a, before = _cleared.pop()
        a[...] = before


def _rehearsed(work):
    """The kernels that the work calls, in order; those it would call after an error are missing, which costs time only."""
    noted = []
    token = _noted.set(noted)
    for kernel in kernels:
        kernel._clear()  # so that its next call is a first one
    try:
        with contextlib.suppress(Exception), np.errstate(all="ignore"):
            work()
    finally:
        _noted.reset(token)
        _restore()
        for kernel in kernels:
            for found in kernel.overloads.values():
                kernel._insert([a._code for a in found.signature.args], found.entry_point, found.objectmode)
    return noted


def is_first_run():
    """Whether this machine has no kernel yet, and could keep some and spare a core for compiling them."""
    return not (_at_work or not_kept or _cores() < 2 or any(glob.glob(f"{glob.escape(folder)}/*.nbi") for folder in kept_in))


def begin(*works):
    """In a first run, have a helper compile what the works need, in their order, while this process does other things."""
    global _at_work
    if not is_first_run():
        return
    compilation.announce()
    _at_work = Helper(deque())  # it gets ready while the works are rehearsed
    _foreseen[:] = map(_rehearsed, works)
    _at_work.turn_to([])
    _at_work.__enter__()
    atexit.register(_at_work.__exit__)


def compile_all(wanted):
    """Compile them for their types, with the help of other processes."""
    helpers = [_at_work] if _at_work and _at_work.thread.is_alive() else []
    begun, left = _at_work.turn_to(wanted) if helpers else ([], deque(_missing(wanted)))
    number = 0 if not_kept or len(left) < WORTH else min(MOST, _cores() - 1)
    with compilation.of(sum(map(len, left)) + len(begun)), _no_garbage_collection(), contextlib.ExitStack() as stack:
        helpers += [stack.enter_context(Helper(left)) for _ in range(number - len(helpers))]
        with contextlib.suppress(IndexError):
            while True:
                for w in left.popleft():
                    w.kernel.compile(w.types)
        for helper in helpers:
            helper.finish(wanted)
    if _at_work and _at_work.thread.is_alive():  # what it goes on with is for later, and the cores are needed now
        with contextlib.suppress(AttributeError, OSError):  # not on Windows
            os.setpriority(os.PRIO_PROCESS, _at_work.process.pid, NICE)


@contextlib.contextmanager
def _no_garbage_collection():
    """Without it, compiling takes a sixth less time: the compiler makes a million objects that live for some seconds."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---- helpers ---------------------------------------------------------------------------------------------------------


class Helper:
    """A process that compiles what is `left`, then `later`, and the thread that gives it work; it ends with the block, or when
    nothing is left."""

    def __init__(self, left):
        self.left, self.later, self.at = left, deque(), []  # at: what it compiles now
        self.changed = threading.Condition()
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([sys.executable, "-P", "-c", PROGRAM], **pipes)
        self.thread = threading.Thread(target=self._give, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def turn_to(self, wanted):
        """Compile these, and what else is foreseen later. Returns those of them that it has begun, and what is left to share."""
        with self.changed:
            begun = [w for w in self.at if w in wanted]
            self.left = deque(_missing(wanted, self.at))
            self.later, known = deque(), [*self.at, *wanted]
            for work in _foreseen:
                self.later += _missing(work, known)
                known += work
            return begun, self.left

    def _give(self):
        """Give it one kernel after the other; where it fails or dies, the rest is left to others."""
        pipe = self.process.stdin
        with contextlib.suppress(OSError, ValueError, IndexError, pickle.PicklingError):
            _send(pipe, sys.path)
            while self.process.stdout.read(1):  # it is ready, or has kept the last one
                for _ in self.at:
                    compilation.count()
                if not self._take():
                    break
                module = self.at[0].kernel.__module__
                _send(pipe, (module, _kernels_of(module).index(self.at[0].kernel), [w.types for w in self.at]))
        self.left, self.later = deque(), deque()
        self._take()
        with contextlib.suppress(OSError):
            pipe.close()  # its process ends

    def _take(self):
        """Be at the next group; False where nothing is left."""
        with self.changed:
            self.at = []
            self.changed.notify_all()
            for groups in (self.left, self.later):
                with contextlib.suppress(IndexError):
                    self.at = groups.popleft()
                    return True
            return False

    def finish(self, wanted):
        """Wait until it is at none of these."""
        with self.changed:
            self.changed.wait_for(lambda: not any(w in wanted for w in self.at), PATIENCE)

    def __exit__(self, *exc):
        self.left, self.later = deque(), deque()
        try:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            if self.at:  # let it write its file
                self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.process.kill()
            self.process.wait()
            self.thread.join()
            self.process.stdout.close()


def _kernels_of(module):
    """The kernels of a module, in their order: a name may stand for two, one function for one thread and for several."""
    return [kernel for kernel in kernels if kernel.__module__ == module]


def _send(pipe, value):
    pickle.dump(value, pipe)
    pipe.flush()


def help_out():
    """The program of a helper."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that it helps, whose end ends it
    work = deque()
    more = threading.Semaphore(0)

    def receive():
        with contextlib.suppress(EOFError, OSError):
            while True:
                work.append(pickle.load(sys.stdin.buffer))
                more.release()
        with writing:  # no file is left half-written
            os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    while True:
        os.write(1, b".")
        more.acquire()
        module, number, group = work.popleft()
        importlib.import_module(module)
        with _no_garbage_collection():
            for types in group:
                _kernels_of(module)[number].compile(types)
