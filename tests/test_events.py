"""Events from plain numbers, and the history of a training run."""

import math
import sys

import pytest
import torch
from trainers import Dropping, make

from mnist_lesson import (
    CostLogger,
    CostPlotter,
    EndEpoch,
    EndIteration,
    Evaluation,
    History,
)


def history(*costs):
    judged = [None if cost is None else Evaluation(cost, 0.9) for cost in costs]
    return History(EndEpoch(i, i, Evaluation(1, 0), e) for i, e in enumerate(judged))


def test_events_may_be_made_from_plain_numbers():
    event = EndIteration(0, 100, 100, 0.5, torch.tensor(0.25))
    assert (event.cost, event.accuracy) == (0.5, 0.25)
    event = EndIteration(0, 100, 100, lambda: torch.tensor(0.5), lambda: 1)
    assert (event.cost, event.accuracy) == (0.5, 1.0)
    assert isinstance(event.accuracy, float)
    # What event_handler=print shows reads nothing from the device.
    event = EndIteration(1, 2, 3, lambda: 1 / 0, lambda: 1 / 0)
    assert repr(event) == "EndIteration(epoch=1, batch=2, step=3)"


@pytest.mark.parametrize(
    ("costs", "best"),
    [
        ((0.5, 0.2, 0.3, 0.2), 1),
        ((math.nan, 0.5, 0.2, math.nan), 2),
        ((math.inf, 1), 1),
    ],
)
def test_the_best_epoch(costs, best):
    whole = history(*costs)
    assert whole.best is whole[best] is whole[1:].best
    assert isinstance(whole[1:], History) and whole[-1] is whole[1:][-1]
    assert list(whole[::-1]) == [*reversed(whole)]


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ((), "without a validation cost for each: give fit some validation digits"),
        ((None,), "without a validation cost"),
        ((0.5, None), "without a validation cost"),
        ((math.nan, math.nan), "no validation cost is a number"),
    ],
)
def test_there_is_no_best_epoch(costs, message):
    with pytest.raises(ValueError, match=message):
        _ = history(*costs).best


class Log(list):
    """A list that listens: it is one handler, not a list of none."""

    def __call__(self, event):
        self.append(event)


def test_a_handler_may_be_a_list_and_leave_one(few):
    log, rest = Log(), Log()
    make().fit(few, epochs=1, batch_size=150, event_handler=log)
    assert len(log) == 3

    def once(event):
        handlers.remove(once)

    handlers = [once, rest]
    make().fit(few, epochs=1, batch_size=150, event_handler=handlers)
    assert handlers == [rest] and len(rest) == 3  # the first event came to it, too


def test_a_handler_may_put_the_model_into_evaluation_mode(few):
    """To look at its answers; the next step learns as if it had not."""
    quiet, asked, modes = make(Dropping), make(Dropping), []

    def look(event):
        modes.append(asked.model.training)
        asked.model.eval()

    expected = quiet.fit(few, few, epochs=2)
    assert asked.fit(few, few, epochs=2, event_handler=look) == expected
    assert modes == 2 * [True, True, True, False]


def test_a_program_without_a_console_may_log(few, monkeypatch):
    """As under Windows' pythonw: there is no standard output."""
    monkeypatch.setattr(sys, "stdout", None)
    listening = [CostLogger(), CostPlotter()]
    assert len(make().fit(few, few, epochs=1, event_handler=listening)) == 1
