import math

import pytest
import torch

from mnist_lesson import (
    EndEpoch,
    EndIteration,
    Evaluation,
    History,
)


def test_events_may_be_made_from_plain_numbers():
    event = EndIteration(0, 100, 100, 0.5, torch.tensor(0.25))
    assert (event.cost, event.accuracy) == (0.5, 0.25)


def test_history_best():
    judged = [Evaluation(cost, 0.9) for cost in (0.5, 0.2, 0.3, 0.2)]
    history = History(EndEpoch(i, i, judged[0], one) for i, one in enumerate(judged))
    assert history.best is history[1]
    for useless in History(), History([EndEpoch(0, 1, judged[0], None)]):
        with pytest.raises(ValueError, match="validation"):
            _ = useless.best


def test_a_slice_of_a_history_is_one():
    judged = [Evaluation(cost, 0.9) for cost in (0.5, 0.2, 0.3)]
    history = History(EndEpoch(i, i, judged[0], one) for i, one in enumerate(judged))
    late = history[1:]
    assert isinstance(late, History) and late.best is history[1]
    assert history[-1] is late[1] and list(history[::-1]) == [*reversed(history)]


def test_the_best_of_costs_that_are_not_all_numbers():
    def of(*costs):
        return History(
            EndEpoch(i, i, Evaluation(1, 0), Evaluation(cost, 0))
            for i, cost in enumerate(costs)
        )

    assert of(math.nan, 0.5, 0.2, math.nan).best.epoch == 2
    assert of(math.inf, 0.5).best.epoch == 1
    with pytest.raises(ValueError, match="no validation cost is a number"):
        _ = of(math.nan, math.nan).best
