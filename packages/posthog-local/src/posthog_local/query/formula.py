"""Formulas over the series of a trend: `A / B * 100`, where A is the first series.

Owns the grammar and the arithmetic. What is divided by nothing is 0, as at PostHog. Pure.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Sequence

from posthog_local.query.refusal import QueryRefused

_MAX_CHARACTERS = 500
_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


class Formula:
    """A formula over so many series; `QueryRefused` names what in it is not understood."""

    def __init__(self, text: str, series: int) -> None:
        self.text = text
        self._series = series
        try:
            if len(text) > _MAX_CHARACTERS:
                raise SyntaxError(f"it is longer than {_MAX_CHARACTERS} characters")
            self._root = ast.parse(text.strip().upper(), mode="eval").body
            self.of([1.0] * series)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise QueryRefused(f"the formula {text[:_MAX_CHARACTERS]!r}: {error}") from None

    def of(self, values: Sequence[float]) -> float:
        """Its value, where each series has these.

        >>> Formula("(A + B) / 2", 2).of([3, 5])
        4.0
        """
        try:
            found = self._value(self._root, values)
            return found if math.isfinite(found) else 0.0
        except (ZeroDivisionError, OverflowError, TypeError):
            return 0.0

    def _value(self, node: ast.expr, values: Sequence[float]) -> float:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return float(number)
            case ast.Name(id=name) if len(name) == 1 and "A" <= name <= "Z":
                at = ord(name) - ord("A")
                if at >= self._series:
                    raise ValueError(f"there is no series {name}; there are {self._series}")
                return float(values[at])
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -self._value(inner, values)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                return _OPERATIONS[type(op)](self._value(left, values), self._value(right, values))
        raise ValueError("it takes letters of series, numbers, + - * / % ** and brackets")
