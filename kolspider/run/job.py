"""A named job (`-s JOBDIR=...`): one file with its arguments and the KOLs it chose, written before the first call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kolspider.clock import latest
from kolspider.console.wording import moment
from kolspider.errors import StopRun, WrongUsage
from kolspider.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Job"]


@dataclass(frozen=True, slots=True)
class Job:
    """A named job: what its first run fixed. `began_at` is in unix seconds; `kols` are handles as spelled."""

    arguments: dict[str, Any]
    began_at: float
    kols: tuple[str, ...]

    @classmethod
    def load(cls, directory: Path, arguments: dict[str, Any]) -> Job | None:
        """Return the job of this directory; None if it has not begun.

        Raises WrongUsage if it was begun with other arguments or its file is damaged, StopRun if it can't be read.
        """
        path = _file(directory)
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            job = cls(dict(raw["arguments"]), float(raw["began_at"]), tuple(map(str, raw["kols"])))
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise WrongUsage(f"JOBDIR {directory} is a file; name a folder") from None
        except OSError as error:
            raise StopRun(f"{path} can't be read: {error.strerror}; fix that, or choose another JOBDIR") from None
        except (ValueError, KeyError, TypeError):
            raise WrongUsage(
                f"{path} is damaged; choose another JOBDIR (no page is lost, all are in the cache)"
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
    def begin(cls, directory: Path, arguments: dict[str, Any], began_at: float, kols: Iterable[str]) -> Job:
        """Write the job's file, which is on disk when this returns. Raises StopRun."""
        job = cls(arguments, began_at, tuple(kols))
        content = {"arguments": job.arguments, "began_at": job.began_at, "kols": job.kols}
        path = _file(directory)
        try:
            write_atomically(path, json.dumps(content, ensure_ascii=False))
        except OSError as error:
            raise StopRun(f"{path} can't be written: {error.strerror}; fix that, or choose another JOBDIR") from None
        return job


def _file(directory: Path) -> Path:
    return directory / "job.json"
