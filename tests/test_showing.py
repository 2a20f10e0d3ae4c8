import math
import re

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mnist_lesson import (
    Digits,
    Recognition,
    show_digits,
    show_maps,
    show_recognition,
    show_table,
    spread,
    to_input,
)


def refused(message, show, *arguments, **options):
    """Check that there is one sentence, which has these words."""
    with pytest.raises(ValueError, match=message) as error:
        show(*arguments, **options)
    assert re.fullmatch(r"[^\n]+[^.\n]", str(error.value))


def shown(figure):
    """What is drawn: the numbers of each picture."""
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


def test_show_digits(sample):
    images, labels = sample.test.images[:12], sample.test.labels[:12]
    figure = show_digits(images, labels, columns=5)
    assert isinstance(figure, Figure) and plt.get_fignums() == []
    assert len(figure.axes) == 15 and np.array_equal(shown(figure), images)
    assert not any(axes.axison for axes in figure.axes)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [*map(str, labels), "", "", ""]
    # dark ink on light paper, not stretched to each image's own range
    image = figure.axes[3].images[0]
    assert image.get_clim() == (0, 255)
    assert image.cmap(0.0) == (1, 1, 1, 1) and image.cmap(1.0) == (0, 0, 0, 1)
    assert len(show_digits(images[:3], columns=np.int64(2)).axes) == 4
    [axes] = show_digits(images[0], torch.tensor([7])).axes
    assert axes.get_title() == "7" and np.array_equal(
        axes.images[0].get_array(), images[0]
    )


def test_digits_in_whatever_form(sample):
    images = sample.test.images[:3]
    tensor = torch.from_numpy(images)
    for form in (
        sample.test[:3],
        tensor[:, None],
        tensor.float().requires_grad_(),
        tensor.to_sparse(),
        images[::-1][::-1],
        images.astype(">i4"),
        [*tensor],
        images.tolist(),
        (image for image in images),
    ):
        assert np.array_equal(shown(show_digits(form)), images)


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
    refused("^(images|maps) must be|1,001 (images|maps) are too many", show, pictures)


@pytest.mark.parametrize("show", [show_digits, show_maps])
def test_titles_and_columns_that_make_no_sense(show):
    zeros = np.zeros((5, 28, 28))
    for columns in 0, -1, 2.5, None, "3":
        refused("^columns must be a whole number from 1", show, zeros, columns=columns)
    for titles in 5, torch.tensor(3):
        refused("^titles must be one for each of the ", show, zeros, titles)
    refused("^there are 9 titles for 5 (images|maps);", show, zeros, range(9))


def test_what_are_no_grey_levels_would_be_drawn_as_blank_paper(sample):
    images = sample.test.images[:2]
    many = 100.0 * images  # as if scaled once too often
    for scaled in (
        images / 255,
        to_input(images),
        images > 127,
        -images.astype(int),
        many,
    ):
        refused("grey levels from 0 to 255, but these lie between", show_digits, scaled)
    refused("not nan", show_digits, images * math.nan)
    colours = np.repeat(images[0, :, :, None], 3, axis=2)
    refused("look like colours.*make them grey", show_digits, colours)
    for levels in images * 0.0, images + 0.3:  # blank paper, and a little over
        assert np.array_equal(shown(show_digits(levels)), levels)


def test_maps_share_one_scale_around_white_and_what_is_not_finite_is_grey():
    maps = [[[1.0, math.nan], [-math.inf, -4.0]], [[0.0, 0.0], [0, 0]]]
    figure = show_maps(maps, "ab")
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    first, second = (axes.images[0] for axes in figure.axes)
    assert first.get_clim() == second.get_clim() == (-4, 4)
    red, grey, bad, blue = first.to_rgba(first.get_array())[..., :3].reshape(4, 3)
    assert len(set(grey)) == 1 and np.array_equal(grey, bad) and grey[0] < 0.6
    assert red[0] > red[2] and blue[0] < blue[2]
    assert second.to_rgba(0.0)[:3] == pytest.approx([0.97] * 3, abs=0.01)
    for nothing in math.nan, 0.0:
        [axes] = show_maps(torch.full((1, 2, 2), nothing)).axes
        assert axes.images[0].get_clim() == (-1, 1)


