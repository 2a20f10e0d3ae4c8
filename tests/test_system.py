"""Files that are whole or absent, and memory that is kept."""

import os
import platform
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from mnist_lesson.system import atomic_write, in_notebook

FAULTS = """
import resource, numpy
from mnist_lesson.system import keep_freed_memory
keep_freed_memory()
for _ in range(10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [numpy.ones(125_000) for _ in range(40)]  # 1 MB: no huge pages
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc",
    reason="this needs glibc",
)
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"},
    ],
)
def test_memory_is_kept_for_the_next_step_unless_the_user_chose(chosen):
    """A page that comes back from Linux is a fault: for 40 MB, 10,000 of 4 KiB."""
    import resource  # there is none on Windows

    other = ("MALLOC_", "GLIBC_", "LD_PRELOAD")
    mine = {k: v for k, v in os.environ.items() if not k.startswith(other)}
    run = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env=mine | chosen,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    share = int(run.stdout) * resource.getpagesize() / 40e6
    assert share > 0.5 if chosen else share < 0.1


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.write_text("old", "utf-8")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text("half", "utf-8")
        _ = 1 / 0
    with atomic_write(path) as temporary:
        temporary.write_text("new", "utf-8")
        assert path.read_text("utf-8") == "old"
    assert path.read_text("utf-8") == "new"
    assert [*tmp_path.iterdir()] == [path]


def test_a_link_and_permissions_stay(tmp_path, symlink):
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("old", "utf-8")
    path.chmod(0o600)
    mode = path.stat().st_mode
    symlink(link, path)
    with atomic_write(link) as temporary:
        temporary.write_text("new", "utf-8")
    assert link.is_symlink() and path.read_text("utf-8") == "new"
    assert path.stat().st_mode == mode


@pytest.mark.parametrize("times", [3, 99])
def test_windows_renames_when_a_virus_scanner_has_let_go(tmp_path, monkeypatch, times):
    path, rename, waits = tmp_path / "file", Path.replace, []
    refusals = [PermissionError(13, "is being used by another process")] * times

    def replace(self, target):
        if refusals:
            raise refusals.pop()
        return rename(self, target)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr("time.sleep", waits.append)
    with nullcontext() if times == 3 else pytest.raises(PermissionError):
        with atomic_write(path) as temporary:
            temporary.write_text("new", "utf-8")
    assert [*tmp_path.iterdir()] == [path] * (times == 3)
    assert 0.1 < sum(waits) <= 1.01


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes have names here")
def test_what_is_no_file_is_refused(tmp_path):
    """As /dev/null is, which root could replace."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match=r"pipe: this is not a regular file; name"):
        with atomic_write(pipe) as temporary:
            temporary.touch()
    assert [*tmp_path.iterdir()] == [pipe] and pipe.is_fifo()


def test_errors_name_the_file_that_was_meant(tmp_path):
    """Not the temporary one, whose name nobody knows."""
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    with pytest.raises(OSError) as caught, atomic_write(folder) as temporary:
        temporary.touch()
    assert str(folder) in str(caught.value)
    assert temporary.name not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"make the folder .*nowhere first"):
        with atomic_write(tmp_path / "nowhere" / "file"):
            pass


def test_this_is_no_notebook():
    assert not in_notebook()
