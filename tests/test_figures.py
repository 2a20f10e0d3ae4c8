"""The diagrams: what is drawn is read back from the figures' artists."""

import io
import re
from collections import Counter
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from mnist_lesson.figures import (
    CONVOLVED,
    POOLED,
    draw_convolution,
    draw_lenet,
    draw_multilayer_perceptron,
    draw_pooling,
    draw_softmax_regression,
)

NETWORKS = [draw_softmax_regression, draw_multilayer_perceptron, draw_lenet]
DRAWINGS = [*NETWORKS, draw_convolution, draw_pooling]
PAGE = 400  # CSS pixels: the width at which everything must still be readable


def png(figure, **options):
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png", **options)
        return buffer.getvalue()


def texts(figure):
    return [text for text in figure.axes[0].texts if text.get_text()]


def words(figure):
    return [text.get_text().strip() for text in texts(figure)]


def units(figure):
    return [p for p in figure.axes[0].patches if isinstance(p, Circle)]


def arrows(figure, kind):
    """Tail and tip of every arrow of a kind."""
    return [
        (np.array(a.xyann), np.array(a.xy))
        for a in figure.axes[0].texts
        if a.get_gid() == kind
    ]


def polygons(figure, gid):
    """Corners of every map, field or output, clockwise from the upper left."""
    return [p.get_xy()[:4] for p in figure.axes[0].patches if p.get_gid() == gid]


def unit_at(figure, point):
    """The one unit on whose rim a point lies."""
    distance = [np.hypot(*(point - u.center)) - u.radius for u in units(figure)]
    on_rim = np.flatnonzero(np.abs(distance) < 1e-9)
    assert len(on_rim) == 1
    return on_rim[0]


def distance_to_segment(point, start, end):
    along = (point - start) @ (end - start) / ((end - start) @ (end - start))
    return np.hypot(*(start + np.clip(along, 0, 1) * (end - start) - point))


@pytest.fixture(params=DRAWINGS, ids=lambda draw: draw.__name__)
def draw(request):
    return request.param


@pytest.fixture
def figure(draw):
    return laid_out(draw())


def laid_out(figure):
    figure.draw_without_rendering()  # or each text's box costs a canvas of its own
    return figure


def test_it_is_a_white_figure_that_pyplot_does_not_show_again(draw):
    plt.close("all")
    figure = draw()
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == []
    pixels = np.asarray(Image.open(io.BytesIO(png(figure))).convert("RGB"))
    border = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert all((side == 255).all() for side in border)


def test_the_same_bytes_every_time_whatever_the_readers_style(draw):
    expected = png(draw())
    assert png(draw()) == expected
    before = dict(plt.rcParams)
    with plt.rc_context({"font.family": "serif", "text.color": "red", "font.size": 30}):
        assert png(draw()) == expected
    draw()
    assert dict(plt.rcParams) == before


def test_texts_neither_overlap_nor_leave_the_figure(figure):
    assert_apart(figure)


def assert_apart(figure):
    boxes = {text: text.get_window_extent() for text in texts(figure)}
    for text, box in boxes.items():
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width, text
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height, text
    for a, b in combinations(boxes, 2):
        # Glyphs of two lines may come as near as the lines' spacing: shrink by a pixel.
        assert not boxes[a].padded(-1).overlaps(boxes[b].padded(-1)), (a, b)


def test_no_arrow_runs_through_a_text(figure):
    data = figure.axes[0].transData
    lines = [a for k in ("weight", "bias", "flow") for a in arrows(figure, k)]
    for text in texts(figure):
        box = text.get_window_extent()
        for start, end in lines:
            points = data.transform(
                start + np.linspace(0, 1, 200)[:, None] * (end - start)
            )
            assert not any(box.contains(*point) for point in points), text


def test_texts_are_legible_at_400_pixels(figure):
    scale = PAGE / figure.bbox.width
    for text in texts(figure):
        box = text.get_window_extent()
        assert scale * min(box.width, box.height) >= 9 or len(text.get_text()) == 1
        em = text.get_fontsize() / 72 * figure.dpi * scale
        # Mathtext sets a subscript at 0.7 of the size.
        assert em * (0.7 if "_" in text.get_text() else 1) >= 9, text


