#!/usr/bin/env bash
# Train on several GPUs, also of several machines (NNODES, NODE_RANK, MASTER_ADDR, PORT).
set -euo pipefail
if (($# < 2)); then
  echo "usage: $0 CONFIG GPUS [arguments of train.py ...]" >&2
  exit 2
fi
config=$1 gpus=$2
shift 2

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" \
  --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" \
  --master_port="${PORT:-29500}" \
  --nproc_per_node="$gpus" \
  "$tools/train.py" "$config" --launcher pytorch "$@"
