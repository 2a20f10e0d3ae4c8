import math
import re

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from mnist_lesson import (
    Digits,
    Recognition,
    show_digits,
    show_maps,
    show_recognition,
    to_input,
)


def test_show_digits(sample):
    figure = show_digits(sample.test.images[:12], sample.test.labels[:12], columns=5)
    drawn = [axes for axes in figure.axes if axes.images]
    assert isinstance(figure, Figure) and plt.get_fignums() == []
    assert len(drawn) == 12 and len(figure.axes) == 15
    assert [axes.get_title() for axes in drawn] == [
        str(n) for n in sample.test.labels[:12]
    ]
    shown = drawn[3].images[0]
    assert np.array_equal(shown.get_array(), sample.test.images[3])
    assert shown.get_clim() == (0, 255)  # not stretched to each image's own range
    with pytest.raises(ValueError, match="3 titles for 12 images"):
        show_digits(sample.test.images[:12], [1, 2, 3])
    with pytest.raises(ValueError, match=r"\(0, 28, 28\)"):
        show_digits(sample.test.images[:0])


def test_digits_in_whatever_form(sample):
    images = sample.test.images[:3]
    tensor = torch.from_numpy(images)
    for form in (
        sample.test[:3],
        tensor,
        tensor[:, None],
        tensor.float().requires_grad_(),
        tensor.to_sparse(),
        images[::-1][::-1],
        images.astype(">i4"),
        [*images],
        [*tensor],
        images.tolist(),
        (image for image in images),
    ):
        drawn = show_digits(form, sample.test.labels[:3]).axes
        assert all(
            np.array_equal(axes.images[0].get_array(), image)
            for axes, image in zip(drawn, images, strict=True)
        )
    [axes] = show_digits(images[0], torch.tensor([7])).axes
    assert np.array_equal(axes.images[0].get_array(), images[0])
    assert axes.get_title() == "7"
    assert len(show_digits(images, columns=np.int64(2)).axes) == 4


def one_sentence(error):
    return re.fullmatch(r"[^\n]+[^.\n]", str(error.value))


@pytest.mark.parametrize("show", [show_digits, show_maps])
@pytest.mark.parametrize(
    "pictures",
    [
        *(None, 5, "text", [], {}, [None], Digits, object()),
        *(np.zeros((0, 28, 28)), np.zeros((2, 28, 28, 3)), np.ones((2, 2)) * 1j),
        [np.zeros((28, 28)), np.zeros((28, 27))],
        torch.zeros(2, 28, 28, device="meta"),
        np.zeros((1_001, 2, 2)),
    ],
)
def test_what_are_no_pictures_is_refused(show, pictures):
    with pytest.raises(ValueError, match=r"^(images|maps) must be|too many") as error:
        show(pictures)
    assert one_sentence(error)


@pytest.mark.parametrize("show", [show_digits, show_maps])
@pytest.mark.parametrize(
    "arguments",
    [
        *({"columns": columns} for columns in (0, -1, 2.5, None, "3")),
        *({"titles": titles} for titles in (5, range(9), torch.tensor(3), {1, 2})),
    ],
)
def test_titles_and_columns_that_make_no_sense(show, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))) as error:
        show(np.zeros((5, 28, 28)), **arguments)
    assert one_sentence(error)


def test_what_are_no_grey_levels_would_be_drawn_as_blank_paper(sample):
    images = sample.test.images[:2]
    for scaled in images / 255, to_input(images), images > 127, -images.astype(int):
        with pytest.raises(ValueError, match="grey levels from 0 to 255, but these"):
            show_digits(scaled)
    with pytest.raises(ValueError, match="not nan"):
        show_digits(images * math.nan)
    show_digits(images * 0.0)  # blank paper
    show_digits(images + 0.3)


def test_show_recognition(sample):
    probabilities = np.linspace(0, 0.2, 10)
    figure = show_recognition(Recognition(9, probabilities, sample.test.images[0]))
    _, right = figure.axes
    assert [bar.get_height() for bar in right.patches] == pytest.approx(probabilities)
    assert "9" in right.get_title() and plt.get_fignums() == []


def test_maps_share_one_scale_around_white():
    maps = torch.tensor([[[-2.0, 0.0]], [[1.0, 0.0]]])
    axes = show_maps(maps, ["a", "b"]).axes
    assert [a.images[0].get_clim() for a in axes] == [(-2, 2), (-2, 2)]
    assert [a.get_title() for a in axes] == ["a", "b"]
    red, _, blue, _ = axes[1].images[0].to_rgba(1.0)
    assert red > blue
    with pytest.raises(ValueError, match="not 1 in all"):
        show_maps(maps, ["a"])


def test_maps_that_are_not_finite_are_grey():
    figure = show_maps([[[1.0, math.nan], [-math.inf, -4.0]], [[0.0, 0.0], [0, 0]]])
    first, second = (axes.images[0] for axes in figure.axes)
    assert first.get_clim() == second.get_clim() == (-4, 4)
    red, grey, bad, blue = first.to_rgba(first.get_array())[..., :3].reshape(4, 3)
    assert len(set(grey)) == 1 and np.array_equal(grey, bad) and grey[0] < 0.6
    assert red[0] > red[2] and blue[0] < blue[2]
    for nothing in math.nan, 0.0:
        assert show_maps(np.full((1, 2, 2), nothing)).axes[0].images[0].get_clim() == (
            (-1, 1)
        )


def test_recognitions_as_people_have_them(sample):
    image, chances = sample.test.images[0], torch.linspace(0, 0.2, 10)
    for recognition in (
        Recognition(9, chances.requires_grad_(), torch.from_numpy(image)),
        Recognition(9, chances.tolist(), image.tolist()),
    ):
        right = show_recognition(recognition).axes[1]
        heights = [bar.get_height() for bar in right.patches]
        assert heights == pytest.approx(chances.tolist())
    for wrong in (
        *(None, Recognition, (9, chances, image)),
        *(Recognition(9, chances[:5], image), Recognition(9, chances, None)),
    ):
        with pytest.raises(ValueError, match="recognition") as error:
            show_recognition(wrong)
        assert one_sentence(error)
