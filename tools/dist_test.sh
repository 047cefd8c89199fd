#!/usr/bin/env bash
# Test on several GPUs, also of several machines (NNODES, NODE_RANK, MASTER_ADDR, PORT).
set -euo pipefail
if (($# < 3)); then
  echo "usage: $0 CONFIG CHECKPOINT GPUS [arguments of test.py ...]" >&2
  exit 2
fi
config=$1 checkpoint=$2 gpus=$3
shift 3

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" \
  --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" \
  --master_port="${PORT:-29500}" \
  --nproc_per_node="$gpus" \
  "$tools/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
