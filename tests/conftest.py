"""Programs that tests run, the built book, a browser to read it with, and digits."""

import base64
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
LABS = ROOT / "book" / "_static" / "labs"
PAGE = """<!doctype html><html lang="en"><head><title>A page</title>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
{styles}<script src="{labs}/lab.js" defer></script></head>
<body><div style="height: {above}px"></div>
<div data-lab="{name}">A figure.</div><div style="height: {below}px"></div></body>
"""


@pytest.fixture(scope="session")
def program():
    """Find a program, of this environment first; without it, skip the test."""
    scripts = sysconfig.get_path("scripts")

    def program(name):
        path = shutil.which(name, path=scripts) or shutil.which(name)
        return path or pytest.skip(f"{name} is not installed on this machine")

    return program


@pytest.fixture(scope="session")
def symlink():
    """Make a symbolic link; without the privilege, which Windows asks for, skip."""

    def symlink(path, target):
        try:
            path.symlink_to(target)
        except OSError as error:
            pytest.skip(f"symbolic links cannot be made on this machine: {error}")

    return symlink


@pytest.fixture(scope="session")
def full_mnist():
    """Skip what needs full MNIST, where it cannot be had."""
    from mnist_lesson import DataError, load_mnist

    try:
        load_mnist(source="full")
    except DataError:
        pytest.skip("needs full MNIST")


@pytest.fixture
def few(sample):
    """300 digits: two whole batches of 128 and one of 44."""
    return sample.train[:300]


@pytest.fixture(scope="session")
def git(program):
    """Run git in a folder; give what it says."""

    def git(folder, *arguments):
        # A hook that runs these tests must not lend its repository to them.
        environment = {k: v for k, v in os.environ.items() if "GIT_" not in k}
        return subprocess.run(
            [program("git"), "-c", "user.name=A", "-c", "user.email=a@b.c", *arguments],
            cwd=folder, env=environment, check=True, capture_output=True,
            encoding="utf-8",
        ).stdout  # fmt: skip

    return git


@pytest.fixture(scope="session")
def checkout(tmp_path_factory, git):
    """Copy this checkout as it is now; at will into a git repository of its own."""
    ignored = (ROOT / ".gitignore").read_text("utf-8").replace("/\n", "\n").split()

    def checkout(repository=False):
        folder = tmp_path_factory.mktemp("checkout") / "my course"
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", *ignored))
        if repository:
            git(folder, "init", "--quiet")
            git(folder, "add", ".")
            git(folder, "commit", "--quiet", "--no-verify", "--message", "As it was")
        return folder

    return checkout


@pytest.fixture(scope="session")
def book(checkout, program, tmp_path_factory):
    """Build the book of a copy, so that a reader's own _build/ stays as it is.

    Processes that test side by side share one: the first builds it, others wait.
    """
    common = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        common = common.parent
    built = common / "book"
    with FileLock(common / "book.lock"):
        if not built.exists():
            folder = checkout()
            # Other people's pages, in an environment, are none of this book's.
            (folder / ".conda" / "lib").mkdir(parents=True)
            (folder / ".conda" / "lib" / "README.md").write_text("[](#x)", "utf-8")
            done = subprocess.run(
                [program("jupyter-book"), "build", ".", "-W", "-n", "--keep-going"],
                cwd=folder, capture_output=True, encoding="utf-8",
            )  # fmt: skip
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
            (folder / "_build" / "html").rename(built)
    return built


@pytest.fixture(scope="session")
def browser():
    """Start Chromium, Chrome or Edge, without a window."""
    from playwright.sync_api import sync_playwright

    from tools.paper import start

    with sync_playwright() as playwright:
        if not (browser := start(playwright)):
            pytest.skip("no browser is installed: neither Chromium nor Chrome nor Edge")
        yield browser
        browser.close()


@pytest.fixture
def phone(browser):
    """Open a page on a phone, whose screen is touched; fail when its scripts do."""
    contexts, errors = [], []

    def phone(width=390, height=844):
        size = {"width": width, "height": height}
        contexts.append(
            browser.new_context(viewport=size, has_touch=True, is_mobile=True)
        )
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(error))
        return page

    yield phone
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def page(browser):
    """Open a page as wide as a laptop's, and fail when its scripts do."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    yield page
    page.close()
    assert not errors


@pytest.fixture
def visit(page, book):
    """Open a chapter from the disk, wait for its check, and ask nobody else."""
    asked, seen = [], []

    def visit(name="02_softmax_regression", page=page, link=""):
        if page not in seen:
            page.on("request", lambda request: asked.append(request.url))
            seen.append(page)
        page.goto((book / f"notebooks/{name}.html").as_uri() + link)
        page.wait_for_selector(".check form")
        return page

    yield visit
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)


@pytest.fixture
def lab(page, tmp_path):
    """Open a page from the disk that holds a lab, wait for it, and return the page.

    The digit that the pad opens on is there at once, and not written for 2.4 seconds.
    """

    from test_labs import styles

    def open_lab(name, above=0, below=0, folder=LABS, wait=True, page=page):
        if name == "draw":
            page.emulate_media(reduced_motion="reduce")
        path = tmp_path / f"{name}.html"
        about = {"labs": folder.as_uri(), "styles": styles(folder), "name": name}
        path.write_text(PAGE.format(above=above, below=below, **about), "utf-8")
        page.goto(path.as_uri())
        if wait:
            page.wait_for_selector("[data-lab] > .lab")
        return page

    return open_lab


@pytest.fixture(scope="session")
def examples():
    """The digits that the pads offer, in the picker's order."""
    from tools.make_lab_weights import EXAMPLES, read

    images = [base64.b64decode(digit["image"]) for digit in read(EXAMPLES)["digits"]]
    return np.array([[*image] for image in images], np.uint8).reshape(-1, 28, 28)


@pytest.fixture(scope="session")
def lenet():
    """Give LeNet with the page's weights."""
    from tools.make_lab_weights import unpack

    return unpack("LeNet")[0].eval()


@pytest.fixture(scope="session")
def write_folder():
    """Write four small files under MNIST's names."""
    from mnist_lesson import write_idx

    def write_folder(folder, train=60, test=20, suffix=""):
        rng = np.random.default_rng(0)
        folder.mkdir(parents=True, exist_ok=True)
        for name, count in ("train", train), ("t10k", test):
            images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
            labels = np.arange(count, dtype=np.uint8) % 10
            write_idx(folder / f"{name}-images-idx3-ubyte{suffix}", images)
            write_idx(folder / f"{name}-labels-idx1-ubyte{suffix}", labels)
        return folder

    return write_folder
