"""The sandbox's wild users, and who is in which list.

A profile is a pure function of its index and a revision. Every ugly value that real profiles have occurs at a
fixed rate. Each field has a cycle of its own, of prime length, so a few hundred users have all of these values in
changing combinations. A negative index stands for a list entry without a usable id.
"""

import datetime as dt
import hashlib
from functools import lru_cache

__all__ = [
    "PRIVATE",
    "SAMPLE_KOLS",
    "User",
    "entry",
    "followings",
    "kol_index",
    "kol_user",
    "member",
    "plain_entry",
    "profile",
    "twitter_time",
    "user_id",
]

User = dict[str, object]

SAMPLE_KOLS: dict[str, int] = {
    "BTC": 1000,
    "ethereum": 450,
    "VitalikSample": 201,
    "PageOf200": 200,
    "satoshi_fan": 199,
    "defi_otter": 620,
    "OneFriendOnly": 1,
    "quiet_holder": 0,
}
"""The KOLs of `initdb --sample` and `-a sandbox=1`, and how many accounts each follows."""

_ABSENT = object()
PRIVATE = 1 << 58
"""The bit that marks the index of a user whom only one KOL follows."""
_KOL = 1 << 57
"""The bit that marks the index of a KOL."""
_BLOCK = 64
_UNUSABLE_EVERY = 40

_FAMILY = "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
_NAMES: tuple[object, ...] = (
    "Ada 🚀🌕",
    f"{_FAMILY} family",
    "区块链 観測者 코인",
    "بيتكوين \u202bעברית\u202c",
    'O\'Neil "Bob" `x`',
    "back\\slash\\",
    "line\none",
    "tab\there",
    "100%s %(name)s %d",
    "{} {0} {name}",
    "nul\x00inside",
    "half \ud83d emoji",
    "",
    None,
    _ABSENT,
    "  spaces  ",
    "'; DROP TABLE twitter_kol_all; --",
    'a,b;c\t"d"',
    "\\N",
    "Z\u0337a\u0337l\u0337go e\u0301",
)
_DESCRIPTIONS: tuple[object, ...] = (
    "long 长 🚀 " * 500,
    None,
    _ABSENT,
    "",
    "two\r\nlines\nand\ttabs",
    "%s %(x)s %%",
    "{} {x}",
    "\\ \\n \" ' `",
    "\x00",
    "low \udc00 and high \ud800",
    f"{_FAMILY} building",
    "نص من اليمين إلى اليسار",
    "x" * 4096,
    "\u2028\u2029\ufeff\x1b[31m",
)
_LOCATIONS: tuple[object, ...] = (None, _ABSENT, "", "東京", "Zürich, CH")
_COUNTS: tuple[object, ...] = (0, 2**31 - 1, 2**31, 2**32 + 7, 2**63 - 1, 2**63, 10**25, -1, None, _ABSENT, "12345")
_NO_TIMES: tuple[object, ...] = ("some time ago", "Thu Feb 30 25:61:00 +0000 2017", "", None, _ABSENT)
_NO_IDS: tuple[object, ...] = (_ABSENT, None, "", "abc", "1234567890123456789012345", True)
_NO_OBJECTS: tuple[object, ...] = (None, "suspended")
_UNAVAILABLE: User = {"unavailable": True, "unavailableReason": "Suspended"}

