"""The ranks of a program that mpirun started: how they begin, meet, fail and end together.

MPI's calls wait for all ranks, and for ever if one never comes: most parallel programs that fail, fail by hanging. So here the
ranks come to every exchange through `meet`, with a few numbers of their own: what they are about to do, and whether they failed.

    all do the same             the exchange follows; everyone is there, so it cannot hang
    a rank has failed           every rank raises that rank's error; the first rank prints it, once
    ranks do different things   every rank raises an error that says so; a rank that has ended counts, too

A rank that failed waits PATIENCE seconds for the others. If they do not come, it prints its error itself and ends all. A rank
that is killed ends all through mpirun.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import functools
import importlib.util
import os
import stat
import sys
import time
import traceback
from array import array
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NoReturn, TextIO, TypeVar

import numpy as np

from tinydx import command, files, random, threads

T = TypeVar("T")

PATIENCE = 10.0  # seconds that a failed rank waits for the others
READ = 5.0  # seconds that an abort waits until mpirun has read what a rank printed
SPIN = 0.002  # seconds of waiting without sleep: most exchanges are shorter, and sleeping costs 0.1 ms
LONGEST_SLEEP = 0.01

_give_way: Callable[[], None] = getattr(os, "sched_yield", lambda: time.sleep(0))  # the latter takes 0.05 ms more

# What the ranks can be about to do, as a message says it.
STEP, EVALUATION, DECISION, CHECK, FIRST, DONE, END = DOINGS = (
    "a step of training",
    "an evaluation",
    "a decision",
    "a check",
    "work of the first rank",
    "the end of a training",
    "the end of the program",
)


class World:
    """The ranks, as one of them sees them.

    Arguments: mpi, the module mpi4py.MPI; errors, where this rank can still print when its standard streams are silent.
    """

    def __init__(self, mpi: Any, errors: TextIO):
        self.mpi, self.errors = mpi, errors
        self.comm = mpi.COMM_WORLD.Dup()  # so that messages of the user's own program do not mix with these
        self.rank, self.size = self.comm.rank, self.comm.size
        self._memory: dict[Any, np.ndarray] = {}
        self.status = 0  # with which this process ends
        self.torn = False  # an exchange was left half done, so there can be no other

    def meet(self, doing: str, same: int = 0, otherwise: str = "", patience: float = float("inf")) -> None:
        """Wait until all ranks are here.

        Arguments: doing, what this rank is about to do; same, a number that must be equal on all ranks, and otherwise, the error
        where it is not; patience, seconds after which a TimeoutError is raised.
        Raises: the error of a rank that failed; RuntimeError where the ranks are about to do different things.
        """
        self._exchange_header(0, DOINGS.index(doing), same, otherwise, patience)

    def _exchange_header(self, failed: int, kind: int, same: int, otherwise: str, patience: float, text: str = "") -> None:
        mine = np.array([failed, kind, -kind, same, -same], np.int64)
        most = self.largest(mine, patience)
        if most[0]:
            lowest = self.size - int(most[0])
            name, told = self.comm.bcast(text.partition(":")[::2], lowest)
            if not failed:
                raise _of_all(_error(name, f"rank {lowest} of {self.size}: {told}"))
        elif most[1] != -most[2]:
            words = " and ".join(sorted({DOINGS[int(most[1])], DOINGS[-int(most[2])]}))
            raise _of_all(RuntimeError(f"the ranks do not do the same, but {words}: let all ranks call it, alike"))
        elif most[3] != -most[4]:
            raise _of_all(RuntimeError(otherwise))

    def largest(self, numbers: np.ndarray, patience: float = float("inf")) -> np.ndarray:
        """The largest of each number over all ranks; they wait for each other, and sleep while they do."""
        most = np.empty_like(numbers)
        self._wait(self.comm.Iallreduce(numbers, most, self.mpi.MAX), patience, sleeps=True)
        return most

    def sum(self, array: np.ndarray) -> None:
        """Add up an array over all ranks, in place; the ranks have met."""
        self._wait(self.comm.Iallreduce(self.mpi.IN_PLACE, array))

    def gather(self, rows: np.ndarray, counts: Sequence[int], use: Any) -> np.ndarray:
        """The rows (n,K) of all ranks one after the other, counts of them from each, in memory of that use; they have met."""
        rows = np.ascontiguousarray(rows)
        n, width = sum(counts), rows.shape[1]
        found = self.kept(use, n * width, rows.dtype).reshape(n, width)
        self._wait(self.comm.Iallgatherv(rows, [found, [n * rows.shape[1] for n in counts]]))
        return found

    def kept(self, use: Any, size: int, dtype: np.dtype) -> np.ndarray:
        """An array (size,) whose memory the next call for this use gets again: new memory would take as long as an exchange."""
        memory = self._memory.get((use, dtype))
        if memory is None or memory.size < size:
            memory = self._memory[use, dtype] = np.empty(size, dtype)
        return memory[:size]

    def _wait(self, request: Any, patience: float = float("inf"), sleeps: bool = False) -> None:
        """Wait for an exchange. Between looks the core is given to others: there may be more ranks than cores."""
        began, self.torn = time.perf_counter(), True
        while not request.Test():
            waited = time.perf_counter() - began
            if waited > patience:
                raise TimeoutError
            if sleeps and waited > SPIN:
                time.sleep(min(waited / 20, LONGEST_SLEEP))
            else:
                _give_way()
        self.torn = False

    # ---- failing and ending ----

    def fail(self, error: Exception, where: str = "") -> None:
        """Tell the others of an error, which each of them raises at its next meeting; ends all ranks if they do not come."""
        if getattr(error, "of_all_ranks", False):
            return
        told = command.words(error) + where
        try:
            if self.torn:
                raise TimeoutError
            text = f"{type(error).__name__}:{told}"
            self._exchange_header(self.size - self.rank, 0, 0, "", PATIENCE, text)
            _of_all(error)
        except TimeoutError:
            print(f"tinydx: rank {self.rank} of {self.size}: {told}", file=self.errors, flush=True)
            self._abort(1)

    def end(self) -> None:
        """Wait for the others at the end of the program; what they tell meanwhile ends it with an error."""
        sys.stdout.flush()
        if self.torn:
            self._abort(self.status or 1)
        while True:
            try:
                self.meet(END)
                break
            except Exception as error:
                self.status = 1
                print(f"tinydx: {error}", file=sys.stderr, flush=True)  # of the first rank only
        if status := int(self.largest(np.array([self.status], np.int64))[0]):
            if self.rank == 0:  # mpirun passes on the status of an abort for certain, that of a process only sometimes
                self._abort(status)
            time.sleep(PATIENCE)

    def _abort(self, status: int) -> NoReturn:
        """End all ranks at once; MPI would tell of it, which says nothing to a reader."""
        _wait_until_read([sys.stdout, self.errors])
        _silence()
        self.mpi.COMM_WORLD.Abort(status)
        os._exit(status)


def _of_all(error: Exception) -> Exception:
    """The error, marked as one that all ranks know of."""
    error.of_all_ranks = True  # type: ignore[attr-defined]
    return error


def _error(name: str, text: str) -> Exception:
    """An error of Python's class of that name; a RuntimeError where there is none that takes a text alone."""
    try:
        error = getattr(builtins, name)(text)
    except (AttributeError, TypeError):
        error = None
    return error if isinstance(error, Exception) else RuntimeError(text)


