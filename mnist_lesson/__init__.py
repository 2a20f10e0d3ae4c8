"""The helper package of *Recognize Digits*, small enough to read in one sitting.

In reading order: `idx` reads the files, `download` fetches them, `data` scales their
pixels, `models` has the classifiers, `augmentation` bends digits like rubber, `events`
and `devices` are what is told of a training run and where it computes, `inference` asks
a model for its answers, `checkpoints` keeps what was learned, `training` teaches,
`plotting` shows how that goes, `showing` what it is about. Companions: `figures` draws
the networks, `handwriting` turns a photo into a digit like MNIST's, `checks` looks at
the solutions of exercises.
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
from .models import *  # noqa: F403
from .picture import HandwritingError, example_picture
from .plotting import CostLogger, CostPlotter
from .showing import show_digits, show_maps, show_recognition
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
    "to_input",
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
