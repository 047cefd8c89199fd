#!/usr/bin/env bash
# Set up .venv: the locked reference stack, mmcv with compiled ops, and mmps itself, editable.
#
# Run it as often as you like: it stops at once when everything is in place, goes on where an
# earlier run was interrupted, and repairs what that left half-done. pip's own configuration
# (index, proxy, cache) is used as it is. PYTHON=... chooses the interpreter, MAX_JOBS=... how many
# compilers run at a time.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/../.."
unset PYTHONPATH PYTHONHOME

readonly venv=.venv
readonly py=$venv/bin/python
readonly lock_file=tools/env/constraints.txt
readonly stamp=$venv/.mmps-setup
readonly log=$venv/setup.log
readonly needed_gb=10
readonly pip_flags=(--disable-pip-version-check --no-input --progress-bar off)

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: error: %s\n' "$*" >&2
  exit 1
}

# ---------------------------------------------------------------------------- prerequisites

find_python() {
  local candidate candidates=(python3.11 python3.12 python3 python)
  [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
      >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

check_prerequisites() {
  "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
    fail "Python's venv module is missing; install it, e.g. apt install python3.11-venv"
  command -v "${CC:-gcc}" >/dev/null || fail 'gcc is missing; install it, e.g. apt install gcc'
  command -v "${CXX:-g++}" >/dev/null || fail 'g++ is missing; install it, e.g. apt install g++'
  "$python" - <<'PY' || fail "Python.h is missing; install it, e.g. apt install python3.11-dev"
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h')))
PY
  if [[ ! -e $py ]]; then
    local free_gb
    free_gb=$(df -Pk . | awk 'NR == 2 {print int($4 / 1048576)}')
    ((free_gb >= needed_gb)) ||
      fail "only $free_gb GB are free here; the stack needs $needed_gb GB: make room"
  fi
}

# ---------------------------------------------------------------------------- running things

# Run a command with its output in the log, saying every minute that it still runs.
run_logged() {
  local title=$1
  shift
  say "$title"
  printf '\n== %s\n' "$title" >>"$log"
  tell_time 9>&- &
  heartbeat=$!
  local status=0
  "$@" >>"$log" 2>&1 || status=$?
  stop_heartbeat
  if ((status != 0)); then
    tail -n 15 "$log" | sed 's/^/  | /' >&2
    fail "failed: $title (the whole log: $log)"
  fi
}

tell_time() {
  local minutes=0 nap
  # Its `sleep` goes with it, else that would keep our output open.
  trap 'kill "$nap" 2>/dev/null; exit 0' TERM
  while kill -0 $$ 2>/dev/null; do
    sleep 60 &
    nap=$!
    wait "$nap"
    minutes=$((minutes + 1))
    say "  still at it after $minutes min"
  done
}

stop_heartbeat() {
  [[ -n ${heartbeat:-} ]] || return 0
  kill "$heartbeat" 2>/dev/null || true
  wait "$heartbeat" 2>/dev/null || true
  heartbeat=
}

# --require-virtualenv: whatever happens to .venv meanwhile, nothing else is ever changed.
pip_install() { "$py" -m pip --require-virtualenv install "${pip_flags[@]}" "$@"; }

# Hash of what the environment is made from, and of where: a moved environment does not work.
fingerprint() {
  {
    pwd
    "$python" -c 'import sys; print(sys.version)'
    cat "$lock_file" tools/env/setup.sh tools/env/hatch_build.py mmps/version.py
    sed '/^\[tool\.ruff\]/,$d' pyproject.toml
  } | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

# ---------------------------------------------------------------------------- the environment

works() { "$py" -c "$1" >>"${2:-/dev/null}" 2>&1; }

venv_is_whole() {
  # Without pyvenv.cfg, $py would be the interpreter it links to, and pip install into that one.
  [[ -x $py && -f $venv/bin/pip ]] && grep -qF "$PWD/$venv/bin/python" "$venv/bin/pip" &&
    works "import os, pip, sys
assert sys.prefix != sys.base_prefix and os.path.samefile(sys.prefix, '$venv')
assert sys.version_info[:2] in ((3, 11), (3, 12))"
}

stack_works() {
  works 'import importlib.metadata, torch, mmcv._ext, mmdet, mmpretrain, mim, mypy, pytest, ruff
importlib.metadata.version("mmps")' "${1:-}"
}

create_venv() {
  say "creating $venv with $("$python" -V 2>&1)"
  local output
  output=$("$python" -m venv --clear "$venv" 2>&1) || fail "cannot create $venv: $output"
}

# The lock without those that are installed one by one, because of how they are packaged.
locked_requirements() { grep -vE '^(mmcv|mmdet|mmpretrain|openmim)==' "$lock_file"; }
locked() { grep -E "^$1==" "$lock_file"; }

install_base() {
  locked_requirements >"$venv/requirements.txt"
  run_logged 'installing PyTorch, MMEngine and tools (up to 2.5 GB to download)' \
    pip_install -r "$venv/requirements.txt"
}

# OpenCV's usual build needs the system's OpenGL; without it the headless build takes its place.
fix_opencv() {
  works 'import cv2' && return
  local version
  version=$(sed -n 's/^opencv-python==//p' "$lock_file")
  run_logged 'no OpenGL on this machine: installing the headless OpenCV' \
    pip_install --no-deps --force-reinstall "opencv-python-headless==$version"
}

max_jobs() {
  "$py" -c 'import os, psutil
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
print(max(1, min(cores, psutil.virtual_memory().available // (2500 << 20))))'
}

install_mmcv() {
  works "import torch, mmcv._ext; assert 'mmcv==' + mmcv.__version__ == '$(locked mmcv)'" && return
  if works 'import sys, torch; sys.exit(not torch.cuda.is_available())' &&
    ! command -v nvcc >/dev/null && [[ ! -x ${CUDA_HOME:-/usr/local/cuda}/bin/nvcc ]]; then
    fail 'there is a GPU but no nvcc to compile for it; install the CUDA toolkit of' \
      "$("$py" -c 'import torch; print("CUDA", torch.version.cuda)')" \
      'or run CUDA_VISIBLE_DEVICES= make setup for the CPU alone'
  fi
  export MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(max_jobs)}
  local flags=(--no-build-isolation --no-deps --force-reinstall "$(locked mmcv)")
  run_logged "compiling mmcv's ops, $MAX_JOBS at a time (about 15 min on 2 cores)" \
    pip_install "${flags[@]}"
  # pip keeps built wheels by source alone: the one it took may fit another PyTorch, or have no ops.
  works 'import torch, mmcv._ext' && return
  run_logged "pip's cached mmcv does not fit this PyTorch: compiling it again" \
    pip_install --no-cache-dir "${flags[@]}"
}

install_openmmlab() {
  # openmim asks for opendatalab, which would hold back setuptools, requests, rich and tqdm.
  run_logged 'installing MMDetection, MMPreTrain and MIM' \
    pip_install --no-deps "$(locked mmdet)" "$(locked mmpretrain)" "$(locked openmim)"
}

install_mmps() {
  run_logged 'installing mmps, editable' \
    pip_install --no-deps --no-build-isolation --force-reinstall -e .
}

# ---------------------------------------------------------------------------- main

python=$(find_python) ||
  fail "no Python 3.11 (or 3.12) found${PYTHON:+ at PYTHON=$PYTHON}; install it or set PYTHON=<path>"

# One set-up at a time. The lock belongs to the open file 9, so it ends with this process.
exec 9>>.venv.lock
try_lock='import fcntl, sys; fcntl.flock(9, fcntl.LOCK_EX | (fcntl.LOCK_NB if sys.argv[1:] else 0))'
if ! "$python" -c "$try_lock" now 2>/dev/null; then
  say 'another set-up is running here: waiting for it'
  "$python" -c "$try_lock"
fi

wanted=$(fingerprint)
if venv_is_whole && [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && stack_works; then
  exit 0
fi

check_prerequisites
trap stop_heartbeat EXIT
venv_is_whole || create_venv
rm -f "$stamp"
: >"$log"
run_logged 'looking for packages that an earlier run left half-installed' \
  "$py" tools/env/forget_broken.py
install_base
fix_opencv
install_mmcv
install_openmmlab
install_mmps
stack_works "$log" || {
  tail -n 15 "$log" | sed 's/^/  | /' >&2
  fail "the environment is there but does not work (the whole log: $log)"
}
printf '%s\n' "$wanted" >"$stamp"
say "done: $venv is ready"
