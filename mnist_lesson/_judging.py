"""Judge a learner's function: the same numbers as a mistake's are that mistake.

Whatever the function does, there is a verdict, and no error of our own.
"""

import contextlib
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ._values import to_array, to_tensor

# What a learner hands over: a function, it is hoped, of the right arguments.
Function = Callable[..., Any]


@dataclass(frozen=True, repr=False)
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
    """A right function, the arguments that it is tried on, and what goes wrong.

    Parameters
    ----------
    right
        The function that is asked for.
    cases
        Arguments to try; enough of them to tell all mistakes apart.
    mistakes
        By its hint, a function with this mistake.
    extremes
        By its hint, arguments for which only a careful function is right.
    errors
        By a word in the message of an error, what causes it.
    parts
        The names of what the function gives back, if that is more than one tensor.
    """

    right: Function
    cases: Sequence[tuple[Any, ...]]
    mistakes: Mapping[str, Function]
    extremes: Mapping[str, tuple[Any, ...]]
    errors: Mapping[str, str]
    parts: Sequence[str]

    def judge(self, function: Function) -> None:
        """Raise a hint unless a function is right in all cases."""
        rights = [self.expected(self.right, case) for case in self.cases]
        answers = [
            self.answer(function, case, right.shape)
            for case, right in zip(self.cases, rights, strict=True)
        ]
        # Of numbers that are not precise, more than one candidate may be near enough.
        candidates = {"": rights} | {
            hint: [self.expected(mistake, case) for case in self.cases]
            for hint, mistake in self.mistakes.items()
        }
        distances = {
            hint: sum(map(_distance, answers, expected))
            for hint, expected in candidates.items()
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
        if nearest := min(distances, key=distances.__getitem__):
            raise Mistake(nearest)
        for hint, case in self.extremes.items():
            right = self.expected(self.right, case)
            try:
                answer = self.answer(function, case, right.shape)
            except Mistake as mistake:
                raise Mistake(hint) from mistake
            if not _alike(answer, right):
                raise Mistake(hint)

    def expected(self, function: Function, case: tuple[Any, ...]) -> torch.Tensor:
        """Call one of our own functions; several tensors are stacked."""
        answer = function(*map(_copy, case))
        return torch.stack(answer) if self.parts else _numbers(answer)

    def answer(
        self, function: Function, case: tuple[Any, ...], shape: torch.Size
    ) -> torch.Tensor:
        """Call a learner's function; whatever goes wrong becomes a hint.

        One number alone is taken in any brackets where the right shape is ().
        """
        try:
            answer = _run(function, *case)
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
        """Stack what a function gives back in parts, each of the same shape."""
        if isinstance(answer, torch.Tensor | np.ndarray):
            whole = _numbers(answer)
            given = [*whole] if whole.shape == (len(self.parts), *shape) else []
        else:
            given = [*answer] if isinstance(answer, tuple | list) else []
        if len(given) != len(self.parts) or not all(
            isinstance(part, torch.Tensor | np.ndarray) or _numbers(part).shape == shape
            for part in given
        ):
            raise Mistake(
                f"your function gives a {type(answer).__name__}, not two tensors, the "
                f"new {' and the new '.join(self.parts)}; return "
                f"{', '.join(self.parts)}"
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
    praise: str,
    cases: Sequence[tuple[Any, ...]],
    mistakes: Mapping[str, Function],
    *,
    extremes: Mapping[str, tuple[Any, ...]] | None = None,
    errors: Mapping[str, str] | None = None,
    parts: Sequence[str] = (),
) -> Callable[[Function], Callable[[Function], Verdict]]:
    """Make the check of an exercise from its right function."""

    def decorate(right: Function) -> Callable[[Function], Verdict]:
        this = Exercise(right, cases, mistakes, extremes or {}, errors or {}, parts)

        def check(function: Function) -> Verdict:
            try:
                with _usual_settings():
                    this.judge(function)
            except Mistake as mistake:
                return Verdict(False, f"Not yet: {mistake}.")
            return Verdict(True, f"Right: {praise}.")

        EXERCISES[right.__name__] = this
        check.__name__ = check.__qualname__ = right.__name__
        check.__doc__ = right.__doc__
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


def _run(function: Function, *arguments: Any) -> Any:
    """Call a learner's function; whatever goes wrong becomes a hint."""
    if not callable(function):
        raise Mistake(
            "hand over the function itself, its name without parentheses, "
            f"not a {type(function).__name__}"
        )
    if isinstance(function, type):
        raise Mistake(f"hand over a function, not the class {function.__name__}")
    try:
        answer = function(*map(_copy, arguments))
    except KeyboardInterrupt:  # from who waits, not from the function
        raise
    except BaseException as error:
        try:
            # Some work on arrays only, or on tensors only: right is right.
            answer = function(*map(_translate, arguments))
        except KeyboardInterrupt:
            raise
        except BaseException:
            raise Mistake(f"your function raised {_told(error)}") from error
    if answer is None:
        raise Mistake("your function gives nothing back; let it end in return")
    return answer


def _copy(argument: Any) -> Any:
    """Copy: a function that changes its arguments must not spoil the comparison."""
    if isinstance(argument, torch.Tensor):
        return argument.clone()
    return argument.copy() if isinstance(argument, np.ndarray) else argument


def _translate(argument: Any) -> Any:
    """Copy a tensor as an array, and an array as a tensor."""
    argument = _copy(argument)
    if isinstance(argument, torch.Tensor):
        return argument.numpy()
    return torch.from_numpy(argument) if isinstance(argument, np.ndarray) else argument


def _told(error: BaseException) -> str:
    """Give an error's name and message, on one line; even that may fail."""
    try:
        message = textwrap.shorten(str(error), 300, placeholder=" …").rstrip(".")
    except Exception:
        message = ""
    return f"{type(error).__name__}: {message}".removesuffix(": ")


def _numbers(answer: Any) -> torch.Tensor:
    """Turn what a function gave back into a tensor on the CPU, or say why not.

    Its type stays as it is: it tells how precise the numbers are.
    """
    kind = f"your function gives a {type(answer).__name__}"
    if isinstance(answer, torch.Tensor) and answer.is_meta:
        raise Mistake(f'{kind} on the device "meta", where there are no numbers')
    try:
        if not isinstance(answer, torch.Tensor):
            answer = to_array(answer)
            if answer.dtype.kind not in "biufOc":  # text, say
                raise TypeError
            if answer.dtype.kind == "O":  # fractions, say
                answer = np.vectorize(float, [np.float64])(answer)
            elif answer.dtype.kind != "c" and answer.dtype != np.float16:
                answer = answer.astype(np.float64)
        numbers = to_tensor(answer).cpu()
        numbers.reshape(numbers.shape)  # a nested tensor has none
    except Exception as error:
        raise Mistake(f"{kind}, not numbers") from error
    if numbers.is_complex():
        raise Mistake(f"{kind} of complex numbers; give real ones")
    return numbers if numbers.is_floating_point() else numbers.double()


def _distance(answer: torch.Tensor, candidate: torch.Tensor) -> float:
    return float((answer.double() - candidate.double()).norm())


def _alike(answer: torch.Tensor, candidate: torch.Tensor) -> bool:
    """Tell whether numbers agree, as far as their type is precise."""
    near = max(1e-5, 4 * torch.finfo(answer.dtype).eps)
    return answer.shape == candidate.shape and torch.allclose(
        answer.double(), candidate.double(), rtol=near, atol=near
    )
