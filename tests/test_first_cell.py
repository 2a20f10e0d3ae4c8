"""The first cell of every chapter, where it cannot install what it is to install.

test_rehearsal.py lets it install from a server; here pip fails for other reasons. All
chapters have the same first cell; test_notebooks.py sees to that.
"""

import importlib
import os
import subprocess
import sys
import venv
from pathlib import Path
from unittest.mock import Mock

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
CELL = nbformat.read(ROOT / "notebooks" / "01_digits.ipynb", as_version=4).cells[2]
START = "import sys\nsys.modules['mnist_lesson'] = None  # as if it were not there\n"
OS_ERROR = "ERROR: Could not install packages due to an OSError: "
# What pip and git say, from real runs; the reason in it; and the advice.
FAILURES = {
    "no environment": (
        "error: externally-managed-environment\n\n"
        "× This environment is externally managed\n"
        "╰─> To install Python packages system-wide, try apt install\n\n"
        "note: If you believe this is a mistake, please contact your Python.\n"
        "hint: See PEP 668 for the detailed specification.",
        *(
            "externally-managed-environment",
            "run {python} -m venv mnist, then {here}pip",
        ),
    ),
    "no room": (
        f"Installing collected packages: tqdm\n{OS_ERROR}[Errno 28] No space left\n",
        *("OSError: [Errno 28] No space left", "make room on the"),
    ),
    "no permission": (
        f"{OS_ERROR}[Errno 13] Permission denied: '/x'\n"
        "Consider using the `--user` option or check the permissions.\n",
        *("Permission denied: '/x'", "run {python} -m venv mnist, then {here}pip"),
    ),
    "old Python": (
        "ERROR: Package 'mnist-lesson' requires a different Python: 3.10.12 not in "
        "'>=3.11'",
        *("a different Python: 3.10.12 not in '>=3.11'", "3.11 or newer"),
    ),
    "no index": (
        "WARNING: Retrying (Retry(total=0, connect=None, read=None)): /simple/pooch/\n"
        "ERROR: Could not find a version that satisfies the requirement pooch (from "
        "versions: none)\nERROR: No matching distribution found for pooch",
        *("No matching distribution found for pooch", "check the network"),
    ),
    "no host": (
        "  fatal: unable to access 'https://x/y/': Could not resolve host: x\n"
        "  error: subprocess-exited-with-error\n\n"
        "  × git clone --quiet https://x/y /tmp/z did not run successfully.\n"
        "  ╰─> See above for output.\n\nerror: subprocess-exited-with-error",
        *("Could not resolve host: x", "check the network"),
    ),
    "no tools": (
        "  xcrun: error: invalid active developer path (/Library/Developer), missing "
        "xcrun\nerror: subprocess-exited-with-error",
        *("invalid active developer path", "install git"),
    ),
    "no reason": (
        "Traceback (most recent call last):\nValueError: what now?",
        *("ValueError: what now?", "see all that pip said with print(words)"),
    ),
}


def refusal(monkeypatch, answer, system="linux"):
    """Run the cell where pip answers so, and give the sentence that it ends with."""
    monkeypatch.setitem(sys.modules, "mnist_lesson", None)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(subprocess, "getstatusoutput", lambda command: answer)
    with pytest.raises(RuntimeError) as caught:
        exec(CELL.source, {})
    [sentence] = caught.value._render_traceback_()
    return sentence


# What each system calls Python, and where its environments have their programs.
SYSTEMS = {"linux": ("python3", "mnist/bin/"), "win32": ("py", "mnist\\Scripts\\")}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("words, reason, advice", FAILURES.values(), ids=FAILURES)
def test_it_gives_pips_reason_and_says_what_to_do(
    words, reason, advice, system, monkeypatch
):
    python, here = SYSTEMS[system]
    advice = advice.format(python=python, here=here)
    sentence = refusal(monkeypatch, (1, words), system)
    start, end = sentence.split("): ")
    assert start.startswith("mnist_lesson cannot be installed (") and reason in start
    assert advice in end and end.endswith(", then run this cell again.")
    assert ("network" in sentence) == (advice == "check the network")
    assert "\n" not in sentence


def test_it_says_where_pytorch_is_missing(monkeypatch):
    """It brings none along, so that it cannot spoil Colab's: elsewhere, none may be."""
    missing = ModuleNotFoundError("No module named 'torch'")
    monkeypatch.setattr(importlib, "import_module", Mock(side_effect=missing))
    sentence = refusal(monkeypatch, (0, "Successfully installed mnist_lesson"))
    assert "cannot be installed (No module named 'torch'): in a terminal, " in sentence
    assert "run python3 -m venv mnist, then mnist/bin/pip install jupyter" in sentence


@pytest.mark.skipif(sys.platform == "win32", reason="other folders, and more PATH")
def test_it_notices_that_there_is_no_pip_or_no_git(tmp_path):
    venv.create(tmp_path, with_pip=False)
    for python, environment, reason, advice in [
        (tmp_path / "bin" / "python", {}, "No module named pip", "-m ensurepip"),
        (
            sys.executable,
            {"PATH": str(tmp_path)},
            "find command 'git'",
            "install git, ",
        ),
    ]:
        done = subprocess.run(
            [python, "-c", START + CELL.source], capture_output=True, encoding="utf-8",
            env=os.environ | environment,
        )  # fmt: skip
        sentence = done.stderr.splitlines()[-1]
        assert reason in sentence and advice in sentence
