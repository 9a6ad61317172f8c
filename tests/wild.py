"""What an API could answer on its worst day, as bytes, for property tests.

KOL_TEST_EXAMPLES=10000 makes those tests take their time.
"""

from __future__ import annotations

import json
import os
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

__all__ = ["EXAMPLES", "answers", "damaged_pages", "pages", "users", "wildly"]

EXAMPLES = int(os.environ.get("KOL_TEST_EXAMPLES", "100"))

wildly = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)

# All that follows is JSON as text, not Python's values: only so can a key occur twice, or a number be 1e999.
_WORDS = ["null", "null", "true", "false", '{"description":null}', '{"description":"in the bio"}']
_NUMBERS = ["0", "-0", "-1", "-0.0", "0.5", "1e3", "1.5e18", "1e300", "1e999", "-1e999", "1e-999"]
_BEYOND = ["9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616"]
_ENDLESS = ["1" * 4000, "-" + "1" * 4000, '"' + "9" * 5000 + '"', '"' + "0" * 5000 + '7"']
_DIGITS = ['"0"', '"-0"', '"-5"', '"007"', '"1e3"', '"1.0"', '"1,530"', '"+1"', '"0x1F"', '"1_000"', '"NaN"', '"null"']
_OTHER_DIGITS = ['"\u0661\u0662"', '"\uff19"', '"\u00b2"', '"\U0001d7d7"']
_SURROGATES = [r'"\ud800"', r'"\ude80\ud83d"', r'"\ud83d\ude80"', r'"\ud83dx\ude80"', r'"\ufffe\uffff"']
_JOINED = ['"\U0001f469\u200d\U0001f680"', '"\u202e\u200f\ufeff"', '"e\u0301\u0301\u0301"']
_CONTROLS = [r'"\u0000"', r'"a\u0000b"', r'"\u001b[31m\r\n\t\u0085\u2028\u001c"', '""', '" "', '"\\n"', '"trailing   "']
_SYNTAX = [r'"\\\"%s%(x)s{}"', '"\'; DROP TABLE kol; --"']
_WIDE = ['"币"', '"' + "币" * 100 + '"', '"' + "🚀" * 100 + '"', '"' + "a" * 3000 + '"']
_NESTED = ["[]", "{}", "[null]", '[{"id":"7"}]', '{"id":{"id":7}}', '{"":1e999}']
_STRANGE = _OTHER_DIGITS + _SURROGATES + _JOINED + _CONTROLS + _SYNTAX + _WIDE
ODD = st.sampled_from(_WORDS + _NUMBERS + _BEYOND + _ENDLESS + _DIGITS + _STRANGE + _NESTED)
LONG = st.sampled_from(['"' + "x" * 70_000 + '"', '"' + "币" * 30_000 + '"', "[" * 300 + "]" * 300])
TEXTS = st.text(st.characters(), max_size=20).map(json.dumps) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=20
).map(lambda text: json.dumps(text, ensure_ascii=False))
FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(repr)
ANY = st.one_of(ODD, ODD, ODD, TEXTS, TEXTS, st.integers().map(str), FLOATS, LONG)

DIGITS = st.from_regex(r"\A[0-9]{1,22}\Z")
_INTEGERS = [st.integers(*bounds).map(str) for bounds in ((1, 10**21), (1, 50), (-5, 5))]
_TEXT_IDS = [DIGITS.map(json.dumps), DIGITS.map(lambda text: f'" {text}\\n"')]
IDS = st.one_of(*_TEXT_IDS, *_INTEGERS, st.integers(1, 10**20).map(lambda n: f"{n}.0"), ODD)
COUNTS = st.one_of(st.integers(-(2**65), 2**65).map(str), st.integers(0, 10**6).map(json.dumps), ODD)
TIMES = st.one_of(
    st.datetimes().map(lambda time: json.dumps(time.isoformat())),
    st.datetimes().map(lambda time: json.dumps(time.strftime("%a %b %d %H:%M:%S +0000 ") + f"{time.year:04}")),
    st.from_regex(
        r"\A[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9])?([+-][0-9]{2}:?[0-9]{2}|Z)?\Z"
    ).map(json.dumps),
    st.from_regex(r"\A[A-Z][a-z]{2} (Jan|Feb|Dec|Xyz) [0-9]{2} [0-2][0-9]:00:60? [+-][0-9]{4} [0-9]{4}\Z").map(
        json.dumps
    ),
    ANY,
)
FIELDS = {
    **dict.fromkeys(("id", "id_str", "user_id", "rest_id"), IDS),
    **dict.fromkeys(("name", "screen_name", "userName", "username", "description", "profile_bio"), ANY),
    **dict.fromkeys(
        ("profile_image_url_https", "profilePicture", "profile_image_url", "profile_image", "unavailable", "Id", "\0"),
        ANY,
    ),
    **dict.fromkeys(("created_at", "createdAt"), TIMES),
    **dict.fromkeys(
        (
            "followers_count",
            "followers",
            "following_count",
            "friends_count",
            "following",
            "statuses_count",
            "statusesCount",
        ),
        COUNTS,
    ),
}


def _object(fields: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in fields) + "}"


