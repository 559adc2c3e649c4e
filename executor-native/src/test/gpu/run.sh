#!/usr/bin/env bash
# Everything that needs a GPU, in one command on a machine that has one:
#
#   mvn -B -DskipTests package && executor-native/src/test/gpu/run.sh [OUT]
#
# Needs a JDK 17 or later, the NVIDIA driver, and nvcc or libnvrtc. Each step has a time limit and a
# log of its own under OUT (default: target/gpu); correctness comes first, so that a broken build
# still says where. The last thing printed is a table of the steps.
# MODEL=FILE.gguf adds the engine; SHADOWBATCH_CUBLASLT=libcublasLt.so.13 names cuBLASLt.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
module=$(cd "$here/../../.." && pwd)
out=${1:-$module/target/gpu}
mkdir -p "$out"
failed=0
steps=()

# step NAME SECONDS COMMAND..: runs it, keeps its log, remembers how it ended.
step() {
  local name=$1 seconds=$2 start=$SECONDS
  shift 2
  timeout -k 10 "$seconds" "$@" >"$out/$name.log" 2>&1
  local rc=$?
  local word=ok
  case $rc in
    0) ;;
    77) word="skipped: $(tail -n 1 "$out/$name.log")" ;;
    *) word="FAILED ($rc)" && failed=1 ;;
  esac
  steps+=("$(printf '%-14s %4d s  %s' "$name" $((SECONDS - start)) "$word")")
  [ $rc = 0 ] || [ $rc = 77 ] || tail -n 15 "$out/$name.log"
}

have() { command -v "$1" >/dev/null 2>&1; }

device() {
  have nvidia-smi || { echo "no nvidia-smi: is the driver installed?"; return 1; }
  nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total,power.limit --format=csv
  java -version
  nvcc --version || echo "no nvcc: kernels are compiled by NVRTC at first use"
}

architecture() { nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .; }

# A cubin of the wrappers' tests and the program that runs them through the driver.
conformance() {
  have nvcc && have g++ || { echo "no nvcc or g++, which build the conformance tests"; return 77; }
  nvcc -std=c++17 -arch="sm_$(architecture)" -I "$module/src/main/cuda" -cubin \
    -o "$out/conformance.cubin" "$module/src/test/cuda/conformance.cu" &&
    g++ -std=c++17 -O2 -I "$module/src/main/cuda" -o "$out/conformance" \
      "$module/src/test/cuda/conformance_driver.cpp" -ldl &&
    "$out/conformance" "$out/conformance.cubin"
}

classpath() {
  (cd "$module/.." && mvn -q -o -pl executor-native dependency:build-classpath \
    -Dmdep.outputFile="$out/classpath" >/dev/null 2>&1)
  echo "$module/target/classes:$module/target/test-classes:$(cat "$out/classpath")"
}

suite() {
  (cd "$module/.." && mvn -B -o -pl executor-native -Dexec.skip=true \
    -Dsurefire.failIfNoSpecifiedTests=false -Dshadowbatch.test.slow=true -Dtest='*Cuda*,Gpu*' test)
}

sanitizer() {
  have compute-sanitizer || { echo "no compute-sanitizer"; return 77; }
  [ -x "$out/conformance" ] || { echo "no conformance program"; return 77; }
  for tool in memcheck racecheck synccheck; do
    compute-sanitizer --tool "$tool" --error-exitcode 9 "$out/conformance" "$out/conformance.cubin" || return 1
  done
}

bench() {
  java --add-modules jdk.incubator.vector -cp "$(classpath)" io.shadowbatch.bench.DeviceBench \
    --backend cuda --parts "$1"
}

engine() {
  [ -n "${MODEL:-}" ] || { echo "MODEL is not set"; return 77; }
  java --add-modules jdk.incubator.vector -cp "$(classpath)" io.shadowbatch.bench.EngineBench \
    --model "$MODEL" --backend cuda --kv-codec fp16 --batch-tokens 0 --rounds 5
}

torch() {
  python3 -c 'import torch, sys; sys.exit(0 if torch.cuda.is_available() else 1)' ||
    { echo "no torch with CUDA"; return 77; }
  python3 "$here/torch_bench.py"
}

export -f have device architecture conformance classpath suite sanitizer bench engine torch
export here module out
run() { step "$1" "$2" bash -c "$3"; }

run device 20 device
[ $failed = 0 ] || { echo "no GPU that answers: nothing was tested"; exit 1; }
run conformance 60 conformance
run suite 180 suite
run sanitizer 120 sanitizer
run memory 60 'bench memory'
run products 90 'bench products'
run rows 60 'bench rows'
run attention 90 'bench attention'
run shadow 90 'bench shadow'
run engine 120 engine
run torch 120 torch

cat "$out"/{memory,products,rows,attention,shadow,engine,torch}.log 2>/dev/null |
  grep -h '^{' >"$out/results.jsonl"
python3 "$here/table.py" "$out/results.jsonl"
printf '%s\n' "${steps[@]}"
exit $failed
