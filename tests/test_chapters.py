"""Chapters as people run them: on an accelerator, and each cell again.

Each chapter runs once, on the sample and on a make-believe accelerator, and each of its
cells twice in a row: what holds the first time must hold the second time. This takes
minutes, and belongs to --sample. A cell that takes long is not run again; --rehearse
does so, and on both kinds of device.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tools.chapters import notebooks
from tools.execute import joined

ROOT = Path(__file__).parents[1]
NOTEBOOKS = notebooks()
LONG = 3  # seconds
PATHS = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}


def pytest_generate_tests(metafunc):
    if "kind" in metafunc.fixturenames:
        everything = metafunc.config.getoption("--rehearse")
        kinds = ["mps", "cuda"] if everything else ["mps"]
        metafunc.parametrize("kind", kinds, scope="module")


@pytest.fixture(scope="module")
def chapters(kind, request):
    """Start all chapters, the longest first; each waits for a core of its own."""
    option = request.config.getoption
    if not (option("--sample") or option("--rehearse")):
        pytest.skip("runs with --sample, as .ci/run does")
    limit = float("inf") if option("--rehearse") else LONG
    wanted = {item.callspec.params.get("path") for item in request.session.items
              if item.path == request.path and hasattr(item, "callspec")}  # fmt: skip
    order = sorted(wanted & {*NOTEBOOKS}, key=lambda path: path.stem != "08_training")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {path: pool.submit(faults, path, kind, limit) for path in order}


def client(cells, **options):
    return NotebookClient(
        nbformat.v4.new_notebook(cells=cells),
        timeout=600,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        **options,
    )


def faults(path, kind, limit):
    """Run a chapter, and tell what went wrong."""
    first = f"import accelerator\naccelerator.play({kind!r});"
    cells = [nbformat.v4.new_code_cell(first)]
    cells += [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    for cell in cells:
        cell.source = cell.source.replace("load_mnist()", 'load_mnist(source="sample")')
    runner = client(cells, resources={"metadata": {"path": str(path.parent)}})
    found = []
    # One thread for each: several chapters run at a time.
    settings = {"MNIST_LESSON_DEVICE": "", "OMP_NUM_THREADS": "1"}
    with runner.setup_kernel(env=os.environ | PATHS | settings):
        for number, cell in enumerate(cells):
            start, said = time.perf_counter(), []
            try:
                while len(said) < 2 and time.perf_counter() - start < limit:
                    runner.execute_cell(cell, number)
                    said.append([*map(spoken, joined(cell.outputs))])
                    if number == 0:
                        break
            except CellExecutionError as error:
                found.append(f"{cell.source}\nrun {len(said) + 1}: {error}")
                # For a moment, a kernel drops what was sent right behind a failure.
                time.sleep(1)
            if any(output.get("name") == "stderr" for output in cell.outputs):
                found.append(f"{cell.source}\nwrites to stderr: {cell.outputs}")
            varies = "nbval-ignore-output" in cell.metadata.get("tags", [])
            if not varies and said[1:] and said[0] != said[1]:
                found.append(f"{cell.source}\nfirst {said[0]}, then {said[1]}")
    return found


def spoken(output):
    """Give an output's words."""
    return output.get("text") or output.get("data", {}).get("text/plain")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_cell_runs_twice_on_an_accelerator(path, chapters):
    assert "\n\n".join(chapters[path].result()) == ""
