"""alerts.toml: what is right in it, and the one line that each fault gets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs
from scrapy.settings import Settings

from kolspider.alerts.alert import NOT_KNOWN, Account, Event
from kolspider.alerts.rules import Rule, read_rules, rules_of
from kolspider.errors import WrongUsage
from kolspider.options.config import Config
from kolspider.store.lost import Reason

if TYPE_CHECKING:
    from pathlib import Path

SEEN = "2026-11-26 08:00:00"
ALICE = Account("77", "Alice", "Alice A", 1000, "DeFi and rollups", "2026-11-01 00:00:00")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    settings = Settings()
    settings.setmodule("kolspider.settings", priority="project")
    return replace(Config.from_settings(settings), alerts_file=tmp_path / "alerts.toml")


def read(config: Config, text: str) -> tuple[list[Rule], list[str]]:
    assert config.alerts_file
    config.alerts_file.write_text(text, encoding="utf-8")
    return read_rules(config)


def rule(keys: str, *, event: str = "new_follow") -> str:
    return f'[[rule]]\nname = "r"\nevent = "{event}"\n{keys}\n'


def test_a_rule_with_every_key(config: Config) -> None:
    (found,), faults = read(
        config,
        '[[rule]]\nname = "smart money"\nevent = "shared_follow"\nmin = 3\nwithin = "48h"\n'
        'kols = ["@CZ_binance", "https://x.com/BTC"]\nfollowers = [0, 50000]\naccount_age = "90d"\n'
        'bio = "(?i)defi|rollup"\nnever = ["Binance", "12345678901234567890"]\n',
    )
    assert faults == []
    assert found == Rule(
        "smart money",
        Event.SHARED_FOLLOW,
        min=3,
        within=48 * 3600,
        kols=frozenset({"cz_binance", "btc"}),
        followers=(0, 50_000),
        account_age=90 * 86_400,
        bio=found.bio,
        never=frozenset({"binance", "12345678901234567890"}),
    )
    assert found.bio
    assert found.bio.pattern == "(?i)defi|rollup"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (rule("folowers = [0, 5]"), 'rule "r": unknown key folowers; did you mean followers?'),
        ("[[rules]]\nname = 1\n", "unknown key rules; did you mean rule?; each rule begins with [[rule]]"),
        ("rule = 3\n", "rule is no list of tables; begin each rule with [[rule]]"),
        ("[rule]\nname = 'a'\n", "rule is no list of tables; begin each rule with [[rule]]"),
        ('[[rule]]\nevent = "new_follow"\n', "rule 1: name is missing"),
        ('[[rule]]\nname = "a"\n', 'rule "a": event is missing'),
        ('[[rule]]\nname = ""\nevent = "new_follow"\n', 'rule 1: name = "" is not a text of 1 to 60 characters'),
        (rule("", event="gone"), "did you mean kol_gone?"),
        (rule("event2 = 1"), "unknown key event2; did you mean event?"),
        (rule("min = 3", event="shared_follow"), "within is missing: shared_follow needs min and within"),
        (rule("min = 3"), "min is for shared_follow only"),
        (rule('min = 1\nwithin = "1h"', event="shared_follow"), "min = 1 is not a whole number from 2 up"),
        (rule('min = true\nwithin = "1h"', event="shared_follow"), "min = true is not a whole number from 2 up"),
        (rule('min = 2\nwithin = "2 days"', event="shared_follow"), 'within = "2 days" is not an age such as 30d'),
        (rule("account_age = 90"), 'account_age = 90 is not an age in quotes such as "48h"'),
        (rule("followers = [9, 2]"), "followers = [9, 2] is not a list of two whole numbers, from and to"),
        (rule("followers = 9"), "followers = 9 is not a list of two whole numbers"),
        (rule("bio = '('"), 'bio = "(" is not a regular expression: missing )'),
        (rule("kols = []"), "kols = [] is not a list of handles"),
        (rule("kols = ['not a handle']"), 'kols = ["not a handle"] has "not a handle", which is no Twitter handle'),
        (rule("never = [12]"), "never = [12] is not a list of handles"),
        (
            rule("why = true", event="lost_follow"),
            "why = true is not a list of some of unfollowed, protected, suspended",
        ),
        (rule("why = ['left']", event="lost_follow"), 'why = ["left"] is not a list of some of unfollowed, protected'),
        (rule("why = ['gone']"), "why is for lost_follow only"),
        (rule("bio = 'x'", event="kol_gone"), "bio is for rules about follows, not about KOLs"),
        (rule("min = 2", event="kol_gone"), "min is for shared_follow only"),
        (rule("") + rule(""), "an earlier rule has the same name; each needs a name of its own"),
        ("[[rule]\n", "alerts.toml: "),
    ],
)
def test_each_fault_is_one_line_that_says_what_is_right(config: Config, text: str, fault: str) -> None:
    _, faults = read(config, text)
    assert len(faults) == 1
    assert faults[0].startswith("alerts.toml: ")
    assert fault in faults[0]
    with pytest.raises(WrongUsage):
        rules_of(config)


def test_a_rule_wants_its_reasons_and_what_nobody_knows(config: Config) -> None:
    ((found,), _) = read(config, rule('why = ["unfollowed", "gone"]', event="lost_follow"))
    assert [why for why in (*Reason, NOT_KNOWN) if found.wants_reason(why)] == ["unfollowed", "gone", "not known"]


def test_all_faults_are_found_at_once_and_good_rules_stay(config: Config) -> None:
    rules, faults = read(config, rule("bio = 3\nnever = 4") + rule("").replace('"r"', '"good"'))
    assert len(faults) == 2
    assert [one.name for one in rules] == ["good"]
    with pytest.raises(WrongUsage, match="and 1 more: `scrapy alerts check` lists all"):
        rules_of(config)


def test_without_a_file_there_are_no_rules_unless_the_setting_names_one(config: Config, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="does not exist"):
        read_rules(config)
    assert config.alerts_file
    config.alerts_file.write_bytes(b"\xff")
    with pytest.raises(WrongUsage, match="not UTF-8"):
        read_rules(config)
    assert read(config, "") == ([], [])


@pytest.mark.parametrize(
    ("changes", "account", "wanted"),
    [
        ({}, ALICE, True),
        ({"followers": (0, 1000)}, ALICE, True),
        ({"followers": (1001, 2000)}, ALICE, False),
        ({"followers": (0, 1000)}, ALICE._replace(followers=None), False),
        ({"account_age": 26 * 86_400}, ALICE, True),
        ({"account_age": 25 * 86_400}, ALICE, False),
        ({"account_age": 26 * 86_400}, ALICE._replace(created_at=None), False),
        ({"bio": "rollup"}, ALICE, True),
        ({"bio": "defi"}, ALICE, False),
        ({"bio": "x"}, ALICE._replace(description=None), False),
        ({"never": frozenset({"alice"})}, ALICE, False),
        ({"never": frozenset({"77"})}, ALICE._replace(user_name=None), False),
        ({"never": frozenset({"alice"})}, ALICE._replace(user_name=None), True),
    ],
)
def test_a_rule_wants_accounts_that_meet_every_condition(
    changes: dict[str, object], account: Account, *, wanted: bool
) -> None:
    import re  # noqa: PLC0415 - for one case

    if "bio" in changes:
        changes = {"bio": re.compile(str(changes["bio"]))}
    one = structs.replace(Rule("r", Event.NEW_FOLLOW), **changes)
    assert one.wants(account, SEEN) is wanted


def test_a_rule_is_about_its_kols_or_all() -> None:
    assert Rule("r", Event.NEW_FOLLOW).is_about("btc")
    assert Rule("r", Event.NEW_FOLLOW, kols=frozenset({"btc"})).is_about("btc")
    assert not Rule("r", Event.NEW_FOLLOW, kols=frozenset({"btc"})).is_about("eth")
