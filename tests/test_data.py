import copy
import os
import pickle
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
    download,
    load_mnist,
    read_idx,
    to_input,
    write_idx,
)

NAMES = list(data.SHA256)


@pytest.fixture(scope="module")
def full():
    """Load all of MNIST, with the usual validation digits."""
    if not os.environ.get("MNIST_LESSON_DATA"):
        pytest.skip("needs full MNIST")
    return load_mnist(source="full")


def test_the_sample_is_balanced_and_needs_neither_folder_nor_cache(monkeypatch):
    monkeypatch.setenv("MNIST_LESSON_DATA", "/not/there")
    monkeypatch.setattr(data, "cache_folder", pytest.fail)
    sample = load_mnist(source="sample")
    assert sample.source == "sample"
    assert [len(part) for part in sample[:3]] == [3500, 500, 1000]
    assert np.bincount(sample.test.labels).tolist() == [100] * 10
    learnt = np.concatenate([sample.train.labels, sample.validation.labels])
    assert np.bincount(learnt).tolist() == [400] * 10
    assert sample.train.images.dtype == np.uint8
    assert sample.train.labels.dtype == np.int64
    sample.train.images[0, 0, 0] = 0  # writable
    assert repr(sample.test) == "Digits(1,000)"


def test_full_mnist(full, sample):
    assert full.source == "full"
    assert [len(part) for part in full[:3]] == [55_000, 5_000, 10_000]
    everything = load_mnist(validation=0)
    assert len(everything.train) == 60_000 and len(everything.validation) == 0
    # the well-known first labels of both parts
    assert everything.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert full.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    images, labels = everything.train.images, everything.train.labels
    assert round(images.mean(), 2) == data.MEAN == 33.32
    assert round(images.std(), 2) == data.STD == 78.57
    # A download is verified by its images, too, and may be as large as they are.
    assert data._is_mnist(everything.train, everything.test, "images")
    assert images.nbytes + 16 <= download.LARGEST
    # The sample's digits are some of them.
    shown = {i.tobytes(): label for i, label in zip(images, labels, strict=True)}
    for digits in sample[:3]:
        of_mnist = [shown[image.tobytes()] for image in digits.images]
        assert digits.labels.tolist() == of_mnist


def test_held_out_digits_are_a_random_choice_in_the_order_of_the_file(sample):
    """Those that NumPy's old generator draws first, in each of its versions."""
    everything = load_mnist(source="sample", validation=0).train
    place = {image.tobytes(): n for n, image in enumerate(everything.images)}
    rest, chosen = ([place[i.tobytes()] for i in part.images] for part in sample[:2])
    assert chosen == sorted(np.random.RandomState(0).permutation(4_000)[:500])
    assert rest == sorted({*range(4_000)} - {*chosen})


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_by_argument_and_by_environment(
    tmp_path, monkeypatch, write_folder, suffix
):
    for variable in "HOME", "USERPROFILE":
        monkeypatch.setenv(variable, str(tmp_path))
    folder = write_folder(tmp_path / "f", suffix=suffix)
    for root, variable in (folder, "/not/there"), (None, str(folder)), (None, "~/f"):
        monkeypatch.setenv("MNIST_LESSON_DATA", variable)
        mnist = load_mnist(root, validation=10)
        assert [len(part) for part in mnist[:3]] == [50, 10, 20]
        assert mnist.source == "folder"


@pytest.mark.parametrize("source", ["auto", "full"])
def test_a_named_folder_without_the_files(tmp_path, source):
    for name in NAMES[:2]:
        with pytest.raises(DataError, match=rf"{name} \(or {name}.gz\) is not there"):
            load_mnist(tmp_path, source=source)
        (tmp_path / name).write_bytes(b"")
    for path in tmp_path / NAMES[0], tmp_path / "missing", Path("~nobody-here/mnist"):
        with pytest.raises(DataError, match=r"cannot be read.*name the") as error:
            load_mnist(path, source=source)
        assert f"{path}: cannot" in str(error.value)


WINDOWS = "{name}.GZ", "{name}.Gz"
KAGGLE = "{dotted}", "{dotted}.gz", "{name}/{name}", "{dotted}/{dotted}"
TORCHVISION = "raw/{name}", "MNIST/raw/{name}.gz"


@pytest.mark.parametrize("rename", [*WINDOWS, *KAGGLE, *TORCHVISION])
def test_files_as_others_name_them(tmp_path, write_folder, rename):
    suffix = ".gz" if "gz" in rename.lower() else ""
    write_folder(tmp_path / "plain", suffix=suffix)
    for name in NAMES:
        dotted = name.replace("-idx", ".idx")
        new = tmp_path / "f" / rename.format(name=name, dotted=dotted)
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


def test_a_folder_is_called_what_it_holds(tmp_path, monkeypatch, write_folder):
    """Only MNIST is called full; own digits, other sets and the sample are welcome."""
    own = write_folder(tmp_path / "own")
    for folder in own, Path(data.__file__).parent / "sample":
        assert load_mnist(folder).source == "folder"
        for root in folder, None:
            monkeypatch.setenv("MNIST_LESSON_DATA", str(folder))
            with pytest.raises(DataError, match=f"{folder.name}: expected MNIST, but"):
                load_mnist(root, source="full")


