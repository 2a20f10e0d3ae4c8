"""Is there a digit in the picture at all? A small network has learned to tell.

A classifier chooses one of ten digits, whatever it is shown. This network has one score
in place of ten. It has seen MNIST's training digits, and drawings that are none:
scribbles, letters, shapes, two digits side by side. tools/make_outliers.py drew these,
trained the network, and moved its bias so that the score of 1 in 200 validation digits
is above 0.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .data import to_input

FILE = Path(__file__).with_name("outliers.npz")  # its weights, 16 bits each


def make_detector() -> nn.Sequential:
    """Build the network: from (N, 1, 28, 28) to scores (N, 1); not trained yet."""
    return nn.Sequential(
        nn.Conv2d(1, 12, kernel_size=5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(12, 24, kernel_size=5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 4 * 4, 32),
        nn.ReLU(),
        nn.Linear(32, 1),
    )


def outlier_scores(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Score how little images look like digits.

    Parameters
    ----------
    images
        Grey levels in MNIST's frame, uint8 (N, 28, 28) or (28, 28), as `load_digit`
        gives them.

    Returns
    -------
    torch.Tensor
        float32 (N,), on the CPU: above 0 for outliers, pictures unlike any digit.

    Raises
    ------
    ValueError
        If these are no such images.

    Notes
    -----
    Learning from examples of what is none of the classes is called outlier exposure:
    Hendrycks, Mazeika and Dietterich 2018, https://doi.org/10.48550/arXiv.1812.04606.
    """
    batches = to_input(images).cpu().split(1_000)
    with torch.inference_mode():
        return torch.cat([load_detector()(batch)[:, 0] for batch in batches])


@cache
def load_detector() -> nn.Sequential:
    """Load the trained network: from inputs (N, 1, 28, 28) to scores (N, 1)."""
    with torch.device("meta"):  # no random initial weights are drawn
        detector = make_detector()
    with np.load(FILE) as stored:
        weights = {name: torch.tensor(stored[name], device="cpu") for name in stored}
    weights = {name: numbers.float() for name, numbers in weights.items()}
    detector.load_state_dict(weights, assign=True)
    return detector.requires_grad_(False).eval()
