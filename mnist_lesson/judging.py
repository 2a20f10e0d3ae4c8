"""Judge a learner's function: the same numbers as a mistake's are that mistake.

Whatever the function does, there is a verdict, and no error of our own.
"""

import contextlib
import copy
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .values import short, to_array, to_tensor

# What a learner hands over: a function, it is hoped, of the right arguments.
Function = Callable[..., Any]
Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: true when passed; its text is what a learner reads."""

    passed: bool
    text: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return self.text


class Mistake(Exception):
    """What is wrong with an answer, and a hint."""


@dataclass(frozen=True)
class Exercise:
    """What a function is tried on, what a right one returns, and what goes wrong.

    Parameters
    ----------
    table
        Maps arguments to {sentence: what such a function returns}: first the praise and
        the right answer, then for each mistake a hint and what it returns.
    cases
        Arguments to try; enough of them to tell all mistakes apart.
    extremes
        Maps a hint to arguments that not every function that passes the cases gets
        right.
    errors
        Maps a word in an error's message to its cause.
    parts
        The names of what the function returns, if that is more than one tensor.
    """

    table: Callable[..., dict[str, Any]]
    cases: Sequence[Arguments]
    extremes: Mapping[str, Arguments]
    errors: Mapping[str, str]
    parts: Sequence[str]

    def judge(self, function: Function) -> str:
        """Give the praise for a function that is right, or raise a hint."""
        tables = [self.expected(case) for case in self.cases]
        known = {sentence: [t[sentence] for t in tables] for sentence in tables[0]}
        praise = next(iter(known))
        rights = known[praise]
        answers = [
            self.answer(function, case, right.shape)
            for case, right in zip(self.cases, rights, strict=True)
        ]
        # Of numbers that are not precise, more than one row may be near enough.
        distances = {
            sentence: sum(map(_distance, answers, expected))
            for sentence, expected in known.items()
            if all(map(_alike, answers, expected))
        }
        if not distances:
            for answer, right in zip(answers, rights, strict=True):
                if answer.shape != right.shape:
                    raise Mistake(
                        f"the answer has shape {tuple(answer.shape)}, but should have "
                        f"{tuple(right.shape)}"
                    )
            raise Mistake(
                "the shape is right, but the numbers are not; try a case on paper"
            )
        nearest = min(distances, key=distances.__getitem__)
        if nearest != praise:
            raise Mistake(nearest)
        for hint, case in self.extremes.items():
            right = self.expected(case)[praise]
            with contextlib.suppress(Mistake):
                if _alike(self.answer(function, case, right.shape), right):
                    continue
            raise Mistake(hint)
        return praise

    def expected(self, case: Arguments) -> dict[str, torch.Tensor]:
        """Give the table's answers in a case; several tensors are stacked."""
        return {
            sentence: torch.stack(answer) if self.parts else _numbers(answer)
            for sentence, answer in self.table(*case).items()
        }

    def answer(
        self, function: Function, case: Arguments, shape: torch.Size
    ) -> torch.Tensor:
        """Call a learner's function; whatever goes wrong becomes a hint.

        One number alone is taken in any brackets where the right shape is ().
        """
        try:
            answer = _call(function, case)
        except Mistake as mistake:
            for word, cause in self.errors.items():
                if word in str(mistake):
                    raise Mistake(f"{cause}; {mistake}") from mistake
            raise
        if self.parts:
            return self.stacked(answer, shape[1:])
        numbers = _numbers(answer)
        return numbers.reshape(()) if numbers.numel() == 1 and not shape else numbers

    def stacked(self, answer: Any, shape: torch.Size) -> torch.Tensor:
        """Stack what a function returns in parts, each of the same shape."""
        given = answer if isinstance(answer, tuple | list) else []
        if isinstance(answer, torch.Tensor | np.ndarray):
            whole = _numbers(answer)
            if whole.shape == (len(self.parts), *shape):
                given = [*whole]
        if len(given) != len(self.parts) or not all(
            isinstance(part, torch.Tensor | np.ndarray) or _numbers(part).shape == shape
            for part in given
        ):
            raise Mistake(
                f"your function returns {type(answer).__name__}, not "
                f"{len(self.parts)} tensors, the new {' and the new '.join(self.parts)}"
                f"; return {', '.join(self.parts)}"
            )
        numbers = [_numbers(part) for part in given]
        for name, part in zip(self.parts, numbers, strict=True):
            if part.shape != shape:
                raise Mistake(
                    f"the {name} has shape {tuple(part.shape)}, but should have "
                    f"{tuple(shape)}, as before the step"
                )
        return torch.stack(numbers)