_GOOD_IDS = ["7", '"7"', '"007"', '" 12 "', '"' + "9" * 20 + '"', "9" * 20]
_OTHER_IDS = ["1" + "0" * 20, '"1' + "0" * 20 + '"', "0", '"0"', "-7", '"-7"', "7.0", "true", '""', "null", "{}"]
_TEXTS = ["null", "7", "1" * 400, "true", "[]", '""', '"币🚀"', '"' + "🚀" * 9 + '"']
_TEXTS += [r'"\u0000"', r'"a\ud800b"', r'"\udc80"', r'"\ud83d\ude80"']
_COUNTS = ["null", "0", "-1", "1530", '"1530"', '"-1"', "1e3", "1e999", "0.5", "true", str(2**63 - 1), str(2**63)]
_TIMES = ['"Thu Dec 13 08:41:26 +0000 2007"', '"Thu Dec 32 08:41:26 +0000 2007"', "1197535286", r'"2007-12-13\u0000"']
_TIMES += ['"2007-12-13T08:41:26.000Z"', '"2007-12-13"', '"2007-12-13T24:00:00Z"', '"0000-00-00"', '"0999-12-31"']
_TIMES += ['"0001-01-01T00:00:00+01:00"', '"1000-01-01T00:00:00Z"', '"1000-01-01T00:00:00+00:01"']
_TIMES += ['"9999-12-31T23:59:59Z"', '"9999-12-31T23:59:59-00:01"']
_COLUMN_FIELDS = {
    "name": _TEXTS,
    "screen_name": _TEXTS,
    "description": _TEXTS,
    "profile_image_url_https": _TEXTS,
    "created_at": _TIMES,
    "followers_count": _COUNTS,
    "following_count": _COUNTS,
    "statuses_count": _COUNTS,
}


def _dense(seed: int) -> str:
    """A user with something in nearly every column, in either spelling: built from one draw, so that many are tried."""
    random = Random(seed)
    fields = [("id", random.choice(_GOOD_IDS if random.random() < 0.6 else _OTHER_IDS))]
    spelling = random.choice(
        [{}, {"screen_name": "userName", "created_at": "createdAt", "followers_count": "followers"}]
    )
    fields += [(spelling.get(name, name), random.choice(values)) for name, values in _COLUMN_FIELDS.items()]
    random.shuffle(fields)
    return _object(fields[: random.choice([3, 9, 9, 9])])


_field = st.sampled_from(sorted(FIELDS)).flatmap(lambda name: st.tuples(st.just(name), FIELDS[name]))
_fields = st.lists(_field, max_size=9)
users = st.one_of(
    *[st.integers(0, 2**64).map(_dense)] * 3,
    _fields.map(_object),
    st.tuples(IDS, _fields).map(lambda parts: _object([("id", parts[0]), *parts[1]])),
    st.tuples(IDS, _fields).map(lambda parts: _object([*parts[1], ("id", parts[0])])),
    ANY,
)
"""One user of a page: mostly an object, mostly with an id."""

CURSORS = st.one_of(st.sampled_from(['"a"', '"b"', '"1|2"', '"0|1"', "1", "-1"]), ANY)
_USERS = st.lists(users, max_size=4).map(lambda users: "[" + ",".join(users) + "]")


def _page(parts: tuple[str, str, str, list[tuple[str, str]]]) -> str:
    followings, more, cursor, extra = parts
    return _object([("followings", followings), ("has_next_page", more), ("next_cursor", cursor), *extra])


pages = st.tuples(
    _USERS,
    st.sampled_from(["true", "true", "false"]),
    CURSORS,
    st.just([]) | st.just([("code", "0"), ("msg", '"success"')]),
).map(_page)
"""A good page, as JSON, but for its users and its cursor."""

# A value in the place of another, or bytes in the middle of a text.
_DAMAGE = [b"NaN", b"Infinity", b"-Infinity", b"9" * 5000, b"-" + b"1" * 5000, b'"\x01\x1b\n"', b'"caf\xc3"']
_DAMAGE += [b'"\xff\xfe"', b'"\xe5\xb8"', b'"\xed\xa0\x80"', b'"7\x80"', b'"\xc0\x80"', b'"\xf0\x9f\x9a \xef\xbf\xbd"']
_DAMAGE += [b'{"description": "\xb8"}', b'["\xff", NaN]']
damaged_pages = st.tuples(
    st.lists(users, max_size=3),
    st.lists(users, max_size=3),
    st.sampled_from([*sorted(FIELDS), "location"]),
    st.sampled_from(_DAMAGE),
    st.booleans(),
)
"""Users before and behind a damaged one, its damaged field, the damage, and whether it has an id besides."""

_ENVELOPE = ("code", "status", "msg", "message", "detail", "error", "has_next_page", "next_cursor", "followings")
_VALUES = st.one_of(
    ANY,
    users,
    _USERS,
    st.sampled_from(['"error"', '"Error"', '"success"', '"user not found"', '["one", {"msg": "two"}]', "NaN"]),
)
_spoilt = st.tuples(
    _USERS,
    st.sampled_from(["true", "false", "1", "null"]),
    CURSORS,
    st.lists(st.tuples(st.sampled_from(_ENVELOPE), _VALUES), max_size=4),
).map(_page)
_nests = st.tuples(st.sampled_from(["[", '{"followings":', '{"a":[']), st.sampled_from([100, 980, 5000, 100_000])).map(
    lambda nest: nest[0] * nest[1]
)


def _broken(parts: tuple[str, str, int, int]) -> bytes:
    text, encoding, start, cut = parts
    data = text.encode(encoding, "replace" if encoding in {"latin-1", "gb18030"} else "surrogatepass")
    return data[start : len(data) - cut]


_texts = st.one_of(pages, pages, _spoilt, _spoilt, ANY, _nests)
answers = st.one_of(
    _texts.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.tuples(
        _texts,
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "latin-1", "gb18030"]),
        st.sampled_from([0, 0, 0, 1, 2]),
        st.sampled_from([0, 0, 1, 2, 7, 100]),
    ).map(_broken),
    st.binary(max_size=50),
)
"""The body of any answer: good pages, pages with something wrong, cut off, in other encodings, and no JSON at all."""
