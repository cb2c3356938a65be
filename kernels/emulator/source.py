"""Reads a .cu file: finds its kernels and their parameters, and rewrites what g++ would not accept.

    file.cu --g++ -E--> one text with all its headers --rewrite--> C++ for g++
                                    |
                                    +-> kernels: names, parameters, launch bounds; __shared__ arrays and their shapes

The preprocessed text has two advantages: macros (`-DTILE=16`) are already numbers in it, and its hash covers everything that
the result depends on. Three things are rewritten, without changing line numbers:

    __global__ void k(...)          an ordinary function, and after the file's end a `tinydx_call_k(void** arguments)`
    __shared__ float tile[32][33];  a static array in a section of its own, which the runtime resets for every block
    extern __shared__ float s[];    float* s = the launch's dynamic shared memory
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np


class SourceError(ValueError):
    """Raised for a file that the emulator cannot run; one line says where and why."""


class Parameter(NamedTuple):
    """One parameter of a kernel: `const float* x` is Parameter("x", "const float*", "float", True).

    struct: the layout of a structure that is passed by value; None for anything else, and for members other than numbers.
    """

    name: str
    declared: str
    type: str
    pointer: bool
    struct: np.dtype | None = None

    @property
    def dtype(self) -> np.dtype | None:
        """NumPy's dtype of the value, or of what it points to; None if there is none."""
        return DTYPES.get(self.type)


class Signature(NamedTuple):
    """A kernel's name, parameters and limit of threads, known before it is compiled."""

    name: str
    parameters: list[Parameter]
    max_threads: int | None  # by __launch_bounds__


@dataclass
class Source:
    """A preprocessed file: the C++ for g++, its kernels, and the shapes of its __shared__ arrays, by name.

    dynamic_itemsize: bytes of an element of its dynamic shared memory.
    """

    name: str
    code: str
    kernels: dict[str, Signature]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    dynamic_itemsize: int = 4


DTYPES = {
    name: np.dtype(dtype)
    for names, dtype in {
        "float|float2|float3|float4": np.float32,
        "double|double2": np.float64,
        "int|signed|signed int|int32_t|int2|int3|int4": np.int32,
        "unsigned|unsigned int|uint32_t|uint2|uint3|uint4": np.uint32,
        "long long|long long int|signed long long|long|long int|int64_t|longlong2": np.int64,
        "unsigned long long|unsigned long long int|unsigned long|unsigned long int|uint64_t|size_t|ulonglong2": np.uint64,
        "short|short int|int16_t|short2|short4": np.int16,
        "unsigned short|unsigned short int|uint16_t|ushort2|ushort4": np.uint16,
        "char|signed char|int8_t|char2|char4": np.int8,
        "unsigned char|uint8_t|uchar2|uchar4": np.uint8,
        "bool": np.bool_,
        "half|__half|half2|__half2": np.float16,
        "__nv_bfloat16|__nv_bfloat162": np.uint16,  # the bits: NumPy has no bfloat16
    }.items()
    for name in names.split("|")
}

_NESTED = r"(?:[^()]|\((?:[^()]|\([^()]*\))*\))*"  # any text with balanced parentheses, up to three deep
_BOUNDS = rf"(?:__launch_bounds__\s*\(({_NESTED})\)\s*)?"
_KERNEL = re.compile(rf"__global__\s+(?:static\s+)?{_BOUNDS}void\s+{_BOUNDS}(\w+)\s*\(([^()]*)\)")
_ATTRIBUTE = r"(?:__attribute__\s*\(\(.*?\)\)\s*|alignas\s*\(\w+\)\s*)?"
_DYNAMIC = re.compile(rf"extern\s+__shared__\s+{_ATTRIBUTE}([\w\s]+?)\s+{_ATTRIBUTE}(\w+)\s*\[\s*\]\s*;")
_NUMBERS = re.compile(r"\s*(\w[\w ]*?)\s+(\w+(?:\s*,\s*\w+)*)\s*")  # `int a, b` within a struct
_STRUCT = r"\bstruct\s+{name}\s*\{{([^{{}}]*)\}}\s*;"
_SHARED = re.compile(rf"__shared__\s+{_ATTRIBUTE}[\w\s]+?[\s]{_ATTRIBUTE}(\w+)\s*((?:\[[^\]]*\]\s*)*)(=?)")
_CALL = """
extern "C" __attribute__((no_sanitize("thread", "undefined"))) void tinydx_call_{name}(void** arguments) {{ {name}({values}); }}
{checks}
"""
_MODULE = """
extern char __ehdr_start[] __attribute__((visibility("hidden"))), _DYNAMIC[] __attribute__((visibility("hidden")));
extern "C" { char* tinydx_module[2] = {__ehdr_start, _DYNAMIC}; }
"""  # the module's read-only part, code and constants, lies between the two


