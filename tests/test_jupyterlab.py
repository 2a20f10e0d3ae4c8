"""A chapter in a real JupyterLab: run all, watch it learn, stop, run on, run again."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

CHAPTER = Path(__file__).parents[1] / "notebooks" / "07_lenet.ipynb"
IDLE = "Python 3 (ipykernel) | Idle"
# What there is to see of a cell's pictures, frame by frame, whenever it changes.
WATCH = """cell => {
  window.seen = [];
  const look = () => {
    const pictures = [...cell.querySelectorAll(".jp-OutputArea img")];
    const sight = pictures.map(({ src, height }) => ({ src, height }));
    if (JSON.stringify(sight) != JSON.stringify(seen.at(-1))) seen.push(sight);
    requestAnimationFrame(look);
  };
  look();
}"""
# No cell waits or runs any more. (The kernel is idle for a moment after each.)
DONE = """() => [...document.querySelectorAll(".jp-InputPrompt")].every(
  prompt => prompt.textContent != "[*]:"
)"""


@pytest.fixture
def chapter(tmp_path):
    """Copy LeNet's chapter, as a learner may change it; give where it is.

    It has no outputs yet, makes its plotter in an earlier cell, and trains on the
    sample, long enough to be stopped.
    """
    notebook = nbformat.read(CHAPTER, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        cell.outputs, cell.execution_count = [], None
    [load] = [cell for cell in cells if "load_mnist()" in cell.source]
    load.source = load.source.replace("load_mnist()", 'load_mnist(source="sample")')
    [fit] = [cell for cell in cells if "CostPlotter()" in cell.source]
    load.source += "\nplotter = CostPlotter()"
    fit.source = fit.source.replace("event_handler=", "epochs=100, event_handler=")
    fit.source = fit.source.replace("CostPlotter()", "plotter")
    path = tmp_path / "work" / "chapter.ipynb"
    path.parent.mkdir()
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def jupyter(chapter, tmp_path):
    """Start JupyterLab in the chapter's folder; give the address of the chapter."""
    if importlib.util.find_spec("jupyterlab") is None:
        pytest.skip("JupyterLab is not installed")
    # Nobody's settings but the defaults are read, and nobody's files are written.
    environment = os.environ | {
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
    command += [
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0",
        "--LabApp.news_url=None",
    ]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    log, deadline = tmp_path / "log", time.monotonic() + 60
    with log.open("wb") as file:
        server = subprocess.Popen(
            command, cwd=chapter.parent, env=environment,
            stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        while not (told := [*tmp_path.glob("runtime/jpserver-*.json")]):
            running = server.poll() is None and time.monotonic() < deadline
            assert running, log.read_text("utf-8", "replace")
            time.sleep(0.1)
        about = json.loads(told[0].read_text("utf-8"))
        yield f"{about['url']}lab/tree/{chapter.name}?token={about['token']}"
    finally:
        server.terminate()  # and with it, its kernel
        server.wait(timeout=60)


def stop(page, chapter, training):
    """Interrupt the training, wait until nothing runs, and save.

    Gives the cells of code, the place of the one that trained, and what it has put out.
    """
    page.get_by_role("button", name="Interrupt the kernel").click()
    training.get_by_text("was interrupted").wait_for()
    page.wait_for_function(DONE)
    page.keyboard.press("Control+s")
    page.locator(".jp-mod-dirty").wait_for(state="detached")
    cells = nbformat.read(chapter, as_version=4).cells
    cells = [cell for cell in cells if cell.cell_type == "code"]
    [at] = [i for i, cell in enumerate(cells) if "[plotter, " in cell.source]
    outputs = {output.get("name", "plot"): output for output in cells[at].outputs}
    assert len([output for output in cells[at].outputs if "data" in output]) == 1
    return cells, at, outputs


def test_run_all_watch_stop_run_on_and_run_again(jupyter, chapter, page):
    page.set_default_timeout(90_000)
    page.goto(jupyter)
    page.get_by_text(IDLE).wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    # The plot is drawn, and then redrawn where it is, while the model learns.
    training = page.locator(".jp-CodeCell", has_text="[plotter, ").last
    training.get_by_text("epoch 1 ended").wait_for()
    training.scroll_into_view_if_needed()
    training.evaluate(WATCH)
    training.get_by_text("epoch 8 ended").wait_for()
    seen = page.evaluate("seen")
    assert training.locator(".jp-InputPrompt").inner_text() == "[*]:"
    assert page.get_by_text(IDLE).count() == 0
    assert {len(pictures) for pictures in seen} == {1}
    assert len({picture["src"] for [picture] in seen}) > 2
    assert {picture["height"] for [picture] in seen} == {400}

    # Stop: it ends with what it has, and the chapter goes on with that.
    cells, at, said = stop(page, chapter, training)
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert all(out.output_type != "error" for cell in cells for out in cell.outputs)
    assert said.keys() == {"plot", "stdout", "stderr"}
    epochs = len(re.findall("^epoch .* ended", said["stdout"].text, re.M))
    warning = r"was interrupted after (\d+) of 100 epochs"
    [finished] = map(int, re.findall(warning, said["stderr"].text))
    # The click may come while an epoch that is finished is still being drawn.
    assert 8 < epochs <= finished <= epochs + 1 < 100
    assert "validation cost 0." in said["plot"].metadata["image/png"]["alt"]
    assert "best epoch: " in cells[at + 1].outputs[0].text

    # Run the cell again: one picture, of the new run alone.
    training.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    training.get_by_text("was interrupted").wait_for(state="detached")
    training.get_by_text("epoch 2 ended").wait_for()
    assert training.locator(".jp-OutputArea img").count() == 1
    *_, said = stop(page, chapter, training)
    fewer = len(re.findall("^epoch .* ended", said["stdout"].text, re.M))
    assert fewer > 2
    last = r"validation cost .* at step ([\d,]+)$"
    [step] = re.findall(last, said["plot"].metadata["image/png"]["alt"])
    batches = -(-3_500 // 128)
    assert int(step.replace(",", "")) in (fewer * batches, (fewer + 1) * batches)
