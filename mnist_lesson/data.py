"""Where MNIST comes from, and the one way in which its pixels become inputs."""

import contextlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from numpy.typing import ArrayLike

from .download import SHA256, DataError, cache_folder, fill, is_verified
from .idx import IdxError, idx_parts, read_idx
from .values import described, home_path, to_array, to_tensor, whole_number

SAMPLE = Path(__file__).parent / "sample"
VALIDATION = 5_000  # of the 60,000 training digits are held out by default
MEAN, STD = 33.32, 78.57  # of all grey levels of the 60,000 training digits
PAPER = (0 - MEAN) / STD  # an empty pixel, as models see it


@dataclass(frozen=True, eq=False)
class Digits:
    """Images of digits and what they show; `digits[…]` selects, as NumPy does.

    Parameters
    ----------
    images
        uint8 (N, 28, 28), 0 for the paper and 255 for full ink; an array or a tensor.
    labels
        (N,), the digits 0-9, integers of any type; they are kept as int64.

    Raises
    ------
    ValueError
        If these are not N such images and N such labels.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        images, labels = to_array(self.images), to_array(self.labels)
        if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
            raise ValueError(
                "images must be uint8 of shape (N, 28, 28), "
                f"not {described(self.images)}"
            )
        if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise ValueError(
                f"labels must be {len(images):,} integers, one for each image, "
                f"not {described(self.labels)}"
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

    def __getitem__(self, index: slice | ArrayLike) -> "Digits":
        if not isinstance(index, slice):
            places = to_array(index)
            if not places.size:  # NumPy makes an empty list one of floats
                places = places.astype(np.intp)
            kinds = "iub" if places.ndim == 1 else "iu"  # True alone is no mask
            no_kind = places.ndim > 1 or places.dtype.kind not in kinds
            if no_kind or isinstance(index, tuple):
                given = "a tuple" if isinstance(index, tuple) else described(index)
                raise IndexError(
                    "digits are selected by a whole number, a slice, a list of whole "
                    f"numbers or a mask, not by {given}"
                )
            index = np.atleast_1d(places)  # one digit is still a batch, of one
        return Digits(self.images[index], self.labels[index])

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to be taken for an array, as NumPy would take every sequence."""
        raise ValueError(
            "Digits are images with labels: give their .images, or their .labels"
        )

    def __repr__(self) -> str:
        return f"Digits({len(self):,})"


class Mnist(NamedTuple):
    """The training, validation and test split, and what they were taken from.

    `source` is "full" (MNIST's 70,000 digits), "sample" (the embedded 5,000), or
    "folder" (anything else that a named folder holds).
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
        A folder that holds four files with MNIST's names, plain or gzipped, or
        torchvision's ``MNIST/raw``; digits other than MNIST's are welcome there.
        Without it, ``$MNIST_LESSON_DATA``; without that, the user's cache folder, into
        which MNIST is downloaded once (12 MB, 55 MB on disk).
    source
        "auto" takes the embedded sample, with a warning, where there is neither a
        folder nor a cache nor a network; "full" takes nothing but MNIST, known by the
        SHA-256 of its labels; "sample" touches neither network nor cache.
    validation
        How many of the training digits to hold out, a random choice that is always the
        same; both parts stay in the order of the file. 0 keeps them all in `train`.
        The default holds out an eighth of a set that has no more than 5,000.

    Returns
    -------
    Mnist
        The three parts, and which of "full", "folder" and "sample" they are.

    Raises
    ------
    DataError
        If a named folder lacks the files or cannot be read, or if `source` is "full"
        and MNIST is not there.
    IdxError
        If a file is damaged, or images and labels do not belong together.
    ValueError
        If `source` is another word, or `validation` no number of digits that leaves
        some to learn from.

    Warns
    -----
    UserWarning
        If "auto" takes the sample: why, and what to expect.
    """
    if source not in ("auto", "full", "sample"):
        raise ValueError(f'source must be "auto", "full" or "sample", not {source!r}')
    validation = whole_number("validation", validation)
    root = root or os.environ.get("MNIST_LESSON_DATA")
    if source == "sample":
        train, test = _read_folder(SAMPLE)
    elif root:
        folder = home_path(root).absolute()
        train, test = _read_folder(folder)
        is_mnist = _is_mnist(train, test, "labels")
        if source == "full" and not is_mnist:
            raise DataError(
                f"{folder}: expected MNIST, but the labels of these "
                f"{len(train) + len(test):,} digits are others; name MNIST's folder, "
                'or take these without source="full"'
            )
        source = "full" if is_mnist else "folder"
    else:
        try:
            train, test = _read_cache()
            source = "full"
        except DataError as error:
            if source == "full":
                raise
            train, test = _read_folder(SAMPLE)
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
    # NumPy promises that this old generator draws the same in every version.
    order = np.random.RandomState(0).permutation(len(train))
    held_out, rest = np.sort(order[:validation]), np.sort(order[validation:])
    return Mnist(train[rest], train[held_out], test, source)


