"""`scrapy alerts check | pending | backtest`: whether rules and receivers are right, what waits, what would be told."""

from __future__ import annotations

import shutil
import sys
import time
from textwrap import wrap
from typing import TYPE_CHECKING

from kolspider.alerts.backtest import told
from kolspider.alerts.news import News
from kolspider.alerts.receivers import receivers_of
from kolspider.alerts.rules import alert_warnings, read_rules, rules_file, rules_of
from kolspider.command import ProjectCommand
from kolspider.console.columns import in_columns, plain
from kolspider.console.output import as_json, csv_lines, json_lines, spooled
from kolspider.console.wording import iso, moment
from kolspider.db.check import check_follows_to_read, check_target
from kolspider.errors import StopRun, WrongUsage
from kolspider.options.arguments import age
from kolspider.run.opening import read_ledger

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from kolspider.alerts.alert import Alert
    from kolspider.alerts.rules import Rule
    from kolspider.db.base import Database
    from kolspider.options.config import Config

_ANSWER_SECS = 600
_SINCE = "90d"
_COLUMNS = ("id", "rule", "event", "seen", "kols", "user_id", "user_name", "name", "followers", "description", "detail")


class Command(ProjectCommand):
    """Reads the rules, the outbox and the follows table. Sends nothing but a test that is asked for."""

    examples = """
  scrapy alerts check                   what is wrong with alerts.toml and
                                        KOL_NOTIFY
  scrapy alerts check --send-test       the same, then send each receiver a
                                        message that says it is a test
  scrapy alerts pending                 what a receiver has not got; the next run
                                        tries again
  scrapy alerts backtest "smart money"  what a rule would have told in the last
                                        90 days: no call, nothing sent
  scrapy alerts backtest "smart money" --since 30d --csv > told.csv
"""

    def syntax(self) -> str:
        return "check [--send-test] | pending [--json] | backtest RULE [--since AGE] [--json | --csv]"

    def short_desc(self) -> str:
        return "Check rules and receivers, show what waits to be sent, try a rule on the past"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--send-test", action="store_true", help="check: send each receiver a test message")
        parser.add_argument(
            "--since", metavar="AGE", help=f"backtest: told since then (units: s, m, h, d, w; default: {_SINCE})"
        )
        parser.add_argument("--json", action="store_true", help="pending, backtest: a JSON array")
        parser.add_argument(
            "--csv", action="store_true", help="backtest: CSV with a header line, safe for spreadsheets"
        )

    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        what, *rest = args or [""]
        if what not in {"check", "pending", "backtest"} or len(rest) != (what == "backtest"):
            raise WrongUsage(f"scrapy alerts takes {self.syntax()}")
        for option, of in {"send_test": ("check",), "since": ("backtest",), "csv": ("backtest",)}.items():
            if getattr(opts, option) and what not in of:
                raise WrongUsage(f"--{option.replace('_', '-')} goes with `scrapy alerts {of[0]}`")
        if opts.json and (opts.csv or what == "check"):
            raise WrongUsage("--json or --csv, not both" if opts.csv else "--json goes with pending and backtest")
        if what == "check":
            self.exitcode = _check(config, send_test=opts.send_test)
        elif what == "pending":
            with read_ledger(config, database) as ledger:
                kept = ledger.outbox.pending([one.key for one in receivers_of(config.notify)])
            if opts.json:
                rows = ({**one._asdict(), "since": iso(one.since)} for one in kept)
                print(as_json(list(rows)))
            elif not kept:
                print("no alert is pending")
            else:
                table = ((one.rule, f"{one.run}", f"{one.alerts:,}", moment(one.since)) for one in kept)
                print("\n".join(in_columns(("rule", "run", "alerts", "since (UTC)"), table, numbers=("run", "alerts"))))
                print("the next run tries again" if config.notify else "KOL_NOTIFY is not set: nobody gets them")
        else:
            self._backtest(config, database, rest[0], opts)

    def _backtest(self, config: Config, database: Database, name: str, opts: argparse.Namespace) -> None:
        rule = _named(rules_of(config), name, config)
        now = time.time()
        try:
            since = max(now - age(opts.since or _SINCE), 0)
        except ValueError as error:
            raise WrongUsage(f"--since {opts.since} {error}") from None
        table = config.follows_table
        if rule.event.is_of_follows and not table:
            raise WrongUsage(next(alert_warnings([rule], config)))
        database.answer_secs = _ANSWER_SECS
        with read_ledger(config, database) as ledger, database.explained_errors():
            if rule.event.is_of_follows:
                database.connect()
                check_target(database, config.target_table)
                check_follows_to_read(database, table)
            rule = rule.of_keys(ledger.accounts.renamed())
            news = News(database, table, config.target_table)
            written = spooled(_shown(told(rule, news, ledger, since, now), opts, moment(since)))
        with written:
            shutil.copyfileobj(written, sys.stdout)


