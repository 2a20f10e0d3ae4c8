"""A machine that lacks what Windows lacks: `python -m pytest -p tests.bare`.

Python's modules and functions for POSIX alone are gone, symbolic links need a privilege
that nobody has, and no program is found but by its full path.
"""

import os
import pathlib
import signal
import sys


def refused(*args, **kwargs):
    """Make no symbolic link."""
    raise OSError(22, "A required privilege is not held by the client")


for module in "fcntl", "grp", "pty", "pwd", "resource", "termios", "tty":
    sys.modules[module] = None
for place, name in (os, "fork"), (os, "mkfifo"), (os, "openpty"), (signal, "SIGKILL"):
    if hasattr(place, name):
        delattr(place, name)
os.symlink = pathlib.Path.symlink_to = refused
os.environ["PATH"] = os.devnull
