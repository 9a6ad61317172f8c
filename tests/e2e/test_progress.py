"""A run seen from its terminal: the progress below, the log above it, nothing torn and nothing left behind. And what
it says of a run before it begins."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
from typing import TYPE_CHECKING

import pyte

from kolspider.sandbox import Fault
from tests.e2e.forks import start
from tests.e2e.processes import PATIENCE, finish, kill, stats, wait_for_text, wait_until
from tests.e2e.project import FAST, settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

COLUMNS, ROWS = 300, 60
KOLS = {"BTC": 900, "ethereum": 450, "gone": 3}
LOG_LINE = re.compile(r"\d\d:\d\d:\d\d [IW] \S.*")
FILE_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[[\w.]+\] (INFO|WARNING): \S.*")
TABLE_LINE = re.compile(r"(KOLs|pages|users|API|bill|time|table|not_found|stopped|next) +\S.*")


class Seen:
    """A crawl on a terminal of its own, and all that it wrote there."""

    def __init__(self, project: Project, *words: str, **env: str) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = project.environment() | {"TERM": "xterm-256color"} | env
        environment.pop("NO_COLOR", None)
        self.process = start(["crawl", "followings", *FAST, *words], project.root, environment | env, slave)
        os.close(slave)
        self._master = master
        self.raw = ""

    def wait_for(self, *texts: str) -> Seen:
        """Read until each of these was written."""
        try:
            wait_until(lambda: self._read() and all(text in self.raw for text in texts))
        except AssertionError as error:
            self.process.kill()
            self.process.wait()
            error.add_note(self.raw)
            raise
        return self

    def end(self) -> int:
        """Read to the end. Returns the exit code."""
        with contextlib.suppress(OSError):  # EIO: nobody writes to it any more
            wait_until(lambda: not self._read())
        os.close(self._master)
        return self.process.wait(timeout=PATIENCE)

    def _read(self) -> bool:
        """Take what is there, if anything is; False at the end."""
        if not select.select([self._master], [], [], 0.05)[0]:
            return True
        data = os.read(self._master, 65536)
        self.raw += data.decode()
        return bool(data)

    @property
    def screen(self) -> list[str]:
        """The rows of the terminal that are not blank."""
        screen = pyte.Screen(COLUMNS, ROWS)
        pyte.Stream(screen).feed(self.raw)
        return [row.rstrip() for row in screen.display if row.strip()]


BLOCK = "waiting to be written"


def test_a_run_on_a_terminal_shows_its_progress_and_leaves_a_clean_log(make_project: MakeProject) -> None:
    project = make_project(KOLS, faults={"gone": "not_found"})

    project.api.hold(after=4)
    seen = Seen(project, "-s", "KOL_FLUSH_SECS=0.5").wait_for(BLOCK, "BTC page ")
    middle = seen.screen
    project.api.release()
    assert seen.end() == 0

    # While it ran: the log, below it the block, a line for each KOL
    assert [bool(LOG_LINE.fullmatch(text)) for text in middle] == sorted(
        (bool(LOG_LINE.fullmatch(text)) for text in middle), reverse=True
    )
    assert any(re.match(r"KOLs +\[[#-]{20}\] \d of 3 done", text) for text in middle)
    assert any(re.match(r"reading +.*BTC page \d", text) for text in middle)
    assert "\x1b[32m" in seen.raw or "\x1b[1m" in seen.raw
    # In the end: log lines, then the closing table; of the block nothing
    kinds = ["log" if LOG_LINE.fullmatch(t) else "table" if TABLE_LINE.fullmatch(t) else t for t in seen.screen]
    assert set(kinds) == {"log", "table"}, seen.screen
    assert kinds == sorted(kinds)
    assert sum(": complete, " in text for text in seen.screen) == 2
    assert BLOCK not in "\n".join(seen.screen)
    assert len([text for text in seen.screen if text.startswith("KOLs ")]) == 1


def test_ctrl_c_leaves_a_clean_terminal_and_log_file(make_project: MakeProject) -> None:
    project = make_project({"BTC": 900, "slow": 3}, faults={"slow": Fault("server_error", times=None)})
    log = project.folder / "log"

    project.api.hold(after=3)
    words = ("-s", f"LOG_FILE={log}", "-s", "KOL_RETRY_SECS=3000")
    seen = Seen(project, *words, NO_COLOR="1").wait_for(BLOCK, "slow retries page 1 in")
    seen.process.send_signal(signal.SIGINT)
    wait_for_text(log, "SIGINT")
    project.api.release()
    assert seen.end() == 130

    # The terminal: no log, and only the table is left
    assert all(TABLE_LINE.fullmatch(text) for text in seen.screen), seen.screen
    assert not re.search(r"\x1b\[\d*m", seen.raw)  # NO_COLOR
    # The file: log lines alone
    lines = log.read_text().splitlines()
    assert len(lines) > 4
    assert [text for text in lines if not FILE_LINE.fullmatch(text)] == []


def test_an_interrupted_refresh_has_the_same_numbers_live_in_the_table_and_in_the_report(
    make_project: MakeProject,
) -> None:
    project = make_project({f"kol{n}": 450 for n in range(6)})
    summary = project.folder / "summary.json"
    project.crawl("-s", "CONCURRENT_REQUESTS=1").expect(0)

    project.api.hold(after=len(project.api.calls) + 6)
    words = ("-a", "refresh=0s", *settings(CONCURRENT_REQUESTS=1, KOL_FLUSH_SECS=0.05, KOL_SUMMARY_FILE=summary))
    seen = Seen(project, *words).wait_for("2 of 6 done", "kol2 begun")
    seen.process.send_signal(signal.SIGINT)
    seen.wait_for("SIGINT")
    project.api.release()
    assert seen.end() == 130

    # Two lists were read, one is on the way, and three are as they were before
    assert "KOLs      1 fetching, 2 complete, 3 not reached" in seen.screen
    told = json.loads(summary.read_text())
    assert (told["kols"], told["kols_not_reached"]) == ({"fetching": 1, "complete": 2}, 3)
    project.look("report", "-o", str(project.folder / "report.html")).expect(0)
    html = " ".join((project.folder / "report.html").read_text().split())
    assert "2 of 6 <small>" in html  # in the list of runs
    # All six lists are in the table: the old ones are not lost while they are read again
    assert "All 6 KOLs are done" in html
    assert "2,700 users read" in html
    assert "1 list is being read again, and in the table as before." in html
    kols = project.look("kols").expect(0).out.splitlines()[1:]
    assert [line.split()[:4] for line in kols] == [
        [f"kol{n}", "fetching" if n == 2 else "complete", "3", "450"] for n in range(6)
    ]
    assert sum(line.endswith("is being read again; its earlier list is in the table") for line in kols) == 1
    assert project.look("kols", "--state", "failed").expect(0).out == "no KOL is failed\n"


def test_without_progress_or_a_terminal_that_can_there_is_only_the_log(make_project: MakeProject) -> None:
    runs = [Seen(make_project({"BTC": 500}, latency=0.4), **env) for env in ({"KOL_PROGRESS": "0"}, {"TERM": "dumb"})]
    project = make_project({"BTC": 500}, latency=0.4)
    piped = project.crawl("-s", "DOWNLOAD_DELAY=0").expect(0)
    for seen in runs:
        assert seen.end() == 0
        assert "\x1b" not in seen.raw
        assert all(LOG_LINE.fullmatch(text) or TABLE_LINE.fullmatch(text) for text in seen.screen), seen.screen
    assert "\x1b" not in piped.text
    assert all(LOG_LINE.fullmatch(text) for text in piped.err.splitlines())


# --- estimate=1 ---------------------------------------------------------------------------------------------------


def files(folder: Path) -> dict[str, bytes]:
    """All files but those that SQLite puts beside a file in WAL mode for a reader."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))]
    return {str(path): path.read_bytes() for path in paths}


