"""`scrapy settings`: Scrapy's command, which does not print the secret ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from scrapy.commands import settings

from kolspider.options.config import SECRETS

if TYPE_CHECKING:
    import argparse

    from scrapy.settings import BaseSettings


class Command(settings.Command):
    """Print a setting; of a key or a password only that it is set."""

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Print what was asked for."""
        values = cast("BaseSettings", self.settings)  # scrapy.cmdline has set it
        for name in SECRETS:
            if values[name]:
                values.set(name, "***", priority="cmdline")
        super().run(args, opts)
