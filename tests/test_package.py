"""The package as others get it: built, installed from an index, imported and typed."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from server import served

import mnist_lesson

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SOURCES = ["mnist_lesson", "LICENSES", "LICENSE", "README.md", "pyproject.toml"]
USER = """
from typing import assert_type

import numpy as np
import torch

import mnist_lesson
from mnist_lesson import (
    CostPlotter,
    EndEpoch,
    EndIteration,
    LeNet,
    Trainer,
    figures,
    load_mnist,
    recognize,
    show_digits,
)
from mnist_lesson.checks import Verdict, softmax


def watch(event: EndIteration | EndEpoch) -> None:
    if isinstance(event, EndEpoch):
        assert_type(event.train.accuracy, float)
    else:
        assert_type(event.cost, float)


mnist = load_mnist(source="sample")
assert_type(mnist.train[:100].images, np.ndarray)
trainer = Trainer(LeNet(), device="cpu")
handlers = [CostPlotter()]
history = trainer.fit(mnist.train, mnist.validation, event_handler=handlers)
trainer.fit(mnist.train[np.argsort(mnist.train.labels)], event_handler=[watch, print])
assert_type(history.best.step, int)
assert_type(trainer.predict(mnist.test.images), torch.Tensor)
assert_type(recognize(trainer.model, "photo.jpg").label, int)
assert_type(softmax(lambda logits: logits.softmax(1)), Verdict)
show_digits(mnist.test.images[:10], range(10)).savefig("digits.png")
figures.draw_lenet().savefig("lenet.png")
# Mistakes are found: unless each of these lines is one, mypy says so.
mnist_lesson.LaNet()  # type: ignore[attr-defined]
trainer.fit(mnist)  # type: ignore[arg-type]
trainer.fit(mnist.train, event_handler=3)  # type: ignore[arg-type]
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the source archive, and the wheel from that; give their folder."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "."],
        cwd=folder, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(built):
    [path] = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def index(built):
    """Serve both archives as a package index would (PEP 503); give its address."""
    folder = built / "simple" / PROJECT["name"]
    folder.mkdir(parents=True)
    for path in built.glob("mnist_lesson-*"):
        shutil.copy(path, folder)

    with served(built) as address:
        yield f"{address}simple/"


@pytest.fixture
def machine(tmp_path, symlink):
    """Make an environment that has all of this one's packages but ours."""
    here, others = Path(sysconfig.get_path("purelib")), tmp_path / "others"
    others.mkdir()
    for path in here.iterdir():
        if "mnist_lesson" not in path.name:
            symlink(others / path.name, path)
    venv.create(tmp_path / "venv", symlinks=os.name != "nt")
    paths = sysconfig.get_paths("venv", {"base": str(tmp_path / "venv")})
    Path(paths["purelib"], "others.pth").write_text(str(others), "utf-8")
    return Path(paths["scripts"], "python")


def test_the_wheel_holds_what_git_tracks(built, wheel, program):
    done = subprocess.run(
        [program("git"), "ls-files", "-z", "mnist_lesson"],
        cwd=ROOT, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"this is not a git checkout: {done.stderr.strip()}")
    tracked = done.stdout.strip("\0").split("\0")
    ours = {name for name in wheel if not name.startswith("mnist_lesson-")}
    assert ours == set(tracked) and "mnist_lesson/py.typed" in ours
    for name in ours:
        assert wheel[name] == (ROOT / name).read_bytes(), name
    [path] = built.glob("*.whl")
    assert path.stat().st_size < 1_500_000


def test_the_metadata(built, wheel):
    info = f"mnist_lesson-{PROJECT['version']}.dist-info"
    metadata = message_from_bytes(wheel[f"{info}/METADATA"])
    assert metadata["Name"] == "mnist-lesson"
    assert metadata["License-Expression"] == "MIT AND CC-BY-SA-3.0 AND CC-BY-SA-4.0"
    licences = {"LICENSE", "LICENSES/CC-BY-SA-3.0.txt", "LICENSES/CC-BY-SA-4.0.txt"}
    assert set(metadata.get_all("License-File")) == licences
    assert {f"{info}/licenses/{name}" for name in licences} <= wheel.keys()
    assert metadata["Description-Content-Type"] == "text/markdown"
    readme = (ROOT / "README.md").read_text("utf-8").strip()
    assert metadata.get_payload(decode=True).decode().strip() == readme
    for line in metadata.get_all("Requires-Dist"):
        # A learner's versions must survive: none may be too new.
        assert [s.operator for s in Requirement(line).specifier] == [">="], line
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert licences <= files


@pytest.mark.parametrize("kind", ["wheel", "source"])
def test_it_installs_from_an_index_and_works_anywhere(index, kind, machine, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    environment.pop("PYTHONPATH", None)
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index}
    environment |= {"HOME": str(tmp_path), "MPLBACKEND": "agg"}

    def run(*arguments):
        done = subprocess.run(
            [machine, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    before = set(run("-m", "pip", "list", "--format=freeze").split())
    which = "--no-binary" if kind == "source" else "--only-binary"
    options = ["--no-build-isolation", f"{which}=mnist-lesson"]
    run("-m", "pip", "install", *options, "mnist-lesson")
    after = set(run("-m", "pip", "list", "--format=freeze").split())
    assert after - before == {f"mnist-lesson=={PROJECT['version']}"}
    assert before <= after and any(name.startswith("torch==") for name in before)
    code = """
from mnist_lesson import example_picture, figures, load_digit, load_mnist
mnist = load_mnist(source="sample")
print(len(mnist.train) + len(mnist.validation) + len(mnist.test))
print(load_digit(example_picture("five")).shape)
figures.draw_pooling().savefig("pooling.png")
print(figures.__file__)
"""
    digits, shape, place = run("-c", code).splitlines()
    assert (digits, shape) == ("5000", "(28, 28)")
    assert Path(place).is_relative_to(machine.parents[1])
    assert (tmp_path / "pooling.png").stat().st_size > 10_000


def test_what_is_not_used_is_not_loaded():
    """In a fresh process, step by step: the package, a plotter, the diagrams."""
    code = """
import sys, numpy, torch
before = {*sys.modules}
import mnist_lesson
print(*{name.partition(".")[0] for name in {*sys.modules} - before})
mnist_lesson.CostPlotter()
names = "matplotlib.figure", "mnist_lesson.figures", "matplotlib.pyplot"
print(*(name in sys.modules for name in names))
mnist_lesson.figures
print(*(name in sys.modules for name in names))
"""
    output = subprocess.check_output([sys.executable, "-c", code], encoding="utf-8")
    package, plotter, figures = output.splitlines()
    standard = sys.stdlib_module_names
    assert set(package.split()) - standard <= {"mnist_lesson", "numpy", "PIL"}
    # Before the training: the first redrawing must not seem to take that long.
    assert (plotter, figures) == ("True False False", "True True False")


def test_every_public_name_is_there():
    scope = {}
    exec("from mnist_lesson import *", scope)
    assert set(mnist_lesson.__all__) <= scope.keys() & set(dir(mnist_lesson))
    with pytest.raises(AttributeError, match=r"'mnist_lesson' has no .* 'LaNet'"):
        mnist_lesson.LaNet  # noqa: B018


def test_types_of_the_package_and_of_a_program_that_uses_it(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(USER, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "mnist_lesson", program],
        cwd=ROOT, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
