import json
from pathlib import Path

import torch
from command_line import error_of, run, run_json
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_models import CONFIGS

from mmps.datasets.coco_files import load_annotations
from mmps.registry import MODELS


def test_datasets_to_coco_and_back(tiny_prw: Path, tmp_path: Path) -> None:
    arguments = ('convert', 'dataset', 'prw', tiny_prw, '--out-dir', tmp_path)
    train, test = run_json(*arguments)['files']
    assert train == {'path': str(tmp_path / 'train.json'), 'images': 4, 'identities': 3}
    assert (test['images'], test['identities']) == (4, 2)
    assert 'train.json' in error_of(*arguments)
    assert 'test.json: 4 images, 2 identities' in run(*arguments, '--force').stdout
    back = run_json(
        *('convert', 'prw', tmp_path / 'train.json', tmp_path / 'test.json'),
        *('--images', tiny_prw, '--out', tmp_path / 'back', '--link'),
    )
    assert back['frames'] == 8
    assert (tmp_path / 'back' / 'query_info.txt').is_file()
    assert 'there is no folder nowhere' in error_of('convert', 'dataset', 'mot', 'nowhere')


def test_a_split(tmp_path: Path) -> None:
    source = tmp_path / 'all.json'
    size = {'width': 40, 'height': 30}
    images = [{'id': i, 'file_name': f'{i}.jpg', 'camera_id': i % 2, **size} for i in range(9)]
    # Four persons with two images each, and an image with two of them.
    seen = [(i, i // 2) for i in range(8)] + [(8, 0), (8, 1)]
    persons = [
        {'id': n, 'image_id': i, 'bbox': [1, 1, 9, 20], 'category_id': 1, 'person_id': who}
        for n, (i, who) in enumerate(seen)
    ]
    categories = [{'id': 1, 'name': 'person'}]
    coco = {'images': images, 'annotations': persons, 'categories': categories}
    source.write_text(json.dumps(coco))
    result = run_json('convert', 'split', source, '--num-train', 2, '--slack', 0)
    train, test = (load_annotations(tmp_path / f'{name}.json') for name in ('train', 'test'))
    assert train.person_ids() == {0, 1}
    assert test.person_ids() == {2, 3}
    assert [(f['images'], f['identities']) for f in result['files']] == [(5, 2), (4, 2)]
    assert result['images_dropped'] == 0
    assert 'num_train is 4' in error_of('convert', 'split', source, '--num-train', 4, '--force')


def test_checkpoints(tmp_path: Path) -> None:
    init_default_scope('mmdet')
    with torch.device('meta'):
        model = MODELS.build(Config.fromfile(CONFIGS / 'seqnet_r50_prw.py').model)
    # Its names, smaller shapes; where in the queue the next one goes is not in the authors'.
    ours = {
        name: torch.rand([min(n, 4) for n in tensor.shape])
        for name, tensor in model.state_dict().items()
    }
    ours['roi_head.loss_reid.queue.head'] = torch.tensor(0)
    source, target, back = (tmp_path / f'{name}.pth' for name in ('theirs', 'ours', 'back'))
    torch.save({'state_dict': ours}, target)
    assert run_json('convert', 'checkpoint', 'seqnet', target, source, '--back')['unread'] == {}
    target.unlink()
    result = run_json('convert', 'checkpoint', 'seqnet', source, target)
    assert result['target'] == str(target)
    assert result['unread']['roi_heads.faster_rcnn_predictor.bbox_pred.weight'] == 16
    converted = torch.load(target)['state_dict']
    assert converted.keys() == ours.keys()
    assert [name for name in ours if not torch.equal(converted[name], ours[name])] == []
    assert 'ours.pth: already there' in error_of('convert', 'checkpoint', 'seqnet', source, target)
    assert 'no such checkpoint' in error_of('convert', 'checkpoint', 'oim', 'none.pth', back)
    torch.save({'model': {}}, source)
    assert 'theirs.pth: nothing is there for' in error_of(
        'convert', 'checkpoint', 'oim', source, back
    )
    assert not back.exists()
