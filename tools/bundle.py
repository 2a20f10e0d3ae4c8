"""Pack the course for a school without a network, as one zip file.

    python -m tools.bundle

_build/recognize-digits.zip holds the built book, the chapters with and without their
solutions, and the package with its sample of digits. START-HERE.html leads to all of
it. The same course gives the same bytes: names are sorted, and dates are fixed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from bs4 import BeautifulSoup

from mnist_lesson.system import atomic_write
from tools import student
from tools.chapters import ROOT, pages, sources

HTML = ROOT / "_build" / "html"
BUNDLE = ROOT / "_build" / "recognize-digits.zip"
PACKAGE = ("mnist_lesson", "LICENSES", "LICENSE", "README.md", "pyproject.toml")
DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip file knows
SECONDS = "315532800"  # the same, counted from 1970


def main() -> None:
    """Pack the bundle."""
    if not (HTML / "index.html").is_file():
        raise SystemExit("there is no book yet: make it first, with make book")
    with TemporaryDirectory() as folder:
        gather(Path(folder), HTML)
        pack(BUNDLE, Path(folder))
    print(f"The bundle is {BUNDLE} ({BUNDLE.stat().st_size / 1e6:.1f} MB)")


def gather(folder: Path, html: Path) -> None:
    """Put all that a school needs into an empty folder."""
    shutil.copytree(html, folder / "html")
    student.write(folder / "student")
    files = [path for page in pages() for path in sources(page)]
    for path in (*files, ROOT / "LICENSE", ROOT / "LICENSES"):
        copy(path, folder / path.relative_to(ROOT))
    wheel = build(folder)
    figures = "\n".join(
        f'<li><a href="{path.relative_to(folder).as_posix()}">{title(path)}</a></li>'
        for path in sorted((folder / "html").rglob("figure-*.html"))
    )
    template = Template((ROOT / "tools" / "START-HERE.html").read_text("utf-8"))
    page = template.substitute(figures=figures, wheel=wheel)
    (folder / "START-HERE.html").write_text(page, "utf-8")


def title(path: Path) -> str:
    """Name a figure by the page that it is from, and by its lab."""
    page = BeautifulSoup(path.read_text("utf-8"), "html.parser")
    return f"{page.h1.get_text()} ({page.select_one('[data-lab]')['data-lab']})"


def build(folder: Path) -> str:
    """Build the wheel of a copy, where nothing lies about from before."""
    with TemporaryDirectory() as source:
        for name in PACKAGE:
            copy(ROOT / name, Path(source, name))
        done = subprocess.run(
            [*(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
             *("--outdir", str(folder), source)],
            env=os.environ | {"SOURCE_DATE_EPOCH": SECONDS},
            capture_output=True, encoding="utf-8", errors="replace",
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"the package cannot be built: {done.stdout}{done.stderr}")
    [wheel] = folder.glob("*.whl")
    return wheel.name


def copy(path: Path, target: Path) -> None:
    """Copy a file, or a folder without what Python has cached in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(path, target)


def pack(bundle: Path, folder: Path) -> None:
    """Write the zip file: all of it, or nothing."""
    with atomic_write(bundle) as temporary, ZipFile(temporary, "w") as archive:
        files = [path for path in folder.rglob("*") if path.is_file()]
        names = {Path(bundle.stem, p.relative_to(folder)).as_posix(): p for p in files}
        for name, path in sorted(names.items()):  # by letters, as Windows sorts no path
            entry = ZipInfo(name, DATE)
            entry.external_attr = 0o644 << 16  # everybody may read it
            archive.writestr(entry, path.read_bytes(), ZIP_DEFLATED, 9)


if __name__ == "__main__":
    main()
