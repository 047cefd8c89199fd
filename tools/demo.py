"""Run the main job on a generated sample: train a small SeqXt, evaluate it, show its results.

Each step is a command of its own, printed before it runs, so that it can be typed again. What is
finished is not done again, and an interrupted training goes on from its last checkpoint.
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'configs/seqxt_sample.py'
FIGURES = {
    'det/AP': 'detection AP',
    'det/recall': 'detection recall',
    'search/mAP': 'search mAP',
    'search/top1': 'search top-1',
    'search/top5': 'search top-5',
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Train a small SeqXt on generated scenes, evaluate it and show its results'
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='one training each')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--data-root', type=Path, default=Path('data/sample'))
    return parser.parse_args()


def run(*command: str | Path) -> None:
    """Run one step; the demo ends where a step fails, with its exit code."""
    words = [str(word) for word in command]
    shown = shlex.join(['python' if word == sys.executable else word for word in words])
    print(f'\n$ {shown}', flush=True)
    code = subprocess.run(words, cwd=ROOT).returncode
    if code:
        sys.exit(code)


def mim(action: str, *arguments: str | Path) -> None:
    """Run mim on the sample's config, on the CPU."""
    run(sys.executable, '-m', 'mim', action, 'mmps', CONFIG, *arguments, '--gpus', '0')


def train(seed: int, folder: Path, options: list[str]) -> Path:
    """Train, or go on training, and return the last checkpoint."""
    finished = folder / 'finished'
    if not finished.is_file():
        start = time.monotonic()
        options = [*options, f'randomness.seed={seed}']
        mim('train', '--work-dir', folder, '--resume', '--cfg-options', *options)
        finished.write_text(f'{time.monotonic() - start:.0f}\n')
        print(f'\nTraining took {(time.monotonic() - start) / 60:.1f} minutes.', flush=True)
    return Path((folder / 'last_checkpoint').read_text().strip())


def initialise(seed: int, checkpoint: Path) -> None:
    """Write the model as it is before training."""
    import torch
    from mmengine.runner import set_random_seed

    from mmps.arguments import load_config
    from mmps.registry import MODELS

    config = load_config(ROOT / CONFIG)
    set_random_seed(seed)
    model = MODELS.build(config.model)
    model.init_weights()
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, checkpoint)


def test(checkpoint: Path, dump: Path, folder: Path, options: list[str]) -> None:
    """Test a checkpoint and keep its predictions."""
    arguments = ['--checkpoint', checkpoint, '--work-dir', folder, '--out', dump]
    mim('test', *arguments, '--cfg-options', *options)


def evaluate(dump: Path) -> dict[str, float]:
    """The figures of a dump."""
    from mmps.evaluation import Predictions, evaluate_predictions

    return evaluate_predictions(Predictions.load(dump))


def train_and_test(seed: int, folder: Path, data_root: Path) -> dict[str, dict[str, float]]:
    """All steps of one seed; the figures of the untrained and of the trained model."""
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    options = [f'{loader}.dataset.data_root={data_root}' for loader in loaders]
    untrained, trained = folder / 'untrained.npz', folder / 'trained.npz'
    if not untrained.is_file():
        initialise(seed, folder / 'untrained.pth')
        test(folder / 'untrained.pth', untrained, folder, options)
    checkpoint = train(seed, folder, options)
    if not trained.is_file():
        test(checkpoint, trained, folder, options)
    return {'untrained': evaluate(untrained), 'trained': evaluate(trained)}


def write_page(folder: Path, data_root: Path) -> Path:
    """The page of metrics, curves and ranked searches of one seed."""
    logs = sorted(folder.glob('*/vis_data/scalars.json'), key=lambda log: log.stat().st_size)
    page = folder / 'page'
    run(
        *(sys.executable, 'tools/analysis_tools/results_page.py', folder / 'trained.npz'),
        *('--baseline', folder / 'untrained.npz', '--out', page, '--log', logs[-1]),
        *('--data-root', data_root, '--config', CONFIG),
        *('--title', 'A small SeqXt on generated scenes'),
    )
    return page / 'index.html'


def print_figures(results: dict[int, dict[str, dict[str, float]]]) -> None:
    """A table of percentages: a row a figure, before and after training, of every seed."""
    from terminaltables import AsciiTable  # type: ignore[import-untyped]

    columns = [(stage, seed) for stage in ('untrained', 'trained') for seed in results]
    rows = [['[%]', *(f'{stage}, seed {seed}' for stage, seed in columns)]]
    for key, name in FIGURES.items():
        values = (results[seed][stage][key] for stage, seed in columns)
        rows.append([name, *(f'{100 * value:.1f}' for value in values)])
    print(f'\n{AsciiTable(rows).table}', flush=True)


def main() -> None:
    args = parse_args()
    start = time.monotonic()
    run(sys.executable, 'tools/make_sample.py', '--out', args.data_root)
    results, pages = {}, []
    for seed in args.seeds:
        folder = args.work_dir / f'seed{seed}'
        results[seed] = train_and_test(seed, folder, args.data_root)
        pages.append(write_page(folder, args.data_root))
    print_figures(results)
    print(f'\nDone in {(time.monotonic() - start) / 60:.1f} minutes. The results pages are:')
    for page in pages:
        print(f'  {page}')


if __name__ == '__main__':
    main()