@pytest.mark.parametrize(
    "draw, weights, biases",
    [
        (draw_softmax_regression, 4 * 3, 3),
        (draw_multilayer_perceptron, 4 * 4 + 4 * 4 + 4 * 3, 4 + 4 + 3),
        (draw_lenet, 2 * 2, 2),
    ],
)
def test_every_unit_is_joined_to_every_unit_of_the_next_layer(draw, weights, biases):
    figure = draw()
    label = {}
    for i, unit in enumerate(units(figure)):
        inside = [
            t.get_text() for t in texts(figure) if t.get_position() == unit.center
        ]
        label[i] = inside[0] if inside else "ReLU"
    for kind, count in [("weight", weights), ("bias", biases)]:
        ends = [
            (unit_at(figure, a), unit_at(figure, b)) for a, b in arrows(figure, kind)
        ]
        assert len(set(ends)) == len(ends) == count
        for source, target in ends:
            assert (label[source] == "$+1$") == (kind == "bias")
            assert label[target] != "$+1$"


@pytest.mark.parametrize("draw", NETWORKS)
def test_arrows_have_their_kinds_colour_and_dashes(figure):
    drawn = [a for a in figure.axes[0].texts if a.get_gid() in ("weight", "bias")]
    looks = {a.get_gid(): set() for a in drawn}
    for a in drawn:
        red, _, blue, _ = a.arrow_patch.get_edgecolor()
        dashed = a.arrow_patch.get_linestyle() not in ("-", "solid")
        looks[a.get_gid()].add((red < blue, dashed))
    assert looks == {"weight": {(True, False)}, "bias": {(False, True)}}


def test_the_arrow_painted_ends_where_it_should(figure):
    figure.draw_without_rendering()
    for a in figure.axes[0].texts:
        if a.get_gid() in ("weight", "bias", "flow"):
            assert a.arrow_patch.get_joinstyle() == "miter"
            path = a.arrow_patch.get_path()
            points = a.arrow_patch.get_transform().transform(path.vertices)
            for end in (a.xyann, a.xy):
                gap = np.hypot(*(points - figure.axes[0].transData.transform(end)).T)
                assert gap.min() < 0.03 * figure.dpi  # the mitre paints the rest


def test_no_arrow_runs_over_a_unit_that_it_does_not_join(figure):
    for kind in ("weight", "bias"):
        for start, end in arrows(figure, kind):
            joined = {unit_at(figure, start), unit_at(figure, end)}
            for i, unit in enumerate(units(figure)):
                if i not in joined:
                    gap = distance_to_segment(np.array(unit.center), start, end)
                    assert gap > unit.radius + 0.01


@pytest.mark.parametrize("draw", NETWORKS)
def test_the_flow_enters_and_leaves_the_softmax_block(figure):
    [block] = [p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]
    left, right = block.get_x(), block.get_x() + block.get_width()
    entering = [a for a in arrows(figure, "flow") if np.isclose(a[1][0], left)]
    leaving = [a for a in arrows(figure, "flow") if np.isclose(a[0][0], right)]
    assert len(entering) == len(leaving) >= 2
    sources = {unit_at(figure, tail) for tail, _ in entering}
    targets = {unit_at(figure, tip) for _, tip in leaving}
    assert len(sources | targets) == 2 * len(entering)
    for y in (point[1] for a in entering + leaving for point in a):
        assert block.get_y() < y < block.get_y() + block.get_height()


@pytest.mark.parametrize("draw, layers", [(DRAWINGS[0], 1), (DRAWINGS[1], 3)])
def test_names_point_at_one_arrow_of_their_kind(draw, layers):
    figure = draw()
    pointers = [line for line in figure.axes[0].lines if line.get_gid() == "name"]
    kinds = Counter()
    for pointer in pointers:
        top, tip = pointer.get_xydata()
        near = sorted(
            (distance_to_segment(tip, *arrow), kind)
            for kind in ("weight", "bias")
            for arrow in arrows(figure, kind)
        )
        assert near[0][0] < 1e-9 and near[1][0] > 0.08
        name = min(texts(figure), key=lambda t: np.hypot(*(t.get_position() - top)))
        assert name.get_color() == pointer.get_color()
        assert ("W" in name.get_text()) == (near[0][1] == "weight")
        kinds[near[0][1]] += 1
    assert kinds == {"weight": layers, "bias": layers}


def test_softmax_regression_has_its_headings_and_units():
    expected = "x_0 x_1 x_2 x_{783} +1 z_0 z_1 z_9 y_0 y_1 y_9".split()
    shown = words(draw_softmax_regression())
    assert {f"${name}$" for name in expected} <= set(shown)
    headings = ["input layer $X$", "logits $Z$", "(before softmax)", "softmax"]
    assert {*headings, "output $Y$", "weights $W$", "biases $b$"} <= set(shown)


def test_multilayer_perceptron_shows_two_relu_layers_and_the_counts_of_units():
    shown = words(draw_multilayer_perceptron())
    counts = [text for text in shown if re.match(r"\d", text)]
    assert counts == ["784", "128, ReLU", "64, ReLU", "10", "10"]
    assert shown.count("softmax") == 1


