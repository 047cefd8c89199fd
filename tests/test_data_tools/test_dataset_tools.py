"""The command line tools around datasets, run in this process."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from video_folders import write_mot_sequence, write_tracks

from mmps.datasets.coco_files import load_annotations

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not (REPOSITORY / 'tools').is_dir(), reason='mmps is not run from its repository'
)


@pytest.fixture
def tool(run_tool: Callable[..., None]):
    """Run a tool by name with arguments, as the command line does; gives its exit status."""

    def run(name: str, *arguments: object) -> int:
        with pytest.raises(SystemExit) as caught:
            run_tool(name, *arguments)
        return caught.value.code

    return run


def to_coco(tool, *arguments: object) -> int:
    return tool('dataset_converters/to_coco.py', *arguments)


def check(tool, *arguments: object) -> int:
    return tool('analysis_tools/check_dataset.py', *arguments)


# --- converting


def test_prw_to_coco_and_back(tool, tiny_prw, tmp_path, capsys):
    assert to_coco(tool, 'prw', tiny_prw, '--out-dir', tmp_path) == 0
    assert f'{tmp_path}/train.json: 4 images, 3 identities' in capsys.readouterr().out
    assert to_coco(tool, 'prw', tiny_prw, '--out-dir', tmp_path) == 1
    assert 'train.json' in capsys.readouterr().err
    options = ('--out-dir', tmp_path, '--force', '--without-images')
    assert to_coco(tool, 'prw', tiny_prw, *options) == 0
    assert load_annotations(tmp_path / 'test.json').scenes[0].size is None
    files = (tmp_path / 'train.json', tmp_path / 'test.json')
    arguments = (*files, '--images', tiny_prw, '--out', tmp_path / 'back', '--link')
    assert tool('dataset_converters/coco_to_prw.py', *arguments) == 0
    assert 'back: 8 frames' in capsys.readouterr().out
    assert (tmp_path / 'back' / 'query_info.txt').is_file()
    assert tool('dataset_converters/coco_to_prw.py', *arguments) == 1
    assert 'use --force' in capsys.readouterr().err


def test_videos_to_a_split(tool, tmp_path, capsys):
    mot = tmp_path / 'mot'
    for name, x in (('A-DPM', 1), ('B-DPM', 9), ('B-SDP', 1)):
        lines = [
            f'{frame},{track},{x},{9 * track},8,8,1,1,1' for frame in (1, 2) for track in (1, 2)
        ]
        write_mot_sequence(mot, name, '\n'.join(lines))
    assert to_coco(tool, 'mot', mot, '--sequences', '*-DPM') == 0
    assert 'all.json: 6 images, 4 identities' in capsys.readouterr().out
    arguments = ('dataset_converters/split_by_identity.py', mot / 'all.json', '--out-dir', tmp_path)
    assert tool(*arguments) == 0
    printed = capsys.readouterr().out
    assert '0 of 6 images show persons of both parts' in printed
    train, test = (load_annotations(tmp_path / name) for name in ('train.json', 'test.json'))
    assert len(train.person_ids()) == len(test.person_ids()) == 2
    assert len(test.queries) == 2
    assert (
        check(
            tool,
            '--train',
            tmp_path / 'train.json',
            '--test',
            tmp_path / 'test.json',
            '--images',
            mot,
        )
        == 0
    )
    assert tool(*arguments, '--num-train', 4, '--force') == 1
    assert 'num_train is 4: of 4 identities' in capsys.readouterr().err
    assert load_annotations(tmp_path / 'train.json') == train


def test_tracks_to_coco(tool, tmp_path, capsys):
    write_tracks(tmp_path)
    assert to_coco(tool, 'tracks', tmp_path, '--every', 2) == 0
    assert len(load_annotations(tmp_path / 'all.json').scenes) == 3
    (tmp_path / 'persons.csv').write_text('sequence,trajectory,person_id\nyard,t7,1\n')
    before = (tmp_path / 'all.json').read_bytes()
    assert to_coco(tool, 'tracks', tmp_path, '--force') == 1
    assert 'persons.csv:2: there is no yard/trajectories/t7.csv' in capsys.readouterr().err
    assert (tmp_path / 'all.json').read_bytes() == before


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('prw', 'nowhere'), 'there is no folder nowhere'),
        (('mot', '.', '--every', 0), '--every must be at least 1, not 0'),
        (('coco', '.'), "invalid choice: 'coco'"),
    ],
)
def test_senseless_arguments(tool, capsys, arguments, message):
    assert to_coco(tool, *arguments) == 2
    assert message in capsys.readouterr().err


# --- checking


def test_a_sound_dataset(tool, tiny_coco, tmp_path, capsys):
    picture = tmp_path / 'pictures' / 'identities.png'
    files = ('--train', tiny_coco / 'train.json', '--test', tiny_coco / 'test.json')
    assert check(tool, *files, '--picture', picture) == 0
    printed = capsys.readouterr().out
    assert '0 errors' in printed
    assert '160x96: 4' in printed
    assert picture.read_bytes()[:4] == b'\x89PNG'


def test_everything_that_is_wrong_is_listed(tool, tiny_coco, tmp_path, capsys):
    train, test = (
        json.loads((tiny_coco / f'{name}.json').read_text()) for name in ('train', 'test')
    )
    train['annotations'][0]['bbox'] = [1, 1, 0, 1]
    train['annotations'][1]['image_id'] = 999
    train['images'].append({'id': 50, 'file_name': 'frames/none.jpg'})
    leaked = next(a['person_id'] for a in test['annotations'] if a['person_id'] >= 0)
    twice = {'category_id': 1, 'image_id': 1, 'person_id': leaked}
    train['annotations'] += [
        {**twice, 'id': 800, 'bbox': [1, 1, 5, 5]},
        {**twice, 'id': 801, 'bbox': [9, 1, 5, 5]},
    ]
    for name, content in (('train', train), ('test', test)):
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    files = ('--train', tmp_path / 'train.json', '--test', tmp_path / 'test.json')
    assert check(tool, *files, '--images', tiny_coco) == 1
    lines = capsys.readouterr().out.splitlines()
    file_name = train['images'][0]['file_name']
    for line in (
        f'train: error: {tmp_path}/train.json: annotations[0] (id 1): the bbox [1, 1, 0, 1] has '
        'no area',
        f'train: error: {tmp_path}/train.json: annotations[1] (id 2): image_id 999 is that of no '
        'image',
        'train: error: frames/none.jpg: the image is missing',
        f'train: error: {file_name}: person {leaked} is there 2 times',
        f'both: error: person {leaked} is in the training and in the test part',
    ):
        assert line in lines
    assert lines[-1].startswith('5 errors')
    assert check(tool, *files, '--images', tiny_coco, '--skip-images') == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith('4 errors')


CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=['mmps'], allow_failed_imports=False)
train_dataloader = dict(dataset=dict(data_root={root!r}))
test_dataloader = dict(dataset=dict(data_root={root!r}))
"""


@pytest.mark.parametrize('name', ['prw', 'uestc-ps'])
def test_datasets_of_a_config(tool, name, tiny_prw, tiny_coco, tmp_path, capsys):
    base = REPOSITORY / 'configs' / '_base_' / 'datasets' / f'{name}.py'
    root = tiny_prw if name == 'prw' else tiny_coco
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.format(base=str(base), root=str(root)))
    assert check(tool, config) == 0
    printed = capsys.readouterr().out
    assert '0 errors' in printed
    assert '160x96: 4' in printed
    options = ('--cfg-options', 'train_dataloader.dataset.data_root=nowhere')
    assert check(tool, config, *options) == 1
    assert 'nowhere' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((), 'give a config, or --train and/or --test'),
        ((__file__, '--train', 'b.json'), 'give a config, or --train and/or --test'),
        (('a.py',), 'there is no config file a.py'),
    ],
)
def test_senseless_arguments_of_the_check(tool, capsys, arguments, message):
    assert check(tool, *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_file_cut_short(tool, tmp_path, capsys):
    (tmp_path / 'train.json').write_text('{"images": [')
    assert check(tool, '--train', tmp_path / 'train.json') == 1
    assert 'train.json: not JSON, or cut short' in capsys.readouterr().err
