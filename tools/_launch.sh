# Sourced by dist_*.sh and slurm_*.sh: how the processes of a distributed run are started.
set -euo pipefail
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"

# usage ARGUMENTS: say what the script wants, and end.
usage() {
  echo "usage: $0 $1" >&2
  exit 2
}

# on_gpus NUMBER TOOL [arguments of the tool ...]: a process a GPU, on this machine.
on_gpus() {
  local gpus=$1 tool=$2
  exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$gpus" \
    "$tools/$tool" "${@:3}"
}

# on_slurm PARTITION JOB_NAME TOOL [arguments of the tool ...]: a process a GPU of a Slurm job.
on_slurm() {
  local partition=$1 job_name=$2 tool=$3 srun_args
  read -r -a srun_args <<<"${SRUN_ARGS:-}"
  exec srun -p "$partition" \
    --job-name="$job_name" \
    --gres=gpu:"${GPUS_PER_NODE:-8}" \
    --ntasks="${GPUS:-8}" \
    --ntasks-per-node="${GPUS_PER_NODE:-8}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${srun_args[@]+"${srun_args[@]}"} \
    "${PYTHON:-python}" -u "$tools/$tool" "${@:4}"
}
