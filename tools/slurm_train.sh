#!/usr/bin/env bash
# Train on a Slurm cluster (GPUS, GPUS_PER_NODE, CPUS_PER_TASK; SRUN_ARGS for srun).
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
(($# >= 4)) || usage 'PARTITION JOB_NAME CONFIG WORK_DIR [arguments of train.py ...]'
on_slurm "$1" "$2" train.py "$3" --work-dir="$4" --launcher slurm "${@:5}"
