#!/usr/bin/env bash
# Train on a Slurm cluster (GPUS, GPUS_PER_NODE, CPUS_PER_TASK; SRUN_ARGS for srun).
set -euo pipefail
if (($# < 4)); then
  echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [arguments of train.py ...]" >&2
  exit 2
fi
partition=$1 job_name=$2 config=$3 work_dir=$4
shift 4

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
read -r -a srun_args <<<"${SRUN_ARGS:-}"
exec srun -p "$partition" \
  --job-name="$job_name" \
  --gres=gpu:"${GPUS_PER_NODE:-8}" \
  --ntasks="${GPUS:-8}" \
  --ntasks-per-node="${GPUS_PER_NODE:-8}" \
  --cpus-per-task="${CPUS_PER_TASK:-5}" \
  --kill-on-bad-exit=1 \
  ${srun_args[@]+"${srun_args[@]}"} \
  "${PYTHON:-python}" -u "$tools/train.py" "$config" --work-dir="$work_dir" --launcher slurm "$@"
