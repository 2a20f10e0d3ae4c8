"""Files that are whole or absent, memory that is kept, and who runs this code."""

import ctypes
import os
import platform
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as glibc's malloc.h numbers them
LARGEST_BLOCK = 32 << 20  # bytes: malloc takes larger ones from Linux in any case


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside the file; it takes its name if all goes well.

    Renaming is atomic: whoever looks at `path`, even after a `kill -9`, finds the old
    file or the new one, never half of it. A link stays one, and a file's permissions
    stay; what is no regular file, such as a device, is refused. On Windows, where no
    file is renamed that a virus scanner looks at, it waits for up to a second.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: make the folder {path.parent} first")
    file = Path(os.path.realpath(path))
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise OSError(f"{path}: this is not a regular file; name another")
    temporary = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    try:
        yield temporary
        with suppress(OSError):  # the content counts for more; and there may be none
            shutil.copymode(file, temporary)
        waits = [0.05] * 20 if sys.platform == "win32" else []
        while True:
            try:
                temporary.replace(file)
                break
            except PermissionError:
                if not waits:
                    raise
                time.sleep(waits.pop())
    except OSError as error:
        if error.filename == str(temporary):  # a name that nobody knows
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):  # Windows removes nothing that is read-only
            temporary.chmod(0o600)
        with suppress(PermissionError):  # nor what a scanner looks at
            temporary.unlink(missing_ok=True)


def in_notebook() -> bool:
    """Tell whether a Jupyter kernel (JupyterLab, Colab, nbval …) runs this code."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


@cache
def keep_freed_memory() -> None:
    """Let glibc keep the memory that a training step frees, for the next step.

    By default it returns large blocks to Linux at once, which must fill each page with
    zeros before it gives it out again: a fifth to a third of the time of a step of
    `LeNet`. From then on the process, all of it, keeps about as much memory as it ever
    needed at once. Other systems, and who has set malloc's variables, are left alone.

    Source: https://man7.org/linux/man-pages/man3/mallopt.3.html.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(
        f"MALLOC_{name}_THRESHOLD_" in os.environ for name in ("MMAP", "TRIM")
    ):
        return
    mallopt = ctypes.CDLL(None).mallopt
    if mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK):  # too much for 32 bits
        mallopt(M_TRIM_THRESHOLD, 1 << 30)
