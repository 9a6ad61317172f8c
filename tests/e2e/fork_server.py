"""A process that has imported Scrapy and kolspider, and forks for each command; its argument is a socket."""

from __future__ import annotations

import atexit
import gc
import json
import os
import socket
import sys
import threading
import warnings
from contextlib import suppress
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from pkgutil import walk_packages
from typing import TYPE_CHECKING

import scrapy.__main__
from scrapy import cmdline

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEY", "MOST", "OWN_PATH", "hooks_of", "python_path"]

KEY = "secret-key-0123456789"
"""The key of most tests."""
MOST = 1 << 20
"""Bytes of one request: the command's words and its environment."""
HOOK = Path("sitecustomize.py")
"""What Python imports at its start when it finds it."""
PACKAGES = ("kolspider", "scrapy.commands", "scrapy.downloadermiddlewares", "scrapy.spidermiddlewares")
OF_A_CRAWL = (
    "apprise",
    "encodings.idna",
    "jinja2",
    "requests",
    "scrapy.core.downloader.handlers.datauri",
    "scrapy.core.engine",
    "scrapy.core.scheduler",
    "scrapy.extensions.closespider",
    "scrapy.extensions.corestats",
    "scrapy.extensions.logcount",
    "scrapy.extensions.memusage",
    "scrapy.pqueues",
    "scrapy.squeues",
    "scrapy.statscollectors",
    "scrapy.utils.engine",
)
"""What a crawl imports besides."""
NOT_BEFOREHAND = "kolspider.settings"  # it reads the environment


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for package in map(import_module, PACKAGES):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(NOT_BEFOREHAND):
                import_module(module.name)
    for name in OF_A_CRAWL:
        import_module(name)
    find = cache(metadata.entry_points)  # what is installed stays so: 100 files are read once
    find(group="scrapy.commands")
    setattr(cmdline, "entry_points", find)  # noqa: B010 - mypy knows that it is no name of Scrapy's own
    import_module("kolspider.options.secrets").redacted("", (KEY,))  # the pattern of its spellings is compiled once
    assert "twisted.internet.reactor" not in sys.modules, "each command installs its own"
    gc.freeze()  # what is shared by all commands stays shared
    become_a_command(control)
    try:
        cmdline.execute()
    except SystemExit as end:
        leave(end.code)
        raise


def leave(code: object) -> None:
    """Do what Python does at its end but for taking down all that is shared, which takes a third of a small crawl."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()  # so that what was left behind says so
    if isinstance(code, int) and sys.stdout and sys.stderr:
        with suppress(OSError, ValueError):  # Python has words and an exit code for output that can't be written
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def become_a_command(control: socket.socket) -> None:
    """Fork at each request, and return in the fork. Without any more requests the process ends."""
    while True:
        request, streams, _, _ = socket.recv_fds(control, MOST, 3)
        if not request:
            sys.exit()
        reading, writing = os.pipe()
        if between := os.fork():
            os.close(writing)
            os.waitpid(between, 0)
            control.send(os.read(reading, 100))
            for descriptor in (reading, *streams):
                os.close(descriptor)
            continue
        if pid := os.fork():
            os.write(writing, str(pid).encode())
            os._exit(0)  # from now on the command is the child of who asked for it (see forks.py)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.closerange(3, max(control.fileno(), reading, writing, *streams) + 1)
        control.detach()
        words, environment = json.loads(request)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [scrapy.__main__.__file__, *words]
        warnings._processoptions(filter(None, environment.get("PYTHONWARNINGS", "").split(",")))  # type: ignore[attr-defined]
        import_hooks(hooks_of(environment))
        return


def import_hooks(folders: list[str]) -> None:
    if folders:
        sys.path[:0] = folders
        sys.modules.pop(HOOK.stem, None)
        import_module(HOOK.stem)


def hooks_of(environment: Mapping[str, str]) -> list[str]:
    """Return the folders with a hook that this process does not have."""
    return [folder for folder in python_path(environment) if folder not in OWN_PATH and Path(folder, HOOK).exists()]


def python_path(environment: Mapping[str, str]) -> list[str]:
    return [*filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]


OWN_PATH = python_path(os.environ)


if __name__ == "__main__":
    main()