# ---- this process ---------------------------------------------------------------------------------------------------

_world: World | None = None  # None without mpirun


def world() -> World | None:
    """The ranks; None in a program of a single process."""
    return _world


def start() -> None:
    """Make this process one of the ranks that mpirun started; without mpirun, do nothing.

    Call it first of all, on every rank. From then on all ranks have the same random numbers, only the first one prints and
    writes files, and an error on one rank ends all.

    Raises: ImportError without mpi4py and an MPI; RuntimeError where mpirun is of another MPI.
    """
    global _world
    expected = command.ranks()
    if _world is not None or expected == 1:
        return
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # the latter where there is no MPI
        raise ImportError(f"several processes of mpirun need mpi4py: pip install 'tinydx[mpi]' ({error})") from None
    if MPI.COMM_WORLD.size != expected:
        found = f"mpirun started {expected} processes, but mpi4py's MPI sees {MPI.COMM_WORLD.size}"
        raise RuntimeError(f"{found}: call the mpirun of the same environment, which stands beside its python")
    for name in command.RANKS:
        os.environ.pop(name, None)  # a process that this one starts is no rank
    first = MPI.COMM_WORLD.rank == 0
    _world = World(MPI, sys.stderr if first else _silence())
    files.writes = first
    _share_machine(_world)
    numbers, shared = _world.comm.bcast((random.state(), random.shared_state()))
    random.load_state(numbers)
    random.load_shared_state(shared)
    sys.excepthook = functools.partial(_uncaught, _world, sys.excepthook)
    atexit.register(_world.end)


