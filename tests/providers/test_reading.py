"""A provider file is checked when it is read: each fault is a line with its place in the file and what is right."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from kolspider.errors import Faults
from kolspider.providers import provider, reading
from kolspider.providers.base import Account, ApiErrorKind, Page
from tests.e2e.project import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from kolspider.providers.base import Provider

GOOD = (ROOT / "tests/data/api45.toml").read_text()


def read(folder: Path, text: str) -> Provider:
    file = folder / "my.toml"
    file.write_text(text)
    return provider(str(file))


def faults(folder: Path, text: str) -> list[str]:
    """The lines about a file, without its path."""
    with pytest.raises(Faults) as caught:
        read(folder, text)
    lines = str(caught.value).splitlines()
    assert all(str(folder / "my.toml") in line for line in lines)
    return [line.removeprefix(f"{folder / 'my.toml'}: ") for line in lines]


def test_a_good_file_is_an_adapter(tmp_path: Path) -> None:
    api = read(tmp_path, GOOD)
    assert (api.name, api.family, api.page_size, api.page_sizes) == ("my_api45", "my_api45", 70, range(70, 71))
    assert (api.delay, api.allowed_rate, api.needs_id) == (0.2, "5 calls a second with our plan", False)
    assert (api.price(0), api.price(70), api.credit_usd, api.failed_call_price) == (1, 1, 0.001, 0)
    assert api.headers == {"X-RapidAPI-Key": "{key}", "X-RapidAPI-Host": "twitter-api45.p.rapidapi.com"}
    assert api.url("http://h", Account("BTC"), "1|2", 70) == "http://h/following.php?screenname=BTC&cursor=1%7C2"


def test_a_relative_file_is_found_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sample.json").write_text('{"following": []}')
    read(
        tmp_path, GOOD.replace("sample = '{", "# '{").replace('name = "my_api45"', 'name = "x"\nsample = "sample.json"')
    )
    monkeypatch.chdir(tmp_path)
    assert provider("my.toml").sample == b'{"following": []}'


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        (
            'name = "my_api45"',
            'name = "My API"',
            "name: 'My API' must be 1 to 40 small letters, digits and underscores",
        ),
        ('name = "my_api45"', "name = 5", "name: must be a text such as my_api"),
        ('name = "my_api45"', 'name = "x"\nfamily = "a\'b"', 'family: "a\'b" must be 1 to 40 small letters'),
        ('name = "my_api45"', 'name = "x"\nulr = "y"', "ulr: there is no such key; did you mean url?"),
        ("url = ", "like = 'aiza'\nurl = ", "like: there is no built-in provider 'aiza'; there are aisa, socialdata"),
        ("https://twitter", "ftp://twitter", "url: ftp://twitter-api45.p.rapidapi.com is not an address such as"),
        ("delay = 0.2", "", "delay: must be a number from 0 up"),
        ("delay = 0.2", "delay = -1", "delay: must be a number from 0 up"),
        ("delay = 0.2", "delay = nan", "delay: must be a number from 0 up"),
        ("delay = 0.2", "delay = true", "delay: must be a number from 0 up"),
        ("sample = '{", "sample = '{{", "sample: must be the JSON of an answer, or the name of a file that has one"),
        ("sample = '", "sample = 'no.json'\n# '", "sample: no.json can't be read: No such file or directory"),
        ('"{key}"', '"key"', "[headers] Authorization: no header has the key; write it as {key}"),
        ('"{key}"', '"{key} {ky}"', "[headers] X-RapidAPI-Key: {ky} is no placeholder here; there are {key}"),
        ('"{key}"', '"{key}\\n"', "[headers] X-RapidAPI-Key: a header must be a name and a text that HTTP can carry"),
        ('path = "/following', 'path = "following', "[list] path: must begin with a slash"),
        ('path = "/following.php"', 'path = "/a?b=c"', "[list] path: must begin with a slash, and parameters go"),
        ('path = "/following.php"', "", "[list] path: must be a text such as /user/followings"),
        ("{user_name}", "{username}", "[list] parameters.screenname: {username} is no placeholder here; there are"),
        ("{user_name}", "x", "[list] parameters: no parameter says whose list it is: {user_name} or {id}"),
        ('"{cursor}"', '"x"', "[list] parameters: no parameter says which page it is: {cursor}"),
        ('"{cursor}"', "[1]", "[list] parameters.cursor: must be a text, a number or a flag"),
        ('users = "following"', 'usres = "following"', "[list] usres: there is no such key; did you mean users?"),
        ('users = "following"', "", "[list] users: must be a text such as followings"),
        ('more = "more_users"', "", "[list] more: a path to a flag goes with ends = ['more is false'], and only with"),
        (
            '"more is false"',
            '"more is flase"',
            "[list] ends: 'more is flase' is no sign of an end; did you mean",
        ),
        ('ends = "more is false"', "", "[list] ends: must name what ends a list: more is false, no cursor, empty page"),
        ("page_size = 70", "page_size = 0", "[list] page_size: must be a whole number from 1 up"),
        (
            "page_size = 70",
            "page_size = 70\npage_sizes = [80, 90]",
            "[list] page_sizes: must be the least and",
        ),
        (
            "{user_name}",
            "{id}",
            "[profile] path: is missing: [list] asks by {id}, so an account's id",
        ),
        ('[user]\nid = "user_id"', "[user]", "[user] id: must be the path, or the paths, at which a user has it"),
        ('id = "user_id"', "id = [1]", "[user] id: must be a text or a list of texts"),
        ('name = "name"', 'nmae = "name"', "[user] nmae: there is no such key; did you mean name?"),
        (
            '"no_credit"',
            '"nocredit"',
            "[errors] words.exceeded the MONTHLY quota: 'nocredit' is no kind of",
        ),
        (
            "[errors]",
            '[errors]\nstatuses = { 200 = "auth" }',
            "[errors] statuses: 200 is not the HTTP status of",
        ),
        (
            "[errors]",
            "[errors]\nbad_cursor = 400",
            "[errors] bad_cursor: must be a list of HTTP statuses",
        ),
        ("[errors]", "[errors]\nfailed_if.a.b = 1", "[errors] failed_if.a: must be a value or a list of them; a path"),
        ("[errors]", "[errors]\nfailed_if = 1", "[errors] failed_if: must be a table such as { name = 1 }"),
        ("[errors]", "unavailable = 'a.b'\n[errors]", "[user] unavailable: must be one key of a user"),
        ("[price]", "[balance]\npath = '/b'\n[price]", "[balance] credits: must be the path to the credits that are"),
        ("[price]", "[balance]\nusd = 'a'\n[price]", "[balance] path: must be a text such as"),
        ("credit_usd = 0.001", "", "[price] credit_usd: must be a number from 0 up"),
        ("call = 1", "cal = 1", "[price.page] cal: there is no such key; did you mean call?"),
        ("call = 1", "call = 0.5", "[price.page] call: must be a whole number from 0 up"),
        (
            "call = 1",
            "user = { 1 = 2.5 }",
            "[price.page] user: must be credits, or credits by",
        ),
        ("[price]", "[prices]", "prices: there is no such key; did you mean price?"),
        ("[price]", "price = 5\n[x]", "price: must be a table: write [price] on a line of its own"),
    ],
)
def test_a_fault_is_told_with_its_place_and_what_is_right(tmp_path: Path, was: str, now: str, told: str) -> None:
    assert was in GOOD
    text = GOOD.replace(was, now, 1)
    if now.startswith("price = 5"):
        text = "price = 5\n" + GOOD.partition("[price]")[0]
    found = faults(tmp_path, text)
    assert [line for line in found if line.startswith(told)], found


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        GOOD.replace("page_size", "pagesize").replace("[errors]", "[errors]\nfoo = 1").replace("delay", "dealy"),
    )
    assert found == [
        "dealy: there is no such key; did you mean delay?",
        "[list] pagesize: there is no such key; did you mean page_size?",
        "[list] page_size: must be a whole number from 1 up",
        "[errors] foo: there is no such key; did you mean words?",
        "delay: must be a number from 0 up",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name = ", "is no TOML: Invalid value (at end of document)"),
        ("[list\n", "is no TOML: Expected ']' at the end of a table declaration (at line 1, column 6)"),
        ("\udcff", "can't be read: it is not UTF-8"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "my.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Faults, match=r"my\.toml") as caught:
        provider(str(file))
    assert str(caught.value) == f"{file} {told}"


def test_a_file_can_be_like_a_built_in_one(tmp_path: Path) -> None:
    api = read(
        tmp_path,
        'like = "twitterapi_io"\nname = "relay"\nurl = "https://relay.example/v1/"\n'
        '[headers]\nAuthorization = "Bearer {key}"\n'
        "[list]\npage_size = 100\n[errors.statuses]\n418 = 'rate_limit'\n",
    )
    like = provider("twitterapi_io")
    assert (api.name, api.family, api.default_url) == ("relay", "twitterapi_io", "https://relay.example/v1")
    assert api.headers == {"Authorization": "Bearer {key}"}, "of headers there is one set, never a mixture"
    assert (api.page_size, api.page_sizes, api.price(200)) == (100, range(20, 101), 200)
    assert api.user_paths == like.user_paths
    error = api.parse(418, b"", "")
    assert getattr(error, "kind", None) is ApiErrorKind.RATE_LIMIT


@pytest.mark.parametrize("change", ["[user]\nname = 'full_name'", "[list]\nusers = 'u'", "[list]\nends = 'empty page'"])
def test_what_reads_answers_in_another_way_is_no_longer_of_the_family(tmp_path: Path, change: str) -> None:
    text = f'like = "twitterapi_io"\nname = "x"\n{change}\n'
    text = text.replace("ends = 'empty page'", "ends = ['more is false', 'empty page']")
    api = read(tmp_path, text)
    assert (api.family, api.user_paths["id"]) == ("x", provider("twitterapi_io").user_paths["id"])
    assert read(tmp_path, text.replace('name = "x"', 'name = "x"\nfamily = "twitterapi_io"')).family == "twitterapi_io"


def test_a_file_can_be_like_one_that_is_like_another(tmp_path: Path) -> None:
    for name, family in (("aisa", "twitterapi_io"), ("tikhub", "tikhub"), ("socialdata", "socialdata")):
        api, like = read(tmp_path, f'like = "{name}"\nname = "x"\ndelay = 9\n'), provider(name)
        assert (api.name, api.family, api.delay, api.headers) == ("x", family, 9, like.headers)
        assert api.parse(200, api.sample, "") == like.parse(200, like.sample, "")


def test_an_empty_table_takes_that_of_the_other_file_away(tmp_path: Path) -> None:
    assert provider("twitterapi_io").balance is not None
    api = read(tmp_path, 'like = "twitterapi_io"\nname = "x"\nbalance = {}\n')
    assert (api.balance, provider("aisa").balance, api.profile_by_name is None) == (None, None, False)


def test_each_built_in_file_has_a_sample_with_every_field() -> None:
    for name in ("twitterapi_io", "aisa", "socialdata", "tikhub", "twitter_api45"):
        api = provider(name)
        page = api.parse(200, api.sample, "")
        users = getattr(page, "users", [])
        assert users, name
        user = api.followed_user(users[0])
        assert user is not None
        assert all(getattr(user, field) for field in user._fields if field in api.user_paths), name


@pytest.mark.parametrize("page", ["providers.md", "providers.zh-CN.md"])
def test_the_example_of_the_documentation_is_a_file_whose_sample_has_every_field(tmp_path: Path, page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    (toml,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (sample,) = re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    api = read(tmp_path, toml)
    assert api.url(api.default_url, Account("", "12"), "", 100) == "https://api.example.com/v2/following?userId=12"
    answer = api.parse(200, sample.encode(), "")
    assert answer == api.parse(200, api.sample, "") == Page(json.loads(sample)["result"]["items"], "c2", more=True)
    user = api.followed_user(answer.users[0])
    assert user is not None
    assert (user.id, user.name, user.screen_name, user.followers_count) == ("44", "Ada", "ada", 7)
    assert api.profile_by_name is not None
    (profile,) = api.profile_by_name.parse(200, b'{"result": {"id": "12", "handle": "btc"}}')  # type: ignore[misc]
    assert (profile.id, profile.user_name) == ("12", "btc")
    assert getattr(api.parse(429, b'{"message": "monthly limit reached"}', ""), "kind", None) == "no_credit"


def test_the_documentation_names_each_key_and_each_built_in_file() -> None:
    text = (ROOT / "docs/providers.md").read_text()
    named = set(re.findall(r"`\[?(\w+)\]?`", text))
    keys = {*reading._TOP, *reading._OF_LIST, *reading._OF_LOOKUP, *reading._OF_USER, *reading._OF_ERRORS}
    keys |= {*reading._OF_BALANCE, *reading._OF_PRICE, *reading._OF_A_PRICE, *reading._KINDS}
    assert keys - named == {"like"}, "which is shown with a value"
    for file in (ROOT / "kolspider/providers").glob("*.toml"):
        assert file.stem in named
        assert file.read_text().startswith("# "), "what its facts rest on"
