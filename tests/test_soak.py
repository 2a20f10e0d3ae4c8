"""The tool that breaks things: it passes, and it would notice."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import soak

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is not Windows'")
@pytest.mark.parametrize("part", ["trainings", "downloads", "idx"])
def test_a_short_run_finds_nothing(part):
    done = subprocess.run(
        [sys.executable, "tools/soak.py", "--short", "--only", part],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{soak.SHORT[part]:,}" in done.stdout


def fail(path, rng):
    raise KeyError("oops")


def write(path, rng):
    os.write(2, b"from a decoder in C")
    return "written"


def start(path, rng):
    subprocess.run([sys.executable, "-c", ""])
    return "started"


def loop(path, rng):
    for _ in range(10**6):
        pass
    return "done"


FAULTS = {
    "an error of another kind": (fail, "KeyError"),
    "a decoder's words": (write, "printed 'from a decoder in C'"),
    "a program": (start, "subprocess.Popen"),
    "time": (loop, "seconds"),
    "memory": (lambda path, rng: "much", "MB"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_found_and_its_file_kept(tmp_path, monkeypatch, kind):
    attempt, message = FAULTS[kind]
    monkeypatch.setitem(soak.FILES, "idx", (soak.damaged_idx, attempt))
    monkeypatch.setattr(soak, "SECONDS", 0 if kind == "time" else 60)
    monkeypatch.setattr(soak, "MEGABYTES", 1 if kind == "memory" else 10**6)
    if kind == "memory" and sys.platform == "win32":
        pytest.skip("Windows does not tell")
    part = soak.broken("idx", range(7, 8), 3, tmp_path)
    assert part.tries == 1
    (violation,) = part.violations
    assert violation.startswith(f"{tmp_path / 'idx-7'}: ")
    assert re.search(message, violation)
    # The same seed makes the same file.
    kept = (tmp_path / "idx-7").read_bytes()
    assert [*tmp_path.iterdir()] == [tmp_path / "idx-7"]
    assert kept == soak.damaged_idx(random.Random("3 7"))


def test_figures_are_kept_and_violations_end_in_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(soak, "FIGURES", tmp_path / "soak.json")
    monkeypatch.setitem(soak.TRIES, "idx", 40)
    # Its processes are copies of this one, which many tests may have made large.
    monkeypatch.setattr(soak, "peak_memory", lambda: 0)
    assert soak.main(["--only", "idx", "--jobs", "1"]) == 0
    monkeypatch.setitem(soak.FILES, "pictures", (soak.damaged_idx, fail))
    monkeypatch.setitem(soak.TRIES, "pictures", 2)
    assert soak.main(["--only", "pictures", "--jobs", "1", "--seed", "5"]) == 1
    figures = json.loads((tmp_path / "soak.json").read_text("utf-8"))
    assert figures["idx"]["tries"] == 40 and figures["idx"]["violations"] == 0
    assert sum(figures["idx"]["outcomes"].values()) == 40
    assert figures["pictures"]["violations"] == 2
    printed = capsys.readouterr().out
    assert "KeyError" in printed and "the seed was 5" in printed
    (folder,) = re.findall(r"is in (\S+)", printed)
    assert {path.name for path in Path(folder).iterdir()} == {
        "pictures-0",
        "pictures-1",
    }
    shutil.rmtree(folder)


def test_what_was_not_tried_is_a_violation(monkeypatch, capsys):
    monkeypatch.setattr(soak, "MINUTES", 0)
    assert soak.main(["--short", "--only", "trainings"]) == 1
    assert "only 0 of 1 tried" in capsys.readouterr().out


@pytest.mark.skipif(not soak.FIGURES.exists(), reason="not run yet")
def test_the_figures_that_are_kept_are_good():
    figures = json.loads(soak.FIGURES.read_text("utf-8"))
    for name, part in figures.items():
        assert part["tries"] >= soak.TRIES[name] and part["violations"] == 0
