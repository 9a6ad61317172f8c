"""Columns are as wide as what is in them, for a thousand rows; longer tables are printed as they come."""

from __future__ import annotations

from kolspider.console.columns import in_columns, plain


def test_a_column_is_as_wide_as_its_widest_cell() -> None:
    rows = [("a", "1", "x"), ("bcd", "9,223,372,036,854,775,807", "")]
    assert list(in_columns(("K", "n", "name"), rows, numbers=("n",))) == [
        "K                            n  name",
        "a                            1  x",
        "bcd  9,223,372,036,854,775,807",
    ]
    assert list(in_columns(("K", "n"), [], numbers=("n",))) == ["K  n"]


def test_a_long_table_is_printed_before_its_end_is_known() -> None:
    printed: list[int] = []

    def row(number: int) -> tuple[str, str]:
        printed.append(number)
        return str(number % 10), "x" * (number // 1500)

    rows = map(row, range(3000))
    lines = in_columns(("K", "name"), rows, numbers=())
    assert next(lines) == "K  name"
    assert len(printed) == 1000
    assert list(lines)[-1] == "9  x"
    assert len(printed) == 3000


def test_nothing_reaches_a_terminal_as_a_command() -> None:
    assert plain(" two\nlines\x1b[31m ") == "two lines [31m"
    assert plain(None) == ""
