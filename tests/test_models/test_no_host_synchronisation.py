"""What fake_gpu.py tests, in a process of its own.

Fake tensors let PyTorch believe in a GPU for as long as the process lives. Once it has trained
then, its forked children, which other tests need, cannot.
"""

import subprocess
import sys
from pathlib import Path


def test_nothing_waits_for_a_fake_gpu() -> None:
    tests = Path(__file__).with_name('fake_gpu.py')
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', str(tests)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ' passed' in done.stdout
