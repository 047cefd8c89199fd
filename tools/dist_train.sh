#!/usr/bin/env bash
# Train on several GPUs, also of several machines (NNODES, NODE_RANK, MASTER_ADDR, PORT).
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
(($# >= 2)) || usage 'CONFIG GPUS [arguments of train.py ...]'
on_gpus "$2" train.py "$1" --launcher pytorch "${@:3}"
