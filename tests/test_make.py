"""The Makefile: it names folders and chapters as people do."""

import os
import re
import runpy
import subprocess
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A make that runs these tests must not lend what it was given to them.
LENT = {"ARGS", "CHAPTER", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "REPO"}
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in LENT}


@pytest.fixture(scope="module")
def make(checkout, program):
    """Run make in a copy, where programs only say how they are called."""
    if os.name == "nt":
        pytest.skip("the Makefile is for Linux and Macs")
    folder = checkout()
    assert " " in str(folder)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "installed").write_text(f"{folder.resolve()}\n", "utf-8")
    for name in "python", "jupyter-book":
        path = folder / ".venv" / "bin" / name
        path.write_text('#!/bin/sh\necho "$0 $*"\necho "$MNIST_LESSON_DATA"\n', "utf-8")
        path.chmod(0o755)

    def make(*arguments, **environment):
        return subprocess.run(
            [program("make"), *arguments], cwd=folder, capture_output=True,
            encoding="utf-8", env=ENVIRONMENT | environment,
        )  # fmt: skip

    make.folder = folder
    return make


def test_make_alone_lists_the_targets(make):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.M)) - {"help"}
    assert set(re.findall(r"^make (\w+)", make().stdout, re.M)) == targets


@pytest.mark.parametrize("folder", ["/my own digits", "../my digits", "~/my digits"])
def test_the_digits_may_be_in_a_folder_with_spaces(make, folder):
    for done in (
        make("test", MNIST_LESSON_DATA=folder),
        make("test", f"MNIST_LESSON_DATA={folder}"),
    ):
        assert done.stdout.splitlines()[-1] == folder


@pytest.mark.parametrize("folder", ["my digits", "~/my digits"])
def test_notebooks_find_the_digits_from_their_own_folder(tmp_path, monkeypatch, folder):
    for name in "HOME", "USERPROFILE":
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("MNIST_LESSON_DATA", folder)
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    names = runpy.run_path(str(ROOT / "conftest.py"))
    names["pytest_configure"](types.SimpleNamespace(getoption=lambda option: None))
    found = (tmp_path if folder[0] == "~" else Path.cwd()) / "my digits"
    assert Path(os.environ["MNIST_LESSON_DATA"]) == found


def test_the_book_may_be_built_in_a_folder_with_spaces(make):
    """And a page that is no longer in the book doesn't stay there."""
    old = make.folder / "_build" / "html" / "old.html"
    old.parent.mkdir(parents=True)
    old.touch()
    done = make("book")
    assert not old.exists()
    assert done.returncode == 0, done.stderr
    assert f"The book is in {make.folder}/_build/html/index.html" in done.stdout


@pytest.mark.parametrize("broken", ["bin/python", "installed"])
def test_an_environment_of_another_folder_or_python_is_made_anew(make, broken):
    """As after the checkout was copied, or Python replaced by a newer one."""
    assert "-m venv" not in make("-n", "book").stdout
    file = make.folder / ".venv" / broken
    text = file.read_text("utf-8")
    other = "/some/other/folder" if broken == "installed" else "#!/gone/python"
    file.write_text(f"{other}\n", "utf-8")
    try:
        said = make("-n", "book").stdout
    finally:
        file.write_text(text, "utf-8")
    assert "-m venv --clear .venv" in said and "jupyter-book build" in said
    assert "-m venv" not in make("-n", "book").stdout


def test_an_environment_that_somebody_else_made_is_not_cleared(make):
    installed = make.folder / ".venv" / "installed"
    text = installed.read_text("utf-8")
    installed.unlink()
    try:
        done = make("-n", "book")
    finally:
        installed.write_text(text, "utf-8")
    assert "-m venv  .venv" in done.stdout and "--clear" not in done.stdout
    assert done.stderr == ""
    assert "-m venv" not in make("-n", "book").stdout


@pytest.mark.parametrize("named", ["7", "07", "lenet", "notebooks/07_lenet.ipynb"])
def test_a_chapter_is_run_alone_by_its_name(make, named):
    for target, command in ("notebooks", "pytest --nbval"), ("execute", "execute.py"):
        line, *listed = make("-n", target, f"CHAPTER={named}").stdout.splitlines()
        assert [line.split()[-1] for line in listed] == (
            ["tools/chapters.py"] if target == "execute" else []
        )
        assert line.rstrip().endswith(f"{command} notebooks/07_lenet.ipynb")


def test_without_a_name_all_chapters_are_run(make):
    lines = [make("-n", name).stdout for name in ("notebooks", "execute")]
    assert lines[0].rstrip().endswith("-reorder --nbval notebooks")
    assert lines[1].splitlines()[0].rstrip().endswith("tools/execute.py")


@pytest.mark.parametrize("named", ["lenat", "99", "your own digit"])
def test_a_chapter_that_there_is_not(make, named):
    for target in "notebooks", "execute":
        done = make(target, f"CHAPTER={named}")
        assert done.returncode != 0 and done.stdout == ""
        assert f"no chapter is called {named}; there are 01_digits " in done.stderr
        assert done.stderr.count("\n") == 1


def test_adopt_passes_the_address_on(make):
    done = make("adopt", "REPO=a b")
    assert done.returncode != 0 and "a b is not of the" in done.stderr
    assert "name your repository" in make("adopt").stderr
