"""MNIST from its public mirrors into the user's cache: each file verified and whole."""

import contextlib
import gzip
import hashlib
import io
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, as_completed, wait
from pathlib import Path
from typing import Any, TypeVar

from ._system import in_notebook

Result = TypeVar("Result")

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
LARGEST = 50_000_000  # bytes in a file at most, before and after unzipping


class DataError(RuntimeError):
    """MNIST cannot be loaded: what was tried, and what to do."""


def cache_folder() -> Path:
    """Give the user's cache folder for MNIST, whether or not it is there."""
    with warnings.catch_warnings():
        # Without ipywidgets tqdm, which pooch imports, draws plain bars, and says so.
        warnings.simplefilter("ignore")
        import pooch  # here, so that importing the package stays quick

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
    """Fetch what the cache lacks or has damaged, each file whole or not at all."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _remove_stale_downloads(cache)
        # Beside the files' final place: moving them there is then one renaming.
        with tempfile.TemporaryDirectory(
            prefix=".download-", dir=cache, ignore_cleanup_errors=True
        ) as folder:
            mirrors = _reachable(MIRRORS)
            for name in SHA256:
                if not _is_verified(cache / name):
                    whole = Path(folder, name)
                    whole.write_bytes(_fetch(name, mirrors))
                    whole.replace(cache / name)
    except OSError as error:  # a full disk, a folder that may not be written
        raise DataError(
            f"{cache}: MNIST cannot be kept there ({error.strerror or error}); "
            "mend that, or name a folder in MNIST_LESSON_DATA"
        ) from error


def _reachable(mirrors: list[str]) -> list[str]:
    """Ask all mirrors at once; if one answers in time, it first and then the others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import requests  # before the clock starts

    asked = {
        _start(requests.head, mirror, timeout=ANSWER_SECONDS): mirror
        for mirror in mirrors
    }
    reasons, offline = set(), True
    try:
        for answer in as_completed(asked, timeout=ANSWER_SECONDS):
            error = answer.exception()
            if error is None:
                first = asked[answer]
                return [first, *(mirror for mirror in mirrors if mirror != first)]
            reasons.add(_reason(error))
            offline &= isinstance(error, requests.ConnectionError | requests.Timeout)
            offline &= not isinstance(
                error, requests.exceptions.ProxyError | requests.exceptions.SSLError
            )
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
            content = _download(f"{mirror}{name}.gz", name)
            if hashlib.sha256(content).hexdigest() == SHA256[name]:
                return content
            reason = "its contents are not MNIST's, for their SHA-256 differs"
        except Exception as error:  # whatever may go wrong in a network
            reason = _reason(error)
        failures.append(f"{mirror}: {reason}")
        mirrors.append(mirrors.pop(0))
    raise DataError(f"{name} cannot be downloaded ({'; '.join(failures)})")


def _download(url: str, name: str) -> bytes:
    """Fetch and unzip one file in memory, unless it stalls or has no end."""
    import pooch

    # Closed at the end, so that a thread which goes on regardless fails and stops.
    with io.BytesIO() as zipped, _progress(name) as bar:
        fetch = pooch.HTTPDownloader(timeout=STALL_SECONDS, progressbar=bar)
        fetched = _start(fetch, url, zipped, None)
        size, since = 0, time.monotonic()
        while not wait([fetched], timeout=0.1).done:
            if zipped.tell() > LARGEST:
                raise ValueError("it sends more than MNIST has")
            if zipped.tell() > size:
                size, since = zipped.tell(), time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                raise TimeoutError(f"no progress for {STALL_SECONDS} seconds")
        fetched.result()
        zipped.seek(0)
        if zipped.read(100).lstrip().startswith(b"<"):
            raise ValueError("a web page came instead; does this network want a login?")
        zipped.seek(0)
        return gzip.GzipFile(fileobj=zipped).read(LARGEST)


def _start(work: Callable[..., Result], *args: Any, **kwargs: Any) -> Future[Result]:
    """Start work in a thread that nobody need wait for.

    Nothing else bounds the time that a machine may take to look up a name, to try one
    address after another, or to read a file that drips.
    """
    future: Future[Result] = Future()

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
    return through + " ".join(text.split())


def _progress(name: str) -> contextlib.AbstractContextManager[Any]:
    """Show how far a download is, where somebody watches: a terminal or a notebook."""
    if not (in_notebook() or (sys.stderr and sys.stderr.isatty())):
        return contextlib.nullcontext(False)
    from tqdm.auto import tqdm

    # total=1: pooch sets the true one, but asks before whether the bar is "true"
    bar: contextlib.AbstractContextManager[Any] = tqdm(
        desc=name, total=1, unit="B", unit_scale=True, leave=False
    )
    return bar


def _is_verified(path: Path) -> bool:
    """Tell whether a file is there and has MNIST's contents."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == SHA256[path.name]
    except OSError:
        return False


def _remove_stale_downloads(cache: Path) -> None:
    """Remove what downloads that were killed a day ago or earlier left behind."""
    for folder in cache.glob(".download-*"):
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            if time.time() - folder.stat().st_mtime > 24 * 3600:
                shutil.rmtree(folder, ignore_errors=True)
