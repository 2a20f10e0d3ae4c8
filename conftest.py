"""What every test, and every notebook that runs as a test, finds in its environment."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

# A proxy where nobody listens: every connection fails at once.
NOBODY = "http://127.0.0.1:9"
OFFLINE = {
    **dict.fromkeys(["http_proxy", "https_proxy", "all_proxy"], NOBODY),
    "no_proxy": "localhost,127.0.0.1",
}
# Where a variable is set both ways, the small letters count.
OFFLINE |= {name.upper(): value for name, value in OFFLINE.items()}


def pytest_addoption(parser):
    """Add the switch to the sample, and those of the rehearsal."""
    parser.addoption(
        "--sample",
        action="store_true",
        help="run as on a machine with no network and no MNIST: on the sample",
    )
    parser.addoption(
        "--rehearse",
        action="store_true",
        help="rehearse Colab with every notebook, every level of versions and all data",
    )
    parser.addoption(
        "--torch",
        choices=["pinned", "bounds"],
        default="pinned",
        help="rehearse with the torch of requirements.txt, or with the newest and the "
        "oldest (several GB)",
    )


def pytest_configure(config):
    """Prepare the environment, which the notebooks' kernels inherit."""
    # What tests read from programs in Python is UTF-8, also where Windows' pages rule.
    os.environ["PYTHONIOENCODING"] = "utf-8"
    if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
        # Threads that wait for each other's cores are slower than one alone.
        threads = max(1, (os.cpu_count() or 1) // int(workers))
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    if config.getoption("--sample"):
        os.environ.pop("MNIST_LESSON_DATA", None)
        # An empty cache, on Linux, on a Mac (HOME) and on Windows …
        empty = tempfile.mkdtemp(prefix="no-cache-")
        config.add_cleanup(lambda: shutil.rmtree(empty, ignore_errors=True))
        os.environ.update(XDG_CACHE_HOME=empty, HOME=empty)
        os.environ["WIN_PD_OVERRIDE_LOCAL_APPDATA"] = empty
        # … and no network.
        os.environ.update(OFFLINE)
    elif folder := os.environ.get("MNIST_LESSON_DATA"):
        # Notebooks run in their own folder: a relative path must not depend on where.
        os.environ["MNIST_LESSON_DATA"] = str(Path(folder).expanduser().absolute())


@pytest.fixture(scope="session")
def offline():
    """Give the variables that keep a process from the network."""
    return OFFLINE


@pytest.fixture(scope="session")
def sample():
    """Give the embedded digits."""
    from mnist_lesson import load_mnist

    return load_mnist(source="sample")
