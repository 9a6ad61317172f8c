"""A bug of ours, put in from outside: no hang, nothing lost, no KOL complete that is not, and the exit code says so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.expected import expected_rows
from tests.e2e.project import ROOT

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

KOLS = {f"kol{number}": 400 for number in range(10)}
UPSERTS = {
    "sqlite": "kolspider.db.sqlite SqliteDatabase upsert",
    "mysql": "kolspider.db.mysql MysqlDatabase upsert",
    "doris": "kolspider.db.doris.database DorisDatabase upsert",
}


def with_bug(project: Project, where: str, nth: int) -> dict[str, str]:
    """An environment in which a method raises: the nth time it is called, or with a negative n from then on."""
    module, owner, method = (UPSERTS[project.dialect] if where == "the database's upsert" else where).split(" ")
    hooks = project.folder / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(
        f"import itertools\nfrom {module} import {owner}\n"
        f"usual, calls = {owner}.{method}, itertools.count(1)\n"
        "def buggy(*args, **kwargs):\n"
        f"    call = next(calls)\n    if call == {nth} or 0 < {-nth} <= call:\n        raise RuntimeError('a bug')\n"
        "    return usual(*args, **kwargs)\n"
        f"{owner}.{method} = buggy\n"
    )
    return {"PYTHONPATH": os.pathsep.join([str(hooks), str(ROOT)])}


@pytest.mark.parametrize(
    ("where", "nth"),
    [
        ("kolspider.load.mapping Mapper map_user", 150),  # in a first page, whose accounts others follow, too
        ("kolspider.providers.paging Paging take", -3),  # the spider's, for every KOL: none gives its place back
        ("the database's upsert", 2),  # in the writer's thread
    ],
)
def test_a_bug_ends_in_exit_code_1_and_loses_nothing(make_project: MakeProject, where: str, nth: int) -> None:
    project = make_project(KOLS)

    result = project.crawl("-s", "KOL_FLUSH_ROWS=300", env=with_bug(project, where, nth)).expect(1)

    assert "a bug" in result.text
    rows = project.rows()
    done = {kol: KOLS[kol] for kol, state in project.ended().items() if state == "complete"}
    assert expected_rows(done).keys() <= rows.keys()
    assert len(done) < len(KOLS)
    project.crawl().expect(0)
    assert project.rows() == expected_rows(KOLS)
    assert project.ended() == dict.fromkeys(KOLS, "complete")
    assert set(project.bought().values()) == {1}
