"""What users hand over, in every form that it may have."""

import decimal

import numpy as np
import pytest
import torch

from mnist_lesson._values import (
    home_path,
    real_number,
    to_array,
    to_tensor,
    whole_number,
)

SHAPE = (2, 3)
NUMBERS = np.arange(6, dtype=np.float32).reshape(SHAPE)
TENSOR = torch.from_numpy(NUMBERS)
FORMS = {
    "array": NUMBERS,
    "reversed": NUMBERS[::-1, ::-1].copy()[::-1, ::-1],
    "big-endian": NUMBERS.astype(">f4"),
    "read-only": np.broadcast_to(NUMBERS, SHAPE),
    "list": NUMBERS.tolist(),
    "tensor": TENSOR,
    "with a gradient": TENSOR.clone().requires_grad_(),
    "part of a graph": 1 * TENSOR.clone().requires_grad_(),
    "sparse": TENSOR.to_sparse(),
    "transposed": TENSOR.T.contiguous().T,
    "bfloat16": TENSOR.bfloat16(),
    "tensors in a list": list(TENSOR.clone().requires_grad_()),
    "quantized": torch.quantize_per_tensor(TENSOR, 1.0, 0, torch.qint8),
    "negated view": torch.complex(TENSOR, -TENSOR).conj().imag,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_arrays_and_tensors_in_every_form(form):
    array, tensor = to_array(form), to_tensor(form)
    assert array.dtype.isnative and np.array_equal(array, NUMBERS)
    assert isinstance(tensor, torch.Tensor) and not tensor.requires_grad
    assert torch.equal(tensor.float(), TENSOR)


def test_a_tensor_stays_where_it_is():
    meta = TENSOR.to("meta")
    assert to_tensor(meta).is_meta
    with pytest.raises(ValueError, match='on the device "meta" has no numbers'):
        to_array(meta)


def test_ragged_lists():
    with pytest.raises(ValueError, match="expected one array, but the parts"):
        to_array([[1, 2], [3]])


@pytest.mark.parametrize("three", [3, np.int8(3), torch.tensor(3), np.array(3)])
def test_counts(three):
    number = whole_number("n", three)
    assert number == 3 and type(number) is int


@pytest.mark.parametrize("wrong", [3.0, "3", None, [3], -1, int, np.zeros((9, 9))])
def test_what_is_no_count(wrong):
    with pytest.raises(ValueError, match="n must be a whole number from 0, not") as e:
        whole_number("n", wrong)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "half", [0.5, np.float16(0.5), torch.tensor([0.5]), decimal.Decimal("0.5")]
)
def test_numbers(half):
    number = real_number("x", half)
    assert number == 0.5 and type(number) is float


@pytest.mark.parametrize("wrong", ["0.5", None, [1, 2], 1j, float, torch.ones(9, 9)])
def test_what_is_no_number(wrong):
    with pytest.raises(ValueError, match="x must be one number, not") as e:
        real_number("x", wrong)
    assert "\n" not in str(e.value)


def test_the_home_folder(monkeypatch, tmp_path):
    for variable in "HOME", "USERPROFILE":
        monkeypatch.setenv(variable, str(tmp_path))
    assert home_path("~/digits") == tmp_path / "digits"
    assert home_path(tmp_path) == tmp_path
