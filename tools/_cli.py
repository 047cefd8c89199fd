"""What `train.py` and `test.py` share: arguments, checks of paths, and the config they give."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help="folder of logs and results; by default the config's work_dir, "
        'else work_dirs/<name of the config>',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config: key=value pairs, nested keys with dots, lists as '
        'key="[a,b]" without blanks',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of distributed runs were started',
    )
    # torch.distributed.launch passes the one or the other spelling, depending on its version.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def parse_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line; a config file that is not there ends the program with one line."""
    args = parser.parse_args()
    if not Path(args.config).is_file():
        parser.error(f'there is no config file {args.config}')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def check_checkpoint(path: str, parser: argparse.ArgumentParser) -> None:
    """End the program with one line if a checkpoint is not there; addresses are not checked."""
    if '://' not in path and not Path(path).is_file():
        parser.error(f'there is no checkpoint file {path}')


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the common arguments to it."""
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.launcher == 'pytorch':
        start_processes_without_gpu(cfg)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    return cfg


def start_processes_without_gpu(cfg: Config) -> None:
    """Let the processes of a distributed run meet over gloo where there is no GPU.

    MMEngine asks for a GPU a process, both to meet and to wrap the model; it does neither where
    the processes have met and the config says how to wrap.
    """
    import torch

    if torch.cuda.is_available():
        return
    torch.distributed.init_process_group('gloo')
    wrapper = {'type': 'MMDistributedDataParallel', 'device_ids': None, 'broadcast_buffers': False}
    cfg.setdefault('model_wrapper_cfg', wrapper)
