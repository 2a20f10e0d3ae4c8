"""The diagrams: what is drawn is read back from the figures' artists."""

import io
import re
from collections import Counter
from itertools import combinations, product

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.patches import Circle, FancyBboxPatch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from mnist_lesson import LeNet
from mnist_lesson.figures import (
    CONVOLVED,
    POOLED,
    draw_convolution,
    draw_lenet,
    draw_multilayer_perceptron,
    draw_pooling,
    draw_softmax_regression,
)

# The networks, and how many arrows of weights and of biases each has.
NETWORKS = {
    draw_softmax_regression: (4 * 3, 3),
    draw_multilayer_perceptron: (4 * 4 + 4 * 4 + 4 * 3, 4 + 4 + 3),
    draw_lenet: (2 * 2, 2),
}
PAGE = 400  # CSS pixels: the width at which everything must still be readable


def texts(figure):
    return [text for text in figure.axes[0].texts if text.get_text()]


def words(figure):
    return [text.get_text().strip().replace("−", "-") for text in texts(figure)]


def patches(figure, kind):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, kind)]


def tagged(artists, gid):
    return [artist for artist in artists if artist.get_gid() == gid]


def arrows(figure, *kinds):
    """Tail and tip of every arrow of these kinds."""
    drawn = [a for kind in kinds for a in tagged(figure.axes[0].texts, kind)]
    return [(np.array(a.xyann), np.array(a.xy)) for a in drawn]


def unit_at(figure, point):
    """The one unit on whose rim a point lies."""
    [unit] = [
        unit
        for unit in patches(figure, Circle)
        if abs(np.hypot(*(point - unit.center)) - unit.radius) < 1e-9
    ]
    return unit


def distance_to_segment(point, start, end):
    along = (point - start) @ (end - start) / ((end - start) @ (end - start))
    return np.hypot(*(start + np.clip(along, 0, 1) * (end - start) - point))


def laid_out(figure):
    figure.draw_without_rendering()  # or each text's box costs a canvas of its own
    return figure


@pytest.fixture(params=[*NETWORKS, draw_convolution, draw_pooling])
def draw(request):
    return request.param


def test_the_same_white_picture_every_time_whatever_the_readers_style(draw):
    def png():
        with io.BytesIO() as buffer:
            draw().savefig(buffer, format="png")
            return buffer.getvalue()

    plt.close("all")
    before, expected = dict(plt.rcParams), png()
    with plt.rc_context({"font.family": "serif", "text.color": "red", "font.size": 30}):
        assert png() == expected
    assert dict(plt.rcParams) == before
    assert plt.get_fignums() == []  # pyplot does not show it again
    pixels = np.asarray(Image.open(io.BytesIO(expected)).convert("RGB"))
    for side in pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]:
        assert (side == 255).all()


def test_texts_are_legible_at_400_pixels_and_nothing_runs_through_them(draw):
    figure = laid_out(draw())
    assert_apart(figure)
    scale, data = PAGE / figure.bbox.width, figure.axes[0].transData
    steps = np.linspace(0, 1, 200)[:, None]
    lines = arrows(figure, "weight", "bias", "flow")
    paths = [data.transform(start + steps * (end - start)) for start, end in lines]
    for text in texts(figure):
        box = text.get_window_extent()
        assert scale * min(box.width, box.height) >= 9 or len(text.get_text()) == 1
        em = text.get_fontsize() / 72 * figure.dpi * scale
        # Mathtext sets a subscript at 0.7 of the size.
        assert em * (0.7 if "_" in text.get_text() else 1) >= 9, text
        assert not any(box.contains(*point) for path in paths for point in path), text


def assert_apart(figure):
    """Check that texts neither overlap nor leave the figure."""
    boxes = {text: text.get_window_extent() for text in texts(figure)}
    for text, box in boxes.items():
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width, text
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height, text
    for a, b in combinations(boxes, 2):
        # Glyphs of two lines may come as near as the lines' spacing: shrink by a pixel.
        assert not boxes[a].padded(-1).overlaps(boxes[b].padded(-1)), (a, b)


