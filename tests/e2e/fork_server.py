"""A process that has imported Scrapy and kolspider, and forks for each command; its argument is a socket."""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
from importlib import import_module
from pkgutil import walk_packages

import scrapy.__main__
from scrapy.cmdline import execute

import kolspider

__all__ = ["MOST"]

MOST = 1 << 20
"""Bytes of one request: the command's words and its environment."""
NOT_BEFOREHAND = ("kolspider.settings", "kolspider.sandbox")  # reads the environment; is needed by few


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in walk_packages(kolspider.__path__, "kolspider."):
        if not module.name.startswith(NOT_BEFOREHAND):
            import_module(module.name)
    assert "twisted.internet.reactor" not in sys.modules, "each command installs its own"
    gc.freeze()  # what is shared by all commands stays shared
    become_a_command(control)
    execute()


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
        return


if __name__ == "__main__":
    main()
