"""Make pip forget the packages of which files are missing or cut short.

An interrupted pip can leave a package half-written yet listed as installed. Without its metadata
pip takes it for missing and installs it again, over what is there. Run with the environment's
own interpreter; uses nothing but the standard library.
"""

import shutil
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
    for metadata in sorted(Path(sysconfig.get_path('purelib')).glob('*.dist-info')):
        if not is_whole(metadata):
            print(f'incomplete, to be installed again: {metadata.name}')
            shutil.rmtree(metadata)


if __name__ == '__main__':
    main()
