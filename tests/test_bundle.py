"""The bundle: what a school without a network unpacks, opens and installs."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

from tools import bundle, chapters

ROOT = Path(__file__).parents[1]
PAGES = chapters.pages()
TOP = "recognize-digits"


@pytest.fixture(scope="module")
def packed(book, tmp_path_factory):
    """Pack the bundle, and unpack it elsewhere."""
    folder = tmp_path_factory.mktemp("bundle")
    bundle.gather(folder / "gathered", book)
    bundle.pack(folder / f"{TOP}.zip", folder / "gathered")
    with zipfile.ZipFile(folder / f"{TOP}.zip") as archive:
        archive.extractall(folder / "a school")
    return folder


@pytest.fixture
def school(packed):
    return packed / "a school" / TOP


def test_it_is_small_and_the_same_each_time(packed, tmp_path):
    path = packed / f"{TOP}.zip"
    assert path.stat().st_size < 25_000_000
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
    # Also built from files that are newer.
    for gathered in (packed / "gathered").rglob("*"):
        gathered.touch()
    bundle.pack(tmp_path / path.name, packed / "gathered")
    sums = [hashlib.sha256(p.read_bytes()) for p in (path, tmp_path / path.name)]
    assert sums[0].digest() == sums[1].digest()
    [wheel] = packed.glob("gathered/*.whl")
    (tmp_path / "again").mkdir()
    again = tmp_path / "again" / bundle.build(tmp_path / "again")
    assert again.read_bytes() == wheel.read_bytes()


def test_two_clicks_lead_to_the_pad_and_one_to_each_figure(page, school):
    start = (school / "START-HERE.html").as_uri()
    page.goto(start)
    figures = page.locator("li a").evaluate_all("links => links.map((a) => a.href)")
    assert len(figures) == len([*school.rglob("figure-*.html")]) > 7
    for address in [*figures, page.locator("p a").last.get_attribute("href")]:
        page.goto(start)
        link = address.removeprefix(school.as_uri() + "/")
        page.click(f"a[href='{link}']")
        page.wait_for_url(f"**/{link}")  # until it is loaded, not only begun
        assert page.locator("article h1").count() == 1
    page.goto(start)
    page.click("h1 a")
    pad = page.locator("[data-lab=draw] > .lab")
    pad.wait_for()
    assert page.viewport_size["height"] > pad.bounding_box()["y"]


def test_the_notebooks_are_there_with_and_without_their_solutions(school):
    for name in PAGES:
        for path in ROOT.glob(f"{name}.*"):
            file = path.relative_to(ROOT)
            assert (school / file).read_bytes() == path.read_bytes()
            assert (school / "student" / file).is_file()
        assert (school / "html" / f"{name}.html").is_file()
    text = (school / "student" / "notebooks" / "07_lenet.ipynb").read_text("utf-8")
    assert "Exercises" in text and "Solution" not in text
    for licence in ROOT.glob("LICENSES/*.txt"):
        assert (school / "LICENSES" / licence.name).is_file()


def test_the_package_in_it_runs_a_chapter_where_there_is_no_network(
    school, tmp_path, offline
):
    """On its own sample: the first cells of a notebook, with the wheel unpacked."""
    [wheel] = school.glob("*.whl")
    assert wheel.name in (school / "START-HERE.html").read_text("utf-8")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    cells = nbformat.read(school / "notebooks" / "02_softmax_regression.ipynb", 4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"][:3]
    assert "load_mnist()" in code[2]
    script = "\n".join([*code, "print(mnist.source, mnist_lesson.__file__)"])
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=school / "notebooks",
        env={"PYTHONPATH": str(tmp_path / "installed"), "HOME": str(tmp_path),
             "WIN_PD_OVERRIDE_LOCAL_APPDATA": str(tmp_path),
             "MPLBACKEND": "agg", "PATH": "", **offline},
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    source, file = done.stdout.splitlines()[-1].split(" ", 1)
    assert source == "sample" and Path(file).is_relative_to(tmp_path / "installed")


def test_nothing_half_written_is_left_behind(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a", "utf-8")
    path = tmp_path / "b.zip"
    path.write_text("the old one", "utf-8")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "writestr", stop)
    with pytest.raises(KeyboardInterrupt):
        bundle.pack(path, tmp_path / "folder")
    assert path.read_text("utf-8") == "the old one"
    assert {*tmp_path.iterdir()} == {path, tmp_path / "folder"}


def test_without_a_book_there_is_nothing_to_pack(monkeypatch, tmp_path):
    monkeypatch.setattr(bundle, "HTML", tmp_path)
    with pytest.raises(SystemExit, match="make it first, with make book"):
        bundle.main()
