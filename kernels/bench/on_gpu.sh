#!/usr/bin/env bash
# Everything that needs a GPU, in one call of at most ten minutes:
#
#     bash kernels/bench/on_gpu.sh [FOLDER]      default: docs/gpu/<the device's name>, which should be committed
#
#     device.txt     the device, its driver and clock
#     probes.json    the results of the conformance probes; tests/test_probes.py then compares the emulator with them
#     tests.txt      the GPU tests
#     bench.json, bench.md, bench.png, bench.txt      our kernels and cuBLAS and cuDNN, compared with the goals
#
# Runs from the source tree; tinydx need not be installed. Needs CuPy, pytest, hypothesis and matplotlib; where PyTorch is
# installed, cuDNN, TF32 and BF16 are compared, too.
set -uo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
command -v nvidia-smi >/dev/null || { echo "on_gpu.sh: no nvidia-smi: this machine has no NVIDIA GPU"; exit 1; }
name=$(nvidia-smi --query-gpu=name --format=csv,noheader --id=0 | tr 'A-Z ' 'a-z-')
out=$(realpath -m "${1:-docs/gpu/$name}")
mkdir -p "$out"
failed=0

# part SECONDS FILE COMMAND: run the command for at most that long, and write its output to the file, too.
part() {
  echo "== ${*:3} =="
  timeout "$1" "${@:3}" 2>&1 | tee "$out/$2" || failed=1
}

part 20 device.txt nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,memory.total,power.limit --format=csv
part 60 probes.txt python3 tests/probes.py "$out/probes.json"
part 270 tests.txt python3 -m pytest -m gpu tests/test_cuda_gpu.py -rs -p no:cacheprovider
part 240 bench.txt python3 -m tinydx.bench.gpu "$out"
rm -f "$out/probes.txt"  # empty, unless probes.py failed and has printed why
ls -l "$out"
exit $failed
