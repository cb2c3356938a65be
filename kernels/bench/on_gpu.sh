#!/usr/bin/env bash
# Everything that needs a GPU, in one call of at most ten minutes:
#
#     bash kernels/bench/on_gpu.sh [FOLDER]      default: $OUT, else docs/gpu/<the device's name>; commit what it writes there
#
#     summary.txt    a line for each part: passed, failed, or stopped at its time limit, and what it counted until then
#     device.txt     the device, its driver and clock
#     probes.json    the results of the conformance probes; tests/test_probes.py then compares the emulator with them
#     step.txt       training steps of the document's model, captured and not: loss and weights as on the CPU
#     kernels.txt    the other GPU tests: every model, every kernel on 25 random shapes
#     bench.json, bench.md, bench.png, bench.txt      our kernels and cuBLAS and cuDNN, compared with the goals
#
# Exit status: 0 if all passed. Runs from the source tree; tinydx need not be installed. Needs CuPy, Numba, pytest and
# Hypothesis. Where they are installed, PyTorch is compared, Matplotlib draws, and g++ compares the emulator at once.
# TINYDX_GPU=emulated tries the script with tests/emulated_cupy.py in place of CuPy: small shapes, few examples.
set -uo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
CUPY_CACHE_DIR=$(mktemp -d)  # CuPy's compiled kernels: none of another day
export CUPY_CACHE_DIR
trap 'rm -rf "$CUPY_CACHE_DIR"' EXIT
command -v nvidia-smi >/dev/null || { echo "on_gpu.sh: no nvidia-smi: this machine has no NVIDIA GPU"; exit 1; }
out=${1:-${OUT:-docs/gpu/$(nvidia-smi --query-gpu=name --format=csv,noheader --id=0 | tr 'A-Z ' 'a-z-')}}
out=$(realpath -m "$out")
mkdir -p "$out"
: >"$out/summary.txt"
failed=0

# part NAME SECONDS COMMAND: run the command for at most that long (and 5 s to end), with its output in NAME.txt, too.
# Python takes the signal as Ctrl-C, so pytest still prints its failures; what ignores it is killed.
part() {
  local name=$1 limit=$2 began=$SECONDS status how counts
  echo "== $name: ${*:3} =="
  timeout -s INT -k 5 "$limit" "${@:3}" 2>&1 | tee "$out/$name.txt"
  status=${PIPESTATUS[0]}
  case $status in
    0) how=passed ;;
    124 | 137) how="stopped at its limit" ;;
    *) how="failed (status $status)" ;;
  esac
  [ "$status" = 0 ] || failed=1
  counts=$(grep -oE '\b(PASSED|FAILED|ERROR|SKIPPED)\b.*%\]$|\b(agrees|differs|TFLOP/s|WRONG)\b' "$out/$name.txt" |
    cut -d ' ' -f 1 | sort | uniq -c | xargs)
  echo "$name: $how after $((SECONDS - began)) s${counts:+: $counts}" | tee -a "$out/summary.txt"
  return "$status"
}

# ---- the parts: their limits, with the 5 s, are under 600 s together ----

tests=(python3 -m pytest -vv -m gpu tests/test_cuda_gpu.py -W default -p no:cacheprovider -o faulthandler_timeout=60)
small=()
[ "${TINYDX_GPU:-}" = emulated ] && small=(--small)

part device 10 nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,memory.total,power.limit --format=csv
part cupy 40 python3 -m tinydx.bench.gpu --check || exit 1
part probes 40 python3 tests/probes.py "$out/probes.json"
part step 80 "${tests[@]}" -k "document or cnn"
part kernels 190 "${tests[@]}" -k "not document and not cnn"
part bench 200 python3 -m tinydx.bench.gpu "${small[@]}" "$out"

echo "== $out =="
cat "$out/summary.txt"
exit $failed