def to_input(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Standardize grey levels, as every model expects: the only scaling there is.

    Over the training digits of MNIST the result has a mean of 0 and a standard
    deviation of 1: x = (p - `MEAN`) / `STD`.

    Parameters
    ----------
    images
        uint8 (N, 28, 28), or one image (28, 28); an array or a tensor.

    Returns
    -------
    torch.Tensor
        float32 (N, 1, 28, 28), on the same device: -0.42 for the paper, 2.82 for full
        ink.

    Raises
    ------
    ValueError
        If images have another dtype or shape: because they are scaled already, for
        example.
    """
    return grey_levels(images).unsqueeze(1).float().sub_(MEAN).div_(STD)


def grey_levels(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Give images as a tensor, uint8 (N, 28, 28), or refuse them; see `to_input`."""
    given = images if isinstance(images, torch.Tensor) else to_array(images)
    if (
        given.dtype not in (torch.uint8, np.uint8)
        or given.shape[-2:] != (28, 28)
        or given.ndim > 3
    ):
        raise ValueError(
            "images must be uint8 (grey levels 0-255) of shape (N, 28, 28) or "
            f"(28, 28), not {described(images)}"
        )
    return to_tensor(given).reshape(-1, 28, 28)


def _read_folder(folder: Path) -> tuple[Digits, Digits]:
    """Read training and test digits from a folder, or from torchvision's inside it."""
    places = folder, folder / "raw", folder / "MNIST" / "raw"
    try:
        # The first place with the most files; usually only one has any.
        found = max((_find(p) for p in places if p == folder or p.is_dir()), key=len)
        for name in SHA256:
            if name not in found:
                raise DataError(
                    f"{folder}: expected the four files of MNIST, but {name} (or "
                    f"{name}.gz) is not there; name a folder that has them, or none "
                    "to download them"
                )
        paths = [found[name] for name in SHA256]
        return _read_digits(*paths[:2]), _read_digits(*paths[2:])
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: cannot be read ({error.strerror or error}); "
            "name the folder that holds MNIST's four files"
        ) from error


def _find(folder: Path) -> dict[str, Path]:
    """Find MNIST's files under the names that they go by, plain before gzipped."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda p: (p.suffix.lower() == ".gz", p)):
        # Kaggle and 7-Zip write .idx3; Kaggle's archives unpack each file to a folder.
        name = path.name.lower().removesuffix(".gz").replace(".idx", "-idx")
        file = path / path.name if path.is_dir() else path
        if name in SHA256 and file.is_file():
            found.setdefault(name, file)
    return found


def _read_digits(images: Path, labels: Path) -> Digits:
    """Read two files that belong together."""
    pixels, classes = read_idx(images), read_idx(labels)
    try:
        return Digits(pixels, classes)
    except ValueError as error:
        raise IdxError(f"{images} with {labels.name}: {error}") from None


def _read_cache() -> tuple[Digits, Digits]:
    """Read the cache folder; first fill it where a file is missing or damaged."""
    cache = cache_folder()
    with contextlib.suppress(DataError, IdxError):
        train, test = _read_folder(cache)
        if _is_mnist(train, test, "labels") and _is_mnist(train, test, "images"):
            return train, test
    fill(cache)
    return _read_folder(cache)


def _is_mnist(train: Digits, test: Digits, kind: str) -> bool:
    """Tell whether the labels, or the images, are MNIST's, by their files' SHA-256."""
    arrays = getattr(train, kind), getattr(test, kind)
    names = [name for name in SHA256 if kind in name]
    return all(
        is_verified(name, *idx_parts(array.astype(np.uint8, copy=False)))
        for name, array in zip(names, arrays, strict=True)
    )
