"""The first cell of every chapter, where it cannot install what it is to install.

test_rehearsal.py lets it install from a server; here pip fails for other reasons. All
chapters have the same first cell; test_notebooks.py sees to that.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
CELL = nbformat.read(ROOT / "notebooks" / "01_digits.ipynb", as_version=4).cells[2]
START = "import sys\nsys.modules['mnist_lesson'] = None  # as if it were not there\n"
# What pip and git say, from real runs.
PEP_668 = """error: externally-managed-environment

× This environment is externally managed
╰─> To install Python packages system-wide, try apt install
    python3-xyz, where xyz is the package you are trying to
    install.

note: If you believe this is a mistake, please contact your Python installation.
hint: See PEP 668 for the detailed specification."""
NO_SPACE = """Installing collected packages: tqdm, pooch
ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device
"""
NO_PERMISSION = """Installing collected packages: tqdm, pooch
ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x'
Consider using the `--user` option or check the permissions.
"""
OLD_PYTHON = """INFO: pip is looking at multiple versions of mnist-lesson to determine
ERROR: Package 'mnist-lesson' requires a different Python: 3.10.12 not in '>=3.11'"""
NO_INDEX = """WARNING: Retrying (Retry(total=0, connect=None, read=None)) after \
connection broken by 'NewConnectionError(...)': /simple/pooch/
ERROR: Could not find a version that satisfies the requirement pooch (from versions: \
none)
ERROR: No matching distribution found for pooch"""
NO_HOST = """  Running command git clone --filter=blob:none --quiet https://x/y /tmp/z
  fatal: unable to access 'https://x/y/': Could not resolve host: x
  error: subprocess-exited-with-error

  × git clone --filter=blob:none --quiet https://x/y /tmp/z did not run successfully.
  │ exit code: 128
  ╰─> See above for output.

error: subprocess-exited-with-error"""
NO_TOOLS = """  Running command git version
  xcrun: error: invalid active developer path (/Library/Developer/CommandLineTools), \
missing xcrun
error: subprocess-exited-with-error"""
NO_REASON = "Traceback (most recent call last):\nValueError: what now?"


@pytest.mark.parametrize(
    ("words", "reason", "advice"),
    [
        (PEP_668, "externally-managed-environment", "-m venv mnist && mnist/bin/"),
        (NO_SPACE, "OSError: [Errno 28] No space left on device", "make room on the"),
        (NO_PERMISSION, "Permission denied: '/x'", "-m venv mnist && mnist/bin/"),
        (OLD_PYTHON, "a different Python: 3.10.12 not in '>=3.11'", "3.11 or newer"),
        (NO_INDEX, "No matching distribution found for pooch", "check the network"),
        (NO_HOST, "Could not resolve host: x", "check the network"),
        (NO_TOOLS, "invalid active developer path", "install git"),
        (NO_REASON, "ValueError: what now?", "see all that pip said with print(words)"),
    ],
)
def test_it_gives_pips_reason_and_says_what_to_do(words, reason, advice, monkeypatch):
    monkeypatch.setitem(sys.modules, "mnist_lesson", None)
    monkeypatch.setattr(subprocess, "getstatusoutput", lambda command: (1, words))
    with pytest.raises(RuntimeError) as caught:
        exec(CELL.source, {})
    (sentence,) = caught.value._render_traceback_()
    start, end = sentence.split("): ")
    assert start.startswith("mnist_lesson cannot be installed (") and reason in start
    assert advice in end and end.endswith(", then run this cell again.")
    assert ("network" in sentence) == (advice == "check the network")
    assert "\n" not in sentence


@pytest.mark.skipif(sys.platform == "win32", reason="folders are laid out otherwise")
def test_it_notices_that_there_is_no_pip(tmp_path):
    venv.create(tmp_path, with_pip=False)
    sentence = run(tmp_path / "bin" / "python")
    assert "No module named pip): run" in sentence and "-m ensurepip" in sentence


@pytest.mark.skipif(sys.platform == "win32", reason="pip needs more of the PATH there")
def test_it_notices_that_there_is_no_git(tmp_path):
    sentence = run(sys.executable, PATH=str(tmp_path))
    assert "Cannot find command 'git'" in sentence and "): install git, " in sentence


def run(python, **environment):
    """Run the cell without a notebook; give the last line, where the reason is."""
    done = subprocess.run(
        [python, "-c", START + CELL.source], capture_output=True, encoding="utf-8",
        env=os.environ | environment,
    )  # fmt: skip
    return done.stderr.splitlines()[-1]
