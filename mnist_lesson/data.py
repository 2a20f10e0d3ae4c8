"""Where MNIST comes from, and the one way in which its pixels become inputs."""

import contextlib
import gzip
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
import torch

from ._system import in_notebook
from .idx import IdxError, read_idx

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
VALIDATION = 5_000  # of the 60,000 training digits are held out by default
ANSWER_SECONDS = 5  # within which a mirror must answer, or there is no network
STALL_SECONDS = 10  # without a byte, after which the next mirror is tried


class DataError(RuntimeError):
    """MNIST is not to be had: what was tried, and what to do."""


@dataclass(frozen=True, eq=False)
class Digits:
    """Images of digits and what they show; `digits[…]` selects, as NumPy does.

    Parameters
    ----------
    images
        uint8 (N, 28, 28), 0 for the paper and 255 for full ink.
    labels
        int64 (N,), the digits 0-9.

    Raises
    ------
    ValueError
        If these are not N such images and N such labels.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
            raise ValueError(
                "images must be uint8 of shape (N, 28, 28), "
                f"not {images.dtype} of shape {images.shape}"
            )
        if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise ValueError(
                f"labels must be {len(images):,} integers, one for each image, "
                f"not {labels.dtype} of shape {labels.shape}"
            )
        if len(labels) and not 0 <= labels.min() <= labels.max() <= 9:
            raise ValueError(
                "labels must be digits from 0 to 9, "
                f"but go from {labels.min()} to {labels.max()}"
            )
        # torch takes neither read-only arrays nor ones that run backwards.
        object.__setattr__(self, "images", np.require(images, np.uint8, ["C", "W"]))
        object.__setattr__(self, "labels", np.require(labels, np.int64, ["C", "W"]))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(
        self, index: SupportsIndex | slice | Sequence[int] | np.ndarray
    ) -> "Digits":
        if isinstance(index, int | np.integer):
            index = [int(index)]  # one digit is still a batch, of one
        return Digits(self.images[index], self.labels[index])

    def __repr__(self) -> str:
        return f"Digits({len(self):,})"


class Mnist(NamedTuple):
    """The digits to learn from, to choose with, and to judge by.

    `source` is "full" (the 70,000 digits) or "sample" (the embedded 5,000).
    """

    train: Digits
    validation: Digits
    test: Digits
    source: str


def load_mnist(
    root: str | os.PathLike[str] | None = None,
    *,
    source: str = "auto",
    validation: int = VALIDATION,
) -> Mnist:
    """Load MNIST from a folder, the cache, its public mirrors or the embedded sample.

    Parameters
    ----------
    root
        A folder that holds the four files, plain or gzipped; without it,
        ``$MNIST_LESSON_DATA``; without that, the user's cache folder, into which the
        files are downloaded once (11 MB, 55 MB on disk).
    source
        "auto" takes the embedded sample, with a warning, where there is neither a
        folder nor a cache nor a network; "full" raises `DataError` there; "sample"
        touches neither network nor cache.
    validation
        How many of the last training digits to hold out; 0 keeps them all in `train`.
        Where there are no more training digits than the default of 5,000, as in the
        sample, the default holds out an eighth of them.

    Returns
    -------
    Mnist

    Raises
    ------
    DataError
        If a named folder lacks the files, or the full set is asked for and not there.
    IdxError
        If a file is damaged, or images and labels do not belong together.
    """
    if source not in ("auto", "full", "sample"):
        raise ValueError(f'source must be "auto", "full" or "sample", not {source!r}')
    if validation < 0:
        raise ValueError(f"validation must be 0 or more digits, not {validation}")
    root = root or os.environ.get("MNIST_LESSON_DATA") or None
    if source == "sample":
        train, test = _read_sample()
    elif root is not None:
        train, test = _read_folder(Path(root).expanduser().absolute())
        source = "full"
    else:
        try:
            train, test = _read_cache()
            source = "full"
        except DataError as error:
            if source == "full":
                raise
            train, test = _read_sample()
            source = "sample"
            warnings.warn(
                f"{error}; using the {len(train) + len(test):,} digits that come with "
                "the package: results will be worse than with the 70,000",
                stacklevel=2,
            )
    if validation == VALIDATION and validation >= len(train):
        validation = len(train) // 8
    if validation >= len(train):
        raise ValueError(
            f"validation must leave some of the {len(train):,} training digits to "
            f"learn from, not hold out {validation:,}"
        )
    kept = len(train) - validation
    return Mnist(train[:kept], train[kept:], test, source)


def to_input(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Scale grey levels to what every model expects: the only scaling there is.

    Parameters
    ----------
    images
        uint8 (N, 28, 28), or one image (28, 28); an array or a tensor.

    Returns
    -------
    torch.Tensor
        float32 (N, 1, 28, 28), on the same device: -1 for the paper, 1 for full ink.

    Raises
    ------
    ValueError
        If these are not such images; already scaled ones, say.
    """
    return grey_levels(images).unsqueeze(1).div(127.5).sub_(1)


