"""Errors shown to the user as one line. Anything else is a bug and keeps its traceback."""

from scrapy.exceptions import IgnoreRequest

__all__ = [
    "CapReached",
    "Faults",
    "Fenced",
    "NotAsked",
    "StartAgain",
    "StopRun",
    "UserError",
    "WrongUsage",
    "out_of_memory",
]


_LONGEST = 2000
"""Characters of a message: enough for the DDL of every column."""


class UserError(Exception):
    """Something the user can act on. The message is one line: what happened, to what, what to do next."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        # A message quotes what was typed or what a server sent: line breaks, control characters, any length.
        visible = "".join(char if char.isprintable() else " " for char in message[: _LONGEST * 2])
        super().__init__(" ".join(visible.split())[:_LONGEST])


class StopRun(UserError):  # noqa: N818 - says what happens; an Error suffix would not
    """The run can't start or go on: bad key, no credit, database or disk unusable (exit code 1)."""


class CapReached(StopRun):
    """A cap of the run leaves no room for another call, and work is left: nothing needs to be fixed."""


class StartAgain(StopRun):
    """This worker can't go on, and nothing has to be fixed: the same command can be started again by itself.

    It has an exit code of its own (EX_TEMPFAIL), so that a service manager restarts nothing that spends money.
    """

    exit_code = 75


class Fenced(StartAgain):
    """This process was taken for dead, or nobody can say whether it was: it may write no more."""


class WrongUsage(UserError):  # noqa: N818
    """Wrong arguments or settings, or another run holds the cache directory (exit code 2)."""

    exit_code = 2


class Faults(WrongUsage):
    """What is wrong with a file that a setting names, a line for each fault."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(messages[0])
        self.args = ("\n".join(str(WrongUsage(message)) for message in messages),)


def out_of_memory() -> StopRun:
    """Return the error that ends a run for which there is too little memory: nothing is wrong with what it reads."""
    return StopRun(
        "out of memory; nothing is lost: make some free, or lower CONCURRENT_REQUESTS and KOL_FLUSH_ROWS, then run the "
        "same command again"
    )


class NotAsked(IgnoreRequest):
    """The request was not sent, because the run is stopping. It says nothing about its KOL."""
