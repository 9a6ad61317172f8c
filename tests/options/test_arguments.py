"""The spider's arguments: what each one means, and that whatever else is typed is refused in one line."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolspider.errors import WrongUsage
from kolspider.items import Kol, State
from kolspider.options.arguments import HELP, Arguments, Cutoff, typed_moment
from tests.wild import wildly

NAMES = [argument.name for argument in fields(Arguments)]
EXAMPLES = {  # one good value each, which is not the default
    "why": "7d",
    "limit": "50",
    "kols": "BTC",
    "max_calls": "500",
    "max_usd": "2.50",
    "refresh": "30d",
    "incremental": "1",
    "watch": "1d",
    "full_every": "60d",
    "retry": "partial",
    "replay": "pending",
    "fresh": "1",
    "feed": "follows",
    "dry_run": "1",
    "estimate": "1",
    "test": "1",
    "sandbox": "1",
    "api_key": "k",
}

WITH_WHY = {"why", "kols", "max_calls", "max_usd", "estimate", "sandbox", "fresh", "api_key"}
NEEDS = {"incremental": {"refresh": "7d"}, "full_every": {"refresh": "7d", "incremental": "1"}}
"""What goes with nothing else."""


def given_with(name: str) -> dict[str, str]:
    return NEEDS.get(name, {}) | {name: EXAMPLES[name]}


any_text = st.text(st.characters()) | st.text(
    "0123456789smhd.,-+e_ @/\n\t\0\N{ARABIC-INDIC DIGIT FOUR}\N{SUPERSCRIPT TWO}", max_size=8
)
any_raw = st.dictionaries(st.sampled_from(NAMES) | st.text(), any_text, max_size=4)


def refusal(raw: dict[str, str], *, ignore_missing: bool = False) -> str:
    """The one line with which these arguments are refused."""
    with pytest.raises(WrongUsage) as caught:
        Arguments.parse(raw, ignore_missing=ignore_missing)
    line = str(caught.value)
    assert line
    assert line.splitlines() == [line]
    return line


def test_nothing_is_asked_for_by_default() -> None:
    assert Arguments.parse({}) == Arguments(
        limit=None,
        kols=(),
        max_calls=None,
        refresh=None,
        retry=frozenset(),
        replay=None,
        dry_run=False,
        test=False,
        sandbox=0,
        api_key="",
    )


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("limit", "1", 1),
        ("limit", " 50 ", 50),
        ("max_calls", "0", 0),
        ("max_calls", "999999999", 999_999_999),
        ("refresh", "0s", Cutoff(age=0)),
        ("refresh", "90s", Cutoff(age=90)),
        ("refresh", "5m", Cutoff(age=300)),
        ("refresh", "2h", Cutoff(age=7200)),
        ("refresh", "30d", Cutoff(age=30 * 86_400)),
        ("refresh", "2w", Cutoff(age=14 * 86_400)),
        ("refresh", "2026-11-24T07:10:00", Cutoff(at=1_795_504_200)),
        ("refresh", "2026-11-24T07:10:00Z", Cutoff(at=1_795_504_200)),
        ("refresh", "2026-11-24T07:10:00.25", Cutoff(at=1_795_504_200.25)),
        ("retry", "partial", frozenset({State.PARTIAL})),
        ("retry", "partial, not_found,failed", frozenset({State.PARTIAL, State.NOT_FOUND, State.FAILED})),
        ("replay", "pending", "pending"),
        ("replay", "all", "all"),
        ("dry_run", "True", True),
        ("dry_run", "no", False),
        ("test", "yes", True),
        ("sandbox", "0", 0),
        ("sandbox", "yes", 1),
        ("sandbox", "12", 12),
        ("api_key", " abc ", "abc"),
        ("kols", "BTC,ethereum", (Kol("btc", "BTC"), Kol("ethereum", "ethereum"))),
        ("kols", "@BTC, btc ,https://x.com/BTC,,", (Kol("btc", "BTC"),)),
    ],
)
def test_a_good_value_is_understood(name: str, text: str, value: object) -> None:
    assert getattr(Arguments.parse({name: text}), name) == value


@pytest.mark.parametrize("text", ["999999999w", "200000w", "0001-01-01T00:00:00", "1969-12-31T23:59:59"])
def test_a_refresh_of_what_is_older_than_every_list_can_be_typed_again(text: str) -> None:
    refresh = Arguments.parse({"refresh": text}).refresh
    assert refresh is not None
    assert typed_moment(refresh.moment(1_795_504_200)) == "1970-01-01T00:00:00"
    assert refresh.of_job() in {refresh.age, "1970-01-01T00:00:00"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("limit", text) for text in ("", "0", "-1", "1.5", "1e3", "ten", "\N{ARABIC-INDIC DIGIT FOUR}", "1" * 40)),
        *(("max_calls", text) for text in ("", "-1", "all", "5 0")),
        *(("refresh", text) for text in ("", "30", "d", "30y", "-1d", "1.5d", "30 d", "30D")),
        *(
            ("refresh", text)
            for text in (
                "2026-11-24",
                "2026-11-24 07:10:00",
                "2026-02-30T07:10:00",
                "2026-11-24T07:10",
                "2026-11-24T07:10:00.1234",
            )
        ),
        *(("refresh", text) for text in ("2026-11-24T07:10:00+08:00", "9026-11-24T07:10:00", "0000-01-01T00:00:00")),
        *(("retry", text) for text in ("", ",", "complete", "partial,nope", "PARTIAL", "new")),
        *(("replay", text) for text in ("", "1", "All", "waiting")),
        *((flag, text) for flag in ("dry_run", "estimate", "test") for text in ("", "2", "on", "maybe")),
        *(("sandbox", text) for text in ("", "-1", "1.5", "on", "1000")),
        *(("kols", text) for text in ("", ",,", " ", "no handle", "BTC,a-b", "https://example.com/BTC", "\N{SNOWMAN}")),
        ("api_key", ""),
        ("api_key", "  "),
    ],
)
def test_a_bad_value_is_refused_by_name_with_an_example(name: str, text: str) -> None:
    line = refusal({name: text})
    assert f"-a {name}=" in line
    assert "example: -a " in line


@pytest.mark.parametrize("name", ["", "limits", "LIMIT", "urls", "start_urls", "run", "crawler", "name", "__class__"])
def test_an_unknown_argument_is_refused_with_the_list_of_known_ones(name: str) -> None:
    line = refusal({name: "1"})
    assert all(known in line for known in NAMES)
    assert ("did you mean limit?" in line) is (name in {"limits", "LIMIT"})


@pytest.mark.parametrize("other", [name for name in NAMES if name not in {"test", "limit"}])
def test_test_goes_with_limit_alone(other: str) -> None:
    assert other in refusal({"test": "1", **given_with(other)})


@pytest.mark.parametrize("other", NEEDS)
def test_what_needs_another_argument_says_so(other: str) -> None:
    assert f"-a {other}" in refusal({other: EXAMPLES[other]})


def test_test_takes_a_limit() -> None:
    arguments = Arguments.parse({"test": "1", "limit": "2"})
    assert arguments.test
    assert arguments.limit == 2


def test_test_is_refused_when_the_settings_ask_for_a_replay() -> None:
    assert "replay" in refusal({"test": "1"}, ignore_missing=True)


@pytest.mark.parametrize("replay", ["pending", "all", None])
@pytest.mark.parametrize(
    "other", ["refresh", "incremental", "watch", "full_every", "retry", "max_calls", "dry_run", "estimate"]
)
def test_a_replay_takes_nothing_that_is_about_calls(replay: str | None, other: str) -> None:
    raw = given_with(other) | ({"replay": replay} if replay else {})
    assert other in refusal(raw, ignore_missing=replay is None)


@pytest.mark.parametrize("other", [name for name in NAMES if name not in WITH_WHY])
def test_why_goes_with_nothing_that_is_about_lists(other: str) -> None:
    assert other in refusal({"why": "7d", **given_with(other)})


@pytest.mark.parametrize("other", ["limit", "kols", "sandbox", "feed", "api_key"])
def test_a_replay_takes_the_others(other: str) -> None:
    assert Arguments.parse({"replay": "all", other: EXAMPLES[other]}).replay == "all"


@pytest.mark.parametrize("other", [name for name in NAMES if name not in {"estimate", "test", "replay"}])
def test_an_estimate_takes_all_that_a_run_takes(other: str) -> None:
    arguments = Arguments.parse({"estimate": "1", **given_with(other)})
    assert arguments.estimate
    assert arguments.of_job() == Arguments.parse(given_with(other)).of_job()


@pytest.mark.parametrize(
    ("raw", "needs_none"),
    [
        ({}, False),
        ({"dry_run": "1"}, False),
        ({"estimate": "1"}, True),
        ({"test": "1"}, True),
        ({"replay": "all"}, True),
    ],
)
def test_who_asks_the_api_for_nothing_needs_no_key(raw: dict[str, str], needs_none: bool) -> None:
    assert Arguments.parse(raw).needs_no_key is needs_none


@pytest.mark.parametrize("text", ["0", "00"])
def test_a_replay_with_a_cap_of_no_calls_is_a_contradiction_too(text: str) -> None:
    assert "max_calls" in refusal({"replay": "all", "max_calls": text})


def test_a_flag_that_is_off_contradicts_nothing() -> None:
    assert Arguments.parse({"test": "1", "dry_run": "0", "sandbox": "no"}).test
    assert Arguments.parse({"replay": "all", "dry_run": "0"}).replay == "all"


def test_ignore_missing_is_a_replay_of_all_unless_one_was_asked_for() -> None:
    assert Arguments.parse({}, ignore_missing=True).replay == "all"
    assert Arguments.parse({"replay": "pending"}, ignore_missing=True).replay == "pending"


def test_a_refused_key_is_not_repeated() -> None:
    assert "secret" not in refusal({"api_key": "secret-key", "test": "1"})


@given(any_raw, st.booleans())
@wildly
def test_whatever_is_typed_is_understood_or_refused_in_one_line(raw: dict[str, str], ignore_missing: bool) -> None:
    try:
        arguments = Arguments.parse(raw, ignore_missing=ignore_missing)
    except WrongUsage:
        refusal(raw, ignore_missing=ignore_missing)
    else:
        assert set(raw) <= set(NAMES)
        assert arguments.limit is None or arguments.limit >= 1
        assert not arguments.replay or arguments.max_calls is None


@pytest.mark.parametrize("name", NAMES)
def test_bytes_that_are_no_text_are_refused(name: str) -> None:
    assert "UTF-8" in refusal({name: "1\udc80"})


def test_a_refusal_has_an_end_and_no_commands_for_the_terminal() -> None:
    for raw in ({"limit": "\x1b[31m\u202e\0"}, {"\x1b]0;\x07": "1"}, {"kols": "\x1b[31m"}, {"kols": "a b" * 100_000}):
        line = refusal(raw)
        assert line.isprintable()
        assert len(line) <= 2000


@given(st.text(st.characters(), min_size=1), st.sampled_from([{}, {"test": "1"}, {"limit": "x"}, {"nope": "1"}]))
@wildly
def test_no_refusal_repeats_any_of_a_key(odd: str, others: dict[str, str]) -> None:
    raw = {"api_key": f"hunter2{odd}hunter2", **others}
    try:
        assert "hunter2" not in repr(Arguments.parse(raw))
    except WrongUsage:
        assert "hunter2" not in refusal(raw)


@given(st.sampled_from(NAMES), any_text)
@wildly
def test_any_text_for_any_argument_is_understood_or_refused_in_one_line(name: str, text: str) -> None:
    try:
        Arguments.parse({name: text})
    except WrongUsage:
        refusal({name: text})


def test_the_help_has_a_line_with_an_example_for_each_argument() -> None:
    lines = HELP.splitlines()
    assert len(lines) == len(NAMES)
    for name, line in zip(NAMES, lines, strict=True):
        assert line.strip().startswith(f"-a {name}=")


def test_each_example_in_the_help_is_a_good_value() -> None:
    for argument in fields(Arguments):
        name, _, value = argument.metadata["example"].partition("=")
        assert getattr(Arguments.parse(NEEDS.get(name, {}) | {name: value}), name) != argument.default


def test_what_makes_a_job_the_same_job_is_all_but_what_is_a_runs_own() -> None:
    plain = Arguments.parse({"limit": "2"}).of_job()
    assert (
        Arguments.parse({"limit": "2", "api_key": "k", "max_calls": "9", "feed": "follows", "fresh": "1"}).of_job()
        == plain
    )
    for name in ("kols", "refresh", "incremental", "watch", "full_every", "retry", "replay", "dry_run", "sandbox"):
        assert Arguments.parse({"limit": "2", **given_with(name)}).of_job() != plain, name


@pytest.mark.parametrize("now", [1_795_504_200.0, 1_795_504_200.0001, 1_795_504_200.1239])
def test_the_moment_of_a_run_is_typed_and_read_as_the_same_and_is_not_before_it(now: float) -> None:
    cut = Cutoff(age=0).moment(now)
    assert now <= cut < now + 0.002, "a second run in the same second is another moment"
    assert Arguments.parse({"refresh": typed_moment(cut)}).refresh == Cutoff(at=cut)


@pytest.mark.parametrize("other", ["refresh", "incremental"])
def test_watch_is_a_refresh_of_its_own(other: str) -> None:
    value = {"refresh": "7d", "incremental": "1"}[other]
    assert f"-a watch is a refresh of what changed, so it does not go with {other}" in refusal(
        {"watch": "1d", other: value}
    )


def test_full_every_goes_with_watch() -> None:
    assert Arguments.parse({"watch": "1d", "full_every": "30d"}).full_every == 30 * 86_400
