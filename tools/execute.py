"""Run every notebook on full MNIST and store what comes out, cleaned.

    python tools/execute.py [--clean] [chapter ...]

A chapter is named by its number (7), its title (lenet), both (07_lenet) or its file;
without any, all are meant. With --clean they are only cleaned, and keep the outputs
they have. A notebook that fails is left as it was. Running this twice changes no line
but measured numbers: outputs and execution counts stay, and what differs from one
machine or moment to the next (timings, editor and kernel metadata) goes. Pictures are
stored with twice the pixels that a page gives them, for the screens that have as many,
and in 256 colours, which saves more bytes than the pixels cost.
"""

import base64
import io
import os
import sys
import zlib
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from PIL import Image

sys.path.append(str(Path(__file__).parents[1]))
from mnist_lesson import DataError, load_mnist
from tools.files import read_notebook, store

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    # What a kernel says of its language, but for the version, which is the machine's.
    "language_info": {
        "name": "python",
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}
MOST_COLORS = 4096  # that are reduced
TAGS = {
    *("remove-cell", "hide-input", "hide-cell"),
    *("nbval-ignore-output", "nbval-raises-exception"),
}


def main(arguments: list[str]) -> None:
    """Execute, or only clean, the notebooks named, or all."""
    names = [argument for argument in arguments if argument != "--clean"]
    if any(name.startswith("-") for name in names):
        raise SystemExit(__doc__)
    paths = [chapter(name) for name in names] or sorted(NOTEBOOKS.glob("*.ipynb"))
    run = "--clean" not in arguments
    if run:
        want_full_mnist()
    for path in paths:
        try:
            notebook = read_notebook(path)
        except (OSError, ValueError, nbformat.ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise SystemExit(
                f"{path} cannot be read as a notebook: {reason}"
            ) from error
        if run:
            print(f"{path.name} ...", flush=True)
            execute(notebook, path)
        clean(notebook)
        nbformat.validate(notebook)
        store(path, notebook)


def chapter(name: str) -> Path:
    """Find a chapter by its number, its name or its file."""
    file = Path(name)
    if file.suffix == ".ipynb" and (file.exists() or len(file.parts) > 1):
        return file
    there = {path.stem: path for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    for stem, path in there.items():
        number, _, title = stem.partition("_")
        if file.stem in (stem, number, number.lstrip("0"), title):
            return path
    raise SystemExit(f"there is no chapter {name!r}; there are {', '.join(there)}")


def want_full_mnist() -> None:
    """Download it now, so that no notebook has to; or say why that fails."""
    if folder := os.environ.get("MNIST_LESSON_DATA"):
        os.environ["MNIST_LESSON_DATA"] = str(Path(folder).expanduser().absolute())
    try:
        load_mnist(source="full")
    except DataError as error:
        raise SystemExit(f"notebooks are stored on full MNIST only: {error}") from error


def execute(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Run all cells, in the notebook's own folder; in place."""
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        extra_arguments=[
            "--matplotlib=inline",  # from the first figure on
            "--InlineBackend.figure_formats={'retina'}",
        ],
    )
    try:
        client.execute()
    except (CellControlSignal, DeadKernelError) as error:  # it fails, or takes too long
        message = f"{path.name} fails and is left as it was:\n{error}"
        raise SystemExit(message) from error


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep what a reader or a test looks at, and nothing else; in place."""
    notebook.metadata = METADATA
    for cell in notebook.cells:
        kept = {key: cell.metadata.get(key) for key in ("mystnb", "tags")}
        cell.metadata = {key: value for key, value in kept.items() if value}
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
            for output in cell.outputs:
                output.pop("transient", None)
                size = output.get("metadata", {}).get("image/png", {})
                size = {
                    side: size[side] for side in ("width", "height") if side in size
                }
                if png := output.get("data", {}).get("image/png"):
                    output.data["image/png"] = packed(png)
                if "metadata" in output:
                    output.metadata = {"image/png": size} if size else {}
    return notebook


def packed(png: str) -> str:
    """Store a picture in few bytes.

    256 colours are enough for all that is drawn: a few pixels in a hundred change, and
    these a little. What has very many keeps its own.
    """
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        if image.mode == "RGBA" and image.getextrema()[3] == (255, 255):
            image = image.convert("RGB")
        if image.mode == "RGB" and len({*map(Image.Image.tobytes, image.split())}) == 1:
            image = image.getchannel(0)  # grey
        if image.mode == "RGB" and image.getcolors(MOST_COLORS):
            image = image.quantize(256, dither=Image.Dither.NONE)
        # The strategy for text also suits thin lines; Pillow's, for photos, does not.
        strategy = zlib.Z_DEFAULT_STRATEGY
        image.save(buffer, "PNG", compress_level=9, compress_type=strategy)
    return base64.b64encode(buffer.getvalue()).decode()


def joined(outputs: list) -> list:
    """Join the pieces of a stream: where it was cut is chance."""
    result = []
    for output in outputs:
        if output.get("name") and result and result[-1].get("name") == output.name:
            result[-1].text += output.text
        else:
            result.append(output)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
