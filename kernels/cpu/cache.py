"""Compiled kernels on disk: Numba's cache, made safe against what happens to files.

Numba raises where no folder can be written, the disk is full, or a file was cut short when a process was killed; here the kernel
is compiled again, or runs without being kept. Numba looks at a kernel's own file alone, and would run a kernel compiled with
helpers of other files that have changed since; here all files of this folder count. And two processes that compile one kernel
for different types at the same time may leave one's code under the other's types, which is seen here.
"""

import contextlib
import hashlib
import threading
from pathlib import Path

from numba.core.caching import FunctionCache, IndexDataCacheFile

from tinydx_kernels.cpu.settings import changed_code

SOURCES = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()
kept_in: set[str] = set()  # the folders of the kernels that are kept
writing = threading.Lock()  # held while a file is written
not_kept: list[str] = []  # the first reason why a kernel is not kept, with what to do; empty if all are


class KernelCache(FunctionCache):
    """The compiled code of one kernel on disk, by the types of its arguments."""

    def __init__(self, kernel):
        super().__init__(kernel.py_func)
        # of one function there may be two kernels, for one thread and for several: each has a file of its own
        name = self._impl.filename_base + ("-parallel" if kernel.targetoptions.get("parallel") else "")
        self._cache_file = IndexDataCacheFile(self._cache_path, name, SOURCES)

    def load_overload(self, sig, target_context):
        """The code for these types; None where there is none that is whole."""
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # a damaged file can raise anything
            with contextlib.suppress(OSError):
                self.flush()
            return None
        return found if found is None or tuple(found.signature.args) == tuple(sig) else None

    def holds(self, sig, target_context):
        """Whether there is code for these types; the file may still turn out to be damaged."""
        return self._index_key(sig, target_context.codegen()) in self._cache_file._load_index()

    def save_overload(self, sig, data):
        """Keep the code, if the disk takes it."""
        try:
            with writing:
                super().save_overload(sig, data)
        except OSError as error:
            self.disable()
            _note(f"{error}: NUMBA_CACHE_DIR names another folder")


def keep(kernel):
    """The kernel, its compiled code kept on disk if there is a place for it."""
    if settings := changed_code():
        _note(f"{settings} changes the code")
        return kernel
    try:
        kernel._cache = KernelCache(kernel)  # as `cache=True` does with a cache of Numba's own
        kept_in.add(kernel._cache.cache_path)
    except (RuntimeError, OSError) as error:
        words = "no folder for them can be written" if "no locator" in str(error) else str(error)
        _note(f"{words}: set NUMBA_CACHE_DIR to one that can")
    return kernel


def _note(reason):
    if not not_kept:
        not_kept.append(reason)
