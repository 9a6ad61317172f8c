"""What a run costs: the customer's account at the sandbox API, before and after, and what kolspider says of it."""

from __future__ import annotations

import json
import random
import re
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kolspider.providers import provider
from kolspider.sandbox import Fault
from tests.e2e.expected import expected_rows
from tests.e2e.http_servers import http_server, reply, tunnel
from tests.e2e.processes import finish, wait_until
from tests.e2e.project import KEY
from tests.e2e.test_progress import estimated
from tests.tls import self_signed

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.e2e.conftest import MakeProject
    from tests.e2e.processes import Result
    from tests.e2e.project import Project

KOLS = {"BTC": 1000, "ethereum": 450, "short": 66, "dear": 199, "one": 1, "nobody": 0}


def run(project: Project, *words: str, **env: str) -> tuple[Result, dict[str, Any], int]:
    """A crawl with its summary file. Returns its result, the summary's `bill`, and what the account was charged."""
    before, path = project.api.balance, project.folder / "summary.json"
    result = project.crawl("-s", f"KOL_SUMMARY_FILE={path}", *words, env=env)
    bill: dict[str, Any] = json.loads(path.read_text())["bill"]
    return result, bill, before - project.api.balance


def billed(text: str) -> list[str]:
    """The lines of the closing table that tell the bill."""
    return re.findall(r"^bill .*(?:\n {10}.*)*", text, re.MULTILINE)


# --- the bill of a run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["buy", "dry run"])
def test_the_bill_is_what_the_account_was_charged(make_project: MakeProject, mode: str) -> None:
    # Given lists whose pages cost differently, answers that fail and are free, and a KOL whom the API doesn't know
    project = make_project(
        KOLS,
        names=[*KOLS, "unknown"],
        balance=9000,
        bonus=1000,
        faults={"BTC": ["server_error", "rate_limit_bare"], "one": ["error_in_200"], "dear": ["bad_gateway"]},
    )
    # when they are bought
    result, bill, charged = run(project, *(("-a", "dry_run=1") if mode == "dry run" else ()))
    # then the bill is what went from the account, and that is what the price list says
    assert charged == 2266
    assert bill == {"credits": 2266, "usd": 0.0227, "estimated_credits": 2266}
    assert billed(result.expect(0).out) == ["bill      2,266 credits ($0.02), says the account"]
    assert len(project.api.balance_calls) == 2
    # and the report has it
    page = project.folder / "report.html"
    project.look("report", "-o", str(page)).expect(0)
    assert "$0.023 billed" in page.read_text()


def test_an_answer_that_was_paid_for_and_lost_is_in_the_bill(make_project: MakeProject) -> None:
    project = make_project({"BTC": 450}, faults={"BTC": Fault("cut_off", page=2)})

    _, bill, charged = run(project)

    assert bill["credits"] == charged == 200 + 200 + 200 + 150
    assert bill["estimated_credits"] == charged - 200 + 398, "nobody knows here what the lost page cost: the dearest"


def test_a_run_that_buys_nothing_does_not_ask(make_project: MakeProject) -> None:
    project = make_project({"BTC": 250})
    project.crawl().expect(0)
    asked = len(project.api.balance_calls)
    for words in ((), ("-a", "replay=all"), ("-a", "refresh=0s", "-a", "max_calls=0")):
        result, bill, charged = run(project, *words)
        assert (bill, charged) == ({"credits": None, "usd": None, "estimated_credits": 0}, 0)
        assert not billed(result.out)
    assert len(project.api.balance_calls) == asked == 2


def test_the_first_page_waits_for_its_turn_behind_the_call_for_the_balance(make_project: MakeProject) -> None:
    # An account that was never topped up may send one call in 5 s, whatever it asks for.
    project = make_project({"BTC": 250})
    project.crawl("-s", "DOWNLOAD_DELAY=1").expect(0)
    assert project.api.calls[0].at - project.api.balance_calls[0].at >= 1


def test_others_who_use_the_account_meanwhile_are_noticed(make_project: MakeProject) -> None:
    project = make_project({"BTC": 250})
    process = project.start_crawl_and_hold(1)
    # Given a run during which somebody else buys pages with the same key
    project.api.recharge(-600)
    project.api.release()
    # then the bill has these, too, and says that it is more than the price list makes of the run's own calls
    assert billed(finish(process).expect(0).out) == [
        (
            "bill      950 credits ($0.01), says the account\n"
            "          more than by the price list: others may have used the account, too"
        )
    ]


