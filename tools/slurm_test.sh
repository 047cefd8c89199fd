#!/usr/bin/env bash
# Test on a Slurm cluster (GPUS, GPUS_PER_NODE, CPUS_PER_TASK; SRUN_ARGS for srun).
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
(($# >= 4)) || usage 'PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of test.py ...]'
on_slurm "$1" "$2" test.py "$3" "$4" --launcher slurm "${@:5}"
