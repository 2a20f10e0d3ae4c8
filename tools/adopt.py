"""Give the course the address of your own copy on GitHub.

    python tools/adopt.py account/name

The address stands in pyproject.toml; this copies it to every file that git tracks and
that names it, and changes nothing else. With the first address, your--account/…, it
takes the adoption back. It needs Python and git, and none of the course's packages.
"""

import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Two hyphens in a row cannot be registered: nobody can put code at this address.
PLACEHOLDER = ("your--account", "recognize-digits")
USAGE = (
    "name your repository, as in: make adopt REPO=account/name"
    " (without make: python tools/adopt.py account/name)"
)


def main(arguments: list[str]) -> None:
    """Copy the address given to all files, or to none."""
    account, name = new = parse(arguments)
    old = read_address()
    files = read_files()
    if new not in (old, PLACEHOLDER):
        # Afterwards, nobody could tell such a mention from the course's own address.
        for path, text in files.items():
            if re.search(pattern(new), move(text, old, PLACEHOLDER)):
                raise SystemExit(
                    f"{path.relative_to(ROOT)} names {account}/{name} already; if that"
                    " is your copy, write its address into pyproject.toml"
                    " ([project.urls]) and run this again"
                )
    # A file that was merged since the adoption may still have the first address.
    changed = {
        path: moved
        for path, text in files.items()
        if (moved := move(move(text, old, new), PLACEHOLDER, new)) != text
    }
    write(files, changed)
    where = f"https://github.com/{account}/{name}"
    if not changed:
        print(f"The address is {where} already: nothing had to change.")
        return
    print(f"The address is now {where}, in {len(changed)} files.")
    if new != PLACEHOLDER:
        print(
            "Next: commit; on GitHub, under Settings, Pages, choose 'GitHub Actions' as"
            f" the source; and push to main. That publishes the book at {home(new)}"
        )


def parse(arguments: list[str]) -> tuple[str, str]:
    """Read account and name from what was given: the two, or a pasted address."""
    if len(arguments) != 1 or not arguments[0].strip():
        raise SystemExit(USAGE)
    given = arguments[0].strip()
    pasted = (
        r"(?:(?:https?://)?(?:www\.)?github\.com/|git@github\.com:)(.+?)(?:\.git)?/?"
    )
    match = re.fullmatch(pasted, given)
    account, slash, name = (match[1] if match else given).partition("/")
    if not slash or "/" in name:
        raise SystemExit(f"{given} is not of the form account/name; {USAGE}")
    hyphens = r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*"
    if account != PLACEHOLDER[0] and (
        len(account) > 39 or not re.fullmatch(hyphens, account)
    ):
        raise SystemExit(
            f"{account!r} cannot be an account on GitHub: at most 39 letters and"
            " digits, with single hyphens between them"
        )
    if (
        not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name)
        or name in (".", "..")
        or name.lower().endswith(".git")
    ):
        raise SystemExit(
            f"{name!r} cannot be a repository on GitHub: at most 100 letters, digits,"
            " '.', '-' and '_', and no '.git' at the end"
        )
    return account, name


def home(address: tuple[str, str]) -> str:
    """Say where GitHub publishes the pages of a repository."""
    account, name = address
    host = f"{account}.github.io".lower()
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def pattern(address: tuple[str, str]) -> bytes:
    """Match the address in all its forms, and no longer name that begins like it.

    The group is what follows a host: GitHub's own, or Colab's, or a badge's. Without it
    the match is the address of the pages, up to its last slash.
    """
    end = r"(?![\w-]|\.(?!git(?![\w-]))\w)"
    repository = rf"(?<=[/:])({re.escape('/'.join(address))}){end}"
    pages = rf"{re.escape(home(address).rstrip('/'))}{end}"
    return f"{repository}|{pages}".encode()


def move(text: bytes, old: tuple[str, str], new: tuple[str, str]) -> bytes:
    """Put one address in the place of another."""
    both = [part.encode() for part in ("/".join(new), home(new).rstrip("/"))]
    return re.sub(pattern(old), lambda match: both[match[1] is None], text)


def read_address() -> tuple[str, str]:
    """Read the address that the course has now."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    match = re.search(
        r'^Repository = "https://github\.com/([^/"]+)/([^/"]+)"', text, re.M
    )
    if not match:
        raise SystemExit(
            "pyproject.toml: [project.urls] needs a line"
            ' Repository = "https://github.com/account/name"'
        )
    return match[1], match[2]


def read_files() -> dict[Path, bytes]:
    """Read every text file that git tracks."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        ).stdout
    except FileNotFoundError as error:
        raise SystemExit(
            "git is not installed: adopt asks it which files there are"
        ) from error
    except (OSError, subprocess.CalledProcessError):
        listed = b""
    paths = [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]
    if ROOT / "pyproject.toml" not in paths:
        raise SystemExit(
            f"{ROOT} is not a git checkout: adopt changes the files that git tracks,"
            " so clone your copy first"
        )
    texts = {
        path: path.read_bytes()
        for path in paths
        if path.is_file() and not path.is_symlink()
    }
    # What git itself takes for binary.
    return {path: text for path, text in texts.items() if b"\0" not in text[:8000]}


def write(old: dict[Path, bytes], new: dict[Path, bytes]) -> None:
    """Write all files, or leave all as they were."""
    with ExitStack() as undo:
        path = ROOT
        try:
            temporary = {}
            for path, text in new.items():
                temporary[path] = path.with_name(f".{path.name}.adopted")
                undo.callback(temporary[path].unlink, missing_ok=True)
                temporary[path].write_bytes(text)
                shutil.copymode(path, temporary[path])
            for path in new:
                undo.callback(path.write_bytes, old[path])
                temporary[path].replace(path)
        except OSError as error:
            raise SystemExit(
                f"{path.relative_to(ROOT)} cannot be written ({error.strerror}):"
                " nothing was changed"
            ) from error
        undo.pop_all()


if __name__ == "__main__":
    main(sys.argv[1:])
