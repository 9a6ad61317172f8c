"""One KOL is one KOL, however its handle is written; what can't be a handle is never asked for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolspider.items import Kol
from kolspider.store.handles import HandleError, normalise


@pytest.mark.parametrize(
    "raw",
    [
        "BTC",
        "@BTC",
        "  BTC\t\n",
        " @ BTC ",
        "https://x.com/BTC",
        "HTTPS://X.COM/BTC",
        "http://www.twitter.com/BTC/?s=20",
        "mobile.twitter.com/@BTC",
        "https://m.twitter.com/BTC",
        "//x.com/BTC",
        "x.com:443/BTC",
        "x.com/BTC/with_replies",
        "https://twitter.com/BTC/status/1323730225067339784?s=20#top",
        "https://twitter.com/#!/BTC",
        "\uff20BTC",
        "\ufe6bBTC",
        "\uff22\uff34\uff23",
        "\u3000\uff20BTC\u3000",
        "\u00a0BTC\u00a0",
        "\u200b@\u200dBTC\ufeff",
        "\u202a@BTC\u202c",
        "\u200bhttps://x.com/BTC\u200b",
        "https\uff1a//x.com/BTC",
    ],
)
def test_spellings_of_one_kol_are_one_kol(raw: str) -> None:
    assert normalise(raw) == Kol(handle="btc", user_name="BTC")


@pytest.mark.parametrize("raw", ["BTC", " btc ", "@Btc", "x.com/bTC"])
def test_case_does_not_make_another_kol(raw: str) -> None:
    kol = normalise(raw)
    assert kol is not None
    assert kol.handle == "btc"


@pytest.mark.parametrize(
    ("raw", "user_name"),
    [("a" * 20, "a" * 20), ("_", "_"), ("0", "0"), (12345, "12345"), ("search", "search"), ("x", "x")],
)
def test_unusual_handles_are_handles(raw: object, user_name: str) -> None:
    assert normalise(raw) == Kol(handle=user_name, user_name=user_name)


@pytest.mark.parametrize("raw", [None, "", "  ", "\t\r\n", "\u3000", "\u200b\ufeff", "@", " \uff20 "])
def test_blank_is_none(raw: object) -> None:
    assert normalise(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        "比特币",
        "@币安",
        "BTC ETH",
        "BTC,ETH",
        "someone@example.com",
        "a" * 21,
        "abcdefghijklmnopqrstuvwxyz_",
        "BTC-2",
        "BTC\0",
        "BTC™",
        "BTC²",
        "\u212aTC",
        "@@BTC",
        "BTC/",
        "x.com",
        "https://x.com/",
        "x.com/i/lists/1323730225067339784",
        "https://x.com/search?q=BTC",
        "x.com/Home",
        "x.com/intent/user?screen_name=BTC",
        "x.com/" + "a" * 21,
        "x.com/BTC and more",
        "https://x.com/BTC https://x.com/ETH",
        "https://example.com/BTC",
        "https://evil.example/x.com/BTC",
        "ftp://x.com/BTC",
        -5,
        pytest.param(10**5000, id="huge"),
        True,
        1.5,
        b"BTC",
        ["BTC"],
    ],
)
def test_what_is_no_handle_is_refused(raw: object) -> None:
    with pytest.raises(HandleError) as error:
        normalise(raw)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 700


@given(st.text() | st.none() | st.integers() | st.floats() | st.booleans() | st.binary())
@settings(deadline=None)
def test_anything_is_a_kol_or_blank_or_refused(raw: object) -> None:
    try:
        kol = normalise(raw)
    except HandleError:
        return
    if kol is not None:
        assert kol.user_name.isascii()
        assert 1 <= len(kol.user_name) <= 20
        assert kol.handle == kol.user_name.lower()
        assert normalise(kol.user_name) == kol


def test_a_long_text_is_shown_by_its_beginning() -> None:
    with pytest.raises(HandleError, match=f"^not a Twitter handle: '{'x y' * 20}'$"):
        normalise("x y" * 50)
