#!/usr/bin/env bash
# Test on several GPUs, also of several machines (NNODES, NODE_RANK, MASTER_ADDR, PORT).
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
(($# >= 3)) || usage 'CONFIG CHECKPOINT GPUS [arguments of test.py ...]'
on_gpus "$3" test.py "$1" "$2" --launcher pytorch "${@:4}"