@pytest.fixture(scope="module")
def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.Sequential(nn.MaxPool2d(2), nn.ReLU()),
        nn.Conv2d(20, 50, 5),
        nn.Sequential(nn.MaxPool2d(2), nn.ReLU()),
        nn.Flatten(),
        nn.Linear(800, 10),
    )


def test_lenet_shows_the_shapes_and_parameters_of_the_network(lenet):
    shown = words(draw_lenet())
    outputs = [torch.zeros(1, 1, 28, 28)]
    for layer in lenet:
        outputs.append(layer(outputs[-1]))
    maps = [f"{o.shape[1]} maps, {o.shape[2]}×{o.shape[3]}" for o in outputs[1:5]]
    assert [text for text in shown if "×" in text and "maps" in text] == maps
    assert "image, 28×28" in shown
    assert f"to {outputs[5].shape[1]}" in shown
    assert f"$h_{{{outputs[5].shape[1] - 1}}}$" in shown
    assert f"{outputs[6].shape[1]} logits" in shown
    learning = [layer for layer in lenet if list(layer.parameters())]
    weights = [f"{layer.weight.numel():,} weights" for layer in learning]
    biases = [f"+ {layer.bias.numel():,} biases" for layer in learning]
    assert [text for text in shown if "weights" in text] == weights
    assert [text for text in shown if "biases" in text] == biases
    assert sum("fully connected" in text for text in shown) == 1


def test_lenet_draws_every_map_to_scale(lenet):
    figure = draw_lenet()
    count = {side: len(polygons(figure, f"map {side}")) for side in (28, 24, 12, 8, 4)}
    # The last maps of a row come again, twice as large, at the start of the next one.
    assert count == {28: 1, 24: 20, 12: 2 * 20, 8: 50, 4: 2 * 50}

    def pixel(side):
        return [np.ptp(p[:, 0]) / side for p in polygons(figure, f"map {side}")]

    assert pixel(28) + pixel(24) == pytest.approx([0.045] * 21)
    assert pixel(12) == pytest.approx([0.045] * 20 + [0.09] * 20)
    assert pixel(8) == pytest.approx([0.09] * 50)
    assert pixel(4) == pytest.approx([0.09] * 50 + [0.18] * 50)


def test_lenet_joins_an_output_to_exactly_the_pixels_that_it_sees(lenet):
    """Autograd is the oracle: the pixels whose gradient is not zero."""
    figure = draw_lenet()
    fields = {kind: polygons(figure, f"field {kind}") for kind in ("weight", "flow")}
    steps = [
        (lenet[0], 28, 0, 24, "weight", 0),
        (nn.AvgPool2d(2), 24, 0, 12, "flow", 0),  # sees what max pooling looks at
        (lenet[2], 12, 1, 8, "weight", 1),
        (nn.AvgPool2d(2), 8, 0, 4, "flow", 1),
    ]

    def square(corners, side, stack):
        """Row, column and size, in pixels of a stack's front map."""
        fronts = polygons(figure, f"map {side}")
        front = fronts[(stack + 1) * {28: 1, 12: 20, 4: 50}.get(side, len(fronts)) - 1]
        pixel = np.ptp(front[:, 0]) / side
        col, up = (corners[0] - front[0]) / pixel
        return np.array([-up, col, np.ptp(corners[:, 0]) / pixel])

    for step, (layer, side, stack, out_side, kind, i) in enumerate(steps):
        field = square(fields[kind][i], side, stack)
        output = square(polygons(figure, "output")[step], out_side, 0)
        np.testing.assert_allclose(output, output.round(), atol=1e-9)
        row, col, size = output.round().astype(int)
        assert size == 1
        channels = layer.in_channels if isinstance(layer, nn.Conv2d) else 1
        pixels = torch.zeros(1, channels, side, side, requires_grad=True)
        layer(pixels)[0, 0, row, col].backward()
        seen = pixels.grad[0].abs().sum(0).nonzero().numpy()
        expected = [*seen.min(0), np.ptp(seen[:, 0]) + 1]
        np.testing.assert_allclose(field, expected, atol=1e-9)


def test_pooling_shows_the_numbers_that_torch_gives():
    figure = draw_pooling()
    numbers = {t.get_position(): t for t in texts(figure) if t.get_text().isdigit()}
    by_row = sorted(numbers, key=lambda at: (at[0] > 3, round(-at[1], 6), at[0]))
    values = torch.tensor([int(numbers[at].get_text()) for at in by_row])
    x = torch.from_numpy(POOLED)
    assert torch.equal(values[:16].reshape(4, 4), x)
    pooled = F.max_pool2d(x[None].float(), 2)[0]
    assert torch.equal(values[16:].reshape(2, 2).float(), pooled)
    rims = {u.center: u.get_edgecolor()[3] > 0 for u in units(figure)}
    circled = [int(numbers[at].get_text()) for at in by_row if rims[at]]
    assert circled == [6, 8, 3, 4, 6, 8, 3, 4]


