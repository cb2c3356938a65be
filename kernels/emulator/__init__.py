"""CUDA without a GPU: unchanged .cu files run on the CPU, and every access to memory is checked.

    saxpy.cu --source.py--> kernels, parameters, a text for g++
             --build.py---> saxpy-<hash>.so, kept on disk
                                 |
    module.py: CuPy's RawModule on NumPy arrays; refuses what a GPU would misread in silence (a double for a float ...)
                                 |
    runtime/   one block after the other:  scheduler <--switch--> 1024 fibers, one for each thread of the block
                                              |                       |  before each access g++ calls __tsan_read4, ...
               barriers, warps, cp.async -----+                       v
                                                   shadow memory: races, bounds, initialisation, alignment
                                                   counters: sectors (coalescing), bank conflicts
                                 |
    findings.py: "saxpy.cu:4: out-of-bounds: thread 36 of block 1 writes y[100], but y has 100 elements"

The trick is g++'s own race detector. With `-fsanitize=thread` it puts a call before each access to memory that another
thread might see; the library that normally answers these calls is left out, and runtime/ answers them. So the kernel stops
*before* a bad access, within an ordinary Python process. `-fsanitize=bounds,alignment,...` adds what only the compiler sees.

A kernel is checked against CUDA's rules, not against what happens to work: a missing __syncwarp is a race even where the
hardware would have got away with it, and blocks must be right in any order.

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

What it cannot see, and what it does not run:

* values: a GPU contracts a * b + c to one rounding, and its __expf and tensor cores round otherwise than the CPU;
* an index that leaves one __shared__ array through a pointer and lands in another of the same kernel;
* order made by spin locks (reported as races); two threads that write the same value are a race, too;
* registers, occupancy, time; textures, cooperative groups, clusters, wgmma, TMA; 16-bit and 64-bit atomics but add.
"""

from tinydx_kernels.emulator.findings import Finding, KernelError
from tinydx_kernels.emulator.module import Kernel, Launch, Module, empty, load_module, profile
from tinydx_kernels.emulator.source import SourceError

__all__ = ["Finding", "Kernel", "KernelError", "Launch", "Module", "SourceError", "empty", "load_module", "profile"]
