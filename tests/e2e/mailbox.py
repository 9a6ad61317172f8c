"""A receiver of alerts on this machine: a webhook, and a server to which apprise sends messages."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.e2e.http_servers import http_server, reply
from tests.e2e.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

    from tests.e2e.project import Project

__all__ = ["TOKEN", "Mailbox", "follow_pairs", "mailbox", "pass_a_second", "write_rules"]

TOKEN = "t0ken-0f-the-receiver-77"
"""A part of every address, which is a secret."""


@dataclass
class Mailbox:
    """What has arrived."""

    netloc: str = ""
    status: int = 200
    posts: list[dict[str, Any]] = field(default_factory=list)
    """Every body that was taken: one that was answered with an error has not arrived."""
    open: threading.Event = field(default_factory=threading.Event)
    """Unless it is set, answers wait."""

    @property
    def webhook(self) -> str:
        return f"json+http://{self.netloc}/{TOKEN}"

    @property
    def chat(self) -> str:
        """An address of apprise, which sends a title and a message there."""
        return f"json://{self.netloc}/{TOKEN}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body, status = request.rfile.read(int(request.headers["Content-Length"])), self.status
        if status == 200:
            self.posts.append(json.loads(body))
        self.open.wait(60)
        reply(request, status)

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that the webhook got, in order."""
        return [alert for post in self.posts for alert in post.get("alerts", [])]

    @property
    def ids(self) -> list[str]:
        return [alert["id"] for alert in self.alerts]

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Title and text of the messages that apprise sent."""
        return [(post["title"], post["message"]) for post in self.posts if "message" in post]


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A receiver that takes everything."""
    box = Mailbox()
    box.open.set()
    with http_server(box.answer) as url:
        box.netloc = urlsplit(url).netloc
        yield box
        box.open.set()


def write_rules(project: Project, text: str, *receivers: str) -> None:
    """Give a project these rules and receivers."""
    path = project.folder / "alerts.toml"
    path.write_text(text)
    project.env |= {"KOL_ALERTS_FILE": str(path), "KOL_NOTIFY": " ".join(receivers)}


def pass_a_second(project: Project) -> None:
    """Let the clock get beyond the last moment in the follows table, which has whole seconds."""
    ((last,),) = project.sql(f"SELECT max(last_seen) FROM `{project.follows}`")
    wait_until(lambda: time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()) > str(last))


def follow_pairs(project: Project, kols: Iterator[str] | list[str]) -> set[tuple[str, str]]:
    """Whom the KOLs follow now, by the API's own account: (KOL, id)."""
    return {(kol.lower(), id_) for kol in kols for id_ in project.api.expected_ids(kol)}
