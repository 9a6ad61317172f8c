"""The settings as typed values: what is wrong is refused by name, in one line, and without a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy.settings import Settings

from kolspider.config import PROJECT_DIR, Config
from kolspider.errors import WrongUsage

GOOD = {
    "KOL_API_KEY": "secret-key-0123456789",
    "KOL_API_PROVIDER": "twitterapi_io",
    "KOL_API_URL": "",
    "KOL_DB_URL": "sqlite:///kol.db",
    "KOL_SOURCE_TABLE": "twitter_kol",
    "KOL_TARGET_TABLE": "twitter_kol_all",
    "KOL_CACHE_DIR": ".kol_cache",
    "KOL_CACHE_EVICT": "False",
    "KOL_FLUSH_ROWS": "2000",
    "KOL_FLUSH_SECS": "10",
    "KOL_DB_RETRY_SECS": "60",
    "KOL_RETRY_SECS": "5",
    "RETRY_TIMES": "4",
    "DOWNLOAD_DELAY": "2",
    "DOWNLOAD_TIMEOUT": "30",
    "CONCURRENT_REQUESTS": "8",
    "LOG_LEVEL": "INFO",
    "KOL_SUMMARY_FILE": "",
    "JOBDIR": "",
}
NUMBERS = [name for name, value in GOOD.items() if value.isdigit()]
WHOLE = ["KOL_FLUSH_ROWS", "RETRY_TIMES", "CONCURRENT_REQUESTS"]

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
    "name", ["KOL_API_PROVIDER", "KOL_DB_URL", "KOL_SOURCE_TABLE", "KOL_TARGET_TABLE", "KOL_CACHE_DIR"]
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
    line = refusal(KOL_API_PROVIDER="tikhub")
    assert "KOL_API_PROVIDER" in line
    assert "twitterapi_io" in line


@pytest.mark.parametrize("name", ["KOL_CACHEDIR", "KOL_DB", "KOL_API_TOKEN", "KOL_"])
def test_an_unknown_setting_of_ours_is_refused_with_the_list_of_known_ones(name: str) -> None:
    line = refusal(**{name: "secret-value"})
    assert f"{name};" in line
    assert "KOL_CACHE_DIR" in line
    assert "secret-value" not in line


@pytest.mark.parametrize(
    "url",
    ["api.twitterapi.io", "ftp://api.twitterapi.io", "https://", "http://:80", "http://h:0", "http://h:99999",
     "http://[::1", "https://h/?key=secret-url", "https://h/#secret-url", "https://me:secret-url@h"],
)  # fmt: skip
def test_what_is_no_api_address_is_refused_without_repeating_it(url: str) -> None:
    line = refusal(KOL_API_URL=url)
    assert "KOL_API_URL" in line
    assert "secret-url" not in line


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
def test_any_text_in_any_setting_is_understood_or_refused_in_one_line(name: str, text: str) -> None:
    try:
        config(**{name: text})
    except WrongUsage:
        refusal(**{name: text})


@given(name=any_text)
def test_any_name_of_a_setting_of_ours_is_known_or_refused_in_one_line(name: str) -> None:
    if f"KOL_{name}" not in GOOD:
        try:
            config(**{f"KOL_{name}": "1"})
        except WrongUsage:
            refusal(**{f"KOL_{name}": "1"})
