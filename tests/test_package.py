"""The package as others get it: built, installed from an index, imported and typed."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import mnist_lesson

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
USER = """
from typing import assert_type

import numpy as np
import torch

import mnist_lesson
from mnist_lesson import EndEpoch, EndIteration, LeNet, Trainer, figures, load_mnist
from mnist_lesson.checks import Verdict, softmax


def watch(event: EndIteration | EndEpoch) -> None:
    if isinstance(event, EndEpoch):
        assert_type(event.train.accuracy, float)
    else:
        assert_type(event.cost, float)


mnist = load_mnist(source="sample")
assert_type(mnist.train[:100].images, np.ndarray)
trainer = Trainer(LeNet(), device="cpu")
handlers = [mnist_lesson.CostPlotter()]
history = trainer.fit(mnist.train, mnist.validation, event_handler=handlers)
trainer.fit(mnist.train[np.argsort(mnist.train.labels)], event_handler=[watch, print])
assert_type(history.best.step, int)
assert_type(trainer.predict(mnist.test.images), torch.Tensor)
assert_type(mnist_lesson.recognize(trainer.model, "photo.jpg").label, int)
assert_type(softmax(lambda logits: logits.softmax(1)), Verdict)
mnist_lesson.show_digits(mnist.test.images[:10], range(10)).savefig("digits.png")
figures.draw_lenet().savefig("lenet.png")
# Mistakes are found: unless each of these lines is one, mypy says so.
mnist_lesson.LaNet()  # type: ignore[attr-defined]
trainer.fit(mnist)  # type: ignore[arg-type]
trainer.fit(mnist.train, event_handler=3)  # type: ignore[arg-type]
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, encoding="utf-8", **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(checkout):
    """Build the source archive, and the wheel from that; give their folder."""
    folder = checkout()
    run(sys.executable, "-m", "build", "--no-isolation", ".", cwd=folder)
    return folder / "dist"


def test_the_wheel_holds_all_that_it_should(built):
    [wheel] = built.glob("*.whl")
    assert wheel.stat().st_size < 1_500_000
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    info = f"mnist_lesson-{PROJECT['version']}.dist-info"
    ours = {name for name in files if not name.startswith(info)}
    folder = built.parent
    there = {path for path in (folder / "mnist_lesson").rglob("*") if path.is_file()}
    assert ours == {path.relative_to(folder).as_posix() for path in there}
    assert "mnist_lesson/py.typed" in ours
    for name in ours:
        assert files[name] == (folder / name).read_bytes(), name
    metadata = message_from_bytes(files[f"{info}/METADATA"])
    assert metadata["License-Expression"] == "MIT AND CC-BY-SA-3.0 AND CC-BY-SA-4.0"
    licences = {"LICENSE", "LICENSES/CC-BY-SA-3.0.txt", "LICENSES/CC-BY-SA-4.0.txt"}
    assert {f"{info}/licenses/{name}" for name in licences} <= files.keys()
    assert metadata["Description-Content-Type"] == "text/markdown"
    readme = (ROOT / "README.md").read_text("utf-8").strip()
    assert metadata.get_payload(decode=True).decode().strip() == readme
    for line in metadata.get_all("Requires-Dist"):
        # A learner's versions must survive: none may be too new.
        assert [s.operator for s in Requirement(line).specifier] == [">="], line


def test_it_installs_beside_what_is_there_and_works_anywhere(built, symlink, tmp_path):
    """Into an environment that has all of this one's packages but ours."""
    others = tmp_path / "others"
    others.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "mnist_lesson" not in path.name:
            symlink(others / path.name, path)
    venv.create(tmp_path / "venv", symlinks=os.name != "nt")
    paths = sysconfig.get_paths("venv", {"base": str(tmp_path / "venv")})
    Path(paths["purelib"], "others.pth").write_text(str(others), "utf-8")
    python = Path(paths["scripts"], "python")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": ""}
    environment |= {"HOME": str(tmp_path), "MPLBACKEND": "agg"}
    options, wheels = {"cwd": tmp_path, "env": environment}, built.glob("*.whl")
    said = run(python, *"-m pip install --no-index".split(), *wheels, **options)
    # What was there before is neither replaced nor missing anything.
    done = f"Successfully installed mnist-lesson-{PROJECT['version']}"
    assert done in said.splitlines()
    code = """
from mnist_lesson import example_picture, figures, load_digit, load_mnist
mnist = load_mnist(source="sample")
print(len(mnist.train) + len(mnist.validation) + len(mnist.test))
print(load_digit(example_picture("five")).shape)
figures.draw_pooling().savefig("pooling.png")
print(figures.__file__)
"""
    digits, shape, place = run(python, "-c", code, **options).splitlines()
    assert (digits, shape) == ("5000", "(28, 28)")
    assert Path(place).is_relative_to(tmp_path)
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
    run(sys.executable, "-m", "mypy", "mnist_lesson", program, cwd=ROOT)


def test_no_display_is_needed(tmp_path):
    """In a script, without Jupyter and without a screen, whatever MPLBACKEND names."""
    code = """if True:
        import sys
        from mnist_lesson import CostPlotter
        plotter = CostPlotter("cost")
        plotter.append("cost", 7, 0.5)
        plotter.plot()
        plotter.plot("cost.png")
        assert "IPython" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8",
        cwd=tmp_path, env=os.environ | {"MPLBACKEND": "no such backend"},
    )  # fmt: skip
    assert done.stdout == "step 7: cost 0.5000\n" and not done.returncode, done.stderr
