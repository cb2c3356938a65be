"""The compile gate: NVIDIA's own compiler on every kernel, for every architecture, without a GPU.

    tinydx cuda gate            compile all kernels and compare them with the budget
    tinydx cuda gate --write    make what was found the new budget (look first at what became worse)

NVRTC, the compiler as a library, compiles to machine code (cubin), and its assembler reports what each kernel needs:

    registers   of a thread; a multiprocessor has 65,536: enough for 1,024 threads with 64 each, for 512 with 128
    shared      bytes of shared memory of a block
    spills      bytes that did not fit into registers and went to memory: none are allowed

budget.json holds the most that each kernel may need. The hardware allocates registers in eights, so they are compared in
eights. The gate needs only the compiler: pip install 'tinydx[kernel-check]'.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import json
import re
import sys
from importlib import metadata
from typing import NamedTuple

from tinydx_kernels.cuda.programs import HERE, Program, all_programs, options

ARCHITECTURES = (75, 80, 90)  # Turing, Ampere, Hopper
BUDGET = HERE / "budget.json"
WHEEL = "nvidia-cuda-nvrtc"  # enough by itself: the kernels include none of NVIDIA's headers


class Use(NamedTuple):
    """What a kernel needs: registers of a thread, bytes of shared memory of a block, bytes spilled."""

    registers: int
    shared: int
    spills: int


# ---- the compiler ----------------------------------------------------------------------------------------------------


def missing() -> str | None:
    """Why NVRTC cannot be used, or None."""
    try:
        _nvrtc()
    except (ImportError, OSError) as error:
        return f"NVRTC: {error}: pip install 'tinydx[kernel-check]'"
    return None


def _wheel_file(pattern: str) -> str:
    """The path of the file in NVIDIA's wheel that matches the pattern."""
    for file in metadata.files(WHEEL) or []:
        if re.search(pattern, str(file)):
            return str(file.locate())
    raise ImportError(f"no file {pattern} in {WHEEL}")


@functools.cache
def _nvrtc() -> ctypes.CDLL:
    ctypes.CDLL(_wheel_file(r"libnvrtc-builtins\.so[.\d]*$"), mode=ctypes.RTLD_GLOBAL)  # NVRTC finds it by its name
    return ctypes.CDLL(_wheel_file(r"libnvrtc\.so[.\d]*$"))


def version() -> str:
    """NVRTC's version."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def compile_source(source: str, name: str, architecture: int, defines: tuple[tuple[str, int], ...] = ()) -> str:
    """Compile a source to a cubin; returns the compiler's log.

    Arguments: source, the text; name, of its file; architecture, such as 80; defines, its constants.
    Raises: ValueError with the log if the compiler rejects the source.
    """
    nvrtc, program = _nvrtc(), ctypes.c_void_p()
    told = [f"--gpu-architecture=sm_{architecture}", "--ptxas-options=-v", *options(defines)]
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
    array = (ctypes.c_char_p * len(told))(*(o.encode() for o in told))
    failed = nvrtc.nvrtcCompileProgram(program, len(told), array)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    text = log.value.decode(errors="replace")
    if failed:
        raise ValueError(f"{name} for sm_{architecture} {defines or ''} does not compile:\n{text}")
    return text


def uses_of(log: str) -> dict[str, Use]:
    """The assembler's report (ptxas -v), as {kernel: Use}.

    >>> log = '''ptxas info    : Compiling entry function 'relu' for 'sm_80'
    ... ptxas info    : Function properties for relu
    ...     0 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads
    ... ptxas info    : Used 10 registers, used 1 barriers, 512 bytes smem, 376 bytes cmem[0]'''
    >>> uses_of(log)
    {'relu': Use(registers=10, shared=512, spills=12)}
    """
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        kernel = part.split("'", 1)[0]
        spills = sum(int(n) for n in re.findall(r"(\d+) bytes spill", part))
        shared = sum(int(n) for n in re.findall(r"(\d+) bytes smem", part))
        found[kernel] = Use(int(re.findall(r"Used (\d+) registers", part)[0]), shared, spills)
    return found


# ---- the budget ------------------------------------------------------------------------------------------------------


def measure(program: Program) -> dict[str, Use]:
    """Compile a program for all architectures that run it: {"file[constants] kernel sm_80": Use}."""
    found = {}
    for architecture in ARCHITECTURES:
        if architecture >= program.minimum:
            log = compile_source(program.path.read_text(), program.path.name, architecture, program.defines)
            for kernel, use in uses_of(log).items():
                found[f"{program} {kernel} sm_{architecture}"] = use
    return found


def read_budget() -> dict[str, Use]:
    """The budget in budget.json, as {name: Use}."""
    return {name: Use(*numbers) for name, numbers in json.loads(BUDGET.read_text())["kernels"].items()}


def write_budget(found: dict[str, Use]) -> None:
    """Write budget.json, with one line for each kernel."""
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(list(use))}" for name, use in sorted(found.items()))
    head = f'  "nvrtc": "{version()}",\n  "columns": ["registers", "shared", "spills"],\n'
    BUDGET.write_text(f'{{\n{head}  "kernels": {{\n{lines}\n  }}\n}}\n')


def over_budget(found: dict[str, Use], budget: dict[str, Use]) -> list[str]:
    """One complaint for each limit that a kernel exceeds, and for each kernel without a budget.

    >>> over_budget({"relu sm_80": Use(17, 0, 4)}, {"relu sm_80": Use(16, 0, 0)})
    ['relu sm_80: 17 registers, 16 allowed', 'relu sm_80: 4 bytes of spills, 0 allowed']
    """
    complaints = []
    for name, use in found.items():
        if name not in budget:
            complaints.append(f"{name}: not in budget.json: run tinydx cuda gate --write")
            continue
        allowed = budget[name]
        eights = -(-allowed.registers // 8) * 8
        if use.registers > eights:
            complaints.append(f"{name}: {use.registers} registers, {eights} allowed")
        for what, taken, most in ("shared memory", use.shared, allowed.shared), ("spills", use.spills, allowed.spills):
            if taken > most:
                complaints.append(f"{name}: {taken} bytes of {what}, {most} allowed")
    return complaints


def command(asked: argparse.Namespace) -> int:
    """`tinydx cuda gate`; returns the exit status: 1 if a kernel is over budget, or without the compiler."""
    reason = missing()
    if reason:
        print(reason)
        return 1
    found: dict[str, Use] = {}
    for program in all_programs():
        found |= measure(program)
    for name, use in found.items():
        print(f"{use.registers:4} registers {use.shared:6} shared {use.spills:4} spills   {name}")
    if asked.write:
        write_budget(found)
    complaints = over_budget(found, read_budget())
    print("\n".join(complaints) or f"{len(found)} kernels within the budget")
    return int(bool(complaints))


def main(arguments: list[str] | None = None) -> int:
    """`python -m tinydx_kernels.cuda.gate`: the gate of the installed kernels."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="make what was found the new budget")
    return command(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