@pytest.mark.parametrize("draw", NETWORKS)
def test_every_unit_is_joined_to_every_unit_of_the_next_layer(draw):
    figure = draw()
    label = {text.get_position(): text.get_text() for text in texts(figure)}
    looks = set()
    for kind, count in zip(("weight", "bias"), NETWORKS[draw], strict=True):
        lines = arrows(figure, kind)
        joined = [(unit_at(figure, a), unit_at(figure, b)) for a, b in lines]
        assert len({*joined}) == len(joined) == count
        for (source, target), line in zip(joined, lines, strict=True):
            assert (label.get(source.center) == "$+1$") == (kind == "bias")
            assert label.get(target.center) != "$+1$"
            for unit in {*patches(figure, Circle)} - {source, target}:
                gap = distance_to_segment(np.array(unit.center), *line)
                assert gap > unit.radius + 0.01
        for drawn in tagged(figure.axes[0].texts, kind):
            red, _, blue, _ = drawn.arrow_patch.get_edgecolor()
            dashed = drawn.arrow_patch.get_linestyle() not in ("-", "solid")
            looks.add((kind, red < blue, dashed))
    assert looks == {("weight", True, False), ("bias", False, True)}


@pytest.mark.parametrize("draw", NETWORKS)
def test_the_flow_enters_and_leaves_the_softmax_block(draw):
    figure = draw()
    [block] = patches(figure, FancyBboxPatch)
    left, right = block.get_x(), block.get_x() + block.get_width()
    entering = [a for a in arrows(figure, "flow") if np.isclose(a[1][0], left)]
    leaving = [a for a in arrows(figure, "flow") if np.isclose(a[0][0], right)]
    assert len(entering) == len(leaving) >= 2
    units = [unit_at(figure, a) for a, _ in entering]
    units += [unit_at(figure, b) for _, b in leaving]
    assert len({*units}) == 2 * len(entering)
    for y in (point[1] for a in entering + leaving for point in a):
        assert block.get_y() < y < block.get_y() + block.get_height()


@pytest.mark.parametrize(
    "draw, layers", [(draw_softmax_regression, 1), (draw_multilayer_perceptron, 3)]
)
def test_names_point_at_one_arrow_of_their_kind(draw, layers):
    figure, kinds = draw(), Counter()
    for pointer in tagged(figure.axes[0].lines, "name"):
        top, tip = pointer.get_xydata()
        (first, kind), (second, _), *_ = sorted(
            (distance_to_segment(tip, *arrow), kind)
            for kind in ("weight", "bias")
            for arrow in arrows(figure, kind)
        )
        assert first < 1e-9 and second > 0.08
        name = min(texts(figure), key=lambda t: np.hypot(*(t.get_position() - top)))
        assert name.get_color() == pointer.get_color()
        assert ("W" in name.get_text()) == (kind == "weight")
        kinds[kind] += 1
    assert kinds == {"weight": layers, "bias": layers}


def test_networks_have_their_headings_units_and_counts():
    shown = words(draw_softmax_regression())
    labels = "x_0 x_1 x_2 x_{783} +1 z_0 z_1 z_9 y_0 y_1 y_9".split()
    headings = ["input layer $X$", "logits $Z$", "(before softmax)", "softmax"]
    headings += ["output $Y$", "weights $W$", "biases $b$"]
    assert {*headings, *(f"${label}$" for label in labels)} <= {*shown}
    shown = words(draw_multilayer_perceptron())
    counts = [text for text in shown if re.match(r"\d", text)]
    assert counts == ["784", "128, ReLU", "64, ReLU", "10", "10"]
    assert shown.count("softmax") == 1