def read_source(name: str, preprocessed: str) -> Source:
    """Find the kernels in a preprocessed text, and rewrite it for g++. Raises SourceError."""
    _refuse(name, preprocessed)
    kernels = {found[3]: _kernel(found, preprocessed) for found in _KERNEL.finditer(preprocessed)}
    if not kernels:
        raise SourceError(f'{name}: no kernel in it: write one as extern "C" __global__ void name(...)')
    code = _DYNAMIC.sub(r"\1* \2 = (\1*)tinydx::dynamic_shared();", preprocessed)
    dynamic = [DTYPES[m[1]].itemsize for m in _DYNAMIC.finditer(preprocessed) if m[1] in DTYPES]
    shapes = {m[1]: _shape(m[2]) for m in _SHARED.finditer(code)}
    code = re.sub(r"\bstatic\s+__shared__", "__shared__", code)
    code = code.replace("__shared__", 'static __attribute__((section("tinydx_shared")))')
    code = re.sub(_BOUNDS, "", code).replace("__global__", "__attribute__((used, noinline))")
    return Source(name, code + "".join(map(_call, kernels.values())) + _MODULE, kernels, shapes, min(dynamic, default=4))


def position(preprocessed: str, index: int) -> str:
    """file:line of an index into a preprocessed text, by the line markers before it."""
    markers = list(re.finditer(r'^# (\d+) "(.*)".*\n', preprocessed[:index], re.M))
    if not markers:
        return f"line {preprocessed.count(chr(10), 0, index) + 1}"
    last = markers[-1]
    return f"{Path(last[2]).name}:{int(last[1]) + preprocessed.count(chr(10), last.end(), index)}"


def _refuse(name: str, text: str) -> None:
    """Raise SourceError for code that g++ would misunderstand, or reject with an unclear message."""
    checks = (
        (r"<<<", "a launch in host code: keep the kernels in a file of their own, without host code"),
        (r"\btemplate\s*<[^;{}()]*>\s*__global__", "a kernel that is a template: name its types, or set them by -D T=float"),
        (r"\btemplate\s*<[^;{]*\{[^}]*__shared__", "__shared__ in a template: set sizes by -D NAME=VALUE instead"),
        (r"\b__shared__[^;()]*=", "a __shared__ array cannot be initialised where it is declared: let threads store"),
    )
    for pattern, advice in checks:
        if found := re.search(pattern, text):
            raise SourceError(f"{position(text, found.end())}: {advice}")


def _kernel(match: re.Match, preprocessed: str) -> Signature:
    bounds = match[1] or match[2]
    text = re.sub(r"^#.*$", "", match[4], flags=re.M)
    parameters = [] if text.strip() in ("", "void") else [_parameter(p, preprocessed) for p in text.split(",")]
    return Signature(match[3], parameters, _number(bounds.split(",")[0]) if bounds else None)


def _parameter(text: str, preprocessed: str) -> Parameter:
    words = re.findall(r"\w+|\*", re.sub(r"__restrict__|__restrict|\bvolatile\b", " ", text))
    *declared, name = words
    kind, pointer = " ".join(w for w in declared if w not in ("const", "*", "struct")), "*" in declared
    struct = None if pointer or kind in DTYPES else _struct(kind, preprocessed)
    return Parameter(name, " ".join(declared).replace(" *", "*"), kind, pointer, struct)


def _struct(name: str, preprocessed: str) -> np.dtype | None:
    """The layout of a structure whose members are numbers, else None."""
    if not (found := re.search(_STRUCT.format(name=re.escape(name)), preprocessed)):
        return None
    members: list[tuple[str, np.dtype]] = []
    for declaration in re.sub(r"^#.*$", "", found[1], flags=re.M).split(";")[:-1]:
        numbers = _NUMBERS.fullmatch(declaration)
        if not numbers or numbers[1] not in DTYPES or numbers[1][-1] in "234":  # float2 is no number
            return None
        members += [(member, DTYPES[numbers[1]]) for member in re.findall(r"\w+", numbers[2])]
    return np.dtype(members, align=True) if members else None


def _call(kernel: Signature) -> str:
    values = ", ".join(f"*({p.declared}*)arguments[{i}]" for i, p in enumerate(kernel.parameters))
    checks = "".join(f'static_assert(sizeof({p.type}) == {p.struct.itemsize}, "");' for p in kernel.parameters if p.struct)
    return _CALL.format(name=kernel.name, values=values, checks=checks)


def _shape(brackets: str) -> tuple[int, ...]:
    sizes = [_number(size) for size in re.findall(r"\[([^\]]*)\]", brackets)]
    return tuple(s for s in sizes if s) if all(sizes) else ()


def _number(expression: str) -> int | None:
    """The value of a C expression that is plain arithmetic; None for any other."""
    expression = re.sub(r"(?<=\d)[uUlL]+", "", expression).replace("/", "//")
    if not re.fullmatch(r"[\d\s()+*/%<>-]+", expression):
        return None
    try:
        return int(eval(expression, {"__builtins__": {}}))
    except (SyntaxError, ZeroDivisionError, TypeError, ValueError):
        return None
