"""Compiles a .cu file to a shared library with g++, and keeps it on disk.

The name of a library contains a hash of everything it depends on: the preprocessed text (the file, its headers, the defines),
the runtime's own files, g++'s version and its flags. So no library is out of date, and none is compiled twice.

    $TINYDX_HOME/emulator, or the user's cache folder:   runtime-<hash>.so   saxpy-<hash>.so
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tinydx_kernels.emulator.source import Source, SourceError, read_source

HERE = Path(__file__).parent
HEADERS = HERE / "device"
CUDA = HERE.parent / "cuda"  # ptx.cuh
OLDEST = 12

# -fno-plt: a loop that calls the runtime is interrupted in its own code, which has a line, or in the runtime, never between.
COMMON = ["-std=c++17", "-fPIC", "-fno-plt", "-fno-exceptions", "-fno-strict-aliasing", "-w"]
# -Og keeps the accesses as they are written: none is merged, split or moved out of a loop.
CHECKED = ["-Og", "-g", "-fsanitize=thread,alignment,bounds,bounds-strict,signed-integer-overflow,shift,integer-divide-by-zero"]
FAST = ["-O3"]
# Headers of host code, which kernels do not need: cuda_device.h declares what kernels use of them, as NVRTC does.
_HOST_INCLUDE = re.compile(
    r"^[ \t]*#[ \t]*include[ \t]*"
    r"<(?:algorithm|c?assert|chrono|c?math|c?stdio|c?stdlib|c?time|iomanip|iostream|random|string|vector)(?:\.h)?>",
    re.M,
)
# -Bsymbolic: a kernel named like a function of the C library is itself; static: no other copy of libstdc++ interferes.
LINKED = ["-shared", "-Wl,-Bsymbolic", "-static-libstdc++", "-static-libgcc"]


def compiler() -> str:
    """The path of g++. Raises OSError, with what to install, where there is none or it is too old."""
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        here = f"{platform.system()} {platform.machine()}"
        raise OSError(f"the CUDA emulator runs on Linux with x86-64 or aarch64, and this is {here}: use a container or WSL")
    path = shutil.which("g++")
    if path is None or not shutil.which("addr2line"):
        raise OSError(f"the CUDA emulator needs g++ {OLDEST} or newer, and there is none: apt install g++")
    if int(_version(path).split(".")[0]) < OLDEST:
        raise OSError(f"the CUDA emulator needs g++ {OLDEST} or newer, and this is {_version(path)}: apt install g++-{OLDEST}")
    return path


@functools.cache
def _version(path: str) -> str:
    return subprocess.run([path, "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()


def cache_folder() -> Path:
    """The folder of the libraries: $TINYDX_HOME/emulator, else the user's cache folder."""
    home = os.environ.get("TINYDX_HOME")
    base = Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinydx"
    folder = base / "emulator"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def preprocess(path_or_source: str | os.PathLike, defines: Mapping[str, object]) -> Source:
    """Read a .cu file (or a text) with all its headers. Raises FileNotFoundError, SourceError, OSError."""
    text = str(path_or_source)
    if isinstance(path_or_source, os.PathLike) or "\n" not in text:
        path = Path(path_or_source)
        name, text, folders = str(path), path.read_text(errors="replace"), [str(path.resolve().parent), str(CUDA)]
    else:
        name, folders = "source.cu", [str(CUDA)]
    command = [compiler(), "-E", "-x", "c++", "-std=c++17", "-include", str(HEADERS / "cuda_device.h"), f"-I{HEADERS}"]
    command += [f"-I{folder}" for folder in folders] + [f"-D{key}={value}" for key, value in defines.items()]
    marked = Path(name).name
    kernels = _HOST_INCLUDE.sub("", text)
    preprocessed = _run([*command, "-"], f'#line 1 "{marked}"\n{kernels}').replace('"<stdin>"', f'"{marked}"')
    for folder in folders:  # files are marked without their folder, so that all copies share a library, and for the reader
        preprocessed = preprocessed.replace(f' "{folder}/', ' "')
    return read_source(name, preprocessed)


def build(source: Source, checked: bool) -> Path:
    """The path of a file's library, which is compiled if it does not exist. Raises SourceError with g++'s first error."""
    runtime = _runtime()
    flags = [*COMMON, *(CHECKED if checked else FAST)]
    key = _hash(source.code, str(runtime), *flags, *LINKED, _version(compiler()))
    target = cache_folder() / f"{Path(source.name).stem}-{key}.so"
    if not target.exists():
        _compile(target, [*flags, "-x", "c++-cpp-output", "-"], source.code, [str(runtime)])
    return target


def _runtime() -> Path:
    """The path of the library that runs launches; all modules share it."""
    files = [file for folder in (HERE / "runtime", HEADERS) for file in sorted(folder.iterdir()) if file.is_file()]
    flags = [*COMMON, "-O2"]
    target = cache_folder() / f"runtime-{_hash(*(f.read_text() for f in files), *flags, _version(compiler()))}.so"
    if not target.exists():
        _compile(target, [*flags, str(HERE / "runtime" / "runtime.cpp")])
    return target


def _compile(target: Path, arguments: list[str], text: str = "", libraries: Sequence[str] = ()) -> None:
    """Compile, then link by itself: with -fsanitize the linker would add the real libtsan."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        code, library = f"{folder}/code.o", f"{folder}/library.so"
        _run([compiler(), *arguments, "-c", "-o", code], text)
        _run([compiler(), *LINKED, "-o", library, code, *libraries], "")
        os.replace(library, target)  # if two processes compile the same file, either result is right


def _run(command: list[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        complaint = re.search(r"^.*(?:error|undefined reference).*$", done.stderr, re.M)
        raise SourceError(complaint[0] if complaint else f"g++ failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
