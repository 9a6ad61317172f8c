"""What the mutation tool changes."""

import pytest

from tests.mutation.mutants import count, mutant


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("send(page)", "pass"),
        ("seen += 1", "pass"),
        ("x = a < b", "x = a <= b"),
        ("x = a and b", "x = a or b"),
        ("x = a if b else c", "x = a if not b else c"),
        ("x = 'SELECT a FROM b WHERE c = d'", "x = 'SELECT a FROM b WHERE c <> d'"),
        ("x = f'UPDATE {a} SET b WHERE c IS NULL'", "x = f'UPDATE {a} SET b WHERE c IS NOT NULL'"),
        ("x = 3", "x = 4"),
    ],
)
def test_one_place_is_changed(source: str, changed: str) -> None:
    assert changed in [mutant(source, number).source for number in range(count(source))]


def test_what_only_tells_something_is_left_alone() -> None:
    assert count('"""Docstring."""\nlogger.info("a %s", b)\nif TYPE_CHECKING:\n    import a\n') == 0
