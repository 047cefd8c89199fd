import shutil
from collections import namedtuple

import cv2
import mmcv
import pytest
import torch
from command_line import run, run_json

import mmps
from mmps.cli import doctor as doctor_module

Usage = namedtuple('Usage', 'total used free')


@pytest.fixture(autouse=True)
def plenty_of_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: Usage(10**12, 0, 10**12))


def findings(exit_code: int = 0) -> dict[str, dict]:
    document = run_json('doctor', exit_code=exit_code)
    assert document['ok'] == (exit_code == 0)
    return {finding['name']: finding for finding in document['findings']}


def test_a_sound_installation() -> None:
    found = findings()
    assert found['PyTorch']['state'] == torch.__version__
    assert found['mmcv']['state'] == mmcv.__version__
    assert found['mmps']['state'].startswith(mmps.__version__)
    assert found["mmcv's ops on cpu"]['state'] == 'RoIAlign and NMS work'
    assert found['disk']['verdict'] == 'ok'
    assert not any(finding['verdict'] == 'broken' for finding in found.values())
    assert 'mmps has all it needs.' in run('doctor').stdout


def test_a_wrong_version_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmdet.__version__', '2.28.0')
    found = findings(exit_code=1)
    assert found['mmdet']['verdict'] == 'broken'
    assert 'needs mmdet>=3.3.0,<4, but mmdet 2.28.0' in found['mmdet']['state']
    assert found['mmdet']['remedy'] == "pip install 'mmdet>=3.3.0,<4'"
    assert found['mmps']['verdict'] == 'broken'
    assert found['mmpretrain']['verdict'] == 'ok'
    shown = run('doctor', exit_code=1).stdout
    assert "    pip install 'mmdet>=3.3.0,<4'\n" in shown
    assert '2 broken' in shown


def test_a_newer_version_is_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmcv.__version__', '2.9.0')
    with pytest.warns(UserWarning, match='is newer'):  # of loading the components
        found = findings()
    assert found['mmcv']['verdict'] == 'hint'
    assert "pip install 'mmcv==2.1.0'" in found['mmcv']['remedy']


def test_ops_that_give_wrong_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmcv.ops.roi_align', lambda features, rois, size: features * 0)
    assert findings(exit_code=1)["mmcv's ops on cpu"]['state'] == 'they give wrong numbers'


def test_dependencies_and_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {'torch': '2.1.0', 'numpy': '1.20', 'gradio': '5.0', 'faiss-gpu': '1.9'}
    requirements = [
        *('torch>=2.1', 'numpy>=1.23', 'faiss-cpu>=1.8', 'typer>=0.12', 'mmcv>=2.0.1,<3'),
        *("gradio>=5 ; extra == 'web'", "av>=12 ; extra == 'video'", "ruff ; extra == 'dev'"),
    ]

    def version(name: str) -> str:
        if name not in installed:
            raise doctor_module.importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    metadata = doctor_module.importlib.metadata
    monkeypatch.setattr(metadata, 'requires', lambda name: requirements)
    monkeypatch.setattr(metadata, 'version', version)
    found = {finding.name: finding for finding in doctor_module._dependencies()}
    assert found.keys() == {'dependencies', 'extra video', 'extra web'}
    assert found['dependencies'].remedy == "pip install 'numpy>=1.23' 'typer>=0.12'"
    assert found['dependencies'].verdict is doctor_module.Verdict.BROKEN
    assert found['extra web'].verdict is doctor_module.Verdict.OK
    assert found['extra video'].remedy == "pip install 'mmps[video]'"
    assert found['extra video'].verdict is doctor_module.Verdict.HINT


def test_too_little_space_and_few_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: Usage(10**12, 0, 2**26))
    monkeypatch.setattr(cv2, 'getBuildInformation', lambda: '    FFMPEG:     NO')
    found = findings()
    assert found['disk']['verdict'] == found['OpenCV']['verdict'] == 'hint'
    assert found['disk']['state'].startswith('0.1 GiB free in ')
    assert found['OpenCV']['remedy'] == "pip install 'mmps[video]'"
