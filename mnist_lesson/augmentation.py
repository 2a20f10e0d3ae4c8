"""More digits out of those that we have: each is bent anew whenever it is met."""

import torch
from torch import nn

from .data import PAPER


class RandomDistortion(nn.Module):
    """Augmentation as a layer: while training, it bends each image anew, like rubber.

    The pixel at (x, y) is fetched from A (x, y) + t + d(x, y). A is the identity matrix
    with a random number added to each of its four entries, which rotates, scales and
    shears the image; t moves it; d moves every part of it a little differently. Beyond
    the image there is paper. Like dropout, it does nothing while the model is
    evaluated.

    Parameters
    ----------
    bend
        The random numbers added to A lie between this and its negative.
    shift
        The largest t to each side, in pixels.
    wobble
        The largest d to each side, in pixels, at the 5x5 points where it is drawn; it
        is interpolated between them.

    Notes
    -----
    Source: the idea of elastic distortions is from Simard, Steinkraus and Platt 2003,
    https://doi.org/10.1109/ICDAR.2003.1227801.
    """

    def __init__(self, bend: float = 0.1, shift: float = 1.0, wobble: float = 1.2):
        super().__init__()
        self.bend, self.shift, self.wobble = bend, shift, wobble

    def extra_repr(self) -> str:
        """Tell one distortion from another."""
        return f"bend={self.bend}, shift={self.shift}, wobble={self.wobble}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, S, S), square images → the same shape; interpolated between pixels."""
        if not self.training or len(x) == 0:  # one of several processes may get none
            return x

        def noise(*shape: int) -> torch.Tensor:
            return x.new_empty(len(x), *shape).uniform_(-1, 1)

        pixel = 2 / x.shape[-1]  # affine_grid counts from -1 to 1 across the image
        largest = x.new_tensor([self.bend, self.bend, pixel * self.shift])
        matrices = x.new_zeros(2, 3).fill_diagonal_(1) + largest * noise(2, 3)
        places = nn.functional.affine_grid(matrices, list(x.shape), align_corners=False)
        moves = nn.functional.interpolate(
            pixel * self.wobble * noise(2, 5, 5),
            x.shape[-2:],
            mode="bicubic",
            align_corners=True,
        )
        places = places + moves.permute(0, 2, 3, 1)
        # grid_sample fills up with 0, which is then paper.
        ink = nn.functional.grid_sample(x - PAPER, places, align_corners=False)
        return torch.empty_like(x).copy_(ink + PAPER)  # in memory in the order of x
