"""Run the sandbox API, which answers like one of those that sell lists, until SIGINT or SIGTERM.

Its users are wild on purpose: names, counts and times as odd as real ones are at their worst. Those of
`-a sandbox=1` are plausible people.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from kolspider.sandbox.apis import CONTRACTS
from kolspider.sandbox.faults import Step, read_faults
from kolspider.sandbox.server import Sandbox

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal arrives; returns the exit code."""
    arguments = _parser().parse_args(argv)
    # The server's thread inherits the mask, so it must be set first: only sigwait() is to get these signals.
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    sandbox = Sandbox(
        arguments.kols,
        key=arguments.key,
        faults=arguments.faults,
        log_path=arguments.log,
        latency=arguments.latency,
        rate=arguments.rate,
        gzip=arguments.gzip,
        unusable=arguments.unusable,
        address=(arguments.host, arguments.port),
        api=arguments.api,
        balance=arguments.balance,
    )
    sandbox.let_weeks_pass(arguments.weeks)
    try:
        sandbox.start()
    except OSError as error:
        print(f"the sandbox API can't start: {error}", file=sys.stderr)
        return 1
    print(f"sandbox API at {sandbox.url}{CONTRACTS[arguments.api].base}", flush=True)
    signal.sigwait(signals)
    sandbox.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kolspider.sandbox", description=__doc__)
    parser.add_argument(
        "--api", choices=[*CONTRACTS], default="twitterapi_io", help="whose API it is (default: %(default)s)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument(
        "--kols", type=_kols, metavar="NAME=COUNT,...", help="KOLs and their list lengths (default: 8 samples)"
    )
    parser.add_argument("--key", default="sandbox-key", help="API key that clients must send (default: %(default)s)")
    parser.add_argument(
        "--balance", type=int, default=10**9, help="credits, users or calls that the account has (default: %(default)s)"
    )
    parser.add_argument("--faults", type=_faults, metavar="FILE.json", help="JSON that maps a handle, or *, to faults")
    parser.add_argument("--log", type=Path, metavar="FILE.jsonl", help="file to append a line to for each call")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--rate", type=int, help="most calls in a second; the others are refused with a 429")
    parser.add_argument("--gzip", action="store_true", help="compress every answer with gzip")
    parser.add_argument("--unusable", action="store_true", help="leave every 40th list entry without a usable id")
    parser.add_argument("--weeks", type=int, default=0, help="weeks of changes to the lists (default: %(default)s)")
    return parser


def _kols(text: str) -> dict[str, int]:
    kols = {}
    for pair in text.split(","):
        name, equals, count = pair.partition("=")
        if not (name and equals and count.isascii() and count.isdigit()):
            raise argparse.ArgumentTypeError(f"{pair!r} is not NAME=COUNT")
        kols[name] = int(count)
    return kols


def _faults(path: str) -> dict[str, list[Step]]:
    try:
        return read_faults(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{path}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
