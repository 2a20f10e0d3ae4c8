"""The helper package of *Recognize Digits*.

In reading order: idx (the file format), download, data, models, augmentation, events,
devices, inference, checkpoints, training, quick, plotting, showing. They rest on
values (what users pass in) and system (files, notebooks). Companions: picture and
handwriting (from a photo to MNIST's frame), outliers (is it a digit at all?), drawing
and figures (diagrams), judging and checks (exercises).
"""

import importlib
from typing import TYPE_CHECKING

from . import checks, models
from .augmentation import RandomDistortion
from .data import MEAN, STD, Digits, Mnist, load_mnist, to_input
from .devices import pick_device
from .download import DataError
from .events import EndEpoch, EndIteration, Evaluation, History
from .idx import IdxError, read_idx, write_idx
from .inference import Recognition, recognize
from .models import *  # noqa: F403 (a new model is exported from its own file)
from .picture import HandwritingError, example_picture
from .plotting import CostLogger, CostPlotter
from .quick import QuickNet, train_quickly
from .showing import (
    show_digits,
    show_maps,
    show_recognition,
    show_table,
    spread,
)
from .training import Trainer

__all__ = [
    "MEAN",
    "STD",
    "CostLogger",
    "CostPlotter",
    "DataError",
    "Digits",
    "EndEpoch",
    "EndIteration",
    "Evaluation",
    "HandwritingError",
    "History",
    "IdxError",
    "Mnist",
    "QuickNet",
    "RandomDistortion",
    "Recognition",
    "Trainer",
    "checks",
    "example_picture",
    "figures",
    "load_digit",
    "load_mnist",
    "pick_device",
    "read_idx",
    "recognize",
    "show_digits",
    "show_maps",
    "show_recognition",
    "show_table",
    "spread",
    "to_input",
    "train_quickly",
    "write_idx",
    *models.__all__,
]

if TYPE_CHECKING:
    from . import figures
    from .handwriting import load_digit
else:
    # They stand on Matplotlib and SciPy, which take longer to load than all else here.
    def __getattr__(name):
        """Load `figures` and `load_digit` when they are first asked for."""
        if name == "figures":
            return importlib.import_module(".figures", __name__)
        if name == "load_digit":
            return importlib.import_module(".handwriting", __name__).load_digit
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return __all__