def test_an_account_that_is_topped_up_during_a_run_tells_no_bill(make_project: MakeProject) -> None:
    project = make_project({"BTC": 250})
    process = project.start_crawl_and_hold(1)
    project.api.recharge(10_000)
    project.api.release()
    result = finish(process).expect(0)
    assert billed(result.out) == ["bill      not known: the account holds more than before the run"]


BROKEN = ["server_error", "bad_gateway", "not_json", "error_in_200", "reset", "cut_off", "timeout", "slow", "moved"]


@pytest.mark.parametrize("fault", [*BROKEN, "blocked", "no_credit", "rate_limit"])
def test_a_balance_that_does_not_come_neither_stops_nor_changes_a_run(make_project: MakeProject, fault: str) -> None:
    # Given an API that does not tell the balance
    project = make_project({"BTC": 450}, faults={"*": Fault(fault, kind="balance", times=None, seconds=60)})
    # when a list is bought
    result, bill, charged = run(project, "-s", "DOWNLOAD_TIMEOUT=3", "-s", "RETRY_TIMES=20")
    # then it is bought as ever, one line says what is not known, and nobody is asked again
    result.expect(0)
    assert project.rows() == expected_rows({"BTC": 450})
    assert (len(project.api.calls), charged) == (3, 550)
    assert bill == {"credits": None, "usd": None, "estimated_credits": 550}
    assert not billed(result.out)
    told = [line for line in result.err.splitlines() if "balance" in line]
    assert len(told) == 1
    assert " I no bill for this run: the balance is not known: " in told[0]
    assert KEY not in result.text
    assert len(project.api.balance_calls) == (2 if fault == "rate_limit" else 1)


def test_a_balance_that_comes_before_the_run_only_leaves_the_bill_open(make_project: MakeProject) -> None:
    project = make_project({"BTC": 250}, faults={"*": Fault("server_error", kind="balance", after=1, times=None)})
    result, bill, _ = run(project)
    result.expect(0)
    assert bill == {"credits": None, "usd": None, "estimated_credits": 350}
    assert " I no bill for this run: the balance is not known: HTTP 500: Internal Server Error\n" in result.err


def test_ctrl_c_ends_the_wait_for_the_balance_before_a_run_and_not_the_run_behind_it(make_project: MakeProject) -> None:
    # Given an API that does not answer when it is asked for the balance, before the first run and after the second
    never = Fault("timeout", kind="balance", times=None, seconds=60)
    project = make_project({"BTC": 250}, faults={"*": never})
    first = project.start_crawl()
    wait_until(lambda: len(project.api.balance_calls) == 1)
    first.send_signal(signal.SIGINT)
    result = finish(first).expect(130)
    assert "kolspider: interrupted before the first API call; nothing was bought" in result.err
    assert project.api.calls == []

    project.api.set_faults({"*": replace(never, after=1)})
    second = project.start_crawl("-s", "DOWNLOAD_TIMEOUT=4")
    wait_until(lambda: len(project.api.balance_calls) == 3)
    second.send_signal(signal.SIGINT)
    result = finish(second).expect(0)
    assert "KOLs      1 complete" in result.out
    assert "Traceback" not in result.err


def test_an_account_that_runs_empty_stops_the_run_with_its_bill(make_project: MakeProject) -> None:
    # Given an account with too little, and a run that says so before its first call
    project = make_project({"BTC": 3000, "ethereum": 3000}, balance=1100)
    result, bill, charged = run(project)
    # then the run stops with the money, and tells the bill
    result.expect(1)
    before, after = result.err.split("Spider opened")
    assert " W the account has 1,100 credits, this run needs about 4,055 ($0.04)\n" in before
    assert "Credits is not enough" in after
    assert (bill["credits"], charged) == (1000, 1000)
    assert len(project.cached(0)) == 5


# --- before a run ---------------------------------------------------------------------------------------------------


def test_a_run_within_its_cap_is_not_warned_of_an_account_that_has_less_than_all_of_it_costs(
    make_project: MakeProject,
) -> None:
    # Given an account that is good for a third of the list, and a cap below and above what it has
    project, other = (make_project({"BTC": 3000}, balance=1100) for _ in range(2))
    result, bill, charged = run(project, "-a", "max_usd=0.01")
    result.expect(1)
    assert "the account has" not in result.err
    assert bill["credits"] == charged <= 1000
    result, _, _ = run(other, "-a", "max_usd=0.015")
    assert "the account has 1,100 credits, this run needs about 1,500 (" in result.err


