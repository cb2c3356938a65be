#!/usr/bin/env bash
# Everything that needs a GPU, in one call of at most ten minutes: the GPU tests, then our kernels beside cuBLAS and cuDNN.
# Needs CuPy, PyTorch, pytest and hypothesis; writes into the folder given (default: gpu-results).
set -uo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:-gpu-results}")
mkdir -p "$out"
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1

nvidia-smi --query-gpu=name,driver_version,clocks.sm,memory.total --format=csv,noheader | tee "$out/device.txt"
timeout 300 python3 -m pytest -m gpu tests -rs --continue-on-collection-errors -p no:cacheprovider 2>&1 | tee "$out/tests.txt"
tests=$?
bench='import sys; from tinydx.op import find_kernels; find_kernels(); from tinydx_kernels.bench.gpu import main; sys.exit(main())'
timeout 240 python3 -c "$bench" --json "$out/bench.json" 2>&1 | tee "$out/bench.txt"
exit $((tests + $?))
