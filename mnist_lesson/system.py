"""Files that are whole or absent, and whether a notebook runs this code."""

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside the file; it takes its name if all goes well.

    Renaming is atomic: whoever looks at `path`, even after a `kill -9`, finds the old
    file or the new one, never half of it. A link stays one, and a file's permissions
    stay; what is no regular file, such as a device, is refused.
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
        temporary.replace(file)
    except OSError as error:
        if error.filename == str(temporary):  # a name that nobody knows
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):  # Windows removes nothing that is read-only
            temporary.chmod(0o600)
        temporary.unlink(missing_ok=True)


def in_notebook() -> bool:
    """Tell whether a Jupyter kernel (JupyterLab, Colab, nbval …) runs this code."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
