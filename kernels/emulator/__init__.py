"""CUDA without a GPU: unchanged .cu files run on the CPU, and every memory access is checked.

    saxpy.cu --source.py--> kernels, parameters, a text for g++
             --build.py---> saxpy-<hash>.so, kept on disk
                                 |
    module.py: CuPy's RawModule on NumPy arrays; rejects what a GPU would silently misread (a double for a float ...)
                                 |
    runtime/   one block after the other:  scheduler <--switch--> 1024 fibers, one for each thread of the block
                                              |                       |  before each access g++ calls __tsan_read4, ...
               barriers, warps, cp.async -----+                       v
                                                   shadow memory: races, bounds, initialisation, alignment
                                                   counters: sectors (coalescing), bank conflicts
                                 |
    findings.py: "saxpy.cu:4: out-of-bounds: thread 36 of block 1 writes y[100], but y has 100 elements"

The trick is g++'s own race detector. With `-fsanitize=thread` g++ inserts a call before each access to memory that another
thread might see. The library that normally handles these calls is left out, and runtime/ handles them. So the kernel stops
*before* a bad access, within an ordinary Python process. `-fsanitize=bounds,alignment,...` adds what only the compiler sees.

A kernel is checked against the rules of CUDA, not against what happens to work: a missing __syncwarp is a race even where the
hardware would tolerate it, and the result must be right for every order of the blocks.

    >>> import numpy as np
    >>> module = load_module('''
    ... extern "C" __global__ void twice(const float* x, float* y, int n) {
    ...     int i = blockIdx.x * blockDim.x + threadIdx.x;
    ...     y[i] = 2 * x[i];
    ... }''')
    >>> x, y = np.ones(100, np.float32), empty(100)
    >>> try:
    ...     module.get_function("twice")((2,), (64,), (x, y, np.int32(100)))
    ... except KernelError as error:
    ...     print(error)
    source.cu:4: out-of-bounds: thread 36 of block 1 reads x[100], but x has 100 elements

Its limits:

* values: a GPU rounds a * b + c once, and its __expf and tensor cores round differently than the CPU;
* it does not see an index that leaves one __shared__ array through a pointer and lands in another one of the same kernel;
* it reports a race where a spin lock orders two accesses, and where two threads write the same value;
* it does not measure registers, occupancy or time;
* it does not run textures, cooperative groups, clusters, wgmma, TMA, and 16-bit and 64-bit atomics other than add.
"""

from tinydx_kernels.emulator.findings import Finding, KernelError
from tinydx_kernels.emulator.module import Kernel, Launch, Module, empty, load_module, profile
from tinydx_kernels.emulator.source import SourceError

__all__ = ["Finding", "Kernel", "KernelError", "Launch", "Module", "SourceError", "empty", "load_module", "profile"]
