"""`-a watch=1d`: what a daily look costs, that it finds what there is to find, and whose list it is."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any

from kolspider.sandbox import Fault
from tests.e2e.rounds import make_older

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.conftest import MakeProject
    from tests.e2e.processes import Result
    from tests.e2e.project import Project

DAY = 86_400
KOLS = {"big": 900, "mid": 450, "small": 150, "still": 230}


def watched(make_project: MakeProject, kols: Mapping[str, int] = KOLS, **options: Any) -> Project:
    """A project whose lists were read once, and whose KOLs were looked at."""
    project = make_project(kols, follows=True, **options)
    project.crawl("-a", "watch=1d").expect(0)
    assert asked(project)["profile"] == len(kols), "the ids are asked for by name, once"
    return project


def pass_days(project: Project, days: float = 1) -> None:
    """Let days pass; from now on the API's log has the calls of what comes."""
    make_older(project, days * DAY)
    project.api.clear_calls()


def watch(project: Project, *words: str, days: float = 1) -> Result:
    """A day later, look again."""
    pass_days(project, days)
    return project.crawl("-a", "watch=1d", *words)


def asked(project: Project) -> dict[str, int]:
    """How many calls of each kind there were."""
    return dict(Counter(call.kind for call in project.api.calls))


def credits_of(project: Project) -> int:
    return sum(call.credits for call in project.api.calls)


def read(project: Project) -> list[str]:
    """Whose lists were asked for, in this order."""
    return list(dict.fromkeys(call.handle for call in project.api.calls if call.kind == "followings"))


def follows(project: Project, what: str) -> set[tuple[str, str]]:
    found = json.loads(project.look("follows", what, "--json").expect(0).out)
    return {(row["kol"], row["user_id"]) for row in found}


def test_only_lists_whose_number_moved_are_read_and_all_after_a_week(make_project: MakeProject) -> None:
    project = watched(make_project)
    new = project.api.follow("mid", 3)
    closing = watch(project).expect(0).out
    assert (asked(project), read(project)) == ({"profiles": 1, "followings": 1}, ["mid"])
    assert credits_of(project) == 4 * 18 + 60
    assert follows(project, "new") == {("mid", id_) for id_ in new}
    assert "watched   4 KOLs, 3 lists without news" in closing

    # An unfollow and a follow leave the number as it was: a week after the last reading the list is read all the same.
    gone = project.api.expected_ids("still")[100:102]
    project.api.unfollow("still", gone)
    hidden = project.api.follow("still", 2)
    watch(project).expect(0)
    assert read(project) == []
    watch(project, days=4).expect(0)
    assert read(project) == []
    watch(project).expect(0)
    assert set(read(project)) == {"big", "small", "still"}, "mid was read a day later than the others"
    assert {("still", id_) for id_ in hidden} <= follows(project, "new")


def test_a_look_is_not_repeated_before_its_time_nor_by_what_next_says(make_project: MakeProject) -> None:
    project = watched(make_project)
    closing = watch(project).expect(0).out
    assert closing.rstrip().endswith("nothing to do")
    project.api.clear_calls()
    project.crawl("-a", "watch=1d").expect(0)
    assert asked(project) == {}
    for kol, new in {"big": 1, "mid": 5, "small": 8}.items():
        project.api.follow(kol, new)

    # With a cap those come first that promise most new follows.
    capped = watch(project, "-a", "max_calls=2").expect(1)
    assert (asked(project), read(project)) == ({"profiles": 1, "followings": 1}, ["small"])
    going_on = next(line for line in capped.out.splitlines() if line.startswith("next")).partition("   (")[0]
    words = shlex.split(going_on)[2:]
    project.api.clear_calls()
    project.scrapy(*words).expect(0)
    assert (asked(project), read(project)) == ({"followings": 2}, ["mid", "big"])


def test_a_cap_within_the_look_keeps_what_was_paid(make_project: MakeProject) -> None:
    project = watched(make_project, {f"kol_{number}": 30 for number in range(250)}, people="plausible")
    with project.store() as store:
        ((id_,),) = store.execute("SELECT id FROM account WHERE handle = 'kol_0'").fetchall()
    project.sql(f"INSERT INTO `{project.target}` (id) VALUES ('{id_}')")
    new = {("kol_3", id_) for id_ in project.api.follow("kol_3", 2)}
    capped = watch(project, "-a", "max_calls=2", "-s", "STATS_DUMP=True").expect(1)
    assert asked(project) == {"profiles": 2}
    assert "'kol/api/profiles': 2," in capped.err
    assert "KOLs      199 complete, 51 not reached" in capped.out
    assert "watched   200 KOLs, 199 lists without news" in capped.out
    assert project.rows()[id_].user_name == "kol_0"
    project.api.clear_calls()
    project.crawl("-a", "watch=1d").expect(0)
    assert (asked(project), follows(project, "new")) == ({"profiles": 1, "followings": 1}, new)


