"""What the mutation tool changes, and which tests it runs on it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.mutants import count, mutant
from tests.mutation.notes import Calls


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
        ("x = (3, y)", "x = (4, y)"),
    ],
)
def test_one_place_is_changed(source: str, changed: str) -> None:
    assert changed in [mutant(source, number).source for number in range(count(source))]


def test_what_only_tells_something_is_left_alone() -> None:
    assert count("LIMIT = 3\nWAIT: float = 3\nSIZE = 64 * 1024 * 1024\n") == 0, "one more is no broken promise"
    assert count("LARGEST = 2**63 - 1\n") == 3, "these are"
    assert count("import sys\nif sys.version_info >= (3, 14):\n    import a\nelse:\n    import b\n") == 0
    assert count('"""Docstring."""\nlogger.info("a %s", b)\nif TYPE_CHECKING:\n    import a\n') == 0


def test_the_tests_of_a_place_are_those_that_call_its_function(tmp_path: Path) -> None:
    source = "LIMIT = 3\nclass A:\n    @b\n    def c(self):\n        return LIMIT\n    def d(self):\n        return 1\n"
    (tmp_path / "1").write_text("kolspider/a.py:3 tests/x.py::test_c\nkolspider/a.py:6 tests/x.py::test_d\n")
    (tmp_path / "2").write_text("kolspider/a.py:3 tests/y.py::test_c[1]\nkolspider/b.py:3 tests/y.py::test_b\nkolspi")
    calls = Calls(tmp_path)
    assert calls.tests_of(Path("kolspider/a.py"), source, 5) == ["tests/x.py::test_c", "tests/y.py::test_c[1]"]
    assert calls.tests_of(Path("kolspider/a.py"), source, 6) == ["tests/x.py::test_d"]
    assert calls.tests_of(Path("kolspider/a.py"), source, 1) == [
        "tests/x.py::test_c",
        "tests/x.py::test_d",
        "tests/y.py::test_c[1]",
    ]


def test_calls_are_noted_in_the_commands_that_a_test_starts_too(tmp_path: Path) -> None:
    noting = Path(__file__).parent / "noting"
    env = {
        "PYTHONPATH": str(noting),
        "MUTATION_NOTES": str(tmp_path),
        "PYTEST_CURRENT_TEST": "tests/x.py::test_c (call)",
    }
    code = "from kolspider.console.wording import counted; counted(2, 'page')"
    subprocess.run([sys.executable, "-c", code], check=True, env=env, cwd=Path(__file__).parents[2])
    notes = "".join(file.read_text() for file in tmp_path.iterdir())
    assert re.search(r"^kolspider/console/wording.py:\d+ tests/x.py::test_c$", notes, re.MULTILINE)