@pytest.mark.parametrize(
    ("balance", "says"),
    [
        (10**6, "1,000,000 credits, $10.00"),
        (2028, "2,028 credits, $0.02: perhaps too little"),
        (1100, "1,100 credits, $0.01: too little, about 928 credits are missing"),
    ],
)
def test_an_estimate_says_whether_the_account_has_enough(make_project: MakeProject, balance: int, says: str) -> None:
    project = make_project({"BTC": 3000}, balance=balance)
    told = project.crawl("-a", "estimate=1").expect(0).out
    assert f"\nbalance   {says}\n" in told
    assert (project.api.calls, len(project.api.balance_calls)) == ([], 1)
    # and without a key it asks nobody
    assert "balance" not in project.crawl("-a", "estimate=1", env={"KOL_API_KEY": ""}).expect(0).out
    assert len(project.api.balance_calls) == 1


def test_an_estimate_works_without_a_network(make_project: MakeProject) -> None:
    project = make_project({"BTC": 3000})
    project.api.stop()
    told = project.crawl("-a", "estimate=1").expect(0).out
    assert estimated(told) == (10, 2028)
    (line,) = re.findall(r"^balance +(.*(?:\n {10}.*)*)", told, re.MULTILINE)
    assert " ".join(line.split()) == (
        f"the balance is not known: {project.api.url} can't be reached: Connection refused; check KOL_API_URL and "
        "this machine's network"
    )


def test_the_estimate_of_known_lists_is_within_one_percent_of_what_the_account_is_charged(
    make_project: MakeProject,
) -> None:
    # Given lists as long as real ones are, read before, some of KOLs who are gone
    dice = random.Random(11)
    kols = {f"kol{n}": min(round(dice.lognormvariate(5.5, 1.3)), 2000) for n in range(25)}
    project = make_project(kols)
    project.crawl().expect(0)
    told = estimated(project.crawl("-a", "refresh=0s", "-a", "estimate=1").expect(0).out)
    project.api.clear_calls()
    # when all of them are read again
    result, bill, charged = run(project, "-a", "refresh=0s")
    # then the account is charged what the estimate said
    result.expect(0)
    assert told[0] == len(project.api.calls)
    assert told[1] == pytest.approx(charged, rel=0.01)
    assert bill["credits"] == bill["estimated_credits"] == charged


# --- scrapy balance -------------------------------------------------------------------------------------------------


def test_balance_tells_what_the_account_holds_and_what_that_buys(make_project: MakeProject) -> None:
    project = make_project({"BTC": 250}, balance=200_000, bonus=46_812)
    told = project.scrapy("balance").expect(0)
    assert told.out.splitlines() == [
        "balance   246,812 credits, $2.47 (twitterapi_io)",
        "buys      about 1,234 pages of 200 users, or 121 lists of 1,900 users (the usual length)",
        "rate      the API takes one call in 5 s until the account is topped up for the",
        "          first time, then 20 a second",
    ]
    as_json = json.loads(project.look("balance", "--json").expect(0).out)
    assert as_json == {
        "provider": "twitterapi_io",
        "credits": 246_812,
        "usd": 2.4681,
        "pages": 1234,
        "kols": 121,
        "users_a_kol": 1900,
        "rate": provider("twitterapi_io").allowed_rate,
    }
    assert (project.api.calls, project.api.balance) == ([], 246_812)
    assert not project.cache.exists()
    # and once enough lists are known, their average counts
    for n in range(20):
        project.api.follow(f"kol{n}", 100)
    project.crawl("-a", f"kols={','.join(f'kol{n}' for n in range(20))}").expect(0)
    assert f"{project.api.balance // 200:,} lists of 100 users (their average)" in project.look("balance").out


def refusal(project: Project, *words: str, code: int = 1) -> str:
    """The one line with which `scrapy balance` ends."""
    result = project.look("balance", *words).expect(code)
    assert result.out == ""
    (line,) = result.err.splitlines()
    assert KEY not in line
    return line.removeprefix("kolspider: ")


