"""`scrapy kols`: what the ledger knows of each KOL."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from scrapy.commands import ScrapyCommand

from kolspider.config import PROJECT_DIR, Config
from kolspider.db import open_database
from kolspider.errors import UserError
from kolspider.states import State
from kolspider.store.reading import open_to_read

if TYPE_CHECKING:
    import argparse

    from kolspider.store.kols import KolRecord


class Command(ScrapyCommand):
    """Reads beside a run; never waits for one and never writes."""

    requires_project = True
    requires_crawler_process = False
    default_settings: ClassVar[dict[str, Any]] = {"LOG_ENABLED": False}

    def syntax(self) -> str:
        return "[--state STATE] [--json]"

    def short_desc(self) -> str:
        return "List the KOLs of the ledger with their states"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--state", choices=list(State), help="only KOLs in this state")
        parser.add_argument("--json", action="store_true", help="a JSON array")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.settings is not None  # noqa: S101 - set in scrapy.cmdline
        try:
            config = Config.from_settings(self.settings)
            with open_to_read(config, open_database(config.db_url, base=PROJECT_DIR)) as (kols, _):
                chosen = [kol for kol in kols if opts.state in (None, kol.state)]
        except UserError as error:
            print(f"kolspider: {error}", file=sys.stderr)
            self.exitcode = error.exit_code
            return
        if opts.json:
            print(json.dumps([_as_json(kol) for kol in chosen], indent=2, ensure_ascii=False))
            return
        for kol in chosen:
            print(f"{kol.user_name:<20} {kol.state:<10} {kol.users:>8} users  {kol.reason}")


def _as_json(kol: KolRecord) -> dict[str, Any]:
    return {
        "user_name": kol.user_name,
        "state": kol.state,
        "reason": kol.reason,
        "pages": kol.pages,
        "users": kol.users,
        "calls": kol.calls,
        "started_at": _iso(kol.started_at),
        "finished_at": _iso(kol.finished_at),
    }


def _iso(time: float | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")
