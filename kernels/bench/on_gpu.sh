#!/usr/bin/env bash
# Everything that needs a GPU, in one call of at most ten minutes:
#
#     bash kernels/bench/on_gpu.sh [FOLDER]      default: docs/gpu/<the device's name>, which is to be committed
#
#     device.txt     the device, its driver and clock
#     probes.json    what the conformance probes gave: from then on tests/test_probes.py compares the emulator with it
#     tests.txt      the GPU tests
#     bench.json, bench.md, bench.png, bench.txt      our kernels beside cuBLAS and cuDNN, against the goals
#
# Needs CuPy, pytest, hypothesis and matplotlib; cuDNN, TF32 and BF16 are compared where PyTorch is installed.
set -uo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
command -v nvidia-smi >/dev/null || { echo "on_gpu.sh: no nvidia-smi: this machine has no NVIDIA GPU"; exit 1; }
name=$(nvidia-smi --query-gpu=name --format=csv,noheader --id=0 | tr 'A-Z ' 'a-z-')
out=$(realpath -m "${1:-docs/gpu/$name}")
mkdir -p "$out"
failed=0

# step SECONDS FILE COMMAND: run it for that long at most, its output into the file, too.
step() {
  echo "== ${*:3} =="
  timeout "$1" "${@:3}" 2>&1 | tee "$out/$2" || failed=1
}

step 20 device.txt nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,memory.total,power.limit --format=csv
step 60 probes.txt python3 tests/probes.py "$out/probes.json"
step 270 tests.txt python3 -m pytest -m gpu tests/test_cuda_gpu.py -rs -p no:cacheprovider
bench='import sys; from tinydx.bench.gpu import main; sys.exit(main())'
step 240 bench.txt python3 -c "$bench" "$out"
rm -f "$out/probes.txt"  # empty, unless probes.py failed and has said why on the screen
ls -l "$out"
exit $failed