def _check(config: Config, *, send_test: bool) -> int:
    """Print what is right and what is wrong. Returns the exit code: 1 when something is."""
    rules, faults = read_rules(config)
    for fault in faults:
        _say("FAIL", fault)
    for rule in rules:
        _say("ok", f'{rules_file(config).name}: rule "{rule.name}" ({rule.event})')
    if not rules and not faults:
        _say("note", f"{rules_file(config)} has no rule")
    for warning in alert_warnings(rules, config):
        _say("FAIL", warning)
        faults.append(warning)
    for receiver in receivers_of(config.notify):
        problem = receiver.send_test() if send_test else receiver.fault()
        good = " has got the test" if send_test else ""
        _say("FAIL" if problem else "ok", f"{receiver} {problem}" if problem else f"{receiver}{good}")
        faults += [problem] if problem else []
    return 1 if faults else 0


def _say(label: str, text: str) -> None:
    """Print a finding, in lines that fit a terminal of 80."""
    for nth, line in enumerate(wrap(text, 74, break_long_words=False, break_on_hyphens=False)):
        print(f"{'' if nth else label:<5} {line}")


def _named(rules: Iterable[Rule], name: str, config: Config) -> Rule:
    rules = list(rules)
    for rule in rules:
        if rule.name == name:
            return rule
    names = ", ".join(rule.name for rule in rules) or "none"
    raise StopRun(f"{rules_file(config).name} has no rule {name!r}; its rules: {names}")


def _shown(alerts: Iterator[Alert], opts: argparse.Namespace, since: str) -> Iterator[str]:
    if opts.json:
        yield from json_lines(alert.as_dict() for alert in alerts)
        return
    if opts.csv:
        yield from csv_lines(_COLUMNS, map(_row, alerts))
        return
    first = next(alerts, None)
    if first is None:
        yield f"the rule would have told nothing since {since} UTC"
        return
    heads = ("seen (UTC)", "KOLs", "account", "followers", "name")

    def rows() -> Iterator[tuple[str, ...]]:
        yield _cells(first)
        yield from map(_cells, alerts)

    yield from in_columns(heads, rows(), numbers=("followers",))


def _row(alert: Alert) -> tuple[object, ...]:
    id_, user_name, name, followers, description, _ = alert.account or (None,) * 6
    kols = " ".join(alert.kols)
    about = (id_, user_name, name, followers, description)
    return (alert.id, alert.rule, alert.event.value, alert.seen, kols, *about, alert.detail)


def _cells(alert: Alert) -> tuple[str, ...]:
    kols = ", ".join(alert.kols[:3]) + (f" and {len(alert.kols) - 3} more" if len(alert.kols) > 3 else "")
    if alert.account is None:
        return (alert.seen, kols, "", "-", plain(alert.detail))
    account = alert.account
    followers = "-" if account.followers is None else f"{account.followers:,}"
    return (alert.seen, kols, plain(account.user_name) or account.id, followers, plain(account.name))
