"""Columns are as wide as what is in them, for a thousand rows; longer tables are printed as they come."""

from __future__ import annotations

import pytest

from kolspider.console.columns import in_columns, plain, spreadsheet_cell


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


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"])
def test_no_text_of_a_csv_is_a_formula(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["a=1", "1", "'", "", "two\nlines", "币 é 👩‍🚀", -5, 2.5, None])
def test_what_is_no_formula_stays_as_it_is_in_a_csv(value: object) -> None:
    assert spreadsheet_cell(value) == value


def test_no_text_of_a_csv_commands_a_terminal() -> None:
    assert spreadsheet_cell("a\x1b]52;c\x07\x9b31m\u202eb\x7f") == "a\ufffd]52;c\ufffd\ufffd31m\ufffdb\ufffd"