def test_lenet_shows_the_shapes_and_parameters_of_the_network():
    shown, learning, x = words(draw_lenet()), [], torch.zeros(1, 1, 28, 28)
    for layer in LeNet():
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            assert f"{x.shape[1]} maps, {x.shape[2]}×{x.shape[3]}" in shown
        if isinstance(layer, nn.Flatten):
            assert {f"to {x.shape[1]}", f"$h_{{{x.shape[1] - 1}}}$"} <= {*shown}
        if parameters := [p.numel() for p in layer.parameters()]:
            learning += f"{parameters[0]:,} weights", f"+ {parameters[1]} biases"
    assert {"image, 28×28", f"{x.shape[1]} logits", "fully connected"} <= {*shown}
    assert [text for text in shown if re.search("weights|biases", text)] == learning


def maps(figure, gid):
    """Corners of every map, field or output, clockwise from the upper left."""
    return [p.get_xy()[:4] for p in tagged(figure.axes[0].patches, gid)]


def test_lenet_draws_every_map_to_scale():
    figure = draw_lenet()
    # The last maps of a row come again, twice as large, at the start of the next one.
    for side, pixels in {
        **{28: [0.045], 24: [0.045] * 20, 8: [0.09] * 50},
        **{12: [0.045] * 20 + [0.09] * 20, 4: [0.09] * 50 + [0.18] * 50},
    }.items():
        drawn = [np.ptp(p[:, 0]) / side for p in maps(figure, f"map {side}")]
        assert drawn == pytest.approx(pixels)


