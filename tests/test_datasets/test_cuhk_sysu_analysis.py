"""The analysis of predictions on a data set that lists its galleries itself."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmps.datasets import CUHKSYSUDataset
from mmps.evaluation import Predictions
from mmps.evaluation.dataset_arrays import dataset_arrays


def write_predictions(root: Path, path: Path) -> None:
    """All persons detected and told apart, but the one of s7.jpg looks like the second query."""
    dataset = CUHKSYSUDataset(str(root), 'gallery', serialize_data=False)
    arrays = dataset_arrays(dataset.data_list)
    pids, image = arrays['gt_pids'], arrays['gt_image']
    axis = np.where(pids >= 0, pids, dataset.num_persons + np.arange(len(pids)))
    embeddings = np.eye(dataset.num_persons + len(pids), dtype=np.float32)
    det_embeddings = embeddings[axis]
    first, second = embeddings[arrays['query_pids']]
    det_embeddings[arrays['image_names'][image] == 's7.jpg'] = 0.6 * first + 0.8 * second
    search = {'protocol': {'type': 'mmps.cuhk_sysu_protocol', 'data_root': 'elsewhere'}}
    arrays.update(
        image_sizes=np.zeros((len(dataset), 2), np.int64),
        det_image=image,
        det_bboxes=arrays['gt_bboxes'],
        det_scores=np.ones(len(pids), np.float32),
        det_embeddings=det_embeddings,
        gt_embeddings=np.zeros((len(pids), 0), np.float32),
        query_embeddings=embeddings[arrays['query_pids']],
        meta={'evaluation': {'searches': {'search': search}}},
    )
    # A target that is only 0.5 like its query: s7.jpg comes before it, where it is listed.
    target = (arrays['image_names'][image] == 's6.jpg') & (pids == arrays['query_pids'][1])
    arrays['det_embeddings'][target] *= 0.5
    Predictions(**arrays).save(path)


def test_galleries_of_the_data_set(
    cuhk_sysu_root: Path,
    tmp_path: Path,
    run_tool: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_predictions(cuhk_sysu_root, tmp_path / 'p.npz')

    def run(*arguments: str) -> dict:
        command = (tmp_path / 'p.npz', '--out', tmp_path / 'out', *arguments)
        run_tool('analysis_tools/analyze_predictions.py', *command)
        return json.loads((tmp_path / 'out/analysis.json').read_text())

    root = ('--data-root', str(cuhk_sysu_root))
    data = run(*root, '--sizes', '50', '100')
    sizes = data['by_gallery_size']
    assert sizes['sizes'] == [50, 100]
    # The galleries of 100 have s7.jpg for the second query, those of 50 do not.
    assert sizes['mean_scenes'] == [(3 + 2) / 2, (3 + 3) / 2]
    assert sizes['mean_ap'] == [1, (1 + 1 / 2) / 2]
    assert sizes['top1'] == [1, 0.5]
    assert data['figures']['mAP'] == 0.75
    assert 'left_out' in data['by_camera_pair']

    assert run(*root)['by_gallery_size'] == sizes, 'the sizes of which there are files'
    capsys.readouterr()
    data = run(*root, '--sizes', '50', '500')
    assert 'TestG500.mat' in data['by_gallery_size']['left_out']
    assert 'TestG500.mat' in capsys.readouterr().err
    with pytest.raises(SystemExit, match=r'^error: .*elsewhere'):
        run()
