"""The mutants of a module: its source with one place changed.

Besides the usual kinds (a comparison, a condition, a constant) these are the two that have hurt this project: a
statement that is left out, and a condition of an SQL text. mutmut and cosmic-ray know neither.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

__all__ = ["Mutant", "count", "mutant"]

_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_SQL = re.compile(r"\b(?:SELECT|INSERT|UPDATE|DELETE|WHERE|CASE|JOIN)\b")
_SQL_CHANGES = {
    "=": "<>",
    "<>": "=",
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "AND": "OR",
    "OR": "AND",
    "NOT": "",
    "min": "max",
    "max": "min",
    "IS NULL": "IS NOT NULL",
    "IS NOT NULL": "IS NULL",
}
_SQL_WORD = re.compile(
    r"(?<=[\s(])(?:=|<>|<=|>=|<|>|AND|OR(?! IGNORE| REPLACE)|IS NOT NULL|IS NULL|NOT|(?:min|max)(?=\())(?=[\s(]|$)"
)
_UNSEEN = ("logger.", "print(")
"""Statements that only tell something: another wording is no broken promise. Neither is a limit of one more, which is
a number, or a product of numbers, with a name of its own."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of a module."""

    line: int
    before: str
    after: str
    source: str
    """The whole module with the change."""


def count(source: str) -> int:
    """Return how many mutants a module has."""
    return sum(1 for _ in _changes(ast.parse(source)))


def mutant(source: str, number: int) -> Mutant:
    """Return one mutant of a module, from 0 up."""
    tree = ast.parse(source)
    node, change = next(islice(_changes(tree), number, None))
    before = ast.unparse(node)
    after = change()
    return Mutant(getattr(node, "lineno", 0), before, after, ast.unparse(ast.fix_missing_locations(tree)))


def _changes(tree: ast.Module) -> Iterator[tuple[ast.AST, Callable[[], str]]]:
    """Yield each place with the function that changes it and returns its new text."""
    for parent in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            body = getattr(parent, field, None)
            if isinstance(body, list) and not _is_not_run(parent):
                yield from _left_out(body)
    alone = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.If) and _is_not_run(node) for part in _all(node)
    }
    alone |= {id(number) for node in tree.body for number in _factors(getattr(node, "value", None))}
    for node in ast.walk(tree):
        if id(node) not in alone:
            yield from _changes_of(node)


def _is_not_run(node: ast.AST) -> bool:
    """Whether it is for mypy, or tells versions of Python apart."""
    return isinstance(node, ast.If) and ast.unparse(node.test).startswith(("TYPE_CHECKING", "sys.version_info"))


def _all(node: ast.If) -> Iterator[ast.AST]:
    yield node
    yield from ast.walk(node.test)


def _factors(node: ast.AST | None) -> Iterator[ast.AST]:
    """Yield the numbers of a product such as `64 * 1024`, or one number alone."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from (*_factors(node.left), *_factors(node.right))
    elif isinstance(node, ast.Constant) and not isinstance(node.value, str):
        yield node


def _left_out(body: list[ast.stmt]) -> Iterator[tuple[ast.AST, Callable[[], str]]]:
    for at, statement in enumerate(body):
        call = isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant)
        if (call or isinstance(statement, ast.AugAssign)) and not ast.unparse(statement).startswith(_UNSEEN):
            yield statement, lambda at=at: _replace(body, at, ast.Pass())  # type: ignore[misc]  # lambda's default


def _replace(body: list[ast.stmt], at: int, statement: ast.stmt) -> str:
    body[at] = statement
    return ast.unparse(statement)


def _changes_of(node: ast.AST) -> Iterator[tuple[ast.AST, Callable[[], str]]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _OPPOSITES:
        yield node, lambda: _set(node, "ops", [_OPPOSITES[type(node.ops[0])](), *node.ops[1:]])
    elif isinstance(node, ast.BoolOp):
        yield node, lambda: _set(node, "op", ast.And() if isinstance(node.op, ast.Or) else ast.Or())
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        test = node.test
        yield test, lambda: _set(node, "test", ast.UnaryOp(ast.Not(), test)) and f"not {ast.unparse(test)}"
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        value = node.value
        yield node, lambda: _set(node, "value", value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.search(node.value):
        text = node.value
        for word in _SQL_WORD.finditer(text):
            changed = text[: word.start()] + _SQL_CHANGES[word[0]] + text[word.end() :]
            yield node, lambda changed=changed: _set(node, "value", changed)  # type: ignore[misc]  # lambda's default


def _set(node: ast.AST, field: str, value: object) -> str:
    setattr(node, field, value)
    return ast.unparse(node)
