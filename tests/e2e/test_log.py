"""What a run says while it runs, on a terminal of 80 columns: lines that fit, and no more of them than are read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.e2e.project import SMALL_BATCHES, settings
from tests.e2e.refusing import refuse_one

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject

KOLS = {"BTC": 450, "whale_watch_15c": 1_000, "Layer2_Lena_Eth": 401, "hodl_hannah": 0, "gone": 3}
LINE = re.compile(r"\d\d:\d\d:\d\d [IWE] (.*)")


@pytest.mark.sqlite_only("the words of a database about a refused row are its own")
def test_each_line_of_a_run_fits_80_columns_and_a_kol_has_one_for_what_is_set_aside(make_project: MakeProject) -> None:
    faults = {"BTC": ["server_error", "cut_off", "rate_limit"], "hodl_hannah": "error_in_200", "gone": "not_found"}
    project = make_project(KOLS, faults=faults, unusable=True)
    refuse_one(project, project.api.expected_ids("Layer2_Lena_Eth"))
    (project.folder / "log").write_text("")

    first = project.crawl(*SMALL_BATCHES)
    again = project.crawl("-a", "refresh=0s", "-a", "incremental=1", *settings(KOL_KNOWN_STOP=2))  # in full pages
    replay = project.crawl("-a", "replay=all", *SMALL_BATCHES)

    for run in (first, again, replay):
        assert "Traceback" not in run.err
        for line in run.err.splitlines():
            assert LINE.fullmatch(line), line
            assert len(line) <= 80, line
    said = [match[1] for match in map(LINE.fullmatch, first.err.splitlines()) if match]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d: 5 KOLs due \(5 new\)", said[1])
    assert "5 KOLs to load from the cache" in replay.err
    for kol in KOLS:
        for run in (first, again, replay):  # the replay loads both readings of each list
            assert len(re.findall(f" KOL {kol}: .* set aside", run.err)) <= 1, run.err
        # each KOL has a line for how it ended, in a replay, too
        end = r"\d rows? refused, see rejects\.jsonl" if kol == "Layer2_Lena_Eth" else "(complete|not_found), "
        assert sum(bool(re.match(f"KOL {kol}: {end}", line)) for line in said) == 1, kol
        if kol != "gone":
            assert re.search(f"KOL {kol}: {end}", replay.err), replay.err
    assert sum("set aside" in line for line in said) >= 3
    assert sum("the database refuses rows: not this one" in line for line in said) == 1


def test_the_lines_of_a_log_file_have_date_and_logger_as_scrapy_writes_them(make_project: MakeProject) -> None:
    project = make_project({"BTC": 1})
    log = project.folder / "log"
    project.crawl(*settings(LOG_FILE=log)).expect(0)
    lines = log.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[[\w.]+\] INFO: \S", line) for line in lines), lines
