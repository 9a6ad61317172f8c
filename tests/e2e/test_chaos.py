"""Death at any moment, in small; `make chaos` tells more of these stories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.story import Story
from tests.e2e.databases import choice

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.databases import Chosen


@pytest.mark.parametrize("db_url", choice("sqlite", long="mariadb"), indirect=True)
def test_kills_at_any_point_lose_no_row_and_buy_again_only_what_was_in_flight(
    tmp_path: Path, db_url: str, chosen: Chosen
) -> None:
    loading = chosen.loading.get(db_url, {})
    kills_each = 1 if db_url else 2
    toll = Story(tmp_path, 4 if db_url else 1, db_url, loading=loading, kills_each=kills_each).tell()

    assert toll.kills >= kills_each
    assert toll.bought_twice <= toll.in_flight
    assert (toll.bought_in_vain, toll.rows_lost, toll.rows_wrong) == (0, 0, 0)