def test_lenet_joins_an_output_to_exactly_the_pixels_that_it_sees():
    """Autograd is the oracle: the pixels whose gradient is not zero."""
    figure, average = draw_lenet(), nn.AvgPool2d(2)  # sees what max pooling looks at
    first, second = (layer for layer in LeNet() if isinstance(layer, nn.Conv2d))
    fields = {kind: maps(figure, f"field {kind}") for kind in ("weight", "flow")}
    outputs = maps(figure, "output")

    def square(corners, side, front):
        """Row, column and size, in pixels of the map in front."""
        corner = maps(figure, f"map {side}")[front]
        pixel = np.ptp(maps(figure, f"map {side}")[front][:, 0]) / side
        col, up = (corners[0] - corner[0]) / pixel
        return np.array([-up, col, np.ptp(corners[:, 0]) / pixel])

    for i, (layer, kind, side, front, out_side, out_front) in enumerate(
        [
            (first, "weight", 28, 0, 24, 19),
            (average, "flow", 24, 19, 12, 19),
            (second, "weight", 12, 39, 8, 49),
            (average, "flow", 8, 49, 4, 49),
        ]
    ):
        output = square(outputs[i], out_side, out_front)
        row, col, size = output.round().astype(int)
        assert output == pytest.approx([row, col, 1]) and size == 1
        pixels = torch.zeros(1, getattr(layer, "in_channels", 1), side, side)
        layer(pixels.requires_grad_())[0, 0, row, col].backward()
        seen = pixels.grad[0].abs().sum(0).nonzero().numpy()
        expected = [*seen.min(0), np.ptp(seen[:, 0]) + 1]
        field = square(fields[kind][i // 2], side, front)
        assert field == pytest.approx(expected, abs=1e-9)


def test_pooling_shows_the_numbers_that_torch_gives():
    figure = draw_pooling()
    numbers = {t.get_position(): t for t in texts(figure) if t.get_text().isdigit()}
    by_row = sorted(numbers, key=lambda at: (at[0] > 3, round(-at[1], 6), at[0]))
    values = [int(numbers[at].get_text()) for at in by_row]
    pooled = F.max_pool2d(torch.tensor(POOLED[None]).float(), 2)
    assert values == [*POOLED.flat, *pooled.flatten()]
    rims = {
        unit.center: unit.get_edgecolor()[3] > 0 for unit in patches(figure, Circle)
    }
    circled = [int(numbers[at].get_text()) for at in by_row if rims[at]]
    assert circled == [6, 8, 3, 4, 6, 8, 3, 4]
    fills = tagged(figure.axes[0].patches, "fill")  # told apart without colour
    hatches = Counter(fill.get_hatch() for fill in fills)
    assert len(hatches) == 4 and {*hatches.values()} == {2}


# The 18 outputs of the source chapter's Fig. 4.
FIG4 = [[[2, -2, -1], [2, -3, -3], [2, -1, -2]], [[-2, 4, -1], [3, 3, 0], [-2, 2, -1]]]


def table(figure, look):
    """Every number drawn with a look, from the top down and then to the right."""
    drawn = tagged(texts(figure), look)
    drawn.sort(key=lambda t: (-round(t.get_position()[1], 6), t.get_position()[0]))
    return [int(t.get_text().replace("−", "-")) for t in drawn]


def test_convolution_shows_the_numbers_that_torch_gives():
    x, w, b = (torch.tensor(array).float() for array in CONVOLVED[:3])
    y = F.conv2d(x, w, b, CONVOLVED.stride, CONVOLVED.padding)
    assert y.tolist() == FIG4 == CONVOLVED.output.tolist()
    figure = draw_convolution()
    for k in (0, 1):
        assert table(figure, f"map {k}") == [*y[k].flatten()]
        assert table(figure, f"kernel {k}") == [*w[k].flatten()]
    assert table(figure, "input") == [*x.flatten()]
    assert table(figure, "padding") == [0] * (7 * 7 - 5 * 5) * 3
    biases = [text for text in words(figure) if "bias" in text]
    assert [int(text.split("+")[1]) for text in biases] == CONVOLVED.b.tolist()
    # The rims drawn thick: a window in each slice, and its output in each map.
    framed = []
    for rim in tagged(figure.axes[0].patches, "window"):
        path = rim.get_path().transformed(rim.get_patch_transform())
        inside = [t for t in texts(figure) if path.contains_point(t.get_position())]
        framed.append([int(t.get_text().replace("−", "-")) for t in inside])
    windows = F.pad(x, (1, 1, 1, 1))[:, 2:5, 4:7].flatten(1)
    assert framed == [*windows.tolist(), [-3], [0]]
    # Its parts are told apart without colour.
    filled = [p for p in figure.axes[0].patches if p.get_linewidth() == 0]
    hatch = {p.get_gid(): p.get_hatch() for p in filled}
    assert hatch["padding"] and not hatch["input"]
    assert not hatch["kernel 0"] and not hatch["map 0"]
    assert hatch["kernel 1"] == hatch["map 1"] != hatch["padding"]


@pytest.mark.parametrize("at", [*product(range(3), range(3))])
def test_convolution_spells_out_any_output(at):
    """The products drawn add up, by slice and with the bias, to the output named."""
    figure = laid_out(draw_convolution(np.int64(at[0]), torch.tensor(at[1])))
    assert_apart(figure)
    products = np.array(table(figure, "products")).reshape(3, 2, 3, 3)
    assert table(figure, "sum") == products.sum((2, 3)).flatten().tolist()
    shown = words(figure)
    for k, y in enumerate(np.array(FIG4)[:, *at]):
        slices = products[:, k].sum((1, 2))
        assert slices.sum() + CONVOLVED.b[k] == y
        line = shown[shown.index(f"y[{k}, {at[0]}, {at[1]}] = {y}") - 2]
        terms = re.findall(r"[+-]?\d+", line.replace(" ", ""))
        assert [int(term) for term in terms] == slices.tolist()


@pytest.mark.parametrize(
    "at", [(5, 0), (0, 3), (-1, 0), (1.5, 0), ("1", 0), (0, None), (0, [1])]
)
def test_there_are_no_other_outputs_of_the_convolution(at):
    with pytest.raises(ValueError, match=r"^(row|column)[^\n]+$"):
        draw_convolution(*at)
