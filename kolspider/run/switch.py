"""Going from one provider to another: what is kept, and what is bought again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.console.wording import counted

if TYPE_CHECKING:
    from kolspider.options.config import Config
    from kolspider.store.ledger import Ledger

__all__ = ["switch"]


def switch(config: Config, ledger: Ledger) -> str:
    """Say what a run buys again that another provider sold, and what it does not; empty if it buys little again.

    It buys little if it has no more such lists than are whole by this provider. A list counts for all providers of a
    family, and the ids of accounts and the rows of the target for all providers.
    """
    again, elsewhere = ledger.selection.bought_elsewhere()
    due = sum(ledger.selection.count_by_why().values())
    if again <= ledger.kols.count_whole():
        return ""
    total, ids = ledger.forecast.total(), ledger.selection.count_with_id() if config.provider.needs_id else 0
    known = f"; the ids of {counted(ids, 'KOL')} are known" if ids else ""
    dollars = total.credits * config.credit_usd
    return (
        f"{again:,} of the {counted(due, 'list')} of this run were bought from {' and '.join(elsewhere)}, and not from "
        f"{config.provider.name}: their rows stay in {config.target_table}{known}, but it buys these lists again "
        f"(about {round(total.calls):,} calls, {round(total.credits):,} credits, ${dollars:,.2f})"
    )