_EPOCH = dt.datetime(2006, 3, 21, tzinfo=dt.UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def followings(kol: str, count: int, *, unusable: bool = False) -> list[int]:
    """The indices of the users whom a KOL follows, in the order of the list."""
    seed = _seed(kol.lower())
    return [_member(seed, place, unusable) for place in range(count)]


def member(kol: str, place: int, *, unusable: bool = False) -> int:
    """The index at one place of a KOL's list: the same in every run, and unique in the list.

    Odd places have users whom only this KOL follows. Even places have users of a common pool, shuffled in blocks of
    64, so KOLs with lists of one length share about half of their users. `unusable`: every 40th entry has no usable
    id; a list of 300 has every kind of these.
    """
    return _member(_seed(kol.lower()), place, unusable)


def _member(seed: int, place: int, unusable: bool) -> int:
    if unusable and place % _UNUSABLE_EVERY == 17:
        return -1 - place // _UNUSABLE_EVERY
    half, odd = divmod(place, 2)
    if odd:
        return PRIVATE | (seed & 0x3FFFFFFFF) << 24 | half
    block, spot = divmod(half, _BLOCK)
    return block * _BLOCK + (spot * (seed >> 40 | 1) + (seed >> 50)) % _BLOCK


@lru_cache(maxsize=100_000)
def _seed(handle: str) -> int:
    return int.from_bytes(hashlib.blake2b(handle.encode("utf-8", "replace"), digest_size=8).digest())


def user_id(index: int) -> str:
    """The id of a user as text: 1 to 20 digits, unique to the index."""
    shape = index % 8
    if shape == 0:
        return str(index + 1)
    if shape == 1:
        return str(10**19 + _mixed(index))
    if shape == 2 and index < PRIVATE:
        return str(10 ** (8 + index // 8 % 10) + index)
    return str(10**18 + _mixed(index))


def _mixed(index: int) -> int:
    return index * 0x5851F42D4C957F2D % (1 << 59)


def kol_index(kol: str) -> int:
    """The index of a KOL's own account, which no list of `member` has."""
    return _KOL | _seed(kol.lower()) & (_KOL - 1) | 7


def entry(index: int, revision: int = 0) -> object:
    """The list entry for an index: a profile, or for a negative index something without a usable id."""
    return profile(index, revision) if index >= 0 else _without_id(index, revision)


def plain_entry(index: int, revision: int = 0) -> object:
    """The same entry with the names and the id of Twitter's own API 1.1, in whatever shape `entry` sends it."""
    if index < 0:
        return _without_id(index, revision)
    if _is_unavailable(index):
        return {"id": user_id(index), **_UNAVAILABLE}
    return _present({"id": user_id(index), **_snake_case(index, revision)})


def kol_user(index: int, handle: str, following: int, *, protected: bool, revision: int = 0) -> User:
    """A KOL's own account with the names of Twitter's API 1.1, but for its id."""
    return {
        "name": handle,
        "screen_name": handle,
        "userName": handle,
        "location": "",
        "url": None,
        "description": f"The KOL {handle}.",
        "email": None,
        "protected": protected,
        "verified": False,
        "followers_count": index % 9_999_991 + revision,
        "following_count": following,
        "friends_count": following,
        "favourites_count": index % 977,
        "statuses_count": index % 99_991 + revision,
        "media_tweets_count": index % 89,
        "created_at": twitter_time(_created(index)),
        "profile_banner_url": None,
        "profile_image_url_https": f"https://pbs.twimg.com/profile_images/{index}/sandbox_normal.jpg",
        "can_dm": False,
    }


def _without_id(index: int, revision: int) -> object:
    kind = (-index - 1) % (len(_NO_IDS) + len(_NO_OBJECTS))
    if kind >= len(_NO_IDS):
        return _NO_OBJECTS[kind - len(_NO_IDS)]
    return _present({**_snake_case(-index, revision), "id": _NO_IDS[kind]})


def profile(index: int, revision: int = 0) -> User:
    """A user as the API sends it. Another revision has other names and counts, but the same id."""
    if _is_unavailable(index):
        return {**_identity(index), **_UNAVAILABLE}
    user = _camel_case(index, revision) if index % 7 == 3 else _snake_case(index, revision)
    return _present({**_identity(index), **user})


def _is_unavailable(index: int) -> bool:
    return index % 23 == 22


def _present(user: User) -> User:
    return {key: value for key, value in user.items() if value is not _ABSENT}


def _identity(index: int) -> User:
    text = user_id(index)
    other_key = {1: "id_str", 2: "user_id", 3: "rest_id"}.get(index % 53)
    if other_key:
        return {other_key: text}
    return {"id": int(text) if index % 11 == 5 else text}


def _snake_case(index: int, revision: int) -> User:
    followed = _count(index + 9, revision)
    return {
        "name": _name(index, revision),
        "screen_name": _screen_name(index),
        "userName": _screen_name(index),
        "location": _pick(_LOCATIONS, index, 17, "Earth"),
        "url": None,
        "description": _description(index),
        "email": None,
        "protected": index % 19 == 0,
        "verified": False,
        "followers_count": _count(index, revision),
        "following_count": _ABSENT if index % 5 == 2 else followed,
        "friends_count": followed,
        # Twitter's own `following` is not a count: it says whether the caller follows the user.
        "following": False if index % 5 == 2 else _ABSENT,
        "favourites_count": index % 977,
        "statuses_count": _count(index + 18, revision),
        "media_tweets_count": index % 89,
        "created_at": _created_at(index),
        "profile_banner_url": None,
        "profile_image_url_https": _avatar(index),
        "can_dm": False,
    }


def _camel_case(index: int, revision: int) -> User:
    """A profile with the field names of the published documentation."""
    description = _description(index)
    in_bio = index % 2 == 0 and description is not _ABSENT
    return {
        "type": "user",
        "userName": _screen_name(index),
        "name": _name(index, revision),
        "isBlueVerified": index % 3 == 0,
        "profilePicture": _avatar(index),
        "description": _ABSENT if in_bio else description,
        "profile_bio": {"description": description} if in_bio else _ABSENT,
        "location": _pick(_LOCATIONS, index, 17, "Earth"),
        "followers": _count(index, revision),
        "following": _count(index + 9, revision),
        "statusesCount": _count(index + 18, revision),
        "createdAt": _created_at(index),
        "canDm": False,
    }


def _pick(ugly: tuple[object, ...], index: int, cycle: int, plain: object) -> object:
    place = index % cycle
    return ugly[place] if place < len(ugly) else plain


def _name(index: int, revision: int) -> object:
    name = _pick(_NAMES, index, 41, f"User {index % 100_000}")
    return f"{name} r{revision}" if revision and isinstance(name, str) else name


def _screen_name(index: int) -> object:
    return _pick((_ABSENT,), index, 43, f"u{index % 10**14}")


def _description(index: int) -> object:
    return _pick(_DESCRIPTIONS, index, 37, f"Account number {index}, mostly harmless.")


def _avatar(index: int) -> object:
    return _pick((None, _ABSENT), index, 47, f"https://pbs.twimg.com/profile_images/{index}/sandbox_normal.jpg")


def _count(index: int, revision: int) -> object:
    return _pick(_COUNTS, index, 29, index * 7919 % 99_991 + revision)


def _created_at(index: int) -> object:
    at = _created(index)
    match index % 19:
        case 0:
            return f"{at:%Y-%m-%dT%H:%M:%SZ}"
        case 1:
            return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"
        case 2:
            return at.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30))).isoformat()
        case place if place < 3 + len(_NO_TIMES):
            return _NO_TIMES[place - 3]
        case _:
            return twitter_time(at)


def _created(index: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(seconds=index * 7_654_321 % (19 * 365 * 86_400))


def twitter_time(at: dt.datetime) -> str:
    """A UTC time as Twitter writes it. Unlike with strftime, the names are English in any locale."""
    return f"{_DAYS[at.weekday()]} {_MONTHS[at.month - 1]} {at:%d %H:%M:%S} +0000 {at.year}"
