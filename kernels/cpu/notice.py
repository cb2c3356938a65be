"""Tells the user that kernels are being compiled: the first use on a machine takes half a minute in silence else.

Numba compiles a kernel when it is first called and keeps the result on disk (beside the source, or in
NUMBA_CACHE_DIR), so this happens once; `tinydx doctor --warm` does all of it at a time of your choice.
"""

import atexit
import sys
import time

from numba.core import event

ABOUT = 40  # seconds that all kernels take on a slow machine, so that the user knows what to expect


class Compilation(event.Listener):
    """Counts what is compiled and for how long; says so on stderr, at the first kernel and at the end of the program."""

    def __init__(self):
        self.kernels, self.seconds = 0, 0.0
        self.depth, self.since = 0, 0.0  # a kernel that calls another compiles it in between
        self.silent = False

    def on_start(self, _):
        if self.depth == 0:
            self.since = time.perf_counter()
            if self.kernels == 0 and not self.silent:
                self.say(f"compiling CPU kernels for this machine: once, up to {ABOUT} s in all ...")
        self.depth += 1

    def on_end(self, _):
        self.depth -= 1
        self.kernels += 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self.since

    def report(self):
        if self.seconds > 1 and not self.silent:
            self.say(f"compiled {self.kernels} CPU kernels in {self.seconds:.0f} s; they are kept, next time there is no wait")

    @staticmethod
    def say(text):
        print(f"tinydx: {text}", file=sys.stderr, flush=True)


compilation = Compilation()


def announce_compilation():
    """From now on: to be called once."""
    event.register("numba:compile", compilation)
    atexit.register(compilation.report)