def test_a_kill_after_the_look_neither_pays_it_again_nor_misses_a_kol(make_project: MakeProject) -> None:
    project = watched(make_project)
    new = {(kol, id_) for kol in ("big", "still") for id_ in project.api.follow(kol, 2)}
    pass_days(project)
    project.kill_crawl(1, "-a", "watch=1d")
    assert asked(project)["profiles"] == 1
    project.api.clear_calls()
    project.crawl("-a", "watch=1d").expect(0)
    assert (asked(project), set(read(project))) == ({"followings": 2}, {"big", "still"})
    assert follows(project, "new") == new


def test_a_renamed_kol_keeps_its_list_and_is_recognised_by_its_new_name(make_project: MakeProject) -> None:
    project = watched(make_project)
    project.api.rename("mid", "mid_now")
    first = project.api.follow("mid_now", 1)
    result = watch(project).expect(0)
    assert f"KOL mid is now @mid_now: update {project.source}" in result.err
    assert "renamed   mid is now @mid_now" in result.out
    assert read(project) == ["mid_now"]
    assert "is now @mid_now" in project.look("kols", "mid").out

    # When the source table has the new name, nothing is bought.
    project.look("kols", "remove", "mid").expect(0)
    project.look("kols", "add", "mid_now").expect(0)
    project.api.clear_calls()
    assert "none were due (4 complete)" in project.crawl().expect(0).out
    assert asked(project) == {}
    assert "mid: complete\n  reason      is now @mid_now" in project.look("kols", "mid_now").expect(0).out
    assert "no KOL is new" in project.look("kols", "--state", "new").expect(0).out
    assert follows(project, "new") == {("mid", id_) for id_ in first}
    assert {kol for kol, _ in follows(project, "lost")} == set()

    # A new account with the old name is another KOL beside it.
    project.api.join("mid", 70)
    project.look("kols", "add", "mid").expect(0)
    project.crawl().expect(0)
    assert read(project) == ["mid"]
    assert project.ended() == dict.fromkeys([*KOLS, "mid@2"], "complete")
    assert follows(project, "new") == {("mid", id_) for id_ in first}


def test_the_list_of_another_account_with_the_handle_is_neither_new_nor_lost(make_project: MakeProject) -> None:
    project = watched(make_project)
    project.api.rename("mid", "elsewhere")
    project.api.delete("elsewhere")
    project.api.join("mid", 70)
    result = watch(project).expect(0)
    assert "replaced  mid is another account now" in result.out
    assert asked(project) == {"profiles": 1, "profile": 1, "followings": 1}
    assert set(project.api.expected_ids("mid")) <= set(project.rows())
    assert follows(project, "new") == follows(project, "lost") == set()
    assert "mid: complete" in project.look("kols", "mid").expect(0).out
    watch(project).expect(0)
    assert asked(project) == {"profiles": 1}, "the other account's id is known now"


def test_suspended_protected_and_gone_are_told_apart_and_come_back(make_project: MakeProject) -> None:
    project = watched(make_project)
    project.api.suspend("big")
    project.api.protect("mid")
    project.api.delete("small")
    closing = watch(project).expect(0).out
    assert "KOLs      2 complete, 2 not_found" in closing
    for line in ("gone      big: suspended", "gone      small: not found", "protected mid: only its followers"):
        assert line in closing
    assert read(project) == []
    reasons = {line.split()[0]: line for line in project.look("kols").out.splitlines()}
    assert "suspended" in reasons["big"]
    assert "not found" in reasons["small"]
    assert reasons["mid"].split()[1:4] == ["complete", "3", "450"]
    assert reasons["mid"].endswith("protected")

    project.api.restore("mid")
    new = project.api.follow("mid", 2)
    assert "back      mid can be seen again" in watch(project).expect(0).out
    assert follows(project, "new") == {("mid", id_) for id_ in new}


def test_a_retry_asks_for_the_list_of_a_kol_that_an_earlier_look_found_gone(make_project: MakeProject) -> None:
    project = watched(make_project)
    project.api.suspend("mid")
    watch(project).expect(0)
    project.api.restore("mid")
    assert "KOLs      4 complete" in watch(project, "-a", "retry=not_found").expect(0).out
    assert read(project) == ["mid"]


