"""Announces that kernels are being compiled: without it, the first use on a machine is a silent minute.

Numba compiles a kernel at its first call and keeps the result on disk (beside the source, or in NUMBA_CACHE_DIR), so
this happens once per machine. `tinydx doctor --warm` compiles all kernels in advance.
"""

import atexit
import sys
import time

from numba.core import event

from tinydx_kernels.cpu.cache import not_kept


class Compilation(event.Listener):
    """Counts compiled kernels and the time they take; prints to stderr at the first one and at the end of the program."""

    def __init__(self):
        self.kernels, self.seconds = 0, 0.0
        self.depth, self.since = 0, 0.0  # a kernel that calls another compiles it within its own compilation

    def on_start(self, _):
        """A kernel begins to compile."""
        if self.depth == 0:
            self.since = time.perf_counter()
            if self.kernels == 0:
                often = f"every time, for they are not kept ({not_kept[0]})" if not_kept else "the first time only"
                self.say(f"compiling CPU kernels for this machine; this takes a minute or two, {often} ...")
        self.depth += 1

    def on_end(self, _):
        """A kernel is compiled."""
        self.depth -= 1
        self.kernels += 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self.since

    def report(self):
        """Print how many kernels were compiled, if it took more than a second."""
        if self.seconds > 1:
            kept = f"are not kept: {not_kept[0]}" if not_kept else "are saved on disk and load at once next time"
            self.say(f"compiled {self.kernels} CPU kernels in {self.seconds:.0f} s; they {kept}")

    @staticmethod
    def say(text):
        """Print a line to stderr."""
        print(f"tinydx: {text}", file=sys.stderr, flush=True)


compilation = Compilation()


def announce_compilation():
    """Announce every compilation from now on; call it once."""
    event.register("numba:compile", compilation)
    atexit.register(compilation.report)
