"""What users hand over, in every form that it may have."""

import decimal
import os

import numpy as np
import pytest
import torch

from mnist_lesson import Digits, read_idx, to_input, write_idx
from mnist_lesson.values import (
    home_path,
    real_number,
    to_array,
    to_tensor,
    whole_number,
)

FORMS = {
    "array": np.copy,
    "reversed": lambda array: array[::-1].copy()[::-1],
    "column by column": np.asfortranarray,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "read-only": lambda array: np.broadcast_to(array, array.shape),
    "arrays in a list": list,
    "tensor": torch.tensor,
    "column by column, tensor": lambda array: torch.tensor(array.T.copy()).permute(
        *reversed(range(array.ndim))
    ),
    "sparse": lambda array: torch.tensor(array).to_sparse(),
    "tensors in a list": lambda array: [*torch.tensor(array)],
}
ONLY_FLOATS = {
    "numbers in a list": np.ndarray.tolist,
    "with a gradient": lambda array: torch.tensor(array, requires_grad=True),
    "part of a graph": lambda array: [*torch.tensor(array, requires_grad=True)],
    "bfloat16": lambda array: torch.tensor(array).bfloat16(),
    "quantized": lambda array: torch.quantize_per_tensor(
        torch.tensor(array), 1.0, 0, torch.qint8
    ),
    "negated view": lambda array: torch.tensor(0 - 1j * array).conj().imag,
}
ALL = FORMS | ONLY_FLOATS


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.filterwarnings("error")
def test_digits(sample, form, tmp_path):
    images, labels = sample.test.images[:9], sample.test.labels[:9]
    digits = Digits(form(images), form(labels))
    assert np.array_equal(digits.images, images) and digits.images.dtype == np.uint8
    assert np.array_equal(digits.labels, labels) and digits.labels.dtype == np.int64
    for array in digits.images, digits.labels:
        torch.from_numpy(array)  # refused, or warned of, unless it is as PyTorch likes
    assert torch.equal(to_input(form(images)), to_input(images))
    write_idx(tmp_path / "file", form(images))
    assert np.array_equal(read_idx(tmp_path / "file"), images)


@pytest.mark.parametrize("form", ALL.values(), ids=ALL)
@pytest.mark.filterwarnings("ignore:torch.quantize")
def test_floats(form, tmp_path):
    numbers = np.float32([[0, 1, 2], [3, 4, 5]])
    write_idx(tmp_path / "file", form(numbers))
    assert np.array_equal(read_idx(tmp_path / "file"), numbers)
    assert to_array(form(numbers)).dtype.isnative
    tensor = to_tensor(form(numbers))
    assert torch.equal(tensor.float(), torch.tensor(numbers))
    assert not tensor.requires_grad


def test_what_holds_no_array_of_numbers():
    assert to_tensor(torch.ones(3, device="meta")).is_meta  # it stays where it is
    with pytest.raises(ValueError, match='on the device "meta" has no numbers'):
        to_array(torch.ones(3, device="meta"))
    with pytest.raises(ValueError, match="expected one array, but the parts"):
        to_array([[1, 2], [3]])


@pytest.mark.parametrize("three", [3, np.int8(3), torch.tensor(3), np.array(3)])
def test_counts(three):
    number = whole_number("n", three, 3)
    assert number == 3 and type(number) is int


@pytest.mark.parametrize("wrong", [3.0, "3", None, [3], -1, int, np.zeros((9, 9))])
def test_what_is_no_count(wrong):
    with pytest.raises(ValueError, match=r"^n must be a whole number from 0, not .*$"):
        whole_number("n", wrong)


@pytest.mark.parametrize(
    "half", [0.5, np.float16(0.5), torch.tensor([0.5]), decimal.Decimal("0.5")]
)
def test_numbers(half):
    number = real_number("x", half)
    assert number == 0.5 and type(number) is float


@pytest.mark.parametrize("wrong", ["0.5", None, [1, 2], 1j, float, torch.ones(9, 9)])
def test_what_is_no_number(wrong):
    with pytest.raises(ValueError, match=r"^x must be one number, not .*$"):
        real_number("x", wrong)


def test_the_home_folder(monkeypatch, tmp_path):
    for variable in "HOME", "USERPROFILE":
        monkeypatch.setenv(variable, str(tmp_path))
    assert home_path("~/digits") == tmp_path / "digits"
    assert home_path(tmp_path) == tmp_path
    assert os.fspath(home_path("~nobody-here/x")) == os.path.join("~nobody-here", "x")
