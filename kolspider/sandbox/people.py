"""Plausible users for the demo: English and Chinese accounts that write about crypto, markets and data.

A profile is a pure function of its index and a revision, like the deliberately ugly ones in users.py.
"""

import datetime as dt
from random import Random

from kolspider.sandbox.users import PRIVATE, entry, twitter_time

__all__ = ["plausible", "plausible_id"]

_CHINESE_SHARE = 0.35
_HANDLE = 15
"""The number of characters that a handle may have."""
_FIRST = (
    "Maya Daniel Priya Tom Elena Marcus Sofia Jonas Aisha Liam Nora Victor Hana Oscar Leila Felix Grace Mateo Ines "
    "Caleb Yara Hugo Clara Amir Zoe Theo Freya Samir Ada Noah Camille Ravi Ingrid Owen Bianca Kofi"
)
_LAST = (
    "Okafor Lindqvist Moreau Hale Novak Ferraro Brandt Iyer Castellan Whitlock Sorensen Achebe Kowalski Duarte Finch "
    "Marlowe Petrov Haddad Vance Ostrom Bellamy Nakata Quill Rahman Salter Thorne Ueda Varga Winslow Yilmaz"
)
_GIVEN = (
    "子轩 zixuan, 雨桐 yutong, 浩然 haoran, 思远 siyuan, 佳怡 jiayi, 一鸣 yiming, 晓雯 xiaowen, 俊杰 junjie, 静 jing, "
    "磊 lei, 欣然 xinran, 志强 zhiqiang, 若溪 ruoxi, 明哲 mingzhe, 嘉琪 jiaqi, 天宇 tianyu, 婉清 wanqing, 博文 bowen"
)
_FAMILY = "王 wang, 李 li, 张 zhang, 刘 liu, 陈 chen, 杨 yang, 赵 zhao, 黄 huang, 周 zhou, 吴 wu, 徐 xu, 孙 sun, 林 lin"
_TAGS = "eth defi onchain alpha quant macro chain web3 data dao"
_TRADES = "Capital Research Labs Data Analytics Ventures"

_ENGLISH = {
    "role": "Analyst, Data engineer, Fund manager, Researcher, Quant, Solidity developer, Trader, Reporter, Auditor",
    "topic": "ETH staking, DeFi lending, on-chain data, perpetuals, stablecoins, options volatility, macro rates, MEV, "
    "credit markets, ETF flows, market microstructure, token economics, risk models, data pipelines, rollups",
    "city": "San Francisco, New York, London, Singapore, Hong Kong, Berlin, Zürich, Dubai, Lisbon, Toronto, Sydney",
}
_ENGLISH_BIOS = (
    "{role} at {firm}. {topic} and {other}. Not financial advice.",
    "{role}, {city}. I write about {topic} every week.",
    "Into {topic} and {other}. Formerly {firm}.",
    "Notes on {topic}. Views are my own. DYOR.",
    "{role} by day, {topic} by night ☕",
    "Building {firm} in {city}. Mostly {topic}.",
    "",
)
_CHINESE = {
    "role": "研究员, 数据分析师, 量化交易员, 基金经理, 财经记者, 合约开发者, 独立投资人",
    "topic": "链上数据, DeFi, 稳定币, 宏观利率, 美股, 期权波动率, 量化策略, 以太坊质押, 二层网络, 港股, 风险模型",
    "city": "上海, 深圳, 北京, 香港, 台北, 新加坡, 杭州",
}
_CHINESE_BIOS = (
    "{role}，关注{topic}和{other}。观点不构成投资建议。",
    "{topic}｜{other}｜{city}",
    "在{city}做{topic}，偶尔聊{other}。DYOR",
    "{role}，每周写一篇{topic}笔记 📊",
    "{role}，曾在{firm}，现居{city}。",
    "",
)

_FROM, _SNOWFLAKES_FROM, _UNTIL = (
    int(dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp()) for year in (2009, 2016, 2025)
)
_TWITTER_EPOCH = 1_288_834_974_657
"""The Unix time in milliseconds from which the time in an id counts."""


def plausible(index: int, revision: int = 0) -> object:
    """A user as the API sends it. Another revision has other counts, but the same id."""
    if index < 0:
        return entry(index, revision)
    chance = _chance(index)
    created = _created(chance)
    name, handle, bio, city = _someone(chance)
    # KOLs share the users that are not private, so these have more followers.
    known = 7.6 if index & PRIVATE else 9.6
    followers, following, statuses, media = (
        int(chance.lognormvariate(mean, spread)) for mean, spread in ((known, 1.8), (6.2, 0.9), (7.6, 1.3), (4.5, 1.2))
    )
    return {
        "id": _id(created, index),
        "name": name,
        "screen_name": handle,
        "userName": handle,
        "location": city,
        "url": None,
        "description": bio,
        "email": None,
        "protected": False,
        "verified": False,
        "followers_count": followers + followers * revision // 100,
        "following_count": following,
        "friends_count": following,
        "favourites_count": statuses * 3,
        "statuses_count": statuses + revision,
        "media_tweets_count": min(media, statuses),
        "created_at": twitter_time(dt.datetime.fromtimestamp(created, dt.UTC)),
        "profile_banner_url": None,
        "profile_image_url_https": f"https://pbs.twimg.com/profile_images/{_id(_UNTIL, index)}/{handle}_normal.jpg",
        "can_dm": False,
    }


def plausible_id(index: int) -> str:
    """The id of a user: a running number before 2016, from then on a snowflake, which holds the time of creation."""
    return _id(_created(_chance(index)), index)


def _chance(index: int) -> Random:
    return Random(f"{index}")  # noqa: S311 - no secret


def _created(chance: Random) -> int:
    return chance.randrange(_FROM, _UNTIL)


def _id(created: int, index: int) -> str:
    if created < _SNOWFLAKES_FROM:
        return str((created - _FROM) * 20 + index % 20 + 15_000_000)
    return str((created * 1000 - _TWITTER_EPOCH << 22) + index * 0x5851F42D4C957F2D % (1 << 31))


def _someone(chance: Random) -> tuple[str, str, str, str]:
    """Name, handle, bio and city."""
    is_chinese = chance.random() < _CHINESE_SHARE
    words, bios = (_CHINESE, _CHINESE_BIOS) if is_chinese else (_ENGLISH, _ENGLISH_BIOS)
    topic, other = chance.sample(words["topic"].split(", "), 2)
    role, city = (chance.choice(words[key].split(", ")) for key in ("role", "city"))
    firm = f"{chance.choice(_LAST.split())} {chance.choice(_TRADES.split())}"
    bio = chance.choice(bios).format(role=role, topic=topic, other=other, city=city, firm=firm)
    name, first, last = (_chinese_name if is_chinese else _english_name)(chance)
    tag, number = chance.choice(_TAGS.split()), chance.randrange(2, 1000)
    handles = (f"{first[0]}{last}{number}", f"{first}_{last}{number}", f"{last}_{tag}{number}", f"{first}{tag}{number}")
    return name, chance.choice([handle for handle in handles if len(handle) <= _HANDLE]), bio, city


def _english_name(chance: Random) -> tuple[str, str, str]:
    first, last = chance.choice(_FIRST.split()), chance.choice(_LAST.split())
    return chance.choice((f"{first} {last}", f"{first} {last}", first)), first.lower(), last.lower()


def _chinese_name(chance: Random) -> tuple[str, str, str]:
    given, first = chance.choice(_GIVEN.split(", ")).split()
    family, last = chance.choice(_FAMILY.split(", ")).split()
    return chance.choice((family + given, family + given, f"{first.title()} {last.title()}")), first, last
