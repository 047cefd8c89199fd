import warnings

import pytest

from mmps.compat import STACK, Bounds, check_ops, check_stack, check_version

BOUNDS = Bounds('2.0.1', '2.1.0', '3')


@pytest.mark.parametrize('installed', ['2.0.1', '2.1.0', '2.1.0+cu118', '2.1.7', '2.0.2rc1'])
def test_admits_tried_versions_silently(installed: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        check_version('mmcv', installed, bounds=BOUNDS)


@pytest.mark.parametrize('installed', ['1.7.2', '2.0.0', '2.0.1rc1', '3.0.0', '3.0.0rc1', '4.1'])
def test_refuses_older_and_other_major_versions_with_the_remedy(installed: str) -> None:
    with pytest.raises(ImportError, match=r"mmcv>=2\.0\.1,<3, but .* pip install 'mmcv>=2\.0\.1"):
        check_version('mmcv', installed, bounds=BOUNDS)


@pytest.mark.parametrize('installed', ['2.2.0', '2.10.0rc1'])
def test_warns_of_newer_versions_once(installed: str) -> None:
    with pytest.warns(UserWarning, match=r'mmcv up to 2\.1\.0; .* is newer') as record:
        check_version('mmcv', installed, bounds=BOUNDS)
    assert len(record) == 1


def test_the_installed_stack_passes() -> None:
    check_stack()


@pytest.mark.parametrize(
    ('package', 'version'), [('mmcv', '1.7.2'), ('mmdet', '2.28.0'), ('mmengine', '1.0.0')]
)
def test_check_stack_reads_the_installed_versions(
    package: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f'{package}.__version__', version)
    with pytest.raises(ImportError, match=f'but {package} {version} is installed'):
        check_stack()


def test_check_stack_admits_newer_mmcv_and_mmdet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmcv.__version__', '2.2.1')
    monkeypatch.setattr('mmdet.__version__', '3.4.0')
    with pytest.warns(UserWarning, match='is newer') as record:
        check_stack()
    assert [str(w.message).split(' up to ')[0].split()[-1] for w in record] == ['mmcv', 'mmdet']


def test_a_missing_package_is_named_with_the_remedy() -> None:
    with pytest.raises(ImportError, match=r"not installed\. Remedy: pip install 'mmnothing>=1,<2'"):
        check_stack({'mmnothing': Bounds('1', '1', '2')})


def test_a_package_that_refuses_another_is_reported_with_its_own_words(tmp_path, monkeypatch):
    # What MMDet 3.3.0 does beside MMCV 2.2.
    (tmp_path / 'mmrefuses.py').write_text("assert False, 'Please install mmcv<2.2.0.'")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r'mmrefuses refuses .*mmcv<2\.2\.0\. Remedy'):
        check_stack({'mmrefuses': Bounds('1', '1', '2')})


def test_missing_ops_are_reported_with_the_remedy() -> None:
    with pytest.raises(ImportError, match=r'ops do not load .* Remedy: .*--no-cache-dir'):
        check_ops('mmcv._ext_of_another_build')


def test_every_package_of_the_stack_has_sound_bounds() -> None:
    assert list(STACK) == ['mmengine', 'mmcv', 'mmdet', 'mmpretrain']
    for package, bounds in STACK.items():
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            check_version(package, bounds.minimum, bounds=bounds)
            check_version(package, bounds.tried, bounds=bounds)
