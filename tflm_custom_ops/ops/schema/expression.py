# SPDX-License-Identifier: Apache-2.0
"""Small integer expressions that mean the same in Python and in C.

They state limits, shapes and checks between fields once. The text is Python's: integers, names,
attributes of parts, ``+ - * // % <<``, comparisons, ``and or not`` and ``a if c else b``. Values
are 64-bit integers, ``//`` and ``%`` are of values that are not negative; both languages compute
the same, and Python raises OverflowError where C would overflow.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any, overload

_ARITHMETIC = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "/",
    ast.Mod: "%",
    ast.LShift: "<<",
}
_COMPARISONS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


@functools.cache
def parsed(text: str) -> ast.expr:
    """The syntax tree of an expression; raises ValueError for what is not one."""
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"expression: got {text!r}, expected an integer expression") from error


def _unknown(node: ast.AST) -> ValueError:
    return ValueError(f"expression: got {ast.unparse(node)!r}, which has no meaning in C")


def names(text: str) -> tuple[str, ...]:
    """Names and dotted names in an expression, e.g. ("heads", "q.up.out_min"), each once."""
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Name | ast.Attribute):
            found.append(ast.unparse(node))
            return
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(parsed(text))
    return tuple(dict.fromkeys(found))


# Fields are of 64 bits at most, and a comparison is 0 or 1.
_MAY_OVERFLOW = (ast.Constant, ast.UnaryOp, ast.BinOp)

Evaluated = Callable[[Mapping[str, Any]], int]


def evaluate(text: str, scope: Mapping[str, Any]) -> int:
    """The value of an expression; ``scope`` gives the names, parts as objects."""
    return _evaluated(text)(scope)


@functools.cache
def _evaluated(text: str) -> Evaluated:
    """The expression as functions of functions: a file has thousands of values to evaluate."""
    return _checked(parsed(text))


def _checked(node: ast.expr) -> Evaluated:
    """The node's value, in 64 bits."""
    raw = _raw(node)
    if not isinstance(node, _MAY_OVERFLOW):
        return raw

    def value(scope: Mapping[str, Any]) -> int:
        result = raw(scope)
        if -(1 << 63) <= result < 1 << 63:
            return result
        raise OverflowError(f"expression: {ast.unparse(node)} is {result}, beyond 64 bits")

    return value


def _raw(node: ast.expr) -> Evaluated:
    match node:
        case ast.Constant(value=int()):
            constant = int(node.value)  # type: ignore[arg-type]
            return lambda scope: constant
        case ast.Name(id=name):
            return lambda scope: int(scope[name])
        case ast.Attribute():
            part = _object(node)
            return lambda scope: int(part(scope))
        case ast.UnaryOp(op=ast.USub()):
            operand = _checked(node.operand)
            return lambda scope: -operand(scope)
        case ast.UnaryOp(op=ast.Not()):
            operand = _checked(node.operand)
            return lambda scope: int(not operand(scope))
        case ast.IfExp():
            test, body, other = map(_checked, (node.test, node.body, node.orelse))
            return lambda scope: body(scope) if test(scope) else other(scope)
        case ast.BoolOp():
            stop, terms = isinstance(node.op, ast.Or), tuple(map(_checked, node.values))
            return lambda scope: int(any(bool(t(scope)) is stop for t in terms) is stop)
        case ast.Compare(ops=[op]):
            a, b, compare = (*map(_checked, (node.left, node.comparators[0])), _COMPARE[type(op)])
            return lambda scope: int(compare(a(scope), b(scope)))
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            a, b, sign = _checked(node.left), _checked(node.right), node.op
            return lambda scope: _arithmetic(a(scope), sign, b(scope))
    raise _unknown(node)


def _object(node: ast.expr) -> Callable[[Mapping[str, Any]], Any]:
    if isinstance(node, ast.Attribute):
        part, name = _object(node.value), node.attr
        return lambda scope: getattr(part(scope), name)
    if not isinstance(node, ast.Name):
        raise _unknown(node)
    name = node.id
    return lambda scope: scope[name]


_COMPARE: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _arithmetic(a: int, op: ast.operator, b: int) -> int:
    match op:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.FloorDiv() if a >= 0 and b > 0:
            return a // b
        case ast.Mod() if a >= 0 and b > 0:
            return a % b
        case ast.LShift() if a >= 0 and 0 <= b < 63:
            return a << b
    raise ValueError(f"expression: got {a} {type(op).__name__} {b}, which C leaves undefined")


def to_c(text: str, name_in_c: Callable[[tuple[str, ...]], str]) -> str:
    """The expression in C; ``name_in_c`` gives the C text of a dotted name's parts.

    Arithmetic is done in 64 bits: the left operand of each operation is cast.
    """
    return _c(parsed(text), name_in_c, wide=False)


def _is_leaf(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return isinstance(node.operand, ast.Constant)
    return isinstance(node, ast.Constant | ast.Name | ast.Attribute)


def _c(node: ast.expr, name_in_c: Callable[[tuple[str, ...]], str], wide: bool) -> str:
    """C text; ``wide``: a leaf is cast to 64 bits."""

    def inner(child: ast.expr, wide: bool = False, bare: tuple[type[ast.expr], ...] = ()) -> str:
        text = _c(child, name_in_c, wide)
        return text if _is_leaf(child) or isinstance(child, bare) else f"({text})"

    match node:
        case ast.Constant(value=int()):
            small = -(1 << 31) <= int(node.value) < 1 << 31  # type: ignore[arg-type]
            return f"{node.value!r}" if small and not wide else f"INT64_C({node.value!r})"
        case ast.Name() | ast.Attribute():
            text = name_in_c(tuple(ast.unparse(node).split(".")))
            return f"(int64_t){text}" if wide else text
        case ast.UnaryOp(op=ast.USub()):
            return f"-{inner(node.operand, wide)}"
        case ast.UnaryOp(op=ast.Not()):
            return f"!{inner(node.operand)}"
        case ast.IfExp():
            test = inner(node.test, bare=(ast.Compare,))
            return f"{test} ? {inner(node.body, wide)} : {inner(node.orelse, wide)}"
        case ast.BoolOp():
            sign = " || " if isinstance(node.op, ast.Or) else " && "
            return sign.join(inner(v, bare=(ast.Compare,)) for v in node.values)
        case ast.Compare(ops=[op]):
            terms = [inner(v, bare=(ast.BinOp,)) for v in (node.left, *node.comparators)]
            return f"{terms[0]} {_COMPARISONS[type(op)]} {terms[1]}"
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            sign = _ARITHMETIC[type(node.op)]
            return f"{inner(node.left, True)} {sign} {inner(node.right)}"
    raise _unknown(node)


class Expression:
    """A property of a `Struct` that an expression of its fields gives, in Python and in C."""

    def __init__(self, text: str) -> None:
        parsed(text)
        self.text = text

    @overload
    def __get__(self, instance: None, owner: type) -> Expression: ...
    @overload
    def __get__(self, instance: object, owner: type) -> int: ...
    def __get__(self, instance: object | None, owner: type) -> Expression | int:
        if instance is None:
            return self
        return evaluate(self.text, _Attributes(instance))


class _Attributes(Mapping[str, Any]):
    """An object's attributes as a scope."""

    def __init__(self, instance: object) -> None:
        self._instance = instance

    def __getitem__(self, name: str) -> Any:
        return getattr(self._instance, name)

    def __iter__(self) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError
