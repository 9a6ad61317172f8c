"""A target that can't hold what is sent costs no call; one that passes has every row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.expected import expected_rows
from tests.e2e.processes import stats

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject
    from tests.mariadb import MariaDB


def test_a_table_that_loses_rows_is_refused_before_a_call_and_mended_by_the_ddl_that_is_told(
    make_project: MakeProject, mariadb: MariaDB
) -> None:
    project = make_project({"BTC": 450}, db_url=mariadb.url)
    project.sql(
        f"ALTER TABLE `{project.target}` MODIFY id INT, MODIFY created_at DATETIME, "
        "MODIFY name VARCHAR(200) CHARACTER SET latin1"
    )

    tested = project.crawl("-a", "test=1").expect(1)
    refused = project.crawl().expect(1)
    created = project.look("initdb").expect(1)

    for result in (tested, refused, created):
        (line,) = (line for line in result.text.splitlines() if "can't hold what is sent" in line)
        assert "id (int(11)) can't hold ids of up to 20 digits" in line
        assert "created_at (datetime) can't hold texts" in line
    assert project.api.calls == []
    project.sql(line.partition("; fix it with: ")[2].partition("; or set ")[0])

    tested = project.crawl("-a", "test=1").expect(0)
    result = project.crawl("-s", "STATS_DUMP=True").expect(0)

    warning = "values of name are in latin1: the characters that it lacks, such as emoji, are removed"
    assert warning in tested.text
    assert warning in result.text
    whole, rows = expected_rows({"BTC": 450}), project.rows()
    assert {id_: row._replace(name=None) for id_, row in rows.items()} == {
        id_: row._replace(name=None) for id_, row in whole.items()
    }
    changed = [id_ for id_ in whole if rows[id_].name != whole[id_].name]
    assert stats(result.text)["rows/clipped/name"] == len(changed) > 0
