"""The address: the same in every file, and moved by one command."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tools import adopt

ROOT = Path(__file__).parents[1]
NEW = "some-teacher/digits.course_2"
HOST = "some-teacher.github.io"
# They tell what the placeholder is, or look for it.
PROSE = {"README.md", "tools/adopt.py"}


@pytest.fixture
def course(checkout, monkeypatch):
    """Copy the course into a repository of its own, to be adopted."""
    monkeypatch.setattr(adopt, "ROOT", checkout(repository=True))
    return adopt.ROOT


def texts():
    """Give the text of every file that git tracks, but for tests, which invent some."""
    return {
        path.relative_to(adopt.ROOT).as_posix(): text.decode()
        for path, text in adopt.read_files().items()
        if path.parent != adopt.ROOT / "tests"
    }


def disagreeing(files, right):
    """Find what points elsewhere: the Colab links, what is installed, this name."""
    forms = [
        r"colab\.research\.google\.com/github/([\w-]+/[\w.-]+)",
        r"(?:git\+|address = .{0,2})https://github\.com/([\w-]+/[\w.-]+)",
        rf"github\.com[/:]([\w-]+/{re.escape(right.split('/')[1])}(?![\w-]))",
        rf"[/:]({adopt.PLACEHOLDER}(?![\w-]))",
        r"(your--account\.github\.io/[\w.-]*)",
    ]
    allowed = {right, adopt.home(right).removeprefix("https://").rstrip("/")}
    return {
        (name, found)
        for name, text in files.items()
        for found in re.findall("|".join(f"(?:{form})" for form in forms), text)
        if "".join(found).removesuffix(".git") not in allowed
    }


def test_the_address_is_everywhere_the_same_and_moves_everywhere(course, git, capsys):
    old, before = adopt.read_address(), texts()
    assert not disagreeing(before, old)
    assert disagreeing(before, NEW)
    adopt.main([NEW])
    home = f"https://{HOST}/digits.course_2/"
    said = capsys.readouterr().out
    # What it says can be shown on any terminal.
    assert said.isascii() and home in said
    assert f"The address is now https://github.com/{NEW}, in " in said
    after = texts()
    assert adopt.read_address() == NEW and not disagreeing(after, NEW)
    for name, text in after.items():
        assert not re.search(adopt.pattern(old), text.encode()), name
        assert "your--account" not in text or name in PROSE, name
    chapters = [name for name in after if name.endswith(".ipynb")]
    assert chapters and all(NEW in after[name] for name in chapters)
    config = yaml.safe_load(after["_config.yml"])
    assert config["repository"]["url"] == f"https://github.com/{NEW}"
    assert config["html"]["baseurl"] == home
    assert f"colab.research.google.com/github/{NEW}/blob" in after["README.md"]
    adopt.main([NEW])
    assert capsys.readouterr().out.endswith("already: nothing had to change.\n")

    # A file that is merged later follows; a user's own pages have no path.
    later, picture = course / "later", course / "picture"
    later.write_text(f"https://github.com/{adopt.PLACEHOLDER}/issues", "utf-8")
    later.chmod(0o755)
    picture.write_bytes(b"\0" + later.read_bytes())
    mode, binary = later.stat().st_mode, picture.read_bytes()
    git(course, "add", "later", "picture")
    adopt.main([f"Some-Teacher/{HOST}"])
    assert capsys.readouterr().out.rstrip().endswith(f"at https://{HOST}/")
    url = f"https://github.com/Some-Teacher/{HOST}"
    assert later.read_text("utf-8") == f"{url}/issues"
    assert later.stat().st_mode == mode and picture.read_bytes() == binary
    config = yaml.safe_load((course / "_config.yml").read_text("utf-8"))
    assert config["html"]["baseurl"] == f"https://{HOST}/"
    git(course, "rm", "--quiet", "--force", "later", "picture")
    adopt.main([old])
    assert texts() == before and git(course, "status", "--porcelain") == ""


def test_only_the_address_itself_is_replaced():
    lines = b"""
        https://github.com/%b.git, and git@github.com:%b.git\r
        see https://github.com/%b. Or (https://github.com/%b/issues)!
        https://img.shields.io/github/license/%b \xe9 not UTF-8
        https://raw.githubusercontent.com/%b/main/x.png?y=https://github.com/%b"""
    same = b"""
        https://github.com/carl/book-2 https://github.com/carl/book.js
        https://github.com/carl/books https://github.com/jocarl/book carl/book
        https://carl.github.io/book-2/ https://carl.github.io/ https://carl.github.io
        https://jocarl.github.io/book/ https://github.com/carl/book.github.io"""
    before, after = (
        lines.replace(b"%b", name) + same for name in (b"carl/book", b"dora/book-2")
    )
    assert adopt.move(before, "carl/book", "dora/book-2") == after
    assert adopt.move(after, "dora/book-2", "carl/book") == before