def grey_levels(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Give images as a tensor, uint8 (N, 28, 28), or refuse them; see `to_input`."""
    if isinstance(images, np.ndarray):
        images = np.require(images, requirements=["C", "W"])  # as in Digits
    images = torch.as_tensor(images)
    if images.dtype != torch.uint8 or images.shape[-2:] != (28, 28) or images.ndim > 3:
        raise ValueError(
            "images must be uint8 (grey levels 0-255) of shape (N, 28, 28) or "
            f"(28, 28), not {images.dtype} of shape {tuple(images.shape)}"
        )
    return images.reshape(-1, 28, 28)


def _read_digits(images: Path, labels: Path) -> Digits:
    """Read two files that belong together."""
    pixels, classes = read_idx(images), read_idx(labels)
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (28, 28):
        raise IdxError(
            f"{images}: expected unsigned bytes in images of 28 x 28, "
            f"but found {pixels.dtype} of shape {pixels.shape}"
        )
    if classes.dtype != np.uint8 or classes.ndim != 1:
        raise IdxError(
            f"{labels}: expected a row of unsigned bytes, "
            f"but found {classes.dtype} of shape {classes.shape}"
        )
    if len(pixels) != len(classes):
        raise IdxError(
            f"{labels}: expected {len(pixels):,} labels, one for each image in "
            f"{images.name}, but found {len(classes):,}"
        )
    if len(classes) and classes.max() > 9:
        wrong = int(np.argmax(classes > 9))
        raise IdxError(
            f"{labels}: expected labels from 0 to 9, "
            f"but label {wrong:,} is {classes[wrong]}"
        )
    return Digits(pixels, classes)


def _read_folder(folder: Path) -> tuple[Digits, Digits]:
    """Read training and test digits from a folder, plain files before gzipped ones."""
    paths = []
    for name in SHA256:
        found = [p for p in (folder / name, folder / f"{name}.gz") if p.is_file()]
        if not found:
            raise DataError(
                f"{folder}: expected the four files of MNIST, but {name} (or "
                f"{name}.gz) is not there; name a folder that has them, or none to "
                "download them"
            )
        paths.append(found[0])
    return _read_digits(*paths[:2]), _read_digits(*paths[2:])


def _read_sample() -> tuple[Digits, Digits]:
    """Read the digits inside the package: 4,000 to learn from and 1,000 to test."""
    return _read_folder(Path(__file__).parent / "sample")


def _read_cache() -> tuple[Digits, Digits]:
    """Read the cache folder; first fill it where a file is missing or damaged."""
    with warnings.catch_warnings():
        # Without ipywidgets tqdm, which pooch imports, draws plain bars, and says so.
        warnings.simplefilter("ignore")
        import pooch  # here, so that importing the package stays quick

    cache = Path(pooch.os_cache("mnist_lesson"))
    with contextlib.suppress(DataError, IdxError):
        return _read_folder(cache)
    try:
        _download(cache)
    except OSError as error:  # a full disk, a folder that may not be written
        raise DataError(f"{cache}: cannot keep MNIST there ({error})") from error
    return _read_folder(cache)


def _download(cache: Path) -> None:
    """Fetch what the cache lacks, each file whole or not at all."""
    import pooch

    cache.mkdir(parents=True, exist_ok=True)
    _sweep(cache)
    mirrors = _answering(MIRRORS)
    if not mirrors:
        raise DataError(
            "MNIST is not in the cache, and none of its mirrors answers within "
            f"{ANSWER_SECONDS} seconds (no network?)"
        )
    # A folder beside the files' final place: moving them there is then one renaming.
    with tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as folder:
        for name, sha256 in SHA256.items():
            target = cache / name
            if not (target.is_file() and pooch.file_hash(target) == sha256):
                _fetch(name, sha256, mirrors, Path(folder)).replace(target)


def _fetch(name: str, sha256: str, mirrors: list[str], folder: Path) -> Path:
    """Download one file from the first mirror that has it right, and unzip it."""
    import pooch

    failures = []
    zipped, plain = folder / f"{name}.gz", folder / name
    for mirror in mirrors:
        try:
            with _progress(name) as bar:
                fetch = pooch.HTTPDownloader(timeout=STALL_SECONDS, progressbar=bar)
                fetch(f"{mirror}{name}.gz", str(zipped), None)
            with gzip.open(zipped) as source, open(plain, "wb") as target:
                shutil.copyfileobj(source, target)
        except (OSError, EOFError, zlib.error) as error:  # requests' are OSErrors
            failures.append(f"{mirror}: {error}")
        else:
            if pooch.file_hash(plain) == sha256:
                return plain
            failures.append(f"{mirror}: its contents are not MNIST's (SHA-256 differs)")
    raise DataError(f"{name} cannot be downloaded ({'; '.join(failures)})")


def _progress(name: str) -> contextlib.AbstractContextManager[Any]:
    """Show how far a download is, where somebody watches: a terminal or a notebook."""
    if not (in_notebook() or sys.stderr.isatty()):
        return contextlib.nullcontext(False)
    from tqdm.auto import tqdm

    # total=1: pooch sets the true one, but asks before whether the bar is "true"
    bar: contextlib.AbstractContextManager[Any] = tqdm(
        desc=name, total=1, unit="B", unit_scale=True, leave=False
    )
    return bar


def _answering(mirrors: list[str]) -> list[str]:
    """Ask all mirrors at once; if one answers in time, it first and then the others.

    Each is asked in a thread of its own, because nothing else bounds the time that a
    machine without network may take to look up a name or to try one address after
    another.
    """
    answers: queue.Queue[str | None] = queue.Queue()

    def ask(mirror: str) -> None:
        import requests

        try:
            requests.head(mirror, timeout=ANSWER_SECONDS)
            answers.put(mirror)
        except requests.RequestException:
            answers.put(None)

    for mirror in mirrors:
        threading.Thread(target=ask, args=[mirror], daemon=True).start()
    deadline = time.monotonic() + ANSWER_SECONDS
    for _ in mirrors:
        try:
            first = answers.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if first is not None:
            return [first, *(mirror for mirror in mirrors if mirror != first)]
    return []


def _sweep(cache: Path) -> None:
    """Remove what downloads that were killed an hour ago or more left behind."""
    for folder in cache.glob(".download-*"):
        if time.time() - folder.stat().st_mtime > 3600:
            shutil.rmtree(folder, ignore_errors=True)
