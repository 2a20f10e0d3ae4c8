"""MNIST from its public mirrors into the user's cache: each file verified and whole."""

import contextlib
import gzip
import hashlib
import io
import re
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, as_completed, wait
from pathlib import Path
from typing import Any

from .idx import GZIP_MAGIC
from .system import atomic_write, in_notebook

# SHA-256 of the decompressed contents: mirrors may compress them in their own way.
SHA256 = {
    "train-images-idx3-ubyte": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}
MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
]
ANSWER_SECONDS = 5  # within which a mirror must answer, or there is no network
STALL_SECONDS = 10  # without progress, after which the next mirror is tried
DAY = 24 * 3600  # seconds, after which nobody is still writing a file
LARGEST = 50_000_000  # bytes in a file at most, before and after unzipping


class DataError(RuntimeError):
    """MNIST cannot be loaded: what was tried, and what to do."""


def is_verified(name: str, *parts: Any) -> bool:
    """Tell whether these are the contents of MNIST's file of that name, unzipped."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(part)
    return sha256.hexdigest() == SHA256[name]


def cache_folder() -> Path:
    """Give the user's cache folder for MNIST, whether or not it is there."""
    # Here, so that importing the package stays quick. Without ipywidgets tqdm, which
    # pooch imports, warns that its bars will be plain.
    with warnings.catch_warnings(action="ignore"):
        import pooch

    try:
        folder = Path(pooch.os_cache("mnist_lesson"))
    except RuntimeError:  # newer platformdirs; older ones give a path with "~"
        folder = Path("~")
    if not folder.is_absolute():
        raise DataError(
            "MNIST cannot be kept in a cache, because this user has no home folder; "
            "set HOME, or name a folder in MNIST_LESSON_DATA"
        )
    return folder


def fill(cache: Path) -> None:
    """Fetch what is missing or damaged in the cache, each file whole or not at all."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=cache).close()  # may fail: then before a download
        mirrors = _reachable(MIRRORS)
        for left in cache.glob(".*-ubyte-*"):  # where a download was killed
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                if time.time() - left.stat().st_mtime > DAY:
                    left.unlink()
        for name in SHA256:
            path = cache / name
            if not (path.is_file() and is_verified(name, path.read_bytes())):
                with atomic_write(path) as temporary:
                    temporary.write_bytes(_fetch(name, mirrors))
    except OSError as error:  # a full disk, a folder that may not be written
        raise DataError(
            f"{cache}: MNIST cannot be kept there ({error.strerror or error}); "
            "make room or allow writing there, or name another folder in "
            "MNIST_LESSON_DATA"
        ) from error


def _reachable(mirrors: list[str]) -> list[str]:
    """Ask all mirrors at once; if one answers in time, it first and then the others."""
    with warnings.catch_warnings(action="ignore"):
        import requests  # before the clock starts

    asked = {
        _start(requests.head, mirror, timeout=ANSWER_SECONDS): mirror
        for mirror in mirrors
    }
    reasons, offline = set(), True
    # Not their subclasses for proxies and certificates, which are a matter of settings.
    no_network = requests.ConnectionError, requests.ConnectTimeout, requests.ReadTimeout
    try:
        for answer in as_completed(asked, timeout=ANSWER_SECONDS):
            error = answer.exception()
            if error is None:
                first = asked[answer]
                return [first, *(mirror for mirror in mirrors if mirror != first)]
            reasons.add(_reason(error))
            offline &= type(error) in no_network
    except TimeoutError:
        reasons.add(f"silent for {ANSWER_SECONDS} seconds")
    hint = ": no network?" if offline else "; check HTTPS_PROXY and REQUESTS_CA_BUNDLE"
    raise DataError(
        "MNIST is not in the cache, and none of its mirrors answers "
        f"({', '.join(sorted(reasons))}{hint})"
    )


def _fetch(name: str, mirrors: list[str]) -> bytes:
    """Give one file's contents from the first mirror that has them right.

    A mirror that fails goes to the end of the list: the next file is not asked there.
    """
    failures = []
    for mirror in list(mirrors):
        try:
            return _download(mirror, name)
        except Exception as error:  # whatever may go wrong in a network
            failures.append(f"{mirror}: {_reason(error)}")
            mirrors.remove(mirror)
            mirrors.append(mirror)  # asked last for the next file
    raise DataError(f"{name} cannot be downloaded ({'; '.join(failures)})")


def _download(mirror: str, name: str) -> bytes:
    """Fetch, unzip and verify one file in memory, unless it stalls or has no end."""
    import pooch

    # Closed at the end, so that a thread which goes on regardless fails and stops.
    with io.BytesIO() as zipped, _progress(name) as bar:
        fetch = pooch.HTTPDownloader(timeout=STALL_SECONDS, progressbar=bar)
        fetched = _start(fetch, f"{mirror}{name}.gz", zipped, None)
        size, since = 0, time.monotonic()
        while not wait([fetched], timeout=0.1).done:
            if zipped.tell() > LARGEST:
                raise ValueError("it sends more than MNIST has")
            if zipped.tell() > size:
                size, since = zipped.tell(), time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                raise TimeoutError(f"no progress for {STALL_SECONDS} seconds")
        fetched.result()
        content = zipped.getvalue()
        if content.lstrip().startswith(b"<"):
            raise ValueError("a web page came instead; does this network want a login?")
        if content.startswith(GZIP_MAGIC):  # or it was unzipped on its way
            zipped.seek(0)
            content = gzip.GzipFile(fileobj=zipped).read(LARGEST)
    if not is_verified(name, content):
        raise ValueError("its contents are not MNIST's: the SHA-256 differs")
    return content


def _start(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Start work in a thread that nobody need wait for.

    Nothing else bounds the time that a machine may take to look up a name, to try one
    address after another, or to read a response that trickles in.
    """
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _reason(error: BaseException) -> str:
    """Say in a few words why: the innermost of the errors that requests nests."""
    import requests

    through = "proxy: " if isinstance(error, requests.exceptions.ProxyError) else ""
    while inner := error.__cause__ or error.__context__:
        error = inner
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    text = text.split(" for url: ")[0].strip().rstrip(".").replace(". ", ": ")
    text = re.sub(r"//.*@", "//", text)  # no proxy's password, nor a part of it
    text = re.sub(r"'.*'(?= is not a valid host)", "it", text)
    return through + " ".join(text.split())


def _progress(name: str) -> Any:
    """Show how far a download is, where somebody watches: a terminal or a notebook."""
    from tqdm.auto import tqdm

    watched = in_notebook() or (sys.stderr and sys.stderr.isatty())
    # total=1: pooch sets the true one, but takes no bar that is empty, and so "false".
    return tqdm(
        desc=name, total=1, unit="B", unit_scale=True, leave=False, disable=not watched
    )
