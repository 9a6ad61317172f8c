"""How fast a run goes, in simulated time, against an API that allows so many calls in any second and refuses others."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from scrapy.settings import Settings

from kolspider.items import Kol
from kolspider.live.pace import AutoPace, Pace
from kolspider.options.config import DEFAULTS, Config
from kolspider.store.database import empty_in_memory
from kolspider.store.ledger import Ledger

SEED = 4


def lengths(lists: int) -> list[int]:
    """Pages of lists as real ones are, the longest first."""
    draw = random.Random(SEED)
    return sorted((max(1, min(60, int(draw.lognormvariate(1.8, 1.0)))) for _ in range(lists)), reverse=True)


def in_order(pages: list[int], rate: float) -> list[int]:
    """Pages of lists that are read a second time at this rate, in the order in which a run begins them."""
    settings = {"CONCURRENT_REQUESTS": 64, "RETRY_TIMES": 4, "DOWNLOAD_DELAY": 2, "DOWNLOAD_TIMEOUT": 30}
    config = Config.from_settings(Settings({**DEFAULTS, **settings, "KOL_API_KEY": "k" * 20, "KOL_RATE": str(rate)}))
    lists = {f"kol{number}": count for number, count in enumerate(pages)}
    with closing(empty_in_memory()) as store:
        ledger = Ledger(store, Path(), config.provider, 1)
        for handle, count in lists.items():
            ledger.kols.begin(Kol(handle, handle))
            store.execute(
                "UPDATE kol SET state = 'fetched', finished_at = 1, pages = ? WHERE handle = ?", (count, handle)
            )
        ledger.selection.read(lists)
        ledger.selection.choose_due(now=9.0, refresh_before=5.0, retry=[], limit=None, keep_done=False)
        ledger.selection.begin_long_lists_early(config.lists_at_once(None))
        return [lists[one.kol.handle] for one in ledger.selection.due()]


@dataclass
class Outcome:
    """What a simulated run took."""

    seconds: float
    calls: int
    refused: int
    busiest: int
    """The most calls that were sent within a second."""


def run(pace: Pace, allowed: float, answer: float, pages: list[int], *, jitter: float = 0.003) -> Outcome:
    """Read lists of so many pages in this order, 64 at most at once, each begun when a turn would go unused."""
    draw, now = random.Random(SEED), 0.0
    waiting, ready, open_lists = pages[::-1], list[tuple[str, int]](), 0
    arriving: list[tuple[float, int, bool, float, str, int]] = []
    sent, taken, refused = list[float](), list[float](), 0
    while waiting or ready or arriving:
        while arriving and arriving[0][0] <= now:
            _, _, good, sent_at, name, left = heapq.heappop(arriving)
            if good:
                pace.answered(name, sent_at, well=True)
                left -= 1
            elif not pace.is_own(name, now):
                pace.refused(sent_at, now, None)
            if left:
                ready.append((name, left))
            else:
                open_lists -= 1
        if pace.next_at <= now and not ready and waiting and open_lists < 64:
            open_lists += 1
            ready.append((f"list {len(waiting)}", waiting.pop()))
        if pace.next_at <= now and ready:
            name, left = ready.pop(0)
            good = sum(at > now - 1 for at in taken[-int(allowed) - 1 :]) < allowed
            sent.append(now)
            if good:
                taken.append(now)
            refused += not good
            heapq.heappush(arriving, (now + answer, len(sent), good, now, name, left))
            pace.sent(now)
        turn = max(pace.next_at, now) if ready or (waiting and open_lists < 64) else float("inf")
        due = min(turn, arriving[0][0] if arriving else float("inf"))
        if due < float("inf"):
            now = max(due, now) + draw.random() * jitter + 1e-6
    busiest = max(bisect_right(sent, at + 1 - 1e-9) - place for place, at in enumerate(sent))
    return Outcome(now, len(sent), refused, busiest)


@pytest.mark.parametrize("answer", [0.1, 0.7, 2.0])
@pytest.mark.parametrize("allowed", [0.2, 3, 20, 50])
def test_a_rate_is_used_and_never_passed(allowed: float, answer: float) -> None:
    pages = lengths(120)
    outcome = run(Pace(1 / allowed, 5.0, 0.02), max(allowed, 1), answer, pages)
    assert outcome.seconds <= 1.1 * max(sum(pages) / allowed, max(pages) * answer)
    assert (outcome.refused, outcome.busiest <= max(allowed, 1)) == (0, True)


@pytest.mark.parametrize("lists", [20, 60, 200])
@pytest.mark.parametrize("answer", [0.1, 0.7, 2.0])
@pytest.mark.parametrize("rate", [3, 20, 50])
def test_no_long_list_is_left_alone_at_the_end(rate: float, answer: float, lists: int) -> None:
    """However the lists stand in the table, whatever an answer takes of what answers take."""
    pages = lengths(lists)
    least = max(sum(pages) / rate, max(pages) * answer)
    for seed in range(3):
        random.Random(seed).shuffle(pages)
        outcome = run(Pace(1 / rate, 5.0, 0.02), rate, answer, in_order(pages, rate))
        assert outcome.seconds <= 1.1 * least + answer


@pytest.mark.parametrize("answer", [0.1, 0.7, 2.0])
def test_auto_finds_what_the_api_allows(answer: float) -> None:
    pages = lengths(200)
    pace = AutoPace(1.0, 5.0)
    outcome = run(pace, 20, answer, pages)
    assert outcome.seconds <= 1.25 * max(sum(pages) / 20, max(pages) * answer)
    assert outcome.refused < 0.01 * outcome.calls
    again = run(AutoPace(pace.found or 1.0, 5.0), 20, answer, pages)
    assert again.seconds <= 1.25 * max(sum(pages) / 20, max(pages) * answer), "what was found is where the next begins"


@pytest.mark.parametrize("allowed", [1, 3, 6, 10, 50, 500])
@pytest.mark.parametrize("begins", [0.1, 1.0, 100.0])
def test_auto_comes_to_any_rate_from_any_other(begins: float, allowed: float) -> None:
    pace, pages = AutoPace(begins, 5.0), lengths(150)
    outcome = run(pace, allowed, 0.3, pages)
    assert outcome.refused <= 0.01 * outcome.calls + 0.3 * begins + 5
    if allowed <= 10:
        assert outcome.seconds <= 1.5 * sum(pages) / allowed
        assert 0.9 * allowed <= pace.rate <= 1.1 * allowed


def test_one_refusal_is_one_step_however_many_requests_were_under_way() -> None:
    pace = AutoPace(10.0, 5.0)
    for turn in range(20):
        pace.sent(turn / 10)
    pace.refused(1.5, 2.0, None)
    slower = pace.rate
    assert slower < 10
    for turn in (16, 17, 18, 19):
        pace.refused(turn / 10, 2.1, None)
    assert pace.rate == slower


def test_auto_is_never_faster_inside_a_pause_that_the_api_asks_for() -> None:
    pace = AutoPace(10.0, 5.0)
    pace.sent(0.0)
    pace.refused(0.0, 0.1, 30.0)
    pace.answered("btc", 0.0, well=True)
    assert pace.next_at >= 30.1


def test_a_rate_that_is_not_used_is_not_taken_for_allowed() -> None:
    pace = AutoPace(10.0, 5.0)
    for turn in range(50):
        pace.sent(float(turn))
        pace.answered("btc", float(turn), well=True)
    assert pace.rate == pytest.approx(10.0)


@pytest.mark.parametrize("theirs", [Pace(0.05, 5.0), AutoPace(20.0, 5.0)])
@pytest.mark.parametrize("own", [Pace(2.0, 5.0), AutoPace(0.5, 5.0)])
def test_who_is_asked_for_another_rate_keeps_it_and_heeds_the_pause(own: Pace, theirs: Pace) -> None:
    theirs.sent(0.0)
    theirs.refused(0.0, 0.1, 30.0)
    rate = own.rate
    own.restore(theirs.state())
    assert own.next_at >= 30.1
    assert own.rate == rate or type(own) is type(theirs) is AutoPace, "two that look for the rate look together"
