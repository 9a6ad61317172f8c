"""`-a watch=1d`: what a daily look costs, and that it finds what there is to find."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.e2e.rounds import make_older

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject
    from tests.e2e.processes import Result
    from tests.e2e.project import Project

DAY = 86_400
KOLS = {"big": 900, "mid": 450, "small": 150, "still": 230}


def watch(project: Project, *words: str, days: float = 1) -> Result:
    """A day later, look again; the API's log has the calls of this run alone."""
    if project.store_file.exists():
        make_older(project, days * DAY)
    project.api.clear_calls()
    return project.crawl("-a", "watch=1d", *words)


def asked(project: Project) -> dict[str, int]:
    """How many calls of each kind a run made."""
    return dict(Counter(call.kind for call in project.api.calls))


def spent(project: Project) -> int:
    return sum(call.credits for call in project.api.calls)


def read(project: Project) -> set[str]:
    """Whose lists were asked for."""
    return {call.handle for call in project.api.calls if call.kind == "followings"}


def test_a_day_with_news_of_some(make_project: MakeProject) -> None:
    project = make_project(KOLS, follows=True)
    watch(project).expect(0)
    assert asked(project)["profile"] == len(KOLS)

    new = project.api.follow("mid", 3)
    result = watch(project).expect(0)
    print(result.text)
    assert read(project) == {"mid"}
    assert set(new) <= set(project.rows())
    assert asked(project) == {"profiles": 1, "followings": 1}

    result = watch(project).expect(0)
    print(result.text)
    assert read(project) == set()


def test_renamed(make_project: MakeProject) -> None:
    project = make_project(KOLS, follows=True)
    watch(project).expect(0)
    project.api.rename("mid", "mid_new")
    project.api.suspend("small")
    project.api.protect("big")
    project.api.follow("mid_new", 3)
    result = watch(project).expect(0)
    print(result.text)
    print(project.look("kols").text)
    print(asked(project))
