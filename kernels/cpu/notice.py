"""Announces that kernels are being compiled, and how far that is: without it, the first use on a machine is a silent minute.

    compiling CPU kernels for this machine, the first time only ...     at the first one
    compiling kernel 12 of 31                                          on a terminal; without "of 31" where that is not known
    compiled 31 CPU kernels in 14 s; ...                                at the end of the program

Numba compiles a kernel at its first call and keeps the result on disk (beside the source, or in NUMBA_CACHE_DIR), so
this happens once per machine. `tinydx doctor --warm` compiles all kernels in advance.
"""

import atexit
import contextlib
import sys
import threading
import time

from numba.core import event

from tinydx_kernels.cpu.cache import not_kept

ERASE = "\r\x1b[K"


class Compilation(event.Listener):
    """Counts the kernels that are compiled, by this process or a helper, and the time that this takes."""

    def __init__(self):
        self.kernels, self.seconds = 0, 0.0
        self.first, self.total = 0, 0  # a group of known size: the number before it, and after it
        self.depth, self.since = 0, 0.0  # a kernel that calls another compiles it within its own compilation
        self.announced = False
        self.lock = threading.RLock()

    def on_start(self, _):
        """A function begins to compile."""
        with self.lock:
            self.depth += 1
            if self.depth == 1:
                self.since = time.perf_counter()
                self.announce()
                self.show()

    def announce(self):
        """Say once that it begins."""
        if not self.announced:
            self.announced = True
            often = f"every time, for they are not kept ({not_kept[0]})" if not_kept else "the first time only"
            self.say(f"compiling CPU kernels for this machine, {often} ...")

    def on_end(self, _):
        """A function is compiled: a kernel, unless it is a part of one."""
        with self.lock:
            self.depth -= 1
            if self.depth == 0:
                self.seconds += time.perf_counter() - self.since
                self.count()

    def count(self):
        """A kernel is compiled, here or by a helper."""
        with self.lock:
            self.kernels += 1
            if self.total:  # else nothing waits for it
                self.show()

    @contextlib.contextmanager
    def of(self, count):
        """Count up to this number of kernels while the block compiles them."""
        self.first, self.total = self.kernels, self.kernels + count
        try:
            yield
        finally:
            self.first = self.total = 0

    def show(self):
        """Which kernel is being compiled, on a terminal."""
        if sys.stderr.isatty():
            number, known = self.kernels - self.first, self.total - self.first
            words = f"kernel {min(number + 1, known)} of {known}" if self.total else f"kernel {number + 1}"
            print(f"{ERASE}tinydx: compiling {words}", end="\r", file=sys.stderr, flush=True)

    def report(self):
        """Print how many kernels were compiled, if it took more than a second."""
        if self.seconds > 1:
            kept = f"are not kept: {not_kept[0]}" if not_kept else "are saved on disk and load at once next time"
            self.say(f"compiled {self.kernels} CPU kernels in {self.seconds:.0f} s; they {kept}")

    @staticmethod
    def say(text):
        """Print a line to stderr."""
        print(f"{ERASE if sys.stderr.isatty() else ''}tinydx: {text}", file=sys.stderr, flush=True)


compilation = Compilation()


def announce_compilation():
    """Announce every compilation from now on; call it once."""
    event.register("numba:compile", compilation)
    atexit.register(compilation.report)
