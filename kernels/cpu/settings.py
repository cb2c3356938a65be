"""Settings of the environment with which the kernels cannot run, found before one is compiled, in plain words.

NumPy computes then, and dispatch says why. Numba reads its settings from NUMBA_... variables, and from .numba_config.yaml in the
current folder.
"""

import os
import subprocess
import sys

OF_THREADS = ("NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER", "NUMBA_THREADING_LAYER_PRIORITY")
USUAL = {"OPT": 3, "LOOP_VECTORIZE": 1, "SLP_VECTORIZE": 0, "BOUNDSCHECK": None, "ENABLE_PROFILING": 0, "DEBUGINFO_DEFAULT": 0}

# What LLVM does at a processor or feature that it does not know is to end the process; so it is asked in another one.
PROBE = """
import sys, llvmlite.binding as llvm
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
machine = llvm.Target.from_default_triple().create_target_machine(cpu=sys.argv[1], features=sys.argv[2])
machine.emit_object(llvm.parse_assembly("define i64 @f() { ret i64 0 }"))
"""


def check():
    """ImportError, with what to change, where a setting keeps the kernels from running."""
    simd = os.environ.get("TINYDX_SIMD")
    if simd not in (None, "", "0", "8", "16"):
        raise ImportError(f"TINYDX_SIMD is {simd!r}, expected 16, 8 or 0")
    number = os.environ.get("NUMBA_NUM_THREADS")
    if number is not None and not (number.strip().isdecimal() and int(number)):
        raise ImportError(f"NUMBA_NUM_THREADS is {number!r}, expected a whole number above 0")
    try:
        from numba import config, get_num_threads

        if config.DISABLE_JIT:
            raise ImportError("NUMBA_DISABLE_JIT is set, but the kernels exist only compiled: unset it")
        get_num_threads()  # starts Numba's threads, which finds a wrong number or layer
    except (ValueError, RuntimeError) as error:
        words = " ".join(str(error).split())
        given = ", ".join(f"{name}={os.environ[name]}" for name in OF_THREADS if name in os.environ) or ".numba_config.yaml"
        raise ImportError(f"Numba refuses {given}: {words}") from None
    if config.CPU_NAME is not None or config.CPU_FEATURES is not None:
        _check_processor(config.CPU_NAME, config.CPU_FEATURES)


def _check_processor(name, features):
    import llvmlite.binding as llvm

    asked = [sys.executable, "-c", PROBE, llvm.get_host_cpu_name() if name is None else name, features or ""]
    if subprocess.run(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
        given = ", ".join(f"{k}={v!r}" for k, v in (("NUMBA_CPU_NAME", name), ("NUMBA_CPU_FEATURES", features)) if v is not None)
        raise ImportError(f"{given}: LLVM does not know such a processor: unset it, or name one such as 'generic' or 'haswell'")


def changed_code():
    """The settings with which Numba compiles other code than usual, which its cache would keep for all later runs."""
    from numba import config

    changed = [f"NUMBA_{name}" for name, usual in USUAL.items() if getattr(config, name, usual) not in (usual, str(usual))]
    return ", ".join([*changed, *(["TINYDX_SIMD"] if os.environ.get("TINYDX_SIMD") else [])])
