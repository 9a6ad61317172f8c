"""The wire contracts that the sandbox can serve, by the name of the API."""

from collections.abc import Mapping
from types import MappingProxyType

from kolspider.sandbox.apis.aisa import Aisa
from kolspider.sandbox.apis.api45 import Api45
from kolspider.sandbox.apis.contract import Contract
from kolspider.sandbox.apis.socialdata import SocialData
from kolspider.sandbox.apis.tikhub import TikHub
from kolspider.sandbox.apis.twitterapi_io import TwitterApiIo

__all__ = ["CONTRACTS"]

CONTRACTS: Mapping[str, Contract] = MappingProxyType(
    {
        "twitterapi_io": TwitterApiIo(),
        "aisa": Aisa(),
        "socialdata": SocialData(),
        "tikhub": TikHub(),
        "api45": Api45(),
        "twitter_api45": Api45(),  # as KOL_API_PROVIDER names it
    }
)
