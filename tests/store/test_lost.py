"""Why an account is lost: by the first profile that came after its loss, and by no earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kolspider.console.wording import moment
from kolspider.providers.base import Profile
from kolspider.store.lost import Explanation, Reason

if TYPE_CHECKING:
    from kolspider.store.ledger import Ledger

ALICE = Profile("7", "Alice", 10, None, "", {})


def profile(*, protected: bool | None = None, gone: str = "") -> Profile:
    return Profile("7", None, None, protected, gone, {})


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, Reason.GONE),
        (ALICE, Reason.UNFOLLOWED),
        (profile(protected=False), Reason.UNFOLLOWED),
        (profile(protected=True), Reason.PROTECTED),
        (profile(protected=True, gone="suspended"), Reason.SUSPENDED),
        (profile(gone="account suspended"), Reason.SUSPENDED),
        (profile(gone="notfound"), Reason.GONE),
        (profile(gone="unavailable"), Reason.GONE),
    ],
)
def test_a_profile_gives_a_reason(told: Profile | None, reason: Reason) -> None:
    assert Reason.by(told) is reason


def test_each_loss_has_the_reason_that_was_found_first_after_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at, told in ((1000.5, ALICE), (2000.5, profile(gone="suspended")), (3000.5, None)):
        monkeypatch.setattr("kolspider.store.lost.time.time", lambda at=at: at)
        ledger.lost.note([("7", told)])
    found = [ledger.lost.of("7", moment(at)) for at in (500, 1000, 1001, 2000, 2001, 3001)]
    reasons = [one and one.reason for one in found]
    assert reasons == ["unfollowed", "unfollowed", "suspended", "suspended", "gone", None]
    assert ledger.lost.of("8", moment(0)) is None


def test_a_new_name_is_one_that_differs_by_more_than_its_case() -> None:
    known = Explanation(Reason.UNFOLLOWED, "Alice")
    assert [known.new_name(name) for name in ("alice", "bob", None, "")] == ["", "Alice", "", ""]
    assert Explanation(Reason.GONE, "").new_name("alice") == ""
