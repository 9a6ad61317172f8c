"""How a parcel gets to a receiver, and what is said of one that does not take it: never its address."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import contextmanager
from typing import TYPE_CHECKING

import apprise.plugins.dingtalk
import pytest
from scrapy.settings import Settings

from kolspider.alerts.receivers import Receiver, receivers_of
from kolspider.errors import WrongUsage
from kolspider.options.read import receivers
from kolspider.store.outbox import Parcel
from tests.alerts.test_message import ALERT
from tests.e2e.http_servers import http_server, reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

PARCEL = Parcel(1, "smart money", [json.dumps(ALERT)], 1, 1)


@contextmanager
def server(status: int = 200, body: bytes = b"") -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """A server that answers so, and what was posted there: path, headers, body."""
    posted: list[tuple[str, dict[str, str], bytes]] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        content = request.rfile.read(int(request.headers["Content-Length"]))
        posted.append((request.path, dict(request.headers), content))
        reply(request, status, body, {"Location": "http://127.0.0.1:1/"} if status // 100 == 3 else None)

    with http_server(answer) as url:
        yield url, posted


def test_a_webhook_gets_json_at_its_path_with_its_password() -> None:
    with server(204) as (url, posted):
        address = f"json+{url.replace('://', '://me:p%40ss@')}/hook?x=1#part"
        assert Receiver(1, address).deliver(PARCEL) == ""
    ((path, headers, body),) = posted
    assert path == "/hook?x=1"
    assert headers["Authorization"] == f"Basic {b64encode(b'me:p@ss').decode()}"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"alerts": [ALERT]}


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 500, 503])
def test_an_answer_that_is_no_success_is_named_by_its_number(status: int) -> None:
    with server(status, b"at http://secret") as (url, posted):
        assert Receiver(1, f"json+{url}/token").deliver(PARCEL) == f"answered {status}"
        assert Receiver(2, f"json://{url.partition('://')[2]}/token").deliver(PARCEL) == f"answered {status}"
    assert len(posted) == 2


def test_what_can_not_be_reached_or_understood_is_said_without_the_address() -> None:
    assert Receiver(1, "json+http://127.0.0.1:1/token").deliver(PARCEL) == "was not reached"
    assert Receiver(2, "json://127.0.0.1:1/token").deliver(PARCEL) == "was not reached"
    assert Receiver(3, "nonsense://token").deliver(PARCEL).startswith("is no address that can be used")
    assert Receiver(3, "nonsense://token").fault().startswith("is no address that can be used")
    assert Receiver(4, "json+http://[::1/token").fault().startswith("is no address that can be used")
    assert Receiver(5, "tgram://123456789:abcdefg_hijklmnop/12315544").fault() == ""
    assert str(Receiver(5, "TGRAM://123456789:abcdefg_hijklmnop/12315544")) == "receiver 5 (tgram)"
    assert "123456789" not in repr(Receiver(5, "tgram://123456789:abcdefg_hijklmnop/12315544"))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b'{"errcode":0,"errmsg":"ok"}', ""),
        (b'{"errcode":310000,"errmsg":"keywords not in content"}', "answered 310000"),
        (b'{"errcode": 300001, "errmsg": "token is not exist"}', "answered 300001"),
    ],
)
def test_dingtalk_refuses_in_a_200(monkeypatch: pytest.MonkeyPatch, answer: bytes, problem: str) -> None:
    with server(200, answer) as (url, posted):
        monkeypatch.setattr(apprise.plugins.dingtalk.NotifyDingTalk, "notify_url", f"{url}/send?token={{token}}")
        assert Receiver(1, "dingtalk://SECabc@token123").deliver(PARCEL) == problem
    assert "kolspider: smart money, 1 alert" in json.loads(posted[0][2])["text"]["content"]


def read(text: str) -> tuple[str, ...]:
    return receivers(Settings({"KOL_NOTIFY": text}), "KOL_NOTIFY")


def test_addresses_stand_between_blanks_commas_or_semicolons() -> None:
    assert read("") == ()
    both = ("tgram://1:a/2,3", "mailtos://u:p@h?to=a@b.com,c@d.com")
    for between in (" ", ", ", ",", ";", "\n"):
        assert read(between.join(both)) == both
    assert read(f"{both[0]} {both[0]}") == both[:1]
    assert [one.number for one in receivers_of(both)] == [1, 2]


@pytest.mark.parametrize("text", ["t0ken", "slack://", "slack//a", "tgram://a b", "json+http:///x"])
def test_what_is_no_address_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(WrongUsage, match=r"KOL_NOTIFY: receiver \d is no address such as") as refused:
        read(f"slack://a/b/c {text}" if "://" in text and " " not in text else text)
    assert text not in str(refused.value)
