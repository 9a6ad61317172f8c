"""The sandbox API: a server that answers like the paid ones, with made-up users and faults on request."""

from kolspider.sandbox.apis import CONTRACTS
from kolspider.sandbox.calls import Call
from kolspider.sandbox.days import Day, Happened, kols_of_all_lengths
from kolspider.sandbox.faults import FAULT_NAMES, Fault, Faults, RandomFaults, read_faults
from kolspider.sandbox.people import plausible
from kolspider.sandbox.server import Sandbox
from kolspider.sandbox.users import SAMPLE_KOLS, entry, followings, profile, user_id

__all__ = [
    "CONTRACTS",
    "FAULT_NAMES",
    "SAMPLE_KOLS",
    "Call",
    "Day",
    "Fault",
    "Faults",
    "Happened",
    "RandomFaults",
    "Sandbox",
    "entry",
    "followings",
    "kols_of_all_lengths",
    "plausible",
    "profile",
    "read_faults",
    "user_id",
]