def test_an_empty_list_of_a_protected_account_is_protected(make_project: MakeProject) -> None:
    project = make_project({"hidden": 300, "open": 40}, follows=True)
    project.api.protect("hidden")
    result = project.crawl("-a", "watch=1d").expect(0)
    assert "KOL hidden: complete, but protected, 0 users" in result.err
    assert project.look("kols", "hidden").out.count("protected") == 1


def test_a_small_batch_is_filled_up_and_freshens_rows(make_project: MakeProject) -> None:
    kols = {f"kol_{number}": 120 for number in range(7)}
    project = watched(make_project, kols, people="plausible")
    rows = project.rows()
    pairs = project.sql(f"SELECT COUNT(*) FROM `{project.follows}`")
    project.api.revision += 1
    watch(project).expect(0)
    assert [(call.kind, call.accounts, call.credits) for call in project.api.calls] == [("profiles", 100, 100)]
    fresh = [id_ for id_, row in project.rows().items() if row != rows[id_]]
    assert 40 <= len(fresh) <= 93, "accounts that are unavailable keep their rows"
    assert project.rows().keys() == rows.keys(), "KOLs whom nobody follows get no row"
    assert all(project.rows()[id_].created_at == rows[id_].created_at for id_ in fresh)
    assert project.sql(f"SELECT COUNT(*) FROM `{project.follows}`") == pairs


def test_a_list_that_came_much_shorter_than_its_profile_says(make_project: MakeProject) -> None:
    project = watched(make_project)
    project.api.set_faults({"big": Fault("cut_short", page=4)})
    result = watch(project, "-a", "full_every=6h").expect(0)
    assert "KOL big: complete, but 800 of 900 by its profile" in result.err
    assert "800 of 900 by its profile" in project.look("kols", "big").out
    assert follows(project, "lost") == set(), "it does not show who is lost"

    project.api.set_faults({})
    watch(project).expect(0)
    assert (read(project), asked(project)["followings"]) == (["big"], 5)
    assert "by its profile" not in project.look("kols", "big").out
    watch(project).expect(0)
    assert read(project) == []


def test_an_estimate_of_a_look_counts_its_profiles_and_the_lists_that_may_have_news(make_project: MakeProject) -> None:
    project = make_project(KOLS, follows=True)
    first = project.crawl("-a", "watch=1d", "-a", "estimate=1").expect(0).out
    assert "4 for profiles" in first
    project.crawl("-a", "watch=1d").expect(0)
    pass_days(project)
    told = project.crawl("-a", "watch=1d", "-a", "estimate=1").expect(0).out
    print(told)
    assert "1 for profiles" in told
    assert project.api.calls == []
    credits_ = int(told.split("cost      about ")[1].split(" credits")[0].replace(",", ""))
    assert 4 * 18 < credits_ < 4 * 18 + 4 * 70, "not each list is read"


def test_the_warning_of_an_account_that_holds_too_little_counts_the_profiles(make_project: MakeProject) -> None:
    project = watched(make_project, {f"kol_{number}": 20 for number in range(4)}, balance=4 * (18 + 60) + 220)
    told = watch(project)
    assert "the account has 220 credits, this run needs about 258 (" in told.err, "72 of them for 4 profiles"


def test_without_profiles_the_run_reads_what_it_can_and_says_so(make_project: MakeProject) -> None:
    project = watched(make_project)
    project.look("kols", "add", "later").expect(0)
    project.api.join("later", 30)
    project.api.follow("big", 1)
    project.api.set_faults({"*": Fault("server_error", kind="profiles", times=None)})
    result = watch(project, "-s", "RETRY_TIMES=1").expect(1)
    assert "stopped   the API gave no profiles of some KOLs (HTTP 500: Internal Server Error)" in result.out
    assert asked(project)["profiles"] == 2
    assert read(project) == ["later"], "a new list waits for no profile"
    project.api.set_faults({"*": Fault("no_credit", kind="profiles", times=None)})
    assert "not looked at: recharge the API account, then run" in project.crawl("-a", "watch=1d").expect(1).err
    project.api.set_faults({})
    project.api.clear_calls()
    project.crawl("-a", "watch=1d").expect(0)
    assert set(read(project)) == {"big", "later"}


def test_a_feed_of_follows_has_no_line_of_a_profile(make_project: MakeProject) -> None:
    project = watched(make_project, {f"kol_{number}": 120 for number in range(7)})
    new = project.api.follow("kol_3", 1)
    feed = project.folder / "follows.jsonl"
    watch(project, "-a", "feed=follows", "-o", str(feed)).expect(0)
    lines = [json.loads(line) for line in feed.read_text().splitlines()]
    assert {line["kol"] for line in lines} == {"kol_3"}
    assert new[0] in {line["id"] for line in lines}
