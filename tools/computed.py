"""Compute the questions that have numbers: what they ask, and what is right.

tools/questions.py reads them. What a number is computed from is drawn here, so that the
page needs no arithmetic.
"""

import ast
import itertools
import math
import operator
import random
import re
from collections.abc import Callable
from typing import Any, NamedTuple

FEWEST, MOST = 12, 16  # variants of a computed question
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{"abs": abs, "max": max, "min": min, "round": round},
    **{f.__name__: f for f in (math.ceil, math.exp, math.floor, math.log, math.sqrt)},
}
OPERATORS: dict[type, Callable[..., Any]] = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul},
    **{ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv},
    **{ast.Mod: operator.mod, ast.Pow: operator.pow},
    **{ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt},
    **{ast.LtE: operator.le, ast.Eq: operator.eq, ast.NotEq: operator.ne},
}


class Fault(Exception):
    """What is wrong with a question, and what to do about it."""


class Variant(NamedTuple):
    """A computed question with its numbers, and its answer: as a number, as shown."""

    question: str
    answer: float
    shown: str
    why: str


def evaluate(expression: str, numbers: dict[str, float]) -> float:
    """Compute an expression in these numbers; it can do nothing else."""

    def value(node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.Name(id=name) if name in numbers:
                return numbers[name]
            case ast.BinOp(op=op) if type(op) in OPERATORS:
                return OPERATORS[type(op)](value(node.left), value(node.right))
            case ast.UnaryOp(op=ast.USub()):
                return -value(node.operand)
            case ast.Compare(ops=[op], comparators=[other]) if type(op) in OPERATORS:
                return int(OPERATORS[type(op)](value(node.left), value(other)))
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
                return FUNCTIONS[name](*map(value, node.args))
        raise Fault(
            f"“{expression}” holds “{ast.unparse(node)}”, which is none of its "
            f"numbers ({', '.join(numbers)}) and nothing it may compute; see the top "
            "of 01_digits.yml"
        )

    try:
        found = value(ast.parse(expression, mode="eval").body)
        if isinstance(found, complex):
            raise ValueError("a root of a negative number")
        return found
    except SyntaxError as error:
        raise Fault(f"“{expression}” is no expression; write it as Python") from error
    except (ArithmeticError, TypeError, ValueError) as error:
        raise Fault(
            f"“{expression}” cannot be computed from {numbers} ({error}); take other "
            "numbers"
        ) from error


def shown(number: float) -> str:
    """Write a number as a text has it: 1,000, 0.25, −2."""
    near = round(number, 4)
    text = f"{int(near):,}" if near == int(near) else f"{near:g}"
    return text.replace("-", "−")


def filled(text: str, numbers: dict[str, float]) -> str:
    """Put numbers, or what is computed from them, into the braces of a text."""

    def number(brace: re.Match[str]) -> str:
        expression, _, form = brace[1].partition(":")
        found = evaluate(expression.strip(), numbers)
        try:
            return f"{found:{form}}".replace("-", "−") if form else shown(found)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise Fault(
                f"“{brace[0]}” cannot be written ({error}); see the top of "
                "01_digits.yml"
            ) from error

    return re.sub(r"\{([^{}]*)\}", number, text)


def variants(entry: dict[str, Any]) -> list[Variant]:
    """Draw numbers for a computed question, the first of each list first."""
    lists = entry["numbers"]
    if not isinstance(lists, dict) or not all(
        isinstance(given, list) and all(isinstance(n, int | float) for n in given)
        for given in lists.values()
    ):
        raise Fault("“numbers” must have a list of numbers for each letter")
    first, *rest = [
        dict(zip(lists, mixture, strict=True))
        for mixture in itertools.product(*lists.values())
    ] or [{}]
    if len(rest) + 1 < FEWEST:
        raise Fault(
            f"its numbers make {len(rest) + 1} variants; give more numbers, for at "
            f"least {FEWEST}"
        )
    random.Random(0).shuffle(rest)
    found = []
    for numbers in [first, *rest[: MOST - 1]]:
        answer = evaluate(str(entry["answer"]), numbers)
        # So that a comma in what is typed is a decimal one.
        if not abs(answer) < 1_000:
            raise Fault(f"the answer is {answer:g} for {numbers}; keep it below 1,000")
        unit = entry.get("unit", "")
        known = numbers | {"answer": answer}
        texts = [filled(entry[key], known) for key in ("question", "why")]
        digits = re.search(r"\{answer:(.*?)\}", entry["why"])
        number = filled(digits[0] if digits else "{answer}", known)
        found.append(Variant(texts[0], answer, f"{number} {unit}".strip(), texts[1]))
    return found