def test_show_recognition(sample):
    image, chances = sample.test.images[0], torch.linspace(0, 0.2, 10)
    for recognition in (
        Recognition(9, chances.requires_grad_(), torch.from_numpy(image)),
        Recognition(9, chances.tolist(), image.tolist()),
    ):
        left, right = show_recognition(recognition).axes
        assert np.array_equal(left.images[0].get_array(), image)
        assert left.images[0].get_clim() == (0, 255)
        heights = [bar.get_height() for bar in right.patches]
        assert heights == pytest.approx(chances.tolist())
        colors = [bar.get_facecolor() for bar in right.patches]
        assert len({*colors}) == 2 and colors.count(colors[9]) == 1
        assert right.get_title() == "its answer: 9" and plt.get_fignums() == []
    refused("^recognition must be what recognize gives", show_recognition, None)
    for wrong in Recognition(9, chances[:5], image), Recognition(9, chances, None):
        refused(
            "^a recognition's (probabilities|image) must be", show_recognition, wrong
        )


def test_show_table():
    table = show_table(("", "rate", "in %"), ("MLP", 0.1, "96.0 ± 0.2"), ("<b>", 3, 9))
    assert repr(table).splitlines() == [
        "      rate         in %",
        "MLP    0.1   96.0 ± 0.2",
        "<b>      3            9",
    ]
    rows = BeautifulSoup(table._repr_html_(), "html.parser").find_all("tr")
    assert [[(cell.name, cell.text) for cell in row] for row in rows] == [
        [("th", ""), ("th", "rate"), ("th", "in %")],
        [("th", "MLP"), ("td", "0.1"), ("td", "96.0 ± 0.2")],
        [("th", "<b>"), ("td", "3"), ("td", "9")],
    ]
    refused(
        "row 2 must have an entry for each of the 1 columns", show_table, "a", "b", ""
    )
    refused("row 1 .* of the 2 columns, not 3", show_table, "ab", (1, 2, 3))
    refused("heading must have an entry", show_table, ())
    refused("put a star before them", show_table, "ab", [("LeNet", 99), ("MLP", 98)])
    refused(
        "put a star before them", show_table, "ab", zip("LM", (99, 98), strict=True)
    )
    for row in iter("cd"), np.array([1, 2]), ((5, 5), (2, 2)):
        assert len(repr(show_table("ab", row)).splitlines()) == 2


def test_spread():
    runs = [94.2, 93.8, 94.9]
    mean = sum(runs) / 3  # by hand: 94.3, and the root of (0.01 + 0.25 + 0.36) / 2
    assert spread(runs) == f"{mean:.1f} ± {math.sqrt(0.31):.1f}" == "94.3 ± 0.6"
    assert spread(np.array(runs)) == spread(torch.tensor(runs)) == spread(iter(runs))
    assert spread([True, False]) == "0.5 ± 0.7"
    for values in ([1.0], [], ["a", "b"], [[1, 2], [3, 4]], 3.0, None):
        refused("numbers of at least two runs", spread, values)


def test_pictures_are_upright_and_titles_plain_whatever_the_settings_say():
    picture = np.arange(784).reshape(28, 28) % 256
    with plt.rc_context({"image.origin": "lower", "image.aspect": "auto"}):
        figures = [
            show_digits(picture, ["$$"]),
            show_maps(picture, ["$_$"]),
            show_recognition(Recognition(3, torch.full((10,), 0.1), picture)),
        ]
    for figure in figures:
        [image] = figure.axes[0].images
        assert image.origin == "upper" and figure.axes[0].get_aspect() == 1
        FigureCanvasAgg(figure).draw()  # no title is read as mathematics
