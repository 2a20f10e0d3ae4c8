"""The address: the same in every file, and moved by one command."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

from tools import adopt

ROOT = Path(__file__).parents[1]
PLACEHOLDER = "/".join(adopt.PLACEHOLDER)
NEW = "some-teacher/digits.course_2"
HOST = "some-teacher.github.io"
# They tell what the placeholder is, or look for it.
PROSE = {"README.md", "tools/adopt.py", "tests/test_adopt.py"}


# A hook that runs these tests must not lend its repository to them.
ENVIRONMENT = {key: value for key, value in os.environ.items() if "GIT_" not in key}


def git(folder, *arguments):
    done = subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", *arguments],
        cwd=folder, capture_output=True, encoding="utf-8", env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def tracked(folder):
    """Give the text of every file that git knows or would add, binary files aside."""
    names = git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    paths = {name: folder / name for name in names.split("\0") if name}
    texts = {name: p.read_bytes() for name, p in paths.items() if p.is_file()}
    return {name: t.decode() for name, t in texts.items() if b"\0" not in t}


def address(folder):
    text = (folder / "pyproject.toml").read_text("utf-8")
    url = tomllib.loads(text)["project"]["urls"]["Repository"]
    return url.removeprefix("https://github.com/")


def disagreeing(folder):
    """Find what points elsewhere: the Colab links, what is installed, this name."""
    right = address(folder)
    forms = [
        r"colab\.research\.google\.com/github/([\w-]+/[\w.-]+)",
        r"(?:git\+|address = .{0,2})https://github\.com/([\w-]+/[\w.-]+)",
        rf"github\.com[/:]([\w-]+/{re.escape(right.split('/')[1])}(?![\w-]))",
        rf"[/:]({PLACEHOLDER}(?![\w-]))",
        r"(your--account\.github\.io/[\w.-]*)",
    ]
    allowed = {right, adopt.home(tuple(right.split("/")))[8:].rstrip("/")}
    return {
        (name, found)
        for name, text in tracked(folder).items()
        if not name.startswith("tests/")  # they try invented ones
        for form in forms
        for found in re.findall(form, text)
        if found.removesuffix(".git") not in allowed
    }


@pytest.fixture
def checkout(tmp_path, program):
    """Copy this checkout as it is now into a repository of its own."""
    program("git")
    if not (ROOT / ".git").exists():
        pytest.skip("adopting needs a git checkout, and this is none")
    names = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    folder = tmp_path / "copy"
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "As it was")
    return folder


def run(folder, *arguments, command=(sys.executable, "tools/adopt.py"), **options):
    return subprocess.run(
        [*command, *arguments], cwd=folder, capture_output=True, encoding="utf-8",
        **({"env": ENVIRONMENT} | options),
    )  # fmt: skip


def untouched(folder):
    return git(folder, "status", "--porcelain") == ""


def outputs(folder):
    return [
        [cell.get("outputs") for cell in json.loads(path.read_bytes())["cells"]]
        for path in sorted((folder / "notebooks").glob("*.ipynb"))
    ]


def test_every_file_has_the_address_of_pyproject(checkout):
    assert not disagreeing(checkout)
    notebook = checkout / "notebooks" / "01_digits.ipynb"
    text = notebook.read_text("utf-8")
    notebook.write_text(text.replace(address(checkout), "some-body/else"), "utf-8")
    assert disagreeing(checkout) == {("notebooks/01_digits.ipynb", "some-body/else")}


def test_adopting_moves_the_address_everywhere_and_back(checkout):
    old = address(checkout)
    before = tracked(checkout), outputs(checkout)
    # What it says can be shown on any terminal.
    done = run(checkout, NEW, env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert f"The address is now https://github.com/{NEW}, in " in done.stdout
    home = f"https://{HOST}/digits.course_2/"
    assert home in done.stdout
    assert address(checkout) == NEW and not disagreeing(checkout)
    after = tracked(checkout)
    for name, text in after.items():
        assert not re.search(adopt.pattern(tuple(old.split("/"))), text.encode()), name
        assert "your--account" not in text or name in PROSE, name
    notebooks = [name for name in after if name.endswith(".ipynb")]
    assert len(notebooks) == 10
    for name in notebooks:
        assert f"https://github.com/{NEW}" in after[name]
        nbformat.validate(nbformat.reads(after[name], as_version=4))
    assert outputs(checkout) == before[1]
    config = yaml.safe_load(after["_config.yml"])
    assert config["repository"]["url"] == f"https://github.com/{NEW}"
    assert config["html"]["baseurl"] == home
    assert f"colab.research.google.com/github/{NEW}/blob" in after["README.md"]

    again = run(checkout, NEW)
    assert again.stdout.endswith("already: nothing had to change.\n")
    assert tracked(checkout) == after
    assert run(checkout, old).returncode == 0
    assert tracked(checkout) == before[0] and untouched(checkout)


def test_a_page_of_a_user_has_no_path(checkout):
    def config():
        return yaml.safe_load((checkout / "_config.yml").read_text("utf-8"))

    done = run(checkout, f"Some-Teacher/{HOST}")
    assert done.stdout.rstrip().endswith(f"at https://{HOST}/")
    assert config()["html"]["baseurl"] == f"https://{HOST}/"
    url = f"https://github.com/Some-Teacher/{HOST}"
    assert config()["repository"]["url"] == url and not disagreeing(checkout)
    assert run(checkout, "some-teacher/digits").returncode == 0
    assert config()["html"]["baseurl"] == f"https://{HOST}/digits/"
    assert run(checkout, f"some-teacher/{HOST}").returncode == 0
    assert config()["html"]["baseurl"] == f"https://{HOST}/"
    run(checkout, PLACEHOLDER)
    assert untouched(checkout) == (address(ROOT) == PLACEHOLDER)


def test_only_the_address_itself_is_replaced(checkout):
    run(checkout, "carl/book")
    lines = [
        b"https://github.com/%b.git, and git@github.com:%b.git\r\n",
        b"see https://github.com/%b. Or (https://github.com/%b/issues)!\n",
        b"https://img.shields.io/github/license/%b \xe9 not UTF-8\n",
        b"https://raw.githubusercontent.com/%b/main/x.png?y=https://github.com/%b\n",
    ]
    same = [
        b"https://github.com/carl/book-2 https://github.com/carl/book.js\n",
        b"https://github.com/carl/books https://github.com/jocarl/book carl/book\n",
        b"https://carl.github.io/book-2/ https://carl.github.io/ https://carl.github.io\n",
        b"https://jocarl.github.io/book/ https://github.com/carl/book.github.io\n",
    ]
    odd = checkout / "odd"
    odd.write_bytes(b"".join([*lines, *same]).replace(b"%b", b"carl/book"))
    picture = checkout / "picture"
    picture.write_bytes(b"\0" + odd.read_bytes())
    odd.chmod(0o755)
    mode = odd.stat().st_mode
    git(checkout, "add", ".")
    before = odd.read_bytes()
    assert run(checkout, "dora/book-2").returncode == 0
    expected = b"".join(lines).replace(b"%b", b"dora/book-2") + b"".join(same)
    assert odd.read_bytes() == expected
    assert odd.stat().st_mode == mode
    assert picture.read_bytes() == b"\0" + before
    run(checkout, "carl/book")
    assert odd.read_bytes() == before


def test_a_file_merged_after_the_adoption_follows(checkout):
    run(checkout, NEW)
    (checkout / "later").write_text(f"https://github.com/{PLACEHOLDER}/issues", "utf-8")
    git(checkout, "add", ".")
    assert run(checkout, NEW).returncode == 0
    assert (checkout / "later").read_text("utf-8") == f"https://github.com/{NEW}/issues"


@pytest.mark.parametrize(
    "pasted",
    [
        "https://github.com/ann/book", "https://github.com/ann/book.git",
        "git@github.com:ann/book.git", "github.com/ann/book/", " ann/book ",
    ],
)  # fmt: skip
def test_a_pasted_address_is_understood(pasted):
    assert adopt.parse([pasted]) == ("ann", "book")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "name your repository, as in: make adopt REPO=account/name"),
        ("book", "book is not of the form account/name"),
        ("ann/book/tree", "ann/book/tree is not of the form account/name"),
        ("https://github.com/ann", "https://github.com/ann is not of the form"),
        ("https://example.com/ann/book", "is not of the form account/name"),
        ("an--n/book", "'an--n' cannot be an account on GitHub"),
        ("-ann/book", "'-ann' cannot be an account on GitHub"),
        ("ann-/book", "'ann-' cannot be an account on GitHub"),
        ("an_n/book", "'an_n' cannot be an account on GitHub"),
        ("änn/book", "'änn' cannot be an account on GitHub"),
        ("a" * 40 + "/book", "at most 39 letters and digits, with single hyphens"),
        ("/book", "'' cannot be an account on GitHub"),
        ("ann/", "'' cannot be a repository on GitHub"),
        ("ann/.", "'.' cannot be a repository on GitHub"),
        ("ann/..", "'..' cannot be a repository on GitHub"),
        ("ann/book.git", "no '.git' at the end"),
        ("ann/my book", "'my book' cannot be a repository on GitHub"),
        ("ann/" + "b" * 101, "at most 100 letters, digits, '.', '-' and '_'"),
    ],
)
def test_what_cannot_be_an_address_is_refused(given, message):
    with pytest.raises(SystemExit) as refusal:
        adopt.parse([given])
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_without_an_address_adopt_says_what_it_needs(checkout):
    done = run(checkout)
    assert done.returncode != 0 and "make adopt REPO=account/name" in done.stderr


def test_an_address_that_a_file_names_already_is_refused(checkout):
    done = run(checkout, "PaddlePaddle/book")
    assert done.returncode != 0 and untouched(checkout)
    assert "names PaddlePaddle/book already" in done.stderr


def test_outside_a_git_checkout_adopt_says_so(checkout):
    (checkout / ".git").rename(checkout / "git")
    above = {"GIT_CEILING_DIRECTORIES": str(checkout.parent)}
    done = run(checkout, NEW, env=ENVIRONMENT | above)
    assert done.returncode != 0 and "is not a git checkout" in done.stderr
    assert address(checkout) != NEW


def test_without_git_adopt_says_so(checkout):
    done = run(checkout, NEW, env=ENVIRONMENT | {"PATH": str(checkout)})
    assert done.returncode != 0 and done.stderr.startswith("git is not installed: ")


def test_a_pyproject_without_the_address_is_named(checkout):
    path = checkout / "pyproject.toml"
    path.write_text(path.read_text("utf-8").replace("Repository", "Home"), "utf-8")
    done = run(checkout, NEW)
    assert "[project.urls] needs a line Repository =" in done.stderr


def test_all_files_change_or_none(checkout):
    resource = pytest.importorskip("resource")

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = run(checkout, NEW, preexec_fn=small_files)
    assert done.returncode != 0 and untouched(checkout)
    assert re.match(r"notebooks/\w+\.ipynb cannot be written \(File too", done.stderr)
    assert done.stderr.endswith(": nothing was changed\n")


def test_what_was_replaced_comes_back_when_a_later_file_fails(checkout, monkeypatch):
    replace, seen = Path.replace, []

    def fail_at_the_fourth(path, target):
        seen.append(target)
        if len(seen) == 4:
            raise PermissionError(13, "Permission denied")
        return replace(path, target)

    monkeypatch.setattr(adopt, "ROOT", checkout)
    monkeypatch.setattr(Path, "replace", fail_at_the_fourth)
    with pytest.raises(SystemExit, match=r"cannot be written .*: nothing was changed"):
        adopt.main([NEW])
    assert len(seen) == 4 and untouched(checkout)
