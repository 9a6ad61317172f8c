"""Asks what the customer's account with the API holds: one free request, outside of the crawl.

It is sent by the rules of the crawl's requests: the same headers and proxy, checked certificates, no redirect, and the
key in no message.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future
from http.client import HTTPException
from threading import Thread
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener, getproxies

from kolspider.errors import StopRun, UserError, WrongUsage
from kolspider.options.proxy import proxy_of
from kolspider.options.secrets import NoRedirect, redacted, redacted_body
from kolspider.providers.base import ApiError, ApiErrorKind, Balance, one_line

if TYPE_CHECKING:
    from kolspider.live.statement import Statement
    from kolspider.options.config import Config
    from kolspider.providers.base import BalanceCall

__all__ = ["ask_after", "ask_balance", "ask_before"]

logger = logging.getLogger(__name__)

_LONGEST_SECS = 10.0
"""The longest wait for an answer: no run waits longer for what it can do without."""
_LONGEST_APART_SECS = 6.0
"""twitterapi.io takes one call in 5 s at the slowest."""
_LARGEST = 100_000  # bytes


def ask_balance(config: Config) -> Balance:
    """Return what the account holds. Raises WrongUsage if the API has no such call, and StopRun if it does not answer.

    A call that comes too soon after another one is made again, once.
    """
    call = config.provider.balance
    if call is None:
        raise WrongUsage(f"{config.provider.name} has no call that tells the balance; its website does")
    answer = _ask(call, config)
    if isinstance(answer, ApiError) and answer.kind is ApiErrorKind.RATE_LIMIT:
        time.sleep(_seconds_apart(config))
        answer = _ask(call, config)
    if isinstance(answer, Balance):
        return answer
    if answer.kind is ApiErrorKind.AUTH:
        raise StopRun(f"the API refuses the key ({answer.message}); check KOL_API_KEY")
    raise StopRun(f"the balance is not known: {answer.message}")


def ask_before(statement: Statement, config: Config, cost: float) -> None:
    """Ask what the account holds before a run that buys, and warn if it is less than the likely cost in credits."""
    if config.provider.balance is None:
        return
    try:
        held = statement.before = ask_balance(config)
    except UserError as error:
        logger.info("no bill for this run: %s", error)
    else:
        if held.credits < cost:
            usd = cost * config.credit_usd
            has, needs = f"{held.credits:,.0f}", f"{cost:,.0f}"
            logger.warning("the account has %s credits, this run needs about %s ($%.2f)", has, needs, usd)
    statement.next_call_at = time.monotonic() + _seconds_apart(config)


def ask_after(statement: Statement, config: Config) -> None:
    """Ask what the account holds after a run that made calls. Without an answer the run's bill stays unknown."""
    if statement.before is None:
        return
    try:
        statement.after = ask_balance(config)
    except UserError as error:
        logger.info("no bill for this run: %s", error)


def _ask(call: BalanceCall, config: Config) -> Balance | ApiError:
    headers = {name: text.replace("{key}", config.api_key) for name, text in config.provider.headers.items()}
    request = Request(call.url(config.api_url), headers=headers | {"User-Agent": config.user_agent})  # noqa: S310 - http(s)
    request.add_header("Accept", "application/json")
    opener, done = _opener(config), Future[tuple[int, bytes]]()

    def fetch() -> None:
        try:
            done.set_result(_fetch(opener, request, config.timeout))
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            done.set_exception(error)

    # In a thread, because the timeout of a socket bounds neither the search for a host nor an answer in drops.
    Thread(target=fetch, name="balance", daemon=True).start()
    longest = min(config.timeout, _LONGEST_SECS)
    try:
        status, body = done.result(longest)
    except TimeoutError:
        return ApiError(ApiErrorKind.TRANSIENT, f"no answer within {longest:g} s")
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a User-Agent that no header can carry
        network = proxy_of(config.api_url) or "this machine's network"
        why = f"{config.api_url} can't be reached: {_reason(error)}; check KOL_API_URL and {network}"
        return ApiError(ApiErrorKind.TRANSIENT, one_line(redacted(why, (config.api_key,))))
    return call.parse(status, redacted_body(body, config.api_key))


def _fetch(opener: OpenerDirector, request: Request, timeout: float) -> tuple[int, bytes]:
    try:
        with opener.open(request, timeout=timeout) as answer:
            return answer.status, answer.read(_LARGEST)
    except HTTPError as answer:
        with answer:
            return answer.code, answer.read(_LARGEST)


def _opener(config: Config) -> OpenerDirector:
    # An HTTP proxy would see the key; of https:// it sees only a tunnel.
    proxies = {"https": getproxies()["https"]} if proxy_of(config.api_url) else {}
    return build_opener(ProxyHandler(proxies), NoRedirect())


def _seconds_apart(config: Config) -> float:
    """Return the seconds between the call for the balance and another one: the API's limit may be for both."""
    return min(config.interval, _LONGEST_APART_SECS)


def _reason(error: Exception) -> str:
    """Return why no answer came, in the words of the system."""
    cause = error.reason if isinstance(error, URLError) else error
    return str(getattr(cause, "verify_message", "") or getattr(cause, "strerror", "") or cause or type(cause).__name__)