def test_pooling_tells_its_windows_apart_without_colour():
    hatches = Counter(
        p.get_hatch() for p in draw_pooling().axes[0].patches if p.get_gid() == "fill"
    )
    assert len(hatches) == 4 and set(hatches.values()) == {2}


# The 18 outputs of the source chapter's Fig. 4.
FIG4 = [[[2, -2, -1], [2, -3, -3], [2, -1, -2]], [[-2, 4, -1], [3, 3, 0], [-2, 2, -1]]]


def table(figure, look):
    """Every number drawn with a look, from the top down and then to the right."""
    drawn = [t for t in texts(figure) if t.get_gid() == look]
    drawn.sort(key=lambda t: (-round(t.get_position()[1], 6), t.get_position()[0]))
    return [int(t.get_text().replace("−", "-")) for t in drawn]


def conv2d(layer):
    x, w, b = (torch.from_numpy(a).float() for a in (layer.x, layer.w, layer.b))
    return F.conv2d(x[None], w, b, layer.stride, layer.padding)[0]


def test_convolution_shows_the_numbers_that_torch_gives():
    y = conv2d(CONVOLVED)
    assert y.tolist() == FIG4 == CONVOLVED.output.tolist()
    figure = draw_convolution()
    for k in (0, 1):
        assert table(figure, f"map {k}") == y[k].flatten().tolist()
        assert table(figure, f"kernel {k}") == CONVOLVED.w[k].flatten().tolist()
    assert table(figure, "input") == CONVOLVED.x.flatten().tolist()
    assert table(figure, "padding") == [0] * (7 * 7 - 5 * 5) * 3
    biases = [text for text in words(figure) if "bias" in text]
    assert [int(text.split("+")[1]) for text in biases] == CONVOLVED.b.tolist()


@pytest.mark.parametrize("at", [(r, c) for r in range(3) for c in range(3)])
def test_convolution_spells_out_any_output(at):
    """The products drawn add up, by slice and with the bias, to the output named."""
    figure = laid_out(draw_convolution(*at))
    assert_apart(figure)
    products = np.array(table(figure, "products")).reshape(3, 2, 3, 3)
    shown = [text.replace("−", "-") for text in words(figure)]
    assert table(figure, "sum") == products.sum((2, 3)).flatten().tolist()
    for k, y in enumerate(conv2d(CONVOLVED)):
        named = f"y[{k}, {at[0]}, {at[1]}] = {int(y[at])}"
        assert named in shown
        slices = products[:, k].sum((1, 2))
        assert slices.sum() + CONVOLVED.b[k] == y[at]
        line = shown[shown.index(named) - 2].replace(" ", "")
        assert sum(int(n) for n in re.findall(r"[+-]?\d+", line)) == slices.sum()
        assert len(re.findall(r"\d+", line)) == 3


@pytest.mark.parametrize(
    "at", [(5, 0), (0, 3), (-1, 0), (1.5, 0), ("1", 0), (0, None), (0, [1])]
)
def test_there_are_no_other_outputs_of_the_convolution(at):
    with pytest.raises(ValueError, match=r"^(row|column)[^\n]+$"):
        draw_convolution(*at)


def test_rows_and_columns_as_people_have_them():
    assert png(draw_convolution(np.int64(1), torch.tensor(2))) == png(
        draw_convolution()
    )


def test_convolution_outlines_the_window_of_the_output():
    """The rims drawn thick: a window in each slice, and its output in each map."""
    figure = draw_convolution()
    rims = [p for p in figure.axes[0].patches if p.get_gid() == "window"]
    values = [
        [t.get_text() for t in texts(figure) if rim.get_path()
         .transformed(rim.get_patch_transform()).contains_point(t.get_position())]
        for rim in rims
    ]  # fmt: skip
    padded = F.pad(torch.from_numpy(CONVOLVED.x), (1, 1, 1, 1))
    windows = padded[:, 2:5, 4:7].flatten(1).tolist()
    assert [[int(v) for v in window] for window in values[:3]] == windows
    assert [window for window in values[3:]] == [["−3"], ["0"]]


def test_convolution_tells_its_parts_apart_without_colour():
    patches = draw_convolution().axes[0].patches
    hatch = {p.get_gid(): p.get_hatch() for p in patches if p.get_linewidth() == 0}
    assert hatch["padding"] and not hatch["input"]
    assert not hatch["kernel 0"] and not hatch["map 0"]
    assert hatch["kernel 1"] == hatch["map 1"] != hatch["padding"]
