"""`scrapy balance`: what the account with the API holds, and what that buys."""

from __future__ import annotations

import json
from math import inf
from typing import TYPE_CHECKING

from kolspider.command import ProjectCommand
from kolspider.console.columns import labelled, wrapped
from kolspider.console.wording import counted
from kolspider.errors import WrongUsage
from kolspider.run.balance import ask_balance
from kolspider.run.opening import read_ledger

if TYPE_CHECKING:
    import argparse

    from kolspider.db.base import Database
    from kolspider.options.config import Config


class Command(ProjectCommand):
    """Safe during a run: one call of the API, which costs nothing."""

    examples = """
  scrapy balance            what the account holds, how many pages and KOLs that buys, and the rate of calls
  scrapy balance --json     the same for programs
"""

    def syntax(self) -> str:
        return "[--json]"

    def short_desc(self) -> str:
        return "Show what the account with the API holds, and what that buys"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--json", action="store_true", help="print JSON")

    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise WrongUsage(f"the command is scrapy balance {self.syntax()}")
        if opts.sandbox:
            raise WrongUsage("the sandbox has no account: it lasts as long as a run")
        if not config.api_key:
            raise WrongUsage("KOL_API_KEY is not set; put it into .env")
        held = ask_balance(config)
        with read_ledger(config, database) as ledger:
            average = ledger.forecast.average
        usd = held.worth(config.credit_usd)
        pages = int(held.credits // (config.provider.price(config.provider.page_size) or inf))
        kols = int(held.credits // (average.credits or inf))
        provider, rate = config.provider.name, config.provider.allowed_rate
        if opts.json:
            content = {
                "provider": provider,
                "credits": held.credits,
                "usd": round(usd, 4),
                "pages": pages,
                "kols": kols,
                "users_a_kol": round(average.users),
                "rate": rate,
            }
            print(json.dumps(content, indent=2))
            return
        size, average_size = config.provider.page_size, "their average" if average.lists else "the usual length"
        lists = f"{counted(kols, 'list')} of {average.users:,.0f} users ({average_size})"
        print(labelled("balance", f"{held.credits:,.0f} credits, ${usd:,.2f} ({provider})"))
        print(labelled("buys", f"about {counted(pages, 'page')} of {size} users, or {lists}"))
        print("\n".join(wrapped("rate", f"the API takes {rate}")))
