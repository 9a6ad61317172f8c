"""The sandbox API: a server that answers like the paid ones, with made-up users and faults on request."""

from kolspider.sandbox.apis import CONTRACTS
from kolspider.sandbox.calls import Call
from kolspider.sandbox.faults import FAULT_NAMES, Fault, Faults, RandomFaults, read_faults
from kolspider.sandbox.people import plausible
from kolspider.sandbox.server import Sandbox
from kolspider.sandbox.users import SAMPLE_KOLS, entry, followings, profile, user_id

__all__ = [
    "CONTRACTS",
    "FAULT_NAMES",
    "SAMPLE_KOLS",
    "Call",
    "Fault",
    "Faults",
    "RandomFaults",
    "Sandbox",
    "entry",
    "followings",
    "plausible",
    "profile",
    "read_faults",
    "user_id",
]
