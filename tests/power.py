"""What is on a disk after a power cut: rebuilt from the system calls of a command, as strace saw them.

The disk is as unkind as POSIX allows: of what was written since a file's last fsync, any part may be there or not,
in any order; a file's name is there only if its folder was synced after it was made; a deleted or renamed one
may be back. (fsync(2): "Calling fsync() does not necessarily ensure that the entry in the directory containing the
file has also reached disk. For that an explicit fsync() on a file descriptor for the directory is also needed.")
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["STRACE", "Disk", "Sent", "Synced", "replay"]

CALLS = "openat,mkdir,pwrite64,write,ftruncate,truncate,unlink,rename,fsync,fdatasync,sendto,close"
STRACE = ("strace", "-f", "-y", "-xx", "-s", "10000000", "-e", f"trace={CALLS}", "-e", "signal=none")
"""The words before a traced command, to which `-o` and a file are added."""

_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|(.*?) <unfinished \.\.\.>|(\w+)\((.*))$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_Part = Callable[[bytearray], None]


@dataclass
class _File:
    """What a file holds for certain, and what was done to it since."""

    safe: bytearray = field(default_factory=bytearray)
    unsafe: list[_Part] = field(default_factory=list)
    size: int = 0

    def sync(self, parts: int) -> None:
        for part in self.unsafe[:parts]:
            part(self.safe)
        del self.unsafe[:parts]


@dataclass(frozen=True)
class Sent:
    """The command sends this to somebody."""

    data: bytes


@dataclass(frozen=True)
class Synced:
    """A file or folder was synced."""

    path: str


@dataclass
class Disk:
    """The files under a folder, as they are for programs (`names`) and for certain (`safe_names`)."""

    root: Path
    names: dict[str, _File] = field(default_factory=dict)
    safe_names: dict[str, _File] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    safe_folders: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Take what is there before the command starts as safe."""
        for path in self.root.rglob("*"):
            if path.is_dir():
                self.folders.add(str(path))
            else:
                content = bytearray(path.read_bytes())
                self.names[str(path)] = self.safe_names[str(path)] = _File(content, size=len(content))
        self.safe_folders = set(self.folders)

    def after_a_cut(self, folder: Path, dice: random.Random | None = None) -> None:
        """Write what is left of `root` into the folder. With dice, some of what was not synced is there, too."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in sorted(self.safe_folders):
            if str(Path(path).parent) in {*self.safe_folders, str(self.root)}:
                self._there(folder, path).mkdir()
        for path, file in self.safe_names.items():
            content = bytearray(file.safe)
            for part in file.unsafe:
                if dice and dice.random() < 0.5:
                    part(content)
            if self._there(folder, path).parent.exists():
                self._there(folder, path).write_bytes(content)

    def _there(self, folder: Path, path: str) -> Path:
        return folder / Path(path).relative_to(self.root)

    # --- what a program does to it -------------------------------------------------------------------------

    def make_folder(self, path: str) -> None:
        self.folders.add(path)

    def open(self, path: str, flags: str) -> None:
        if "O_CREAT" in flags and path not in self.names:
            self.names[path] = _File()
        elif "O_TRUNC" in flags:
            self.truncate(path, 0)

    def write(self, path: str, data: bytes, offset: int | None = None) -> None:
        file = self.names.get(path)
        if file is None:
            return  # deleted, but open still
        at = file.size if offset is None else offset
        file.size = max(file.size, at + len(data))

        def part(content: bytearray) -> None:
            content.extend(bytes(max(0, at - len(content))))
            content[at : at + len(data)] = data

        file.unsafe.append(part)

    def truncate(self, path: str, size: int) -> None:
        file = self.names[path]
        file.size = size

        def part(content: bytearray) -> None:
            del content[size:]
            content.extend(bytes(size - len(content)))

        file.unsafe.append(part)

    def unlink(self, path: str) -> None:
        self.names.pop(path, None)

    def rename(self, path: str, to: str) -> None:
        self.names[to] = self.names.pop(path)

    def parts(self, path: str) -> int:
        """How much of a file is not safe: what a sync that begins now makes safe."""
        return len(self.names[path].unsafe) if path in self.names else 0

    def sync(self, path: str, parts: int) -> None:
        if path in self.names:
            self.names[path].sync(parts)
            return

        def here(name: str) -> bool:
            return str(Path(name).parent) == path

        self.safe_names = {n: f for n, f in self.safe_names.items() if not here(n)}
        self.safe_names |= {n: f for n, f in self.names.items() if here(n)}
        self.safe_folders |= {name for name in self.folders if here(name)}


def replay(trace: Path, disk: Disk) -> Iterator[Sent | Synced]:
    """Do to the disk what the traced command did, and stop at each sync and each sending."""
    begun: dict[str, tuple[str, int]] = {}
    for line in trace.read_text(encoding="latin-1").splitlines():
        match = _LINE.match(line)
        if not match:
            continue  # an exit, a signal
        thread, resumed, rest, start, name, arguments = match.groups()
        if start:
            begun[thread] = start, disk.parts(_path(disk, start) or "")
            continue
        if resumed:
            start, parts = begun.pop(thread)
            name, arguments = start.split("(", 1)
            arguments += rest
        else:
            parts = disk.parts(_path(disk, arguments) or "")
        if " = -1 " in arguments[-60:] or arguments.endswith("= ?"):
            continue
        if happened := _do(disk, name, arguments, parts):
            yield happened


def _do(disk: Disk, name: str, arguments: str, parts: int) -> Sent | Synced | None:  # noqa: C901 - a call a case
    texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(arguments)]
    if name == "sendto":
        return Sent(texts[0])
    path = _path(disk, arguments)
    if path is None:
        return None
    match name:
        case "openat":
            disk.open(path, arguments)
        case "mkdir":
            disk.make_folder(path)
        case "pwrite64":
            disk.write(path, texts[-1], _last_number(arguments))
        case "write":
            disk.write(path, texts[-1])
        case "ftruncate" | "truncate":
            disk.truncate(path, _last_number(arguments))
        case "unlink":
            disk.unlink(path)
        case "rename":
            disk.rename(path, texts[1].decode())
        case "fsync" | "fdatasync":
            disk.sync(path, parts)
            return Synced(path)
    return None


def _last_number(arguments: str) -> int:
    """An offset or a length, which comes last of a call's arguments."""
    return int(re.findall(r", (\d+)\) +=", arguments)[-1])


def _path(disk: Disk, arguments: str) -> str | None:
    """The file that a call is about, when it is on the disk: named by its text or by its descriptor."""
    for found in re.findall(r"<((?:\\x[0-9a-f]{2})+)>", arguments)[::-1] + _TEXT.findall(arguments)[:1]:
        path = bytes.fromhex(found.replace("\\x", "")).decode("latin-1")
        if path.startswith(f"{disk.root}/") or path == str(disk.root):
            return path
    return None