def test_balance_says_in_one_line_what_is_wrong(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project({})
    project.env["KOL_API_KEY"] = ""
    assert refusal(project, code=2) == "KOL_API_KEY is not set; put it into .env"
    project.env["KOL_API_KEY"] = "wrong"
    said = "HTTP 401: API key is missing or not valid"
    assert refusal(project) == f"the API refuses the key ({said}); check KOL_API_KEY"
    del project.env["KOL_API_KEY"]
    assert "the command is scrapy balance [--json]" in refusal(project, "BTC", code=2)
    assert "the sandbox has no account" in refusal(project, "--sandbox", code=2)
    project.api.stop()
    assert refusal(project) == (
        f"the balance is not known: {project.api.url} can't be reached: Connection refused; check KOL_API_URL and "
        "this machine's network"
    )
    project.env["KOL_API_PROVIDER"] = "aisa"
    assert refusal(project, code=2) == "aisa has no call that tells the balance; its website does"


WRONG = {
    b'{"recharge_credits": "500", "total_bonus_credits": 0}': "recharge_credits is '500', not a number of credits",
    b'{"recharge_credits": 500, "total_bonus_credits": -1}': "total_bonus_credits is -1, not a number of credits",
    b'{"recharge_credits": 1e999, "total_bonus_credits": 0}': "recharge_credits is inf, not a number of credits",
    b'{"recharge_credits": true, "total_bonus_credits": 0}': "recharge_credits is True, not a number of credits",
    b'{"recharge_credits": 500}': "total_bonus_credits is missing or null, not a number of credits",
    b'{"recharge_credits": null, "total_bonus_credits": 0}': "recharge_credits is missing or null",
    b"[500]": "the answer is list, not an object",
    b"null": "the answer is missing or null, not an object",
    b"<html>500</html>": "HTTP 200: not JSON",
    b'{"recharge_credits": 500, "total_bonus_credits": NaN}': "HTTP 200: not JSON",
    b"[" * 90_000: "HTTP 200: not JSON",
    b'{"status": "error", "msg": "key %b is blocked"}' % KEY.encode(): "key *** is blocked",
    b'{"code": 7, "message": "busy"}': "code is 7: busy",
    b"": "HTTP 200: not JSON",
}


@pytest.mark.parametrize("body", WRONG, ids=lambda body: WRONG[body][:40])
def test_an_answer_that_is_no_balance_is_one_line_without_the_key(make_project: MakeProject, body: bytes) -> None:
    project = make_project({})
    with http_server(lambda request: reply(request, 200, body)) as url:
        project.env["KOL_API_URL"] = url
        assert refusal(project).startswith(f"the balance is not known: {WRONG[body]}")


def test_balance_follows_no_redirect_and_its_server_sees_who_asks(make_project: MakeProject) -> None:
    seen: list[tuple[str, str | None, str | None]] = []

    def away(request: BaseHTTPRequestHandler) -> None:
        seen.append((request.path, request.headers["X-API-Key"], request.headers["User-Agent"]))
        reply(request, 302, headers={"Location": "/elsewhere"})

    project = make_project({})
    with http_server(away) as url:
        project.env["KOL_API_URL"] = f"{url}/base"
        assert refusal(project) == "the balance is not known: HTTP 302: redirected"
    assert seen == [("/base/oapi/my/info", KEY, "kolspider")]


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SSL_CERT_FILE", "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_balance_keeps_the_key_from_proxies_and_from_certificates_that_are_not_trusted(
    make_project: MakeProject, tmp_path: Path, no_environment: pytest.MonkeyPatch
) -> None:
    at_proxy: list[tuple[str, str | None]] = []
    keys: list[str | None] = []

    def proxy(request: BaseHTTPRequestHandler) -> None:
        at_proxy.append((request.path, request.headers["X-API-Key"]))
        tunnel(request)

    def api(request: BaseHTTPRequestHandler) -> None:
        keys.append(request.headers["X-API-Key"])
        reply(request, 200, b'{"recharge_credits": 500, "total_bonus_credits": 0}')

    project = make_project({})
    certificate, context = self_signed(tmp_path)
    with http_server(api, tls=context) as url, http_server(api) as plain, http_server(proxy) as proxy_url:
        no_environment.setenv("https_proxy", proxy_url)
        no_environment.setenv("http_proxy", proxy_url)
        project.env["KOL_API_URL"] = url
        assert f"{url} can't be reached: " in refusal(project)
        assert keys == []
        no_environment.setenv("SSL_CERT_FILE", str(certificate))
        assert "500 credits" in project.look("balance").expect(0).out
        assert keys == [KEY]
        assert at_proxy == [(url.removeprefix("https://"), None)] * 2
        project.env["KOL_API_URL"] = plain
        project.look("balance").expect(0)
    assert len(at_proxy) == 2, "an http:// API is reached without a proxy, which would see the key"
