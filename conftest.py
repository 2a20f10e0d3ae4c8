"""What every test, and every notebook that runs as a test, finds in its environment."""

import os
import tempfile
from pathlib import Path

import pytest


def pytest_addoption(parser):
    """Add the switch to the sample."""
    parser.addoption(
        "--sample",
        action="store_true",
        help="run as on a machine with no network and no MNIST: on the sample",
    )


def pytest_configure(config):
    """Prepare the environment, which the notebooks' kernels inherit."""
    if config.getoption("--sample"):
        os.environ.pop("MNIST_LESSON_DATA", None)
        # An empty cache, on Linux (XDG_CACHE_HOME) and elsewhere (HOME) …
        empty = tempfile.mkdtemp(prefix="no-cache-")
        os.environ.update(XDG_CACHE_HOME=empty, HOME=empty, LOCALAPPDATA=empty)
        # … and a proxy where nobody listens: every connection fails at once.
        os.environ.update(HTTP_PROXY=NOBODY, HTTPS_PROXY=NOBODY, ALL_PROXY=NOBODY)
        os.environ.update(NO_PROXY="localhost,127.0.0.1")
    elif folder := os.environ.get("MNIST_LESSON_DATA"):
        # Notebooks run in their own folder: a relative path must not depend on where.
        os.environ["MNIST_LESSON_DATA"] = str(Path(folder).absolute())


NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="session")
def sample():
    """Give the embedded digits."""
    from mnist_lesson import load_mnist

    return load_mnist(source="sample")