def test_an_address_may_be_pasted():
    host = "github.com"
    for given in (
        *(f"https://{host}/ann/book", f"https://{host}/ann/book.git"),
        *(f"git@{host}:ann/book.git", f"{host}/ann/book/", " ann/book "),
    ):
        assert adopt.parse([given]) == "ann/book"
    longest = "a" * 39 + "/" + "b" * 100
    assert adopt.parse([longest]) == longest


SEVERAL = ["book", "ann/book/tree", "https://github.com/ann", "https://x.y/ann/book"]
ACCOUNTS = ["an--n", "-ann", "ann-", "an_n", "änn", "a" * 40, ""]
NAMES = ["", ".", "..", "book.git", "book.GIT", "my book", "b" * 101]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "name your repository, as in: make adopt REPO=account/name"),
        *((given, f"{given} is not of the form account/name") for given in SEVERAL),
        *(
            (f"{account}/book", f"{account!r} cannot be an account on GitHub: at most")
            for account in ACCOUNTS
        ),
        *(
            (f"ann/{name}", f"{name!r} cannot be a repository on GitHub: at most 100")
            for name in NAMES
        ),
    ],
)
def test_what_cannot_be_an_address_is_refused(given, message):
    with pytest.raises(SystemExit) as refusal:
        adopt.parse([given])
    assert str(refusal.value).startswith(message) and "\n" not in str(refusal.value)


def test_where_it_cannot_be_done_nothing_changes(course, git, monkeypatch):
    def refused(given, message):
        with pytest.raises(SystemExit, match=message):
            adopt.main([given])
        assert git(course, "status", "--porcelain") == ""

    refused("PaddlePaddle/book", "^.+ names PaddlePaddle/book already; if that is")

    def fail_at_a_chapter(patch, name, error):
        """Let a method of Path fail with it, once a chapter's turn has come."""
        method = getattr(Path, name)

        def failing(path, argument):
            if path.suffixes == [".ipynb", ".adopted"]:
                raise error
            return method(path, argument)

        patch.setattr(Path, name, failing)

    with monkeypatch.context() as patch:
        full = OSError(28, "No space left on device")
        fail_at_a_chapter(patch, "write_bytes", full)
        refused(NEW, r"^notebooks.\w+\.ipynb cannot be written \(No space left on")
        refused(NEW, r"\): nothing was changed$")
    with monkeypatch.context() as patch:  # open elsewhere, on Windows
        held = PermissionError(13, "It is being used by another process")
        fail_at_a_chapter(patch, "replace", held)
        refused(NEW, r"\.ipynb cannot be written \(It is .*: nothing was changed$")
    with monkeypatch.context() as patch:
        theirs = b"fatal: detected dubious ownership in '/mnt/x'\n"
        done = subprocess.CompletedProcess([], 128, b"", theirs)
        patch.setattr(adopt.subprocess, "run", lambda *_, **__: done)
        with pytest.raises(SystemExit, match=r"^fatal: .* ownership in '/mnt/x'$"):
            adopt.main([NEW])
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(course))
        with pytest.raises(SystemExit, match=r"^git is not installed: "):
            adopt.main([NEW])
    project = course / "pyproject.toml"
    text = project.read_text("utf-8")
    project.write_text(text.replace("Repository", "Home"), "utf-8")
    with pytest.raises(SystemExit, match=r"\[project.urls\] needs a line Repository ="):
        adopt.main([NEW])
    project.write_text(text, "utf-8")
    (course / ".git").rename(course / "git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(course.parent))
    with pytest.raises(SystemExit, match="is not a git checkout"):
        adopt.main([NEW])
    assert project.read_text("utf-8") == text
