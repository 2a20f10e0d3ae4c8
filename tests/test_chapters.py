"""Chapters as people run them: on an accelerator, and each cell again.

Each chapter runs once, on the sample and on a make-believe accelerator, and each of its
cells twice in a row. What holds for the first time must hold for the second.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PLAY = "import accelerator\naccelerator.play({!r});"


def said(cell):
    """Give what a cell wrote, on either stream, and what it showed in words."""
    return [
        output.get("text") or output.data.get("text/plain") for output in cell.outputs
    ]


def faults(path, kind):
    """Run a chapter, and tell what went wrong."""
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        cell.source = cell.source.replace("load_mnist()", 'load_mnist(source="sample")')
    start = nbformat.v4.new_code_cell(PLAY.format(kind))
    notebook.cells = [start, *cells]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        "OMP_NUM_THREADS": "1",  # several chapters run at a time
    }
    environment.pop("MNIST_LESSON_DEVICE", None)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )  # fmt: skip
    found = []
    with client.setup_kernel(env=environment):
        for number, cell in enumerate(notebook.cells):
            try:
                client.execute_cell(cell, number)
                first = said(cell)
                if cell is start:
                    continue
                client.execute_cell(cell, number)
            except CellExecutionError as error:
                found.append(f"{cell.source}\n{error}")
                continue
            if any(output.get("name") == "stderr" for output in cell.outputs):
                found.append(f"{cell.source}\nwrites to stderr: {said(cell)}")
            varies = "nbval-ignore-output" in cell.metadata.get("tags", [])
            if not varies and said(cell) != first:
                found.append(f"{cell.source}\nfirst {first}, then {said(cell)}")
    return found


@pytest.fixture(scope="module")
def runs():
    """Start all chapters, the longest first; each waits for a core."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        longest = sorted(NOTEBOOKS, key=lambda path: path.stem != "08_training")
        yield {path: pool.submit(faults, path, "mps") for path in longest}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_cell_runs_twice_on_an_accelerator(path, runs):
    assert runs[path].result() == []
