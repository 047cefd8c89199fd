"""Make pip forget the packages of which files are missing or cut short.

An interrupted pip can leave a package half-written yet listed as installed. Without its metadata
pip takes it for missing and installs it again, over what is there. Run with the environment's
own interpreter; uses nothing but the standard library.
"""

import shutil
import sys
import sysconfig
from importlib.metadata import Distribution
from pathlib import Path


def is_whole(metadata: Path) -> bool:
    """Whether all files are there, at full size, that the record in a metadata folder lists."""
    files = Distribution.at(metadata).files
    if not files:
        return False
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix != '.pyc' and not path.is_file():
            return False
        if file.size is not None and path.stat().st_size != file.size:
            return False
    return True


def main() -> None:
    if sys.prefix == sys.base_prefix:
        sys.exit('forget_broken.py: run this with the interpreter of a virtual environment')
    for metadata in sorted(Path(sysconfig.get_path('purelib')).glob('*.dist-info')):
        # pip comes with the environment; without its metadata it would not be installed again.
        if not metadata.name.startswith('pip-') and not is_whole(metadata):
            print(f'incomplete, to be installed again: {metadata.name}')
            shutil.rmtree(metadata)


if __name__ == '__main__':
    main()
