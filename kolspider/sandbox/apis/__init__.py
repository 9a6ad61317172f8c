"""The wire contracts that the sandbox can serve, by the name of the API."""

from collections.abc import Mapping
from types import MappingProxyType

from kolspider.sandbox.apis.contract import Contract
from kolspider.sandbox.apis.twitterapi_io import TwitterApiIo

__all__ = ["CONTRACTS"]

CONTRACTS: Mapping[str, Contract] = MappingProxyType({"twitterapi_io": TwitterApiIo()})