def estimated(text: str) -> tuple[int, int]:
    """The calls and credits of an estimate."""
    calls = re.search(r"^calls +about ([\d,]+)", text, re.MULTILINE)
    credits_ = re.search(r"^cost +about ([\d,]+) credits", text, re.MULTILINE)
    assert calls
    assert credits_
    return int(calls[1].replace(",", "")), int(credits_[1].replace(",", ""))


def test_the_estimate_of_a_refresh_is_what_it_then_uses_and_what_the_account_is_charged(
    make_project: MakeProject,
) -> None:
    project = make_project(
        {"BTC": 1000, "ethereum": 450, "short": 66, "dear": 199, "one": 1, "nobody": 0},
        faults={"BTC": ["server_error", "rate_limit"], "one": ["error_in_200"]},
    )
    first = stats(project.crawl("-s", "STATS_DUMP=True").expect(0).text)
    assert first["api/credits_estimated"] == sum(call.credits for call in project.api.calls)
    project.api.clear_calls()
    before = files(project.folder)

    told = project.crawl("-a", "refresh=0s", "-a", "estimate=1", env={"KOL_API_KEY": "", "KOL_CREDIT_PRICE": "0.01"})

    assert project.api.calls == []
    assert files(project.folder) == before
    assert "6 due (6 refresh)" in told.expect(0).out
    assert "12 for 6 KOLs, by the list read last time" in told.out
    # 5 full pages; 2 and one of 50 users, at 3 each; 66 at 3 each; 199 at 2 each; at least 60 for one and for nobody
    assert "2,266 credits, $22.66" in told.out
    used = stats(project.crawl("-a", "refresh=0s", "-s", "STATS_DUMP=True").expect(0).text)
    assert estimated(told.out) == (used["api/calls"], used["api/credits_estimated"])
    assert used["api/credits_estimated"] == sum(call.credits for call in project.api.calls)


def test_an_estimate_beside_a_run_subtracts_what_is_cached(make_project: MakeProject) -> None:
    project = make_project({"BTC": 5000, "new": 3})
    first = project.start_crawl_and_hold(4, "-a", "kols=BTC")

    told = project.crawl("-a", "estimate=1", "-a", "dry_run=1").expect(0)

    kill(first)
    assert "2 due (1 begun, 1 new)" in told.out
    assert re.search(r"^cache +4 pages of these lists", told.out, re.MULTILINE)
    assert estimated(told.out)[0] == 10 - 4 + 10
    assert "by the usual 1,900 users" in told.out
    assert "next      scrapy crawl followings -a dry_run=1 -s DOWNLOAD_DELAY=0" in told.out


def test_an_estimate_needs_the_source_table_but_in_the_sandbox_where_it_writes_nothing(
    make_project: MakeProject,
) -> None:
    project = make_project({"BTC": 3})
    project.sql(f"DROP TABLE `{project.source}`")
    words = ("-a", "estimate=1", "-a", "max_calls=30", "-a", "limit=5")
    sandbox = project.start_crawl("-a", "sandbox=1", *words)  # beside the other: each takes a second
    told = project.crawl(*words).expect(1)
    assert told.out == ""
    assert "scrapy initdb" in told.err.splitlines()[-1]

    told = finish(sandbox).expect(0)
    assert "5 due (5 new); 3 more KOLs beyond the limit" in told.out
    assert estimated(told.out) == (30, 6083)
    assert not project.cache.exists()
