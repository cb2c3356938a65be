"""CUDA without a GPU."""
from tinydx_kernels.emulator.findings import Finding, KernelError
from tinydx_kernels.emulator.module import load_module, empty, record
from tinydx_kernels.emulator.source import SourceError
