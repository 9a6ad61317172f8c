"""`scrapy version`: kolspider's own version below those that Scrapy prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.commands import version

from kolspider import __version__

if TYPE_CHECKING:
    import argparse


class Command(version.Command):
    """Print the versions of Scrapy and kolspider."""

    def short_desc(self) -> str:
        """Shown by `scrapy -h`."""
        return "Print the versions of Scrapy and kolspider"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Print a line in the form of Scrapy's, which is a column with -v."""
        super().run(args, opts)
        print(f"{'kolspider':<12} : {__version__}" if opts.verbose else f"kolspider {__version__}")
