"""What LeNet's figure computes of a digit: maps, cells, evidence; beside PyTorch."""

import base64

import numpy as np
import pytest
import torch
from test_lab_models import judged  # noqa: F401

from mnist_lesson import to_input

# The layers whose outputs the figure shows, as it names them.
LAYERS = {
    "First convolution": 0,
    "First pooling": 2,
    "Second convolution": 3,
    "Second pooling": 5,
}
LOAD = """async () => {
    const [parts, figure] = await Promise.all(["models", "lenet"].map(lab.load));
    const model = parts.model("LeNet");
    const stages = (text) => figure.stagesOf(model, lab.toInput(lab.bytes(text)));
    Object.assign(window, { figure, model, stages });
}"""
# All five layers of each digit, one after the other, as bytes.
ALL_MAPS = """(texts) => texts.map((text) => {
    const all = stages(text).slice(1).flatMap(({ values }) => [...values]);
    const bytes = new Uint8Array(new Float32Array(all).buffer);
    let letters = "";
    for (let at = 0; at < bytes.length; at += 8192) {
        letters += String.fromCharCode(...bytes.subarray(at, at + 8192));
    }
    return btoa(letters);
})"""
UNITS = """([text, places]) => {
  const made = stages(text);
  return places.map((place) => {
    const { window: seen, slices, value } = figure.unit(model, made, place);
    const { side, values } = made[place.layer];
    const own = values[(place.map * side + place.row) * side + place.column];
    return { value, own, fields: figure.fields(place),
        window: seen ?? slices.map((slice) => slice.window),
        kernels: slices?.map((slice) => slice.kernel),
        sums: slices?.map((slice) => slice.sum) };
  });
}"""
EVIDENCE = """([[text, empty], pairs]) => {
  const [made, blank] = [text, empty].map(stages);
  return pairs.map(([a, b]) => {
    const { shares, cells, page, order } =
        figure.evidence(model, made, blank, a, b);
    return { shares, cells: [...cells], page, order };
  });
}"""


def packed(image):
    return base64.b64encode(np.ascontiguousarray(image, np.uint8)).decode()


def outputs(model, images):
    """Give what each of PyTorch's layers makes of grey levels."""
    x, found = to_input(images), []
    with torch.no_grad():
        for layer in model:
            x = layer(x)
            found.append(x)
    return found


@pytest.fixture
def parts(lab):
    """A page that has loaded what the figure computes with."""
    page = lab("nothing", wait=False)
    page.evaluate(LOAD)
    return page


def test_every_map_is_pytorchs(parts, lenet, judged):  # noqa: F811
    """All five layers of the first 500 test digits."""
    for start in range(0, 500, 100):
        images = judged.images[start : start + 100]
        texts = parts.evaluate(ALL_MAPS, [packed(image) for image in images])
        found = np.array([np.frombuffer(base64.b64decode(t), "<f4") for t in texts])
        layers = outputs(lenet, images)
        expected = [layers[n].flatten(1) for n in (*LAYERS.values(), -1)]
        assert found.shape == (len(images), 11_520 + 2_880 + 3_200 + 800 + 10)
        assert np.abs(found - torch.cat(expected, dim=1).numpy()).max() < 1e-4


def test_a_cell_is_the_sum_of_its_parts(parts, lenet, examples):
    """In the corners, at the borders and within, on each layer."""
    places = [
        {"layer": layer, "map": map, "row": row, "column": column}
        for layer, maps, side in [(1, 20, 24), (2, 20, 12), (3, 50, 8), (4, 50, 4)]
        for map in (0, maps // 3, maps - 1)
        for row in (0, side // 2, side - 1)
        for column in (0, side // 3, side - 1)
    ]
    for image in examples[[7, 15]]:
        layers = outputs(lenet, image[None])
        before = [to_input(image[None]), *(layers[n] for n in LAYERS.values())]
        units = parts.evaluate(UNITS, [packed(image), places])
        for place, unit in zip(places, units, strict=True):
            layer, map, row, column = place.values()
            expected = before[layer][0, map, row, column].item()
            assert unit["own"] == pytest.approx(expected, abs=1e-4)
            assert unit["value"] == pytest.approx(unit["own"], abs=1e-4)
            if layer % 2:
                window = before[layer - 1][0, :, row : row + 5, column : column + 5]
                kernel = lenet[[*LAYERS.values()][layer - 1]].weight[map]
                assert np.shape(unit["window"]) == (len(window), 25)
                sums = (window * kernel).sum((1, 2)).detach().numpy()
                assert np.abs(unit["sums"] - sums).max() < 1e-4
                kernels = np.reshape(unit["kernels"], kernel.shape)
                assert (kernels == kernel.detach().numpy()).all()
            else:
                rows = slice(2 * row, 2 * row + 2)
                columns = slice(2 * column, 2 * column + 2)
                window = before[layer - 1][0, map : map + 1, rows, columns]
            found = np.reshape(unit["window"], window.shape)
            assert np.abs(found - window.numpy()).max() < 1e-4


def test_a_cell_sees_what_it_depends_on(parts, lenet, examples):
    """A row or column of NaN spoils those cells, and no others, that look at it."""
    rows = np.arange(28)
    x = torch.zeros(56, 1, 28, 28)
    x[rows, 0, rows] = torch.nan
    x[28 + rows, 0, :, rows] = torch.nan
    spoiled = []
    for layer in lenet[:6]:
        x = layer(x).detach()
        spoiled.append(x[:, 0].isnan().numpy())
    places = [
        {"layer": layer, "map": 0, "row": row, "column": side - 1 - row // 2}
        for layer, side in [(1, 24), (2, 12), (3, 8), (4, 4)]
        for row in range(side)
    ]
    units = parts.evaluate(UNITS, [packed(examples[0]), places])
    for place, unit in zip(places, units, strict=True):
        seen = spoiled[[*LAYERS.values()][place["layer"] - 1]]
        seen = seen[:, place["row"], place["column"]].reshape(2, 28)
        square = unit["fields"][0]
        for name, along in zip(("row", "column"), seen, strict=True):
            first = square[name]
            assert np.flatnonzero(along).tolist() == [
                *range(first, first + square["size"])
            ]


def test_the_evidence_adds_up_to_the_difference_of_the_scores(parts, lenet, examples):
    pairs = [*([a, (a + 3) % 10] for a in range(10)), [5, 6], [4, 4]]
    blank = np.zeros((28, 28), np.uint8)
    *_, paper, _, paper_scores = outputs(lenet, blank[None])
    weight = lenet[-1].weight.detach().numpy()
    for image in (*examples, blank):
        *_, maps, _, scores = outputs(lenet, image[None])
        found = parts.evaluate(EVIDENCE, [[packed(image), packed(blank)], pairs])
        for (a, b), said in zip(pairs, found, strict=True):
            difference = (scores[0, a] - scores[0, b]).item()
            total = said["page"] + sum(said["shares"])
            assert total == pytest.approx(difference, abs=1e-4)
            own = (paper_scores[0, a] - paper_scores[0, b]).item()
            assert said["page"] == pytest.approx(own, abs=1e-4)
            each = (weight[a] - weight[b]) * (maps - paper).flatten().numpy()
            assert np.abs(said["cells"] - each).max() < 1e-4
            shares = each.reshape(50, 16).sum(1)
            assert np.abs(said["shares"] - shares).max() < 1e-4
            ranked = np.array(said["shares"])[said["order"]]
            assert (np.diff(ranked) <= 0).all() and len({*said["order"]}) == 50
