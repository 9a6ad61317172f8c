"""KOL_DB_URL: what it may say, and that no error repeats any of it."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolspider.db.base import Database
from kolspider.db.doris.database import DorisDatabase
from kolspider.db.mysql import Connecting, MysqlDatabase
from kolspider.db.sqlite import SqliteDatabase
from kolspider.db.url import open_database
from kolspider.errors import WrongUsage
from tests.tls import self_signed
from tests.wild import wildly

BASE = Path("/srv/kol")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///kol.db", "/srv/kol/kol.db"),
        ("sqlite:///data/kol.db", "/srv/kol/data/kol.db"),
        ("sqlite:////var/kol.db", "/var/kol.db"),
        ("sqlite:////var/50% of it.db", "/var/50% of it.db"),
    ],
)
def test_sqlite_names_a_file(url: str, path: str) -> None:
    db = open_database(url, base=BASE)

    assert isinstance(db, SqliteDatabase)
    assert db.path == Path(path)
    assert db.label == f"sqlite:///{path}"
    assert db.secrets == ()


def test_user_and_password_are_percent_decoded() -> None:
    db = open_database("mysql://k%40l:p%C3%A4ss%2F%40%3A%25@DB.example:3307/kol", base=BASE)

    assert isinstance(db, MysqlDatabase)
    assert (db.server.user, db.server.password) == ("k@l", "päss/@:%")
    assert (db.server.host, db.server.port, db.server.database) == ("db.example", 3307, "kol")
    assert db.secrets == ("päss/@:%", "p%C3%A4ss%2F%40%3A%25")
    assert db.label == "mysql://db.example:3307/kol"
    assert "päss" not in repr(db.server)


def test_what_names_a_target_in_the_store_never_changes(tmp_path: Path) -> None:
    db = open_database("mysql://u:hunter2@db.example/kol", base=tmp_path)

    assert db.target_label("twitter_kol_all", "") == "mysql://db.example:3306/kol twitter_kol_all"
    assert db.target_label("a.b", "f") == "mysql://db.example:3306/kol a.b + f"


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("mysql://u:p@h/db", "mysql://h:3306/db"),
        ("mysql://h/db", "mysql://h:3306/db"),
        ("mysql://u:p@[::1]:3306/db", "mysql://[::1]:3306/db"),
        ("doris://u:p@fe/public_data", "doris://fe:9030/public_data"),
        ("mysql://h:1/db", "mysql://h:1/db"),
        ("mysql://h:65535/db", "mysql://h:65535/db"),
        ("DORIS://u@fe:9031/public_data", "doris://fe:9031/public_data"),
    ],
)
def test_the_label_is_the_same_however_the_url_is_spelt(url: str, label: str) -> None:
    db = open_database(url, base=BASE)

    assert db.label == label
    assert isinstance(db, DorisDatabase) == label.startswith("doris")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "kol.db",
        "hunter2",
        "postgres://u:hunter2@h/db",
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite:////",
        "sqlite://hunter2.db",
        "sqlite:///:memory:",
        "sqlite:///hunter2.db?mode=ro",
        "mysql://u:hunter2@h",
        "mysql://u:hunter2@h/",
        "mysql://u:hunter2@h:99999/db",
        "mysql://u:hunter2@h:0/db",
        "mysql://u:hunter2@h:port/db",
        "mysql://u:hunter2@h/db?charset=utf8",
        "mysql://u:hunter2@h/db#x",
        "mysql://u:hunter2@h/db/x",
        "mysql://u:hun@ter2@h/db",
        "mysql://u:hunter2/@h/db",
        "mysql://u:hunter2%ff@h/db",
        "mysql://u:hunter2@[::1/db",
        "mysql://:hunter2@/db",
    ],
)
def test_a_wrong_url_is_told_in_one_line_that_repeats_nothing_of_it(url: str) -> None:
    with pytest.raises(WrongUsage, match="KOL_DB_URL") as caught:
        open_database(url, base=BASE)

    message = str(caught.value)
    assert "\n" not in message
    assert "hun" not in message
    assert "ter2" not in message
    assert caught.value.__cause__ is None


def connecting(options: str, base: Path = BASE) -> Connecting:
    db = open_database(f"mysql://u:hunter2@h/db?{options}", base=base)
    assert isinstance(db, MysqlDatabase)
    return db.server.connecting


def test_options_say_how_to_connect() -> None:
    assert connecting("") == Connecting()
    assert connecting("charset=utf8mb4&connect_timeout=3&ssl_disabled=true") == Connecting(tls_off=True, secs=3)
    assert connecting("ssl_disabled=0") == Connecting()
    assert connecting("unix_socket=%2Frun%2Fmy.sock").unix_socket == "/run/my.sock"
    assert isinstance(open_database("doris://u:p@fe/db?connect_timeout=3", base=BASE), DorisDatabase)


def test_who_names_a_ca_wants_it_checked(tmp_path: Path) -> None:
    self_signed(tmp_path)
    cases = {
        "ssl_ca=certificate.pem": (ssl.CERT_REQUIRED, False),
        "ssl_ca=certificate.pem&ssl_verify_cert=0": (ssl.CERT_NONE, False),
        "ssl_ca=certificate.pem&ssl_verify_identity=1": (ssl.CERT_REQUIRED, True),
        "ssl_verify_identity=1": (ssl.CERT_REQUIRED, True),
        "ssl_verify_cert=1": (ssl.CERT_REQUIRED, False),
        "ssl_cert=certificate.pem&ssl_key=key.pem": (ssl.CERT_NONE, False),
    }
    found = {options: connecting(options, tmp_path).tls for options in cases}
    assert {options: tls and (tls.verify_mode, tls.check_hostname) for options, tls in found.items()} == cases


def test_a_socket_is_another_server_to_the_store() -> None:
    db = open_database("mysql://u:p@localhost/db?unix_socket=/run/a.sock&connect_timeout=3", base=BASE)
    assert db.label == "mysql://localhost:3306/db?unix_socket=/run/a.sock"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("sslca=hunter2", "the options are ssl_ca, "),
        ("hunter2", "the options are ssl_ca, "),
        ("ssl_ca=hunter2.pem", "ssl_ca can't be used: No such file"),
        ("ssl_ca=empty.pem", "ssl_ca can't be used: no certificate"),
        ("ssl_ca=", "ssl_ca has no value"),
        ("ssl_cert=certificate.pem", "ssl_cert or ssl_key can't be used: "),
        ("ssl_key=key.pem", "ssl_key needs ssl_cert"),
        ("ssl_disabled=hunter2", "ssl_disabled is neither 1 nor 0"),
        ("ssl_disabled=1&ssl_ca=certificate.pem", "ssl_disabled=1 does not go"),
        ("unix_socket=hunter2", "unix_socket is not an absolute path"),
        ("connect_timeout=0", "connect_timeout is not"),
        ("charset=latin1", "charset can only be utf8mb4"),
    ],
)
def test_a_wrong_option_is_one_line_that_repeats_nothing_of_it(tmp_path: Path, options: str, told: str) -> None:
    self_signed(tmp_path)
    (tmp_path / "empty.pem").touch()
    with pytest.raises(WrongUsage, match=f"KOL_DB_URL.*{re.escape(told)}") as caught:
        connecting(options, tmp_path)
    assert "hunter2" not in str(caught.value)


# Only valid UTF-8: the settings refuse anything else before.
url_parts = st.sampled_from(
    [
        *re.findall(
            r"\S+", "mysql doris sqlite :// :/// : / @ u h db [::1] [ ] [zz] :3306 :0 :70000 % %00 %ff %C3%A4 %zz"
        ),
        *("%C3%A4", "%zz", ":\N{FULLWIDTH DIGIT EIGHT}", "?", "#", " ", "\n", "\t", "\x1b", "é", ".", ";"),
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)


@given(
    st.sampled_from(["", "mysql://u:hunter2", "doris://u:hunter2@h", "sqlite:///", "mysql://u:hunter2@h:"]),
    st.lists(url_parts, max_size=8).map("".join),
)
@wildly
def test_any_url_is_a_database_or_refused_in_one_line_that_repeats_nothing_of_it(start: str, rest: str) -> None:
    try:
        db = open_database(start + rest, base=BASE)
    except WrongUsage as error:
        line = str(error)
        assert line.startswith("KOL_DB_URL")
        assert line.splitlines() == [line]
        assert "hunter2" not in line
    else:
        assert isinstance(db, Database)
        if start.startswith(("mysql", "doris")):
            assert "hunter2" not in db.label
            assert db.secrets
        assert "hunter2" not in repr(vars(db)).replace(repr(db.secrets), "")


@pytest.mark.parametrize("url", ["mysql://h:0/db", "mysql://h:65536/db", "mysql://h:99999/db"])
def test_a_port_is_one_that_there_is(url: str) -> None:
    with pytest.raises(WrongUsage, match="KOL_DB_URL must look like"):
        open_database(url, base=BASE)


@pytest.mark.parametrize("secs", ["1", "9999", "0", "0000", "10000", "-1", "1.5"])
def test_a_time_to_connect_is_a_whole_number_of_seconds(secs: str) -> None:
    url = f"mysql://h/db?connect_timeout={secs}"
    if secs in {"1", "9999"}:
        assert isinstance(open_database(url, base=BASE), MysqlDatabase)
        return
    with pytest.raises(WrongUsage, match="connect_timeout is not a number of seconds from 1 to 9999"):
        open_database(url, base=BASE)