def _silence() -> TextIO:
    """Send what this process prints nowhere, also what C code prints; returns a stream that still reaches the terminal."""
    sys.stdout.flush()
    sys.stderr.flush()
    errors = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return errors


def _wait_until_read(streams: Sequence[TextIO]) -> None:
    """Wait until mpirun has read what these streams hold: at an abort it throws away what still lies in its pipes."""
    if sys.platform == "win32":  # a pipe's writer cannot ask there
        return
    import fcntl
    import termios

    until = time.perf_counter() + READ
    for stream in streams:
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more
            stream.flush()
            unread = array("i", [stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)])
            while unread[0] and time.perf_counter() < until:
                time.sleep(0.001)
                fcntl.ioctl(stream.fileno(), termios.FIONREAD, unread)


def _share_machine(world: World) -> None:
    """Give each rank of this machine its share of the cores, unless the environment says how many, and one of the GPUs."""
    here = world.comm.Split_type(world.mpi.COMM_TYPE_SHARED)
    if not (os.environ.get("NUMBA_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")):
        threads.set_threads(max(1, threads.get_threads() // here.size))
    if importlib.util.find_spec("cupy") is None:
        return
    import cupy

    with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError):  # no driver
        cupy.cuda.Device(here.rank % cupy.cuda.runtime.getDeviceCount()).use()


def _uncaught(world: World, hook: Callable[..., Any], kind: type, error: BaseException, trace: TracebackType | None) -> None:
    """What Python calls for an error that ends a program: the others are told where it was."""
    world.status = 1
    if isinstance(error, Exception):
        at = traceback.extract_tb(trace)[-1]
        world.fail(error, f" ({at.filename}, line {at.lineno})")
    else:
        world.torn, world.status = True, 130  # Ctrl-C: nobody waits
    hook(kind, error, trace)


def rank() -> int:
    """The number of this process, from 0; 0 without mpirun."""
    return 0 if _world is None else _world.rank


def size() -> int:
    """The number of processes; 1 without mpirun."""
    return 1 if _world is None else _world.size


def is_first() -> bool:
    """Whether this is the rank that prints and writes.

    >>> rank(), size(), is_first()
    (0, 1, True)
    """
    return rank() == 0


def as_one(work: Callable[[], T]) -> T:
    """work(), called by all ranks; an error on one of them is raised on all.

    >>> as_one(lambda: 3)
    3
    """
    if _world is None:
        return work()
    try:
        result = work()
        _world.meet(DONE)
        return result
    except Exception as error:
        _world.fail(error)
        raise


def as_command(work: Callable[[], int]) -> int:
    """`as_one` of a command's work, whose result is the status with which this process ends."""
    assert _world is not None
    _world.status = 1
    _world.status = as_one(work)
    return _world.status


def any_rank(decision: bool) -> bool:
    """Whether any rank decides so; called by all.

    >>> any_rank(False)
    False
    """
    if _world is None:
        return decision
    _world.meet(DECISION)
    return bool(_world.largest(np.array([decision], np.int64))[0])


def by_first(method: Callable[..., T]) -> Callable[..., T]:
    """The function, called by all ranks and run by the first one: its result is that of all."""

    @functools.wraps(method)
    def call(*arguments: Any, **keywords: Any) -> T:
        if _world is None:
            return method(*arguments, **keywords)
        result = method(*arguments, **keywords) if _world.rank == 0 else None
        _world.meet(FIRST)
        return _world.comm.bcast(result)

    return call


def in_turn(work: Callable[[], T]) -> T:
    """work() on the first rank, then on the others, which find what it has put on the disk.

    >>> in_turn(lambda: 3)
    3
    """
    if _world is None:
        return work()
    if _world.rank == 0:
        result = work()
        _world.meet(FIRST)
        return result
    _world.meet(FIRST)
    return work()
