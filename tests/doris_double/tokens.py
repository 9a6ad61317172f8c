"""A tokenizer for Doris's SQL, and a cursor over the tokens that refuses what Doris's grammar refuses.

The lexical rules are DorisLexer.g4's: strings in ' or ", identifiers in back-quotes, words of letters, digits,
`_` and `$`. A word that is reserved is no identifier: see reserved_words.txt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tests.doris_double.errors import syntax_error

__all__ = ["RESERVED", "Name", "Token", "Tokens", "unescaped"]

RESERVED = frozenset(
    line
    for line in Path(__file__).with_name("reserved_words.txt").read_text(encoding="utf-8").split("\n")
    if line and not line.startswith("#")
)

_SPACE = re.compile(r"(?:\s+|--[^\n]*|/\*.*?\*/)*", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<quoted>`(?:[^`]|``)*`)
      | (?P<string>'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*")
      | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w$]))
      | (?P<word>[\w$]+)
      | (?P<symbol>@@|<=>|<>|!=|<=|>=|.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = {quote: re.compile(r"\\(.)|" + quote * 2, re.DOTALL) for quote in "'\""}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "0": "\0", "Z": "\x1a", "%": "\\%", "_": "\\_"}


@dataclass(frozen=True, slots=True)
class Name:
    """A table's name; database is None where it is left out."""

    database: str | None
    table: str


@dataclass(frozen=True, slots=True)
class Token:
    """kind: quoted, string, number, word, symbol, or end."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """Upper case, when it is a bare word; else empty."""
        return self.text.upper() if self.kind == "word" else ""


class Tokens:
    """A cursor. `position` is where the next token is looked for; it may be moved."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.position = 0

    def peek(self) -> Token:
        space = _SPACE.match(self.sql, self.position)
        start = space.end() if space else self.position
        match = _TOKEN.match(self.sql, start)
        if match is None or match.lastgroup is None:
            return Token("end", "<EOF>", start, start)
        return Token(match.lastgroup, match[0], start, match.end())

    def next(self) -> Token:
        token = self.peek()
        self.position = token.end
        return token

    def accept(self, *words: str) -> str:
        """Pass over the next token if it is one of these words or symbols; what it was, or empty."""
        token = self.peek()
        found = token.word if token.kind == "word" else token.text if token.kind == "symbol" else ""
        if found and found in words:
            self.position = token.end
            return found
        return ""

    def expect(self, *words: str) -> str:
        return self.accept(*words) or self.fail("', '".join(words))

    def phrase(self, *words: str) -> bool:
        """Pass over these words, if all of them are next."""
        before = self.position
        if all(self.accept(word) for word in words):
            return True
        self.position = before
        return False

    def expect_end(self) -> None:
        while self.accept(";"):
            pass
        if self.peek().kind != "end":
            self.fail("<EOF>', ';")

    def identifier(self) -> str:
        token = self.peek()
        if token.kind == "quoted":
            self.position = token.end
            return token.text[1:-1].replace("``", "`")
        if token.kind == "word" and token.text.lower() not in RESERVED:
            self.position = token.end
            return token.text
        return self.fail("IDENTIFIER', 'BACKQUOTED_IDENTIFIER")

    def identifiers(self) -> list[str]:
        """A list of them in parentheses."""
        self.expect("(")
        names = [self.identifier()]
        while self.expect(",", ")") == ",":
            names.append(self.identifier())
        return names

    def name(self) -> Name:
        """`table` or `db`.`table`."""
        first = self.identifier()
        return Name(first, self.identifier()) if self.accept(".") else Name(None, first)

    def string(self) -> str:
        token = self.peek()
        if token.kind != "string":
            self.fail("STRING_LITERAL")
        self.position = token.end
        return unescaped(token.text)

    def literal(self) -> str:
        """A string's or a number's text."""
        if self.peek().kind == "string":
            return self.string()
        sign = self.accept("-", "+")
        token = self.peek()
        if token.kind != "number":
            self.fail("STRING_LITERAL', 'INTEGER_VALUE")
        self.position = token.end
        return sign.replace("+", "") + token.text

    def integer(self) -> int:
        token = self.peek()
        if not token.text.isdigit():
            self.fail("INTEGER_VALUE")
        self.position = token.end
        return int(token.text)

    def fail(self, expected: str) -> NoReturn:
        """The next token is not what the grammar wants here."""
        token = self.peek()
        raise syntax_error(f"mismatched input '{token.text}' expecting {{'{expected}'}}", self.sql, token.start)


def unescaped(literal: str) -> str:
    """What a string literal stands for: MySQL's backslash escapes, and its own quote doubled."""
    quote, text = literal[0], literal[1:-1]
    if "\\" not in text and quote not in text:
        return text
    return _ESCAPED[quote].sub(lambda match: _ESCAPES.get(match[1], match[1]) if match[1] else quote, text)
