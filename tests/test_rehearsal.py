"""Colab, rehearsed: notebooks run from their first cell where nothing of ours is yet.

A fresh environment holds what Colab preinstalls of our needs and no more; the working
folder is empty. A server on loopback is all the internet there is: a package index, and
this checkout as a git repository, to which git is sent instead of the public address.
So the first cell runs as it is, and installs from the address that it names.

By default one chapter is rehearsed, with the packages that the tests themselves use.
--rehearse takes them all, on full MNIST and on the sample, with the newest packages and
with the oldest that pyproject.toml allows.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from importlib.metadata import distribution
from pathlib import Path

import nbformat
import pooch
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from server import served
from test_notebooks import ADDRESS, NOTEBOOKS, TOML

from mnist_lesson import DataError, load_mnist

ROOT = Path(__file__).parents[1]
PROJECT = TOML["project"]
BOUNDS = dict(line.split(">=") for line in PROJECT["dependencies"])
PREINSTALLED = ["matplotlib", "numpy", "pillow", "scipy", "torch"]
# The oldest kernel that Colab has had together with a Python new enough for us.
OLD_KERNEL = ["ipykernel==6.17.1", "ipython==7.34.0"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Colab runs on Linux")


def pytest_generate_tests(metafunc):
    everything = metafunc.config.getoption("--rehearse")
    levels = ["newest", "lowest"] if everything else ["these"]
    metafunc.parametrize("machine", levels, indirect=True, scope="module")
    if "path" in metafunc.fixturenames:
        sources = ["full", "sample"] if everything else ["at hand"]
        metafunc.parametrize("source", sources)
        paths = NOTEBOOKS if everything else NOTEBOOKS[1:2]
        metafunc.parametrize("path", paths, ids=lambda path: path.stem)


def run(*command, **options):
    options = {"capture_output": True, "encoding": "utf-8", "check": True} | options
    return subprocess.run(command, **options).stdout


@pytest.fixture(scope="module")
def pip(request):
    """Run pip with the true internet, without which there is nothing to rehearse."""
    stop = pytest.fail if request.config.getoption("--rehearse") else pytest.skip

    def pip(python, *arguments):
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        try:
            run(python, "-m", "pip", *arguments, env=environment)
        except subprocess.CalledProcessError as error:
            offline = re.search("Retrying|Connection|resolve host", error.stderr)
            tell = stop if offline else pytest.fail  # ours, then
            tell(f"pip {arguments[0]} fails: {error.stderr[-300:]}")

    return pip


@pytest.fixture(scope="module")
def internet(tmp_path_factory, pip, checkout, git):
    """Serve what pip and git may ask for; give the folder and its address."""
    folder = tmp_path_factory.mktemp("internet")
    # Newer versions of what is preinstalled are on offer, and must not be taken.
    wanted = [name for name in BOUNDS if name != "torch"]
    wanted += TOML["build-system"]["requires"]
    pip(sys.executable, "download", "--dest", folder, *wanted)
    for wheel in folder.glob("*.whl"):
        name = re.sub("[._]+", "-", wheel.name.split("-")[0]).lower()
        (folder / "simple" / name).mkdir(parents=True, exist_ok=True)
        wheel.rename(folder / "simple" / name / wheel.name)
    # The checkout as it is now: what is not committed yet counts, too.
    (checkout(repository=True) / ".git").rename(folder / "digits.git")
    git(folder / "digits.git", "update-server-info")

    with served(folder) as address:
        yield folder, address.rstrip("/")


def needed(names):
    """Name what is installed here of these, and of all that they need."""
    found, wanted = {}, [*names]
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name not in found:
            found[name] = distribution(name)
            needs = map(Requirement, found[name].requires or [])
            wanted += [n.name for n in needs if not n.marker or n.marker.evaluate()]
    return found.values()


def link(path, target):
    """Have a file in a second place, where another program may replace it."""
    try:
        os.link(path, target)
    except OSError:  # on another disk
        shutil.copy2(path, target)


def lend(names, site):
    """Put packages of this environment into another one."""
    for package in needed(names):
        top = {file.parts[0] for file in package.files} - {"..", "__pycache__"}
        for path in (Path(package.locate_file(name)) for name in top):
            if path.is_dir():
                new = {"copy_function": link, "dirs_exist_ok": True}
                shutil.copytree(path, site / path.name, **new)
            elif path.exists():
                link(path, site / path.name)


@pytest.fixture(scope="module")
def machine(request, tmp_path_factory, pip, program, symlink):
    """Make an environment like Colab's, as far as we need it; give its folder."""
    program("git")
    symlink(tmp_path_factory.mktemp("needed") / "link", "anywhere")
    python = ">={}.{}".format(*sys.version_info[:2])
    if request.param in ("newest", "these"):
        wanted = [*PREINSTALLED, "ipykernel"]
    elif python == PROJECT["requires-python"]:
        wanted = [f"{name}=={BOUNDS[name]}" for name in PREINSTALLED] + OLD_KERNEL
    else:
        pytest.skip("the oldest packages are rehearsed with the oldest Python")
    if request.config.getoption("--torch") == "pinned":
        pins = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
        wanted = [name for name in wanted if not name.startswith("torch")]
        wanted += [line for line in pins if line.startswith("torch==")]
    folder = tmp_path_factory.mktemp("colab")
    venv.create(folder, with_pip=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": folder}))
    if request.param == "these":
        lend([*PREINSTALLED, "ipykernel"], site)
    else:  # most of it is never imported
        pip(folder / "bin" / "python", "install", "--no-compile", *wanted)
    # So that Colab is noticed.
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").touch()
    (site / "colab.pth").write_text("import google.colab", "utf-8")
    start = [f"{folder}/bin/python", "-m", "ipykernel_launcher", "-f"]
    spec = {"argv": [*start, "{connection_file}"], "display_name": "Colab"}
    kernel = folder / "share" / "jupyter" / "kernels" / "colab" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps(spec | {"language": "python"}), "utf-8")
    return folder


