"""A named job (`-s JOBDIR=...`): its arguments and the KOLs it chose, written before the first call.

They are in a file of the directory, or with KOL_SHARED_URL in the ledger, under the directory's name.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from kolspider.clock import latest
from kolspider.console.wording import moment
from kolspider.errors import StopRun, WrongUsage
from kolspider.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Job", "JobFile", "JobPlace"]


class Job(Struct, frozen=True):
    """A named job: what its first run fixed. `began_at` is in unix seconds; `kols` are handles as spelled."""

    arguments: dict[str, Any]
    began_at: float
    kols: tuple[str, ...]

    @classmethod
    def load(cls, place: JobPlace, arguments: dict[str, Any]) -> Job | None:
        """Return the job of this place; None if it has not begun.

        Raises WrongUsage if it was begun with other arguments or is damaged, StopRun if it can't be read.
        """
        directory, text = place.directory, place.read()
        if text is None:
            return None
        try:
            raw = json.loads(text)
            job = cls(dict(raw["arguments"]), float(raw["began_at"]), tuple(map(str, raw["kols"])))
        except (ValueError, KeyError, TypeError):
            raise WrongUsage(
                f"{place.path} is damaged; choose another JOBDIR (no page is lost, all are in the cache)"
            ) from None
        if job.arguments != arguments:
            other = sorted(name for name in arguments if job.arguments.get(name) != arguments[name])
            raise WrongUsage(
                f"JOBDIR {directory} was begun with other arguments ({', '.join(other) or 'by another version'}); "
                "use the same ones, or another JOBDIR"
            )
        if job.began_at > latest():
            raise WrongUsage(
                f"JOBDIR {directory} was begun in the future ({moment(job.began_at)} UTC): a clock was wrong then, or "
                "is now; choose another JOBDIR (no page is lost, all are in the cache)"
            )
        return job

    @classmethod
    def begin(cls, place: JobPlace, arguments: dict[str, Any], began_at: float, kols: Iterable[str]) -> Job:
        """Write the job, which is on disk when this returns. Raises StopRun."""
        job = cls(arguments, began_at, tuple(kols))
        content = {"arguments": job.arguments, "began_at": job.began_at, "kols": job.kols}
        place.write(json.dumps(content, ensure_ascii=False))
        return job


class JobPlace(Protocol):
    """Where a named job is kept."""

    directory: Path
    """As it was named."""

    @property
    def path(self) -> object:
        """The file, as its errors name it."""

    def read(self) -> str | None:
        """Return what was written; None if nothing was. Raises StopRun, WrongUsage."""

    def write(self, text: str) -> None:
        """Write it durably. Raises StopRun."""


class JobFile:
    """The file of a JOBDIR."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "job.json"

    def read(self) -> str | None:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise WrongUsage(f"JOBDIR {self.directory} is a file; name a folder") from None
        except UnicodeDecodeError:
            return ""
        except OSError as error:
            raise StopRun(f"{self.path} can't be read: {error.strerror}; fix that, or choose another JOBDIR") from None

    def write(self, text: str) -> None:
        try:
            write_atomically(self.path, text)
        except OSError as error:
            reason = f"{error.strerror}; fix that, or choose another JOBDIR"
            raise StopRun(f"{self.path} can't be written: {reason}") from None
