"""Secrets are kept out of messages and answers; as a last resort, out of every log record as it is made."""

from __future__ import annotations

import logging
import traceback
from typing import Any

__all__ = ["fits_a_header", "redact_logs", "redacted", "redacted_body"]

_SHORTEST = 4
"""A shorter secret is not searched for: replacing every "a" would hide the message, not the secret."""
_SHORTEST_IN_BODY = 12
"""A shorter key is not searched for in an answer: it could be part of an id."""


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    """Return text with every secret replaced by `***`."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return text


def redacted_body(body: bytes, secret: str) -> bytes:
    """Return an answer without the key, which a server may repeat in it."""
    return body.replace(secret.encode(), b"***") if len(secret) >= _SHORTEST_IN_BODY else body


def fits_a_header(key: str) -> bool:
    """Whether an HTTP header can carry the key: printable ASCII without blanks."""
    return all("!" <= character <= "~" for character in key)


def redact_logs(*secrets: str) -> None:
    """Scrub these secrets from the message and the traceback of every log record made from now on."""
    make = logging.LogRecord

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        message = record.getMessage()
        if (scrubbed := redacted(message, secrets)) != message:
            record.msg, record.args = scrubbed, ()
        if record.exc_info and record.exc_info[0]:
            text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            record.exc_text = redacted(text, secrets)  # a Formatter prints it instead of exc_info
        return record

    logging.setLogRecordFactory(factory)
