"""The tests where nothing is that Windows lacks: they pass, or say what they need."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# They need what is gone there, and take seconds; the others are only collected.
QUICK = ["test_adopt.py", "test_idx.py", "test_make.py"]


def test_what_a_system_lacks_is_said():
    command = [sys.executable, "-m", "pytest", "-p", "tests.bare", "-q", "-rs", "tests"]
    command += ["-k", " or ".join(QUICK)]
    # Nor is the system's encoding UTF-8.
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout
    for lacking in "git is not", "make is not", "could not import 'resource'":
        assert lacking in done.stdout
