"""Which tests call which function of the product, by the notes that noting/sitecustomize.py makes."""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Calls"]


class Calls:
    """The notes of a run of the tests."""

    def __init__(self, folder: Path) -> None:
        self._tests: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        """By module and by the function's first line."""
        for file in folder.iterdir():
            for line in file.read_text().splitlines():
                place, _, test = line.partition(" ")
                module, _, first = place.rpartition(":")
                if test:  # a process that was killed leaves half a line
                    self._tests[module][int(first)].add(test)

    def tests_of(self, module: Path, source: str, line: int) -> list[str]:
        """Return the tests that call the function at a line; at a line of no function, all that use the module."""
        by_line = self._tests[str(module)]
        for node in _outermost_functions(ast.parse(source)):
            first = min(part.lineno for part in (node, *node.decorator_list))  # as Python counts
            if first <= line <= (node.end_lineno or line):
                return sorted(by_line[first])
        return sorted(set().union(*by_line.values()))


def _outermost_functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node)
        else:
            found += _outermost_functions(node)
    return found
