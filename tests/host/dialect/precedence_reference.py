"""A second opinion on expressions: Python evaluates a flat list of tokens by the priority table of thrlua's
parser, without a line in common with the translator.

The law: only what both sides compute exactly alike; anything else is Unsupported, and the example is dropped.
"""

from __future__ import annotations

import math
import re
from typing import Any

Tree = tuple[Any, ...]
Value = float | bytes | bool | None

LEFT_RIGHT = {
    "or": (1, 1), "and": (2, 2),
    "<": (3, 3), ">": (3, 3), "<=": (3, 3), ">=": (3, 3), "~=": (3, 3), "!=": (3, 3), "==": (3, 3),
    "..": (5, 4),
    "+": (6, 6), "-": (6, 6), "|": (6, 6), "&": (6, 6), "^^": (6, 6),
    "*": (7, 7), "/": (7, 7), "%": (7, 7), "<<": (7, 7), ">>": (7, 7), "\\": (7, 7),
    "^": (10, 9),
}  # fmt: skip
UNARY = 8


class LuaFailure(Exception):
    """Lua raises an error here."""


class Unsupported(Exception):
    """The two sides may print or compute this differently."""


def evaluate(tokens: list[str]) -> Value:
    """The value of a complete expression."""
    rest = list(reversed(tokens))
    tree = _parse(rest, 0)
    assert not rest
    return _value(tree)


def _parse(rest: list[str], limit: int) -> Tree:
    token = rest.pop()
    if token in ("-", "~", "!", "not"):
        left: Tree = ("unary", token, _parse(rest, UNARY))
    elif token == "(":
        left = _parse(rest, 0)
        assert rest.pop() == ")"
    else:
        left = ("atom", token)
    while rest and rest[-1] != ")" and LEFT_RIGHT[rest[-1]][0] > limit:
        operator = rest.pop()
        left = ("binary", operator, left, _parse(rest, LEFT_RIGHT[operator][1]))
    return left


def _value(tree: Tree) -> Value:
    if tree[0] == "atom":
        return _atom(tree[1])
    if tree[0] == "unary":
        operand = _value(tree[2])
        if tree[1] in ("!", "not"):
            return operand is None or operand is False
        return -_number(operand) if tree[1] == "-" else _wrap(~_integer(_number(operand)))
    operator = tree[1]
    left = _value(tree[2])
    if operator in ("and", "or"):
        truthy = left is not None and left is not False
        return _value(tree[3]) if truthy == (operator == "and") else left
    return _binary(operator, left, _value(tree[3]))


def _atom(token: str) -> Value:
    if token in ("nil", "true", "false"):
        return {"nil": None, "true": True, "false": False}[token]
    if token[0] == "'":
        return token[1:-1].encode()
    if re.fullmatch("0[0-7]+", token):
        return float(int(token, 8))
    return float(int(token, 16)) if token.startswith("0x") else float(token)


def _number(value: Value) -> float:
    if isinstance(value, bytes):
        if not re.fullmatch(rb"-?[0-9.]+(e[+-][0-9]+)?", value) or re.match(rb"-?0[0-9]", value):
            if re.search(rb"inf|nan", value):
                raise Unsupported
            raise LuaFailure
        try:
            return float(value)
        except ValueError:
            raise LuaFailure from None
    if isinstance(value, float):
        return value
    raise LuaFailure


def _integer(number: float) -> int:
    if math.isnan(number) or not -(2.0**63) <= number < 2.0**63:
        return -(2**63)
    return math.trunc(number)


def _wrap(integer: int) -> float:
    return float((integer + 2**63) % 2**64 - 2**63)


def _binary(operator: str, a: Value, b: Value) -> Value:
    if operator in ("==", "~=", "!="):
        return (type(a) is type(b) and a == b) == (operator == "==")
    if operator in ("<", "<=", ">", ">="):
        if type(a) is not type(b) or not isinstance(a, float | bytes):
            raise LuaFailure
        return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]  # type: ignore[operator]
    if operator == "..":
        return _text(a) + _text(b)
    x, y = _number(a), _number(b)
    if operator in ("|", "&", "^^", "<<", ">>"):
        i, j = _integer(x), _integer(y)
        count = j % 64
        return _wrap({"|": i | j, "&": i & j, "^^": i ^ j, "<<": i << count, ">>": i >> count}[operator])
    return _arithmetic(operator, x, y)


def _arithmetic(operator: str, x: float, y: float) -> float:
    if operator == "+":
        return x + y
    if operator == "-":
        return x - y
    if operator == "*":
        return x * y
    if operator == "^":
        try:
            return math.pow(x, y)
        except (OverflowError, ValueError):
            raise Unsupported from None
    if y == 0 or math.isinf(x) or math.isinf(y):
        raise Unsupported
    quotient = x / y
    if operator == "/":
        return quotient
    if not math.isfinite(quotient):
        raise Unsupported
    return float(math.floor(quotient)) if operator == "\\" else x - math.floor(quotient) * y


def _text(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, float):
        if not math.isfinite(value) or value == 0:  # inf, nan, -0
            raise Unsupported
        return b"%.14g" % value
    raise LuaFailure
