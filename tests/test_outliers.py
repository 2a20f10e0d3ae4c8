"""Is it a digit at all?"""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import nn

from mnist_lesson import (
    LeNet,
    MultilayerPerceptron,
    Recognition,
    SoftmaxRegression,
    example_picture,
    outliers,
    recognize,
    show_recognition,
)
from mnist_lesson.outliers import FILE, make_detector, outlier_scores
from tools import make_outliers as tool
from tools.make_outliers import MIRRORED, make_outliers, store, train


def drawn(*points):
    sheet = Image.new("L", (100, 100), 255)
    ImageDraw.Draw(sheet).line(points, fill=0, width=8, joint="curve")
    return sheet


@pytest.fixture
def letters():
    """Letters that no digit resembles, of strokes that training did not draw."""
    return {
        "M": drawn((20, 85), (20, 15), (50, 50), (80, 15), (80, 85)),
        "W": drawn((10, 15), (30, 85), (50, 40), (70, 85), (90, 15)),
        "K": drawn((25, 85), (25, 15), (25, 50), (75, 15), (25, 50), (75, 85)),
        "X": drawn((20, 15), (80, 85), (50, 50), (80, 15), (20, 85)),
    }


def test_the_stored_detector_knows_digits_and_outliers(sample):
    """The sample's digits are no outliers; scribbles, letters and pairs mostly are."""
    for digits in sample.train, sample.test:
        assert (outlier_scores(digits.images) > 0).float().mean() < 0.01
    fresh = make_outliers(500, sample.test, seed=2)
    assert (outlier_scores(fresh) > 0).float().mean() > 0.75
    noise = np.random.default_rng(0).integers(0, 256, (10, 28, 28), dtype=np.uint8)
    assert (outlier_scores(noise) > 0).all()


@pytest.mark.parametrize("make", [SoftmaxRegression, MultilayerPerceptron, LeNet])
def test_recognize_tells_whatever_the_model(letters, make):
    model = make()
    for letter, sheet in letters.items():
        assert recognize(model, sheet).outlier, letter
    for name in "three", "five", "seven", "eight":
        seen = recognize(model, example_picture(name))
        assert seen.outlier is False, name
        label, probabilities, image = seen  # as before
        assert seen == Recognition(label, probabilities, image)


def test_show_recognition_says_so(letters):
    model = SoftmaxRegression()
    words = [
        show_recognition(recognize(model, picture)).axes[0].get_xlabel()
        for picture in (letters["M"], example_picture("three"))
    ]
    assert words == ["unlike any digit", ""]


def test_scores_do_not_depend_on_company_nor_on_settings(sample):
    """One at a time, in the order given; no random number is drawn on the way."""
    images = np.concatenate([sample.test.images, sample.train.images[:2]])
    state = torch.get_rng_state()
    scores = outlier_scores(images)
    assert torch.equal(torch.get_rng_state(), state)
    assert scores.dtype == torch.float32 and scores.shape == (1_002,)
    assert torch.allclose(outlier_scores(images[7])[0], scores[7], atol=1e-4)
    assert torch.allclose(outlier_scores(torch.from_numpy(images)), scores)
    with pytest.raises(ValueError, match="images must be uint8"):
        outlier_scores(images / 255)


def test_the_file_is_small_and_fits_the_network():
    assert FILE.stat().st_size < 100_000
    with np.load(FILE) as stored:
        weights = {name: torch.from_numpy(stored[name]) for name in stored}
    detector = make_detector()
    detector.load_state_dict(weights)
    kinds = {type(layer) for layer in detector}  # those that the page can compute, too
    assert kinds <= {nn.Conv2d, nn.MaxPool2d, nn.ReLU, nn.Flatten, nn.Linear}


def test_outliers_are_framed_as_digits_are(sample):
    images = make_outliers(200, sample.test)
    assert images.shape == (200, 28, 28) and images.dtype == np.uint8
    assert (images.max(axis=(1, 2)) == 255).all()
    for image in images:
        rows, columns = image.nonzero()
        # What is faint at the edge may round to no ink at all.
        assert 15 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 21
        assert np.allclose(ndimage.center_of_mass(image), 14, rtol=0, atol=0.51)
    assert np.array_equal(images, make_outliers(200, sample.test))
    assert not np.array_equal(images, make_outliers(200, sample.test, seed=1))
    assert {0, 1, 8}.isdisjoint(MIRRORED)  # mirrored, they are digits


def test_training_separates_them(sample, tmp_path, monkeypatch):
    """A little training on a few; the threshold refuses 1 in 200 digits."""
    torch.manual_seed(0)
    detector, digits = make_detector(), sample.train[:1_000]
    train(detector, digits.images, make_outliers(1_000, digits), epochs=4)
    for module in tool, outliers:
        monkeypatch.setattr(module, "FILE", tmp_path / "outliers.npz")
    store(detector, sample.test)
    outliers.load_detector.cache_clear()
    try:
        refused = (outlier_scores(sample.test.images) > 0).sum()
        found = (outlier_scores(make_outliers(300, sample.test, seed=3)) > 0).sum()
    finally:
        outliers.load_detector.cache_clear()
    assert refused == 5 and found > 15  # by chance 1 or 2
