"""Ruff, the package's size, and what the project says about itself."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff(command):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_requirements_pin_what_the_package_asks_for():
    pins = dict(
        line.split("==")
        for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines()
        if "==" in line
    )
    for dependency in PROJECT["dependencies"]:
        name, least = dependency.split(">=")
        assert [int(n) for n in pins[name].split(".")] >= [
            int(n) for n in least.split(".")
        ]


def test_every_public_name_has_a_docstring():
    import mnist_lesson

    for name in mnist_lesson.__all__:
        assert getattr(mnist_lesson, name).__doc__, name


def test_the_terms_in_make_help_are_targets():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.M)) - {"help"}
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True).stdout
    assert set(re.findall(r"^make (\w+)", listed, re.M)) == targets