EXERCISES: dict[str, Exercise] = {}


def exercise(
    cases: Sequence[Arguments],
    *,
    extremes: Mapping[str, Arguments] | None = None,
    errors: Mapping[str, str] | None = None,
    parts: Sequence[str] = (),
) -> Callable[[Callable[..., dict[str, Any]]], Callable[[Function], Verdict]]:
    """Make the check of an exercise from its table; see `Exercise`."""

    def decorate(table: Callable[..., dict[str, Any]]) -> Callable[[Function], Verdict]:
        this = Exercise(table, cases, extremes or {}, errors or {}, parts)

        def check(function: Function) -> Verdict:
            try:
                with _usual_settings():
                    return Verdict(True, f"Right: {this.judge(function)}.")
            except Mistake as mistake:
                return Verdict(False, f"Not yet: {mistake}.")

        EXERCISES[table.__name__] = this
        check.__name__ = check.__qualname__ = table.__name__
        check.__doc__ = table.__doc__
        return check

    return decorate


@contextlib.contextmanager
def _usual_settings() -> Iterator[None]:
    """Compute as PyTorch does when nobody has told it otherwise."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with (
            torch.device("cpu"),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
        ):
            yield
    finally:
        torch.set_default_dtype(dtype)


def _call(function: Function, case: Arguments) -> Any:
    """Call a learner's function on copies: it may change its arguments."""
    if not callable(function):
        raise Mistake(
            "hand over the function itself, its name without parentheses, "
            f"not {short(function)}"
        )
    if isinstance(function, type):
        raise Mistake(f"hand over a function, not the class {function.__name__}")
    errors: list[BaseException] = []
    for copied in copy.deepcopy, _translated:
        try:
            answer = function(*map(copied, case))
            break
        except KeyboardInterrupt:  # from who waits, not from the function
            raise
        except BaseException as error:
            # Some work on arrays only, or on tensors only: right is right.
            errors.append(error)
    else:
        raise Mistake(f"your function raised {_told(errors[0])}")
    if answer is None:
        raise Mistake("your function returns None; end it with a return statement")
    return answer


def _translated(argument: Any) -> Any:
    """Copy a tensor as an array, and an array as a tensor."""
    if isinstance(argument, torch.Tensor):
        return argument.clone().numpy()
    return torch.tensor(argument) if isinstance(argument, np.ndarray) else argument


def _told(error: BaseException) -> str:
    """Give an error's name and message, on one line; even that may fail."""
    try:
        message = textwrap.shorten(str(error), 300, placeholder=" …").rstrip(".")
    except Exception:
        message = ""
    return f"{type(error).__name__}: {message}".removesuffix(": ")


def _numbers(answer: Any) -> torch.Tensor:
    """Turn what a function returned into a tensor on the CPU, or say why not.

    Its type stays as it is: it tells how precise the numbers are.
    """
    kind = f"your function returns {type(answer).__name__}"
    if isinstance(answer, torch.Tensor) and answer.is_meta:
        raise Mistake(f'{kind} on the device "meta", where there are no numbers')
    try:
        if not isinstance(answer, torch.Tensor):
            answer = to_array(answer)
            if answer.dtype.kind == "O":  # fractions, say
                answer = np.vectorize(float, [np.float64])(answer)
            elif answer.dtype == np.longdouble:  # PyTorch has none
                answer = answer.astype(np.float64)
        numbers = to_tensor(answer).cpu()
        numbers.reshape(numbers.shape)  # a nested tensor has none
    except Exception as error:
        raise Mistake(f"{kind}, not numbers") from error
    if numbers.is_complex():
        raise Mistake("your function returns complex numbers; return real ones")
    return numbers if numbers.is_floating_point() else numbers.double()


def _distance(answer: torch.Tensor, candidate: torch.Tensor) -> float:
    return float((answer.double() - candidate.double()).norm())


def _alike(answer: torch.Tensor, candidate: torch.Tensor) -> bool:
    """Tell whether numbers agree, as far as their type is precise."""
    near = max(1e-5, 4 * torch.finfo(answer.dtype).eps)
    return answer.shape == candidate.shape and torch.allclose(
        answer.double(), candidate.double(), rtol=near, atol=near
    )
