"""The scripts that make what is committed."""

import base64
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from tools import chapters, execute, files, results

ROOT = Path(__file__).parents[1]


@pytest.fixture
def store(tmp_path):
    """Store a chapter whose cells are these."""

    def store(*sources):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        return path

    path = tmp_path / "chapter.ipynb"
    return store


def test_execute_stores_clean_and_the_same_twice(store, full_mnist):
    path = store(
        "import sys\nfor i in range(3):\n    print(i)\n    sys.stdout.flush()",
        "from IPython.display import display\n"
        "handle = display({'text/plain': 'old'}, raw=True, display_id=True)\n"
        "handle.update({'text/plain': 'new'}, raw=True)",
    )
    execute.main([str(path)])
    first = path.read_bytes()
    one, two = nbformat.read(path, as_version=4).cells
    assert [o.text for o in one.outputs] == ["0\n1\n2\n"]
    assert [o.data["text/plain"] for o in two.outputs] == ["new"]
    assert (one.execution_count, two.execution_count) == (1, 2)
    assert one.metadata == {} == two.metadata
    execute.main([str(path)])
    assert path.read_bytes() == first


def test_execute_names_the_cells_of_other_programs(store, full_mnist):
    """Colab and VS Code write an older form, in which they have no ids."""
    path = store("print(1)")
    notebook = nbformat.read(path, as_version=4)
    notebook.nbformat_minor = 0
    del notebook.cells[0]["id"]
    nbformat.write(notebook, path)
    assert "id" not in nbformat.read(path, as_version=4).cells[0]
    assert files.read_notebook(path).cells[0].id  # for whatever else reads it
    execute.main(["--clean", str(path)])
    assert nbformat.read(path, as_version=4).cells[0].id


def test_the_contents_may_have_sections_and_addresses(tmp_path):
    """And endings; as Jupyter Book lets a teacher write them."""
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n- chapters:\n"
        "  - file: notebooks/01_own.ipynb\n    sections:\n    - file: book/more.md\n"
        "  - url: https://example.org\n    title: Elsewhere\n",
        "utf-8",
    )
    pages = ["book/index", "notebooks/01_own", "book/more"]
    assert chapters.pages(tmp_path) == pages
    assert chapters.notebooks(tmp_path) == [tmp_path / "notebooks" / "01_own.ipynb"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [("1 / 0", "ZeroDivisionError"), ("import os; os._exit(1)", "Kernel died")],
)
def test_execute_leaves_a_failing_notebook_alone(store, full_mnist, fault, said):
    path = store("print('before')", fault)
    before = path.read_bytes()
    with pytest.raises(SystemExit) as caught:
        execute.main([str(path)])
    assert re.search(f"(?s)is left as it was:.*{said}", str(caught.value))
    assert path.read_bytes() == before and [*path.parent.iterdir()] == [path]


def test_execute_wants_full_mnist(store, monkeypatch):
    path = store("print(1)")
    before = path.read_bytes()
    monkeypatch.setenv("MNIST_LESSON_DATA", str(path.parent))
    with pytest.raises(SystemExit, match="stored on full MNIST only: "):
        execute.main([str(path)])
    assert path.read_bytes() == before


def as_drawn(picture):
    """Give a picture as a notebook has it from Matplotlib, hardly compressed."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "L"])
@pytest.mark.parametrize("opacity", [255, 100])
def test_a_stored_picture_keeps_its_pixels_in_fewer_bytes(mode, opacity):
    picture = Image.linear_gradient("L").convert("RGBA")
    picture.putalpha(opacity)
    picture = picture.convert(mode)
    png = as_drawn(picture)
    packed = execute.packed(png)
    again = Image.open(io.BytesIO(base64.b64decode(packed)))
    assert again.convert("RGBA").tobytes() == picture.convert("RGBA").tobytes()
    assert len(packed) < len(png) and execute.packed(packed) == packed


@pytest.mark.parametrize(("step", "mode"), [(8, "P"), (1, "RGB")])
def test_a_stored_drawing_has_256_colours(store, step, mode):
    """It looks the same, at the size it had; a photo, with very many, keeps them."""
    across = Image.linear_gradient("L").point(lambda level: level // step * step)
    picture = Image.merge("RGB", (across, across.rotate(90), across))
    png = as_drawn(picture)
    path, size = store("figure"), {"width": 128, "height": 128}
    notebook = nbformat.read(path, as_version=4)
    about = {"data": {"image/png": png}, "metadata": {"image/png": size | {"alt": "A"}}}
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", **about)]
    [output] = execute.clean(notebook).cells[0].outputs
    stored = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
    assert stored.mode == mode and output.metadata == {"image/png": size}
    assert np.abs(np.asarray(stored.convert("RGB"), int) - picture).max() < 4 * step
    assert execute.packed(output.data["image/png"]) == output.data["image/png"]


def test_the_stored_notebooks_are_small():
    assert sum(path.stat().st_size for path in chapters.notebooks()) < 4_000_000


def test_cleaning_keeps_outputs_and_runs_nothing(store):
    path = store("print('stored')", "1 / 0")
    notebook = nbformat.read(path, as_version=4)
    one, two = notebook.cells
    one.execution_count = 7
    pieces = [nbformat.v4.new_output("stream", text=text) for text in ("sto", "red\n")]
    one.outputs = pieces
    one.metadata = {"collapsed": True, "tags": ["hide-input"], "editor": {"x": 1}}
    notebook.metadata["colab"] = {"provenance": []}
    nbformat.write(notebook, path)
    execute.main(["--clean", str(path)])
    cleaned = nbformat.read(path, as_version=4)
    assert [o.text for o in cleaned.cells[0].outputs] == ["stored\n"]
    assert cleaned.cells[0].execution_count == 7
    assert cleaned.cells[0].metadata == {"tags": ["hide-input"]}
    assert cleaned.metadata.keys() == {"kernelspec", "language_info"}
    # Otherwise `jupyter nbconvert --to script` does not know how to name it.
    assert cleaned.metadata["language_info"]["file_extension"] == ".py"
    assert [c.id for c in cleaned.cells] == [one.id, two.id]


@pytest.mark.parametrize("text", [None, "not JSON", '{"nbformat": 4}'])
def test_execute_says_which_file_is_no_notebook(tmp_path, text):
    path = tmp_path / "chapter.ipynb"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(SystemExit) as caught:
        execute.main(["--clean", str(path)])
    said = str(caught.value)
    assert said.startswith(f"{path} cannot be read as a notebook: ")
    assert "\n" not in said and (text is None or path.read_text("utf-8") == text)


@pytest.mark.parametrize("name", ["7", "07", "lenet", "07_lenet", "07_lenet.ipynb"])
def test_execute_takes_one_chapter(name):
    assert execute.chapter(name) == ROOT / "notebooks" / "07_lenet.ipynb"


@pytest.mark.parametrize("name", ["99", "0", "net", ""])
def test_execute_says_which_chapters_there_are(name):
    with pytest.raises(SystemExit, match=f"no chapter '{name}'; there are 01_digits, "):
        execute.main(["--clean", name])


@pytest.mark.parametrize("tool", [execute, results])
def test_a_tool_explains_itself(tool):
    with pytest.raises(SystemExit, match=r"tools/\w+\.py \["):
        tool.main(["--help"])
