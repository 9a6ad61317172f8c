"""Going from one provider to another: what is kept, and what is bought again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.console.wording import counted

if TYPE_CHECKING:
    from kolspider.options.config import Config
    from kolspider.store.ledger import Ledger

__all__ = ["switch"]


def switch(config: Config, ledger: Ledger) -> str:
    """Say what the first run with another provider buys again, and what it does not; empty if that is nothing.

    A list counts for all providers of a family, and the ids of accounts and the rows of the target for all providers.
    """
    elsewhere = ledger.selection.bought_elsewhere()
    if ledger.kols.is_any_known_here() or not elsewhere:
        return ""
    again, due = sum(elsewhere.values()), sum(ledger.selection.count_by_why().values())
    total, ids = ledger.forecast.total(), ledger.selection.count_with_id() if config.provider.needs_id else 0
    known = f"; the ids of {counted(ids, 'KOL')} are known" if ids else ""
    cost = f"{round(total.credits):,} credits, ${total.credits * config.credit_usd:,.2f}"
    return (
        f"nothing was bought from {config.provider.name} yet, and {again:,} of the {counted(due, 'list')} of this run "
        f"were bought from {' and '.join(elsewhere)}: their rows stay in {config.target_table}{known}, and the lists "
        f"are bought again (about {round(total.calls):,} calls, {cost})"
    )
