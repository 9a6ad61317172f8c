"""The settings as typed values: what is wrong is refused by name, in one line, and without a secret."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy import Request
from scrapy.settings import Settings

from kolspider.errors import WrongUsage
from kolspider.options.config import DEFAULTS, PROJECT_DIR, Config
from kolspider.providers import provider
from kolspider.providers.base import Account
from tests.wild import EXAMPLES, wildly

GOOD = DEFAULTS | {
    "KOL_API_KEY": "secret-key-0123456789",
    "KOL_PROGRESS": "True",
    "RETRY_TIMES": "4",
    "DOWNLOAD_DELAY": "2",
    "DOWNLOAD_TIMEOUT": "30",
    "CONCURRENT_REQUESTS": "64",
    "LOG_LEVEL": "INFO",
    "JOBDIR": "",
}
NUMBERS = [name for name, value in GOOD.items() if value.isdigit() and name != "DOWNLOAD_DELAY"]
WHOLE = ["KOL_FLUSH_ROWS", "KOL_KNOWN_STOP", "KOL_STOP_AFTER", "RETRY_TIMES", "CONCURRENT_REQUESTS"]

# Neither the command line nor the environment can hold a NUL.
any_text = st.text(st.characters(exclude_characters="\0"))


def config(**changed: object) -> Config:
    return Config.from_settings(Settings({**GOOD, **changed}))


def refusal(**changed: object) -> str:
    """The one line with which these settings are refused."""
    with pytest.raises(WrongUsage) as caught:
        config(**changed)
    line = str(caught.value)
    assert line
    assert line.splitlines() == [line]
    return line


def test_good_settings_are_read_as_what_they_mean() -> None:
    found = config(KOL_FLUSH_SECS="2.5", KOL_CACHE_EVICT="true", JOBDIR="jobs/a")
    assert found.api_key == "secret-key-0123456789"
    assert found.provider.name == "twitterapi_io"
    assert found.api_url == "https://api.twitterapi.io"
    assert found.source_table == "twitter_kol"
    assert found.target_table == "twitter_kol_all"
    assert found.cache_dir == PROJECT_DIR / ".kol_cache"
    assert found.cache_evict is True
    assert (found.flush_rows, found.flush_secs, found.db_retry_secs) == (2000, 2.5, 60)
    assert (found.retry_times, found.retry_secs, found.delay, found.timeout) == (4, 5, 2, 30)
    assert found.jobdir == Path("jobs/a")


def test_numbers_and_flags_of_python_are_as_good_as_text() -> None:
    found = config(KOL_FLUSH_ROWS=50, KOL_FLUSH_SECS=0.1, DOWNLOAD_DELAY=0, KOL_CACHE_EVICT=True)
    assert (found.flush_rows, found.flush_secs, found.delay, found.cache_evict) == (50, 0.1, 0, True)


def test_a_missing_key_and_a_missing_job_are_no_error_here() -> None:
    found = config(KOL_API_KEY="")
    assert found.api_key == ""
    assert found.jobdir is None


def test_an_absolute_directory_and_a_home_directory_are_taken_as_they_are() -> None:
    assert config(KOL_CACHE_DIR="/var/kol").cache_dir == Path("/var/kol")
    assert config(KOL_CACHE_DIR="~/kol").cache_dir == Path.home() / "kol"


@pytest.mark.parametrize(
    "name",
    ["KOL_API_PROVIDER", "KOL_DB_URL", "KOL_SOURCE_TABLE", "KOL_SOURCE_COLUMN", "KOL_TARGET_TABLE", "KOL_CACHE_DIR"],
)
@pytest.mark.parametrize("text", ["", "  ", None])
def test_an_empty_setting_is_refused_by_name(name: str, text: str | None) -> None:
    assert name in refusal(**{name: text})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["", "-1", "ten", "nan", "inf", "1e12", "1,5", None])
def test_what_is_no_number_is_refused_by_name_and_value(name: str, text: str | None) -> None:
    line = refusal(**{name: text})
    assert name in line
    assert repr(str(text)) in line


@pytest.mark.parametrize("text", ["-1", "ten", "nan", "inf", "1e12", "1,5"])
def test_a_delay_that_is_no_number_is_refused(text: str) -> None:
    assert refusal(DOWNLOAD_DELAY=text) == f"DOWNLOAD_DELAY={text!r} is not a number from 0 up"


@pytest.mark.parametrize(("name", "delay"), [("twitterapi_io", 2), ("aisa", 1), ("socialdata", 0.5), ("tikhub", 1)])
@pytest.mark.parametrize("unset", ["", " ", None])
def test_without_a_delay_it_is_the_one_of_the_provider(name: str, delay: float, unset: str | None) -> None:
    assert config(KOL_API_PROVIDER=name, DOWNLOAD_DELAY=unset).delay == delay
    assert config(KOL_API_PROVIDER=name, DOWNLOAD_DELAY=0).delay == 0


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("text", ["0.5", "1e3", "2.0"])
def test_a_fraction_is_refused_where_a_whole_number_is_meant(name: str, text: str) -> None:
    assert name in refusal(**{name: text})


@pytest.mark.parametrize("name", ["KOL_FLUSH_ROWS", "DOWNLOAD_TIMEOUT", "CONCURRENT_REQUESTS"])
def test_zero_is_refused_where_nothing_would_ever_happen(name: str) -> None:
    assert name in refusal(**{name: "0"})


@pytest.mark.parametrize("text", ["", "maybe", "2", "on"])
def test_what_is_no_flag_is_refused_by_name(text: str) -> None:
    assert "KOL_CACHE_EVICT" in refusal(KOL_CACHE_EVICT=text)


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    line = refusal(KOL_API_PROVIDER="tikhop")
    assert "KOL_API_PROVIDER" in line
    assert "did you mean tikhub?" in line
    assert "twitterapi_io" in line


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("KOL_CACHEDIR", "KOL_CACHE_DIR"),
        ("KOL_DB", "KOL_DB_URL"),
        ("KOL_APIKEY", "KOL_API_KEY"),
        ("KOL_", "KOL_RATE"),
    ],
)
def test_an_unknown_setting_of_ours_is_refused_with_the_nearest_right_one(name: str, right: str) -> None:
    assert refusal(**{name: "secret-value"}) == f"unknown setting {name}; did you mean {right}?"


@pytest.mark.parametrize(
    "url",
    [
        "api.twitterapi.io",
        "ftp://api.twitterapi.io",
        "https://",
        "http://:80",
        "http://h:0",
        "http://h:99999",
        "http://[::1",
        "https://h/?key=secret-url",
        "https://h/#secret-url",
        "https://me:secret-url@h",
        "http://[::1]secret-url",
        "http://secret-url\\@h",
        "http://h\\secret-url",
        "http://secret url",
        "http://h/secret url",
        "http://h\nsecret-url",
        "http://h/\x1bsecret-url",
        "http://secret-url..h",
        "http://.",
        "http://secret-url%00",
        "http://h<secret-url>",
        "http://\u200bsecret-url",
        "http://\udc80secret-url",
        "http://h/\udc80secret-url",
        "http://" + "secret-url" * 7,
        "http://h:\N{FULLWIDTH DIGIT EIGHT}",
        "http://h:+80",
        "http://@h",
        "http://h?",
    ],
)
def test_what_is_no_api_address_is_refused_without_repeating_it(url: str) -> None:
    line = refusal(KOL_API_URL=url)
    assert "KOL_API_URL" in line
    assert "secret-url" not in line


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://h", "http://h"),
        (" HTTPS://H:08443/v1// ", "https://h:8443/v1"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("http://例え.jp", "http://xn--r8jz45g.jp"),
        ('http://A_b/é|"^`{}', "http://a_b/%C3%A9%7C%22%5E%60%7B%7D"),
    ],
)
def test_an_api_address_is_spelled_in_one_way(url: str, normal: str) -> None:
    assert config(KOL_API_URL=url).api_url == normal


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("http://api.example", True),
        ("http://10.0.0.1:8080/x", True),
        ("http://localhost.example", True),
        ("https://api.example", False),
        ("http://localhost:1", False),
        ("http://api.LocalHost", False),
        ("http://127.3.2.1", False),
        ("http://[::1]:80", False),
    ],
)
def test_a_key_that_goes_over_a_network_in_clear_is_warned_of(url: str, *, is_told: bool) -> None:
    warning = config(KOL_API_URL=url).key_in_clear
    assert bool(warning) == is_told
    assert GOOD["KOL_API_KEY"] not in warning
    assert config(KOL_API_URL=url, KOL_API_KEY="").key_in_clear == ""


@given(
    st.sampled_from(["http://", "https://", "HTTP:/", "http:"]),
    st.lists(
        st.sampled_from(
            [
                "h",
                "example.com",
                "[::1]",
                "[",
                "]",
                ":",
                ":80",
                ":0080",
                "EXAMPLE.com",
                '|"^`{}',
                ":0",
                "@",
                "u:p@",
                "/",
                "\\",
                ".",
                "..",
                " ",
                "%00",
                "%",
                "?",
                "#",
                "é",
                "\u2100",
                "\ud800",
                "\u200b",
                "\t",
                "\n",
                ";",
                "a" * 64,
            ]
        )
        | any_text,
        max_size=5,
    ),
)
@wildly
def test_an_api_address_that_is_taken_is_where_requests_go(scheme: str, parts: list[str]) -> None:
    try:
        base = config(KOL_API_URL=scheme + "".join(parts)).api_url
    except WrongUsage as error:
        line = str(error)
        assert line.splitlines() == [line]
        return
    request = Request(provider("twitterapi_io").url(base, Account("BTC"), "1|2", 200))
    host = urlsplit(base).hostname
    assert host
    assert request.url.startswith(f"{base}/")
    assert urlsplit(request.url).path.endswith("/twitter/user/followings")


SCRAPY_NUMBERS = [
    "CONCURRENT_ITEMS",
    "CONCURRENT_REQUESTS_PER_DOMAIN",
    "DOWNLOAD_DELAY_JITTER",
    "DOWNLOAD_MAXSIZE",
    "DNS_TIMEOUT",
    "CLOSESPIDER_ITEMCOUNT",
    "MEMUSAGE_LIMIT_MB",
    "REACTOR_THREADPOOL_MAXSIZE",
]
SCRAPY_FLAGS = ["STATS_DUMP", "LOG_ENABLED", "HTTPCACHE_IGNORE_MISSING", "RANDOMIZE_DOWNLOAD_DELAY", "MEMUSAGE_ENABLED"]


@pytest.mark.parametrize("name", SCRAPY_NUMBERS)
@pytest.mark.parametrize("text", ["", "many", "-1", "nan", "inf", "None"])
def test_a_number_of_scrapys_own_is_refused_before_scrapy_meets_it(name: str, text: str) -> None:
    assert f"{name}=" in refusal(**{name: text})


@pytest.mark.parametrize("name", SCRAPY_FLAGS)
@pytest.mark.parametrize("text", ["", "maybe", "TRUE", " true", "None"])
def test_a_flag_of_scrapys_own_is_refused_before_scrapy_meets_it(name: str, text: str) -> None:
    assert f"{name}=" in refusal(**{name: text})


@pytest.mark.parametrize("name", ["CONCURRENT_REQUESTS_PER_DOMAIN", "REACTOR_THREADPOOL_MAXSIZE"])
def test_nothing_at_once_is_refused_because_the_run_would_hang(name: str) -> None:
    assert name in refusal(**{name: "0"})


@pytest.mark.parametrize(
    ("url", "address"),
    [("http://fe:8030", "fe:8030"), (" http://10.0.0.1/ ", "10.0.0.1:8030"), ("HTTP://[::1]:1", "[::1]:1")],
)
def test_the_front_end_of_stream_load_is_an_address(url: str, address: str) -> None:
    found = config(KOL_DORIS_LOAD="stream_load", KOL_DORIS_HTTP=url).stream_load
    assert str(found) == address
    assert config(KOL_DORIS_HTTP=url).stream_load is None


@pytest.mark.parametrize(
    "url",
    [
        "http://kol:hunter2@fe:8030",
        "http://fe:8030/api?token=hunter2",
        "https://fe:8030",
        "fe:8030",
        "http://fe:0",
        "http://fe:65536",
        "http://a\\hunter2",
        "http://fe\n:8030",
    ],
)
def test_what_is_no_address_of_a_front_end_is_refused_without_repeating_it(url: str) -> None:
    line = refusal(KOL_DORIS_HTTP=url)
    assert "KOL_DORIS_HTTP" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("", {}),
        (" ;\n", {}),
        ("redirect-policy: public", {"redirect-policy": "public"}),
        ("Cloud_Cluster:loads ; X-Gate: a b:c;", {"cloud_cluster": "loads", "x-gate": "a b:c"}),
        ("compute_group: loads\nx-gate: d", {"compute_group": "loads", "x-gate": "d"}),
    ],
)
def test_further_headers_of_stream_load(text: str, headers: dict[str, str]) -> None:
    found = config(KOL_DORIS_HEADERS=text)
    assert found.doris_headers == headers
    assert "x-gate" not in repr(found)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hunter2", "must look like"),
        (": hunter2", "must look like"),
        ("x-gate:", "must look like"),
        ("x gate: hunter2", "must look like"),
        ("x-gate: a\rhunter2", "must look like"),
        ("x-gate: hunter2\x00", "UTF-8"),
        ("x-gate: hünter2", "must look like"),
        ("Authorization: Basic hunter2", "names authorization though"),
        ("LABEL: hunter2", "names label though"),
        ("where: hunter2", "names where though"),
        ("a: hunter2; A: hunter2", "names a twice"),
    ],
)
def test_headers_that_are_none_or_are_not_the_users_to_set_are_refused(text: str, why: str) -> None:
    line = refusal(KOL_DORIS_HEADERS=text)
    assert line.startswith("KOL_DORIS_HEADERS ")
    assert why in line
    assert "hunter2" not in line


def test_stream_load_needs_a_front_end_and_there_is_no_third_way() -> None:
    assert "needs KOL_DORIS_HTTP" in refusal(KOL_DORIS_LOAD="stream_load")
    assert "'broker' is neither insert nor stream_load" in refusal(KOL_DORIS_LOAD="broker")


@pytest.mark.parametrize(
    "changed",
    [{"TWISTED_REACTOR_ENABLED": "False"}, {"TWISTED_REACTOR": "twisted.internet.pollreactor.PollReactor"}],
    ids=str,
)
def test_what_nothing_could_be_fetched_with_is_refused(changed: dict[str, str]) -> None:
    assert next(iter(changed)) in refusal(**changed)


def test_a_setting_that_scrapy_gave_up_is_refused() -> None:
    assert "CONCURRENT_REQUESTS" in refusal(CONCURRENT_REQUESTS_PER_IP="5")
    assert config(CONCURRENT_REQUESTS_PER_IP="0")


@given(
    st.sampled_from([*SCRAPY_NUMBERS, *SCRAPY_FLAGS, *NUMBERS]),
    any_text
    | st.sampled_from(
        ["1e3", "1e308", "1e-400", "0x10", "1_0", "٣", "²", "０", "9" * 5000, "2147483648", "+5", "1.5", "-0"]
    )
    | st.integers().map(str)
    | st.floats().map(str),
)
@wildly
def test_what_is_taken_can_be_read_by_scrapy_too(name: str, text: str) -> None:
    settings = Settings({**GOOD, name: text})
    try:
        Config.from_settings(settings)
    except WrongUsage as error:
        line = str(error)
        assert line.splitlines() == [line]
        assert len(line) <= 2000
        assert name in line
        return
    if name in SCRAPY_FLAGS:
        assert settings.getbool(name) in {True, False}
    else:
        assert 0 <= settings.getfloat(name) < 2**31
    if name not in SCRAPY_FLAGS and not name.endswith(("_DELAY", "_DELAY_JITTER", "_TIMEOUT", "_SECS")):
        assert settings.getint(name) >= 0


@pytest.mark.parametrize("name", ["KOL_CACHE_DIR", "KOL_SUMMARY_FILE", "JOBDIR"])
def test_a_file_name_that_is_too_long_for_any_disk_is_refused(name: str) -> None:
    assert name in refusal(**{name: f"/tmp/{'币' * 86}/x"})  # noqa: S108 - never opened


@pytest.mark.parametrize(
    "name", ["KOL_DB_URL", "KOL_CACHE_DIR", "KOL_TARGET_TABLE", "KOL_API_KEY", "JOBDIR", "LOG_FILE"]
)
@pytest.mark.parametrize("odd", ["\udc80", "\0"])
def test_bytes_that_are_no_text_are_refused_without_repeating_the_value(name: str, odd: str) -> None:
    line = refusal(**{name: f"sqlite:///secret{odd}"})
    assert line.startswith(f"{name} ")
    assert "secret" not in line


def test_a_refusal_has_an_end_and_no_commands_for_the_terminal() -> None:
    assert len(refusal(KOL_API_PROVIDER="x" * 100_000)) <= 2000
    assert refusal(KOL_FLUSH_ROWS="\x1b[31m\u202e").isprintable()


@pytest.mark.parametrize("key", ["secret key", "secret\nkey", "secrét-key", "“secret”", "\x7fsecret"])
def test_a_key_that_no_header_can_carry_is_refused_without_repeating_it(key: str) -> None:
    line = refusal(KOL_API_KEY=key)
    assert "KOL_API_KEY" in line
    assert "secret" not in line
    assert "secrét" not in line


@pytest.mark.parametrize("name", ["KOL_CACHE_DIR", "KOL_SUMMARY_FILE", "JOBDIR"])
def test_the_home_directory_of_nobody_is_refused_by_the_name_of_the_setting(name: str) -> None:
    assert name in refusal(**{name: "~nobody-of-that-name/x"})


@pytest.mark.parametrize("name", GOOD)
@given(text=any_text)
@settings(wildly, max_examples=EXAMPLES // 5)
def test_any_text_in_any_setting_is_understood_or_refused_in_one_line(name: str, text: str) -> None:
    try:
        config(**{name: text})
    except WrongUsage:
        refusal(**{name: text})


@given(name=any_text)
@wildly
def test_any_name_of_a_setting_of_ours_is_known_or_refused_in_one_line(name: str) -> None:
    if f"KOL_{name}" not in GOOD:
        try:
            config(**{f"KOL_{name}": "1"})
        except WrongUsage:
            refusal(**{f"KOL_{name}": "1"})


# --- what a credit costs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("price", "dollars"), [("", 1e-5), (" ", 1e-5), (None, 1e-5), ("0.00002", 2e-5), ("0", 0.0)])
def test_a_credit_costs_what_the_provider_says_unless_set(price: str | None, dollars: float) -> None:
    assert config(KOL_CREDIT_PRICE=price).credit_usd == pytest.approx(dollars)


@pytest.mark.parametrize("price", ["-1", "free", "nan", "1,5", "$1"])
def test_a_price_that_is_none_is_refused(price: str) -> None:
    assert "KOL_CREDIT_PRICE" in refusal(KOL_CREDIT_PRICE=price)


@pytest.mark.parametrize(
    "text",
    ["active = 1", "(a OR b) AND `tag)` IN ('x;y', 'it''s', '--')", 'note = "a # (b" OR 5 - -1 < n', "x LIKE '50\\%'"],
)
def test_a_condition_on_the_source_is_taken_as_it_is(text: str) -> None:
    assert config(KOL_SOURCE_WHERE=f" {text} ").source_where == text
    assert config(KOL_SOURCE_WHERE=" ").source_where == ""


@pytest.mark.parametrize(
    "text",
    [
        "1; DROP TABLE t",
        "1) OR (1",
        "(1",
        "1)",
        "'a",
        "`a",
        "1 -- x",
        "1 # x",
        "1 /* x",
        "/*! 1 */",
        "1\n= 1",
        "'\\' OR 1) #'",
    ],
)
def test_what_could_leave_the_parentheses_of_a_condition_is_refused_by_name(text: str) -> None:
    line = refusal(KOL_SOURCE_WHERE=text)
    assert line.startswith("KOL_SOURCE_WHERE=")
    assert "\n" not in line


def test_so_many_lists_are_read_side_by_side_as_slow_answers_leave_turns_for() -> None:
    assert config().lists_at_once(None) == 1
    assert config(KOL_RATE="3").lists_at_once(None) == 6
    assert config(KOL_RATE="50").lists_at_once(None) == 64
    assert config(KOL_RATE="auto").lists_at_once(20.0) == 40
    assert config(KOL_RATE="auto").lists_at_once(None) == 64, "nobody knows yet how fast it gets"
    assert config(DOWNLOAD_DELAY=0).lists_at_once(None) == 64
