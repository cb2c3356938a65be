"""Tells the user that kernels are being compiled: else the first use on a machine is a minute of silence.

Numba compiles a kernel when it is first called and keeps the result on disk (beside the source, or in
NUMBA_CACHE_DIR), so this happens once; `tinydx doctor --warm` does all of it at a time of your choice.
"""

import atexit
import sys
import time

from numba.core import event

from tinydx_kernels.cpu.simd import CACHED

KEPT = "; they are kept, next time there is no wait"


class Compilation(event.Listener):
    """Counts what is compiled and for how long; says so on stderr, at the first kernel and at the end of the program."""

    def __init__(self):
        self.kernels, self.seconds = 0, 0.0
        self.depth, self.since = 0, 0.0  # a kernel that calls another compiles it in between

    def on_start(self, _):
        if self.depth == 0:
            self.since = time.perf_counter()
            if self.kernels == 0:
                self.say("compiling CPU kernels for this machine: once, a minute or two ...")
        self.depth += 1

    def on_end(self, _):
        self.depth -= 1
        self.kernels += 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self.since

    def report(self):
        if self.seconds > 1:
            self.say(f"compiled {self.kernels} CPU kernels in {self.seconds:.0f} s" + KEPT * CACHED)

    @staticmethod
    def say(text):
        print(f"tinydx: {text}", file=sys.stderr, flush=True)


compilation = Compilation()


def announce_compilation():
    """From now on: to be called once."""
    event.register("numba:compile", compilation)
    atexit.register(compilation.report)
