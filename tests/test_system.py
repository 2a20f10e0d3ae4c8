"""Files that are whole or absent."""

import os

import pytest

from mnist_lesson.system import atomic_write, in_notebook


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