@pytest.fixture
def installed(machine):
    """Tell what is installed, by name and version, and since when."""

    def installed():
        site = Path(sysconfig.get_path("purelib", vars={"base": machine}))
        records = site.glob("*.dist-info/RECORD")
        return {record.parent.stem: record.stat().st_mtime_ns for record in records}

    before = installed()
    yield installed
    new = [name.split("-")[0] for name in installed().keys() - before.keys()]
    pip = [machine / "bin" / "python", "-m", "pip"]
    run(*pip, "uninstall", "--yes", "mnist_lesson", *new)
    assert installed() == before


@pytest.fixture
def colab(machine, internet, offline, tmp_path, monkeypatch):
    """Prepare a notebook to run in an empty folder of that environment."""
    monkeypatch.setenv("JUPYTER_PATH", str(machine / "share" / "jupyter"))
    (tmp_path / "content").mkdir()
    environment = offline | {
        "PATH": os.environ["PATH"],
        # On a busy machine, several threads would mostly wait for one another.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"{internet[1]}/simple/",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{internet[1]}/digits.git.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }
    resources = {"metadata": {"path": tmp_path / "content"}}
    options = {"kernel_name": "colab", "timeout": 1800, "resources": resources}

    def colab(notebook):
        return NotebookClient(notebook, **options), environment

    return colab


@pytest.fixture(scope="module")
def mnist():
    """Find the folder that holds full MNIST, if there is one."""
    try:
        load_mnist(source="full")
    except DataError:
        return None
    return os.environ.get("MNIST_LESSON_DATA") or pooch.os_cache("mnist_lesson")


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_first_cell_says_what_to_do_when_it_fails(colab, internet, installed):
    notebook = nbformat.read(NOTEBOOKS[1], as_version=4)
    notebook.cells = code(notebook)[:2]
    first, second = notebook.cells
    client, environment = colab(notebook)
    with client.setup_kernel(env=environment):
        for missing, reason in {
            "simple": "No matching distribution found for pooch",
            "digits.git": f"repository '{internet[1]}/digits.git/' not found",
        }.items():
            (internet[0] / missing).rename(internet[0] / "away")
            with pytest.raises(CellExecutionError):
                client.execute_cell(first, 0)
            (internet[0] / "away").rename(internet[0] / missing)
            # For a moment, a kernel drops what was sent right behind a failure.
            time.sleep(1)
            (output,) = first.outputs
            assert output.traceback == [
                f"mnist_lesson cannot be installed ({reason}): check the network, and "
                f"that {ADDRESS} opens in a browser, then run this cell again."
            ]
        # The same cell, again, and all is well.
        client.execute_cell(first, 0)
        client.execute_cell(second, 1)
    assert first.outputs == second.outputs == []


def test_a_notebook_runs_in_colab(
    path, source, mnist, colab, installed, machine, tmp_path
):
    if source == "at hand":
        source = "full" if mnist else "sample"
    if source == "full":
        assert mnist, "full MNIST is neither in a folder, nor in the cache, nor online"
        shutil.copytree(mnist, tmp_path / "cache" / "mnist_lesson")
    before = installed()
    notebook = nbformat.read(path, as_version=4)
    client, environment = colab(notebook)
    client.execute(env=environment)
    assert code(notebook)[0].outputs == []
    said = [o for cell in code(notebook) for o in cell.outputs if "name" in o]
    warnings = [output.text for output in said if output.name == "stderr"]
    assert any(f"{source} MNIST: " in output.text for output in said)
    if source == "full":
        assert warnings == []
    else:
        (warning,) = warnings
        assert "using the 5,000 digits that come with the package" in warning
        assert warning.count("Warning:") == 1
    after = installed()
    assert before.items() <= after.items()
    new = {name.split("-")[0] for name in after.keys() - before.keys()}
    assert new >= {"mnist_lesson", "pooch", "tqdm"}
    # The first cell cannot ask for newer versions: that the bounds allow these counts.
    check = [machine / "bin" / "python", "-m", "pip", "check"]
    assert "mnist" not in run(*check, check=False)
