"""A named job (`-s JOBDIR=...`): one file with its arguments and the KOLs it chose, written before the first call."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kolspider.errors import StopRun, WrongUsage
from kolspider.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Job"]


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its first run fixed it. began_at is unix seconds; kols are handles as spelled."""

    arguments: dict[str, Any]
    began_at: float
    kols: tuple[str, ...]

    @classmethod
    def load(cls, directory: Path, arguments: dict[str, Any]) -> Job | None:
        """The job of this directory; None when it is yet to begin.

        Raises WrongUsage when it was begun with other arguments or its file is damaged.
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
            raise StopRun(f"{path} can't be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise WrongUsage(f"{path} is damaged; choose another JOBDIR (what was paid for is in the cache)") from None
        if job.arguments != arguments:
            other = sorted(name for name in arguments if job.arguments.get(name) != arguments[name])
            raise WrongUsage(
                f"JOBDIR {directory} was begun with other arguments ({', '.join(other) or 'of another version'}); "
                "use those, or another JOBDIR"
            )
        return job

    @classmethod
    def begin(cls, directory: Path, arguments: dict[str, Any], kols: Iterable[str]) -> Job:
        """Fix the job's KOLs: all or nothing, and on disk when this returns."""
        job = cls(arguments, time.time(), tuple(kols))
        content = {"arguments": job.arguments, "began_at": job.began_at, "kols": job.kols}
        path = _file(directory)
        try:
            write_atomically(path, json.dumps(content, ensure_ascii=False))
        except OSError as error:
            raise StopRun(f"{path} can't be written: {error.strerror}") from None
        return job


def _file(directory: Path) -> Path:
    return directory / "job.json"
