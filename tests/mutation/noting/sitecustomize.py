"""Notes which functions of the product each test calls, also those of the commands that it starts.

Python imports this file by itself when its folder is in PYTHONPATH, which only the mutation tool sees to. A line is
written as soon as a function is called for the first time, so a command that is killed has noted its own, too.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType, FrameType

FOLDER = "MUTATION_NOTES"
"""The environment's name for the folder of the notes."""


def _note_calls(folder: Path) -> None:
    root = str(Path(__file__).parents[3]) + os.sep
    product = f"{root}kolspider{os.sep}"
    notes = (folder / str(os.getpid())).open("a", buffering=1)
    seen: set[tuple[CodeType, str]] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(product):
            test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
            if test and (code, test) not in seen:
                seen.add((code, test))
                notes.write(f"{code.co_filename[len(root) :]}:{code.co_firstlineno} {test}\n")

    threading.settrace(note)
    sys.settrace(note)


if FOLDER in os.environ:
    _note_calls(Path(os.environ[FOLDER]))
