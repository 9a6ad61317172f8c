"""Our own end of the network: proxies, and where the API's address comes from."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kolspider.sandbox import Fault, Sandbox
from tests.e2e.expected import expected_rows
from tests.e2e.http_servers import http_server, reply, tunnel
from tests.e2e.processes import finish, stats
from tests.e2e.project import FAST, KEY, ROOT, Home
from tests.e2e.test_network_edge import GOOD_PAGE
from tests.tls import self_signed

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.e2e.conftest import MakeProject

NO_PROXY = {"no_proxy": "", "NO_PROXY": ""}


def lines(text: str) -> list[str]:
    """The warnings and errors of a log."""
    return [line for line in text.splitlines() if line[8:11] in {" W ", " E "} or "Traceback" in line]


def test_proxy_and_certificate_in_dotenv_count_and_the_proxy_sees_a_tunnel_only(
    make_project: MakeProject, tmp_path: Path
) -> None:
    seen: list[tuple[str, str | None]] = []
    keys: list[str | None] = []

    def proxy(request: BaseHTTPRequestHandler) -> None:
        seen.append((request.path, request.headers["X-API-Key"]))
        tunnel(request)

    def api(request: BaseHTTPRequestHandler) -> None:
        keys.append(request.headers["X-API-Key"])
        reply(request, 200, GOOD_PAGE)

    project = make_project({"BTC": 250})
    certificate, context = self_signed(tmp_path)
    with http_server(api, tls=context) as url, http_server(proxy) as proxy_url:
        dotenv = {
            "KOL_API_KEY": KEY,
            "KOL_API_URL": url,
            **project.database_settings(),
            "https_proxy": proxy_url,
            "SSL_CERT_FILE": str(certificate),
        }
        home = Home.of(project, dotenv)
        # Given a proxy in .env, and another CA in the environment
        other_ca = os.environ.get("SSL_CERT_FILE", "/nowhere")
        unset = {name: "" for name in ("https_proxy", "HTTPS_PROXY") if name in os.environ}
        result = home.crawl(env={"SSL_CERT_FILE": other_ca, **NO_PROXY, **unset}).expect(1)
        # then the environment counts: the certificate is refused, in one line
        (line,) = lines(result.err)
        assert f"the certificate of {url}" in line
        assert keys == []
        # and when it is trusted, the API gets the key, and the proxy does not
        seen.clear()
        with pytest.MonkeyPatch.context() as patch:
            for name in ("SSL_CERT_FILE", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
                patch.delenv(name, raising=False)
            home.crawl().expect(0)
    assert seen == [(url.removeprefix("https://"), None)] * 2  # for the balance, and for the page
    assert keys == [KEY, KEY]


def test_a_proxy_that_is_down_stops_the_run_and_a_password_it_wants_does_at_once(make_project: MakeProject) -> None:
    kols = {f"kol{n}": 250 for n in range(4)}
    project = make_project(kols)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        down = f"http://127.0.0.1:{free.getsockname()[1]}"
    api = {"KOL_API_URL": "https://api.example", **NO_PROXY}
    # Given a proxy that is not there
    result = project.crawl("-s", "RETRY_TIMES=1", "-s", "STATS_DUMP=True", env=api | {"https_proxy": down}).expect(1)
    # then the run stops when one KOL has no retry left, and says so in one line
    (line,) = [line for line in lines(result.err) if " E " in line]
    assert f"the proxy {down.removeprefix('http://')} (https_proxy) refuses the connection" in line
    assert "api/credits_estimated" not in stats(result.text)
    assert set(project.ended().values()) == {"fetching"}

    # and given one that wants a password
    def who_are_you(request: BaseHTTPRequestHandler) -> None:
        reply(request, 407)

    with http_server(who_are_you) as url:
        result = project.crawl("-s", "STATS_DUMP=True", env=api | {"https_proxy": url}).expect(1)
    # then the run stops at once
    (line,) = lines(result.err)
    assert f"the proxy {url.removeprefix('http://')} (https_proxy) asks for a user and password (HTTP 407" in line
    assert "api/credits_estimated" not in stats(result.text)
    # and given a value that names none, nothing is done at all
    refused = project.crawl(env=api | {"https_proxy": "socks5://user:secret@127.0.0.1:1080"}).expect(2)
    assert refused.text.count("\n") == 1
    assert "https_proxy is not the address of a proxy" in refused.text
    assert "secret" not in refused.text


def test_an_address_of_the_api_that_moves_is_found_again(
    make_project: MakeProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an API whose name stands for 127.0.0.1
    kols = {f"kol{n}": 250 for n in range(8)}
    project = make_project(kols)
    address = tmp_path / "address"
    address.write_text("127.0.0.1")
    hook = (
        "import pathlib, socket\n"
        "look_up = socket.getaddrinfo\n"
        f"address = pathlib.Path({str(address)!r})\n"
        "def getaddrinfo(host, *args, **kwargs):\n"
        "    return look_up(address.read_text() if host == 'api.example' else host, *args, **kwargs)\n"
        "socket.getaddrinfo = getaddrinfo\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hook)
    monkeypatch.setattr("tests.e2e.forks.can_fork", lambda _: False)  # Twisted keeps the function that it imports
    port = int(project.api.url.rpartition(":")[2])
    env = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        "KOL_API_URL": f"http://api.example:{port}",
    }
    project.api.hold(after=4)
    process = project.start_crawl(env=env)
    project.wait_for_calls(5)
    # when it moves in the middle of the run
    with Sandbox(kols, key=KEY, address=("127.0.0.2", port)) as there:
        address.write_text("127.0.0.2")
        project.api.set_faults({"*": Fault("reset", times=None)})
        project.api.release()
        finish(process).expect(0)
        assert there.calls
    # then the run goes on there
    assert project.rows() == expected_rows(kols)


def has_ipv6() -> bool:
    try:
        with closing(socket.create_server(("::1", 0), family=socket.AF_INET6)):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_api_at_an_ipv6_address_is_reached(make_project: MakeProject) -> None:
    project = make_project({"BTC": 250})
    with Sandbox({"BTC": 250}, key=KEY, address=("::1", 0)) as api:
        assert api.url.startswith("http://[::1]:")
        project.scrapy("crawl", "followings", *FAST, env={"KOL_API_URL": api.url}).expect(0)
    assert project.rows() == expected_rows({"BTC": 250})
