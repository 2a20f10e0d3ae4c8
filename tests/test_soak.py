"""The tool that breaks things: it passes, and it would notice.

The tests of checkpoints and of downloads kill a training run and a download, too.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FAULTS = """
import multiprocessing, os, sys, time
from tools import soak
multiprocessing.set_start_method("fork")  # the faults come along
def compute(*_):
    start = time.process_time()
    while time.process_time() < start + soak.SECONDS + 0.5:
        pass
faults = {
    "an error of another kind": lambda *_: 1 / 0,
    "the words of a decoder": lambda *_: os.write(2, b"oh"),
    "time": compute,
    "memory": lambda *_: b" " * 800_000_000,
}
soak.PARTS = {name: (1, 1, soak.idx_files, fault) for name, fault in faults.items()}
sys.exit(soak.main(["--seed", "3"]))
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="its processes fork")


def soak(folder, *command):
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True, encoding="utf-8",
    )  # fmt: skip


@pytest.mark.parametrize("part, tries", [("idx", "2,000"), ("pictures", "200")])
def test_a_short_run_finds_nothing(tmp_path, part, tries):
    done = soak(tmp_path, "-m", "tools.soak", "--short", "--only", part)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tries} tries" in done.stdout and "violations" not in done.stdout
    assert not [*tmp_path.iterdir()]


def test_each_fault_is_found_and_its_file_kept(tmp_path):
    done = soak(tmp_path, "-c", FAULTS)
    assert done.returncode == 1 and done.stdout.count(": 1 violations") == 4, done
    for said in "ZeroDivisionError", "it printed something", "seconds", " MB'":
        assert said in done.stdout
    assert len([*tmp_path.glob("soak-*/*-0/file")]) == 4
