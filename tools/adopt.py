"""Give the course the address of your own copy on GitHub.

    python tools/adopt.py account/name

The address stands in pyproject.toml; this copies it to every file that git tracks and
that names it, and changes nothing else. With the first address, your--account/…, it
takes the adoption back. It needs Python and git, and none of the course's packages.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Two hyphens in a row cannot be registered: nobody can put code at this address.
PLACEHOLDER = "your--account/recognize-digits"
USAGE = (
    "name your repository, as in: make adopt REPO=account/name"
    " (without make: python tools/adopt.py account/name)"
)


def main(arguments: list[str]) -> None:
    """Copy the address given to all files, or to none."""
    new, old, files = parse(arguments), read_address(), read_files()
    if new not in (old, PLACEHOLDER):
        # Afterwards, nobody could tell such a mention from the course's own address.
        for path, text in files.items():
            if re.search(pattern(new), move(text, old, PLACEHOLDER)):
                raise SystemExit(
                    f"{path.relative_to(ROOT)} names {new} already; if that"
                    " is your copy, write its address into pyproject.toml"
                    " ([project.urls]) and run this again"
                )
    # A file that was merged since the adoption may still have the first address.
    moved = {p: move(move(t, old, new), PLACEHOLDER, new) for p, t in files.items()}
    changed = {path: text for path, text in moved.items() if text != files[path]}
    write(changed, files)
    if not changed:
        print(
            f"The address is https://github.com/{new} already: nothing had to change."
        )
        return
    print(f"The address is now https://github.com/{new}, in {len(changed)} files.")
    if new != PLACEHOLDER:
        print(
            "Next: commit; on GitHub, under Settings, Pages, choose 'GitHub Actions' as"
            f" the source; and push to main. That publishes the book at {home(new)}"
        )


def parse(arguments: list[str]) -> str:
    """Read account/name from what was given: just that, or a pasted address."""
    if len(arguments) != 1 or not arguments[0].strip():
        raise SystemExit(USAGE)
    given = arguments[0].strip()
    host = r"(?:(?:https?://)?(?:www\.)?github\.com/|git@github\.com:)"
    match = re.fullmatch(rf"{host}(.+?)(?:\.git)?/?", given)
    account, slash, name = (match[1] if match else given).partition("/")
    if not slash or "/" in name:
        raise SystemExit(f"{given} is not of the form account/name; {USAGE}")
    if account != PLACEHOLDER.split("/")[0] and not re.fullmatch(
        r"(?=.{1,39}$)[A-Za-z0-9]+(-[A-Za-z0-9]+)*", account
    ):
        raise SystemExit(
            f"{account!r} cannot be an account on GitHub: at most 39 letters and"
            " digits, with single hyphens between them"
        )
    if not re.fullmatch(r"(?!\.\.?$)(?!(?i:.*\.git$))[A-Za-z0-9._-]{1,100}", name):
        raise SystemExit(
            f"{name!r} cannot be a repository on GitHub: at most 100 letters, digits,"
            " '.', '-' and '_', and no '.git' at the end"
        )
    return f"{account}/{name}"


def home(address: str) -> str:
    """Say where GitHub publishes the pages of a repository."""
    account, name = address.split("/")
    host = f"{account}.github.io".lower()
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def pattern(address: str) -> bytes:
    """Match the address in all its forms, and no longer name that begins like it.

    The group is what follows a host: GitHub's own, or Colab's, or a badge's. Without it
    the match is the address of the pages, up to its last slash.
    """
    end = r"(?![\w-]|\.(?!git(?![\w-]))\w)"
    pages = re.escape(home(address).rstrip("/"))
    return rf"(?<=[/:])({re.escape(address)}){end}|{pages}{end}".encode()


def move(text: bytes, old: str, new: str) -> bytes:
    """Put one address in the place of another."""
    both = new.encode(), home(new).rstrip("/").encode()
    return re.sub(pattern(old), lambda match: both[match[1] is None], text)


def read_address() -> str:
    """Read the address that the course has now."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    match = re.search(
        r'^Repository = "https://github\.com/([^/"]+/[^/"]+)"', text, re.M
    )
    if not match:
        raise SystemExit(
            "pyproject.toml: [project.urls] needs a line"
            ' Repository = "https://github.com/account/name"'
        )
    return match[1]


def read_files() -> dict[Path, bytes]:
    """Read every text file that git tracks."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True,
            env=os.environ | {"LC_ALL": "C"},  # what git says, in English
        )  # fmt: skip
    except FileNotFoundError as error:
        raise SystemExit(
            "git is not installed: adopt asks it which files there are"
        ) from error
    paths = [ROOT / os.fsdecode(name) for name in done.stdout.split(b"\0")]
    if b"dubious ownership" in done.stderr:  # a folder of somebody else's
        raise SystemExit(os.fsdecode(done.stderr).strip())
    if ROOT / "pyproject.toml" not in paths:
        raise SystemExit(
            f"{ROOT} is not a git checkout: adopt changes the files that git tracks,"
            " so clone your copy first"
        )
    paths = [path for path in paths if path.is_file() and not path.is_symlink()]
    texts = {path: path.read_bytes() for path in paths}
    # What git itself takes for binary.
    return {path: text for path, text in texts.items() if b"\0" not in text[:8000]}


def write(changed: dict[Path, bytes], before: dict[Path, bytes]) -> None:
    """Write all files, or leave all as they were."""
    temporary = {path: path.with_name(f".{path.name}.adopted") for path in changed}
    replaced = []

    def prepare(path: Path, text: bytes) -> None:
        temporary[path].write_bytes(text)
        temporary[path].chmod(path.stat().st_mode)

    try:
        for path, text in changed.items():
            prepare(path, text)
        for path in changed:
            temporary[path].replace(path)  # on Windows, not if a program has it open
            replaced.append(path)
    except OSError as error:
        for again in replaced:
            prepare(again, before[again])
            temporary[again].replace(again)
        for written in temporary.values():
            written.unlink(missing_ok=True)
        raise SystemExit(
            f"{path.relative_to(ROOT)} cannot be written ({error.strerror}):"
            " nothing was changed"
        ) from error


if __name__ == "__main__":
    main(sys.argv[1:])