def test_mnist_is_known_by_its_labels(full, tmp_path, write_folder):
    """A set of the same size with clothes on it isn't MNIST; one label suffices."""
    folder = write_folder(tmp_path / "f", train=60_000, test=10_000)
    for name in NAMES[1], NAMES[3]:
        assert load_mnist(folder).source == "folder"
        [path] = Path(os.environ["MNIST_LESSON_DATA"]).glob(f"{name}*")
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


@pytest.mark.parametrize("train", [80, 5_000])
def test_the_default_holds_out_an_eighth_of_a_small_set(tmp_path, write_folder, train):
    mnist = load_mnist(write_folder(tmp_path / "f", train=train))
    assert [len(part) for part in mnist[:3]] == [train * 7 // 8, train // 8, 20]


def test_unknown_source():
    with pytest.raises(ValueError, match=r'"auto", "full" or "sample", not .*mnist'):
        load_mnist(source="mnist")


def test_files_that_do_not_belong_together(tmp_path, write_folder):
    folder = write_folder(tmp_path / "f")
    for name, array, message in (
        (NAMES[2], np.zeros((20, 28, 27), np.uint8), "t10k-images.*: images .*28, 27"),
        (NAMES[1], np.zeros(59, np.uint8), "train-labels.*: labels must be 60 int.*59"),
        (NAMES[1], np.full(60, 10, np.uint8), "train-labels.*: .* from 0 to 9.*10"),
    ):
        write_idx(folder / name, array)
        with pytest.raises(IdxError, match=message):
            load_mnist(folder)


def test_digits_select_like_numpy(sample):
    digits = sample.test
    for index in (
        *(3, np.int64(3), np.array(3), torch.tensor(3), torch.tensor([3])),
        *([3], [torch.tensor(3)], range(3, 4), slice(3, 4), slice(torch.tensor(3), 4)),
        *(np.arange(1000) == 3, torch.arange(1000) == 3, np.array([3], ">i8")),
        -997,
    ):
        one = digits[index]
        assert isinstance(one, Digits) and len(one) == 1
        assert np.array_equal(one.images, digits.images[3:4])
        assert one.labels.tolist() == [digits.labels[3]]
    with pytest.raises(IndexError):
        digits[1000]
    assert [int(one.labels[0]) for one in digits[:12]] == digits.labels[:12].tolist()
    for none in [], range(0), np.zeros(1000, bool), torch.zeros(1000, dtype=bool):
        assert len(digits[none]) == 0
    assert len(one[torch.tensor([True])]) == 1  # a mask, not the digit with number 1
    assert len(one[torch.tensor([False])]) == 0


@pytest.mark.parametrize(
    "index",
    [(3, 4), None, "3", 1.5, [1.5], True, [[1, 2]], torch.tensor(True), {1, 2}, int],
)
def test_digits_refuse_an_index_of_another_kind(sample, index):
    by = "a tuple" if index == (3, 4) else ".*"
    with pytest.raises(IndexError, match=f"selected by a whole number.*not by {by}$"):
        sample.test[index]


def test_digits_are_copied_and_pickled(sample):
    for other in copy.deepcopy(sample.test), pickle.loads(pickle.dumps(sample.test)):
        assert np.array_equal(other.images, sample.test.images)
        assert np.array_equal(other[[5]].labels, sample.test.labels[[5]])


def test_digits_are_not_an_array(sample):
    """NumPy would take them apart as a sequence of sequences without an end."""
    for wrong in (
        lambda: to_input(sample.test),
        lambda: to_input([sample.test]),
        lambda: Digits(sample.test, sample.test.labels),
        lambda: sample.test[sample.test],
        lambda: write_idx("never-made", sample.test),
    ):
        with pytest.raises(ValueError, match=r"give their \.images, or their \.labels"):
            wrong()


TWO = np.zeros((2, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (TWO / 1, [0, 1], r"images must be uint8.*float64 of shape \(2, 28, 28\)"),
        (TWO[..., 1:], [0, 1], r"images must be uint8.*\(2, 28, 27\)"),
        (torch.zeros(2, 28, 28), [0, 1], "images must be uint8.*float32"),
        (Digits, [0, 1], "images must be uint8.*not the class Digits"),
        (None, [0, 1], "images must be uint8.*not an object of type NoneType"),
        (TWO, [0], "labels must be 2 integers"),
        (TWO, [0.5, 1], r"labels must be 2 integers.*float64 of shape \(2,\)"),
        (TWO, 3, "labels must be 2 int.*not an object.*int"),
        (TWO, [0, 10], "from 0 to 9, but go from 0 to 10"),
        (TWO, [-1, 9], "from 0 to 9, but go from -1 to 9"),
        (TWO, [[1], [1, 2]], "differ in shape"),
    ],
)
def test_digits_refuse(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Digits(images, labels)


@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_to_input_is_float32_for_every_grey_level(default):
    """By NumPy, rounded to 32 bits after each step."""
    levels = np.arange(256, dtype=np.uint8)
    image = np.resize(levels, (28, 28))
    expected = (levels - np.float32(33.32)) / np.float32(78.57)
    assert data.PAPER == pytest.approx(float(expected[0]))
    torch.set_default_dtype(default)
    try:
        for images in image, image[None], torch.tensor(image), Image.fromarray(image):
            scaled = to_input(images)
            assert scaled.shape == (1, 1, 28, 28) and scaled.dtype == torch.float32
            assert np.array_equal(scaled.flatten()[:256].numpy(), expected)
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.array_equal(image.flatten()[:256], levels)  # as it was


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
    with pytest.raises(ValueError, match=r"^images must be uint8 .*, not .*$"):
        to_input(images)
