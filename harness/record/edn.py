"""EDN as values of JSON: the two that EDN holds equal become one value, and any other two stay two.

    nil true 1 1.5 "text"   the same in JSON         :key        ":key"
    [1 2] (1 2)             [1, 2]                   ":key"      {"#string": ":key"}
    {:a 1}                  {"a": 1}                 #{2 1}      {"#set": [1, 2]}
    a number of 999 digits  {"#integer": "..."}      {1 2, 3 4}  {"#map": [[1, 2], [3, 4]]}

No keyword begins with #, so that no map of EDN is taken for one of these. What has no such value (ratios, decimals,
characters, symbols, tagged values, infinities) is `Unread`: it is refused where somebody uses it, and does no harm in an
error's cause or in a field that nobody reads. Metadata changes no value and is dropped; `#_` discards the next form.

Rejected: an EDN library (hundreds of microseconds an event, and keywords become plain strings in some).

Sources: the EDN format (github.com/edn-format/edn); Clojure's reader, for metadata.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.record.fields import canonical
from harness.record.history import MOST_NESTED, MalformedHistory

MOST_DIGITS = 300
"""The longest integer that is read as a number: Python and JSON libraries have limits beyond that, and a judge only compares."""
MOST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Unread:
    """A form that has no value here: what it is, and its line."""

    what: str
    line: int


@dataclass(frozen=True, slots=True)
class Form:
    """A form between others: the tag before it, its value, its line. The fields of a map are not yet one value."""

    tag: str | None
    value: Any
    line: int


def forms(text: str, source: str) -> Iterator[Form]:
    """Give the top-level forms of a text, those inside of top-level vectors and lists one by one; raises MalformedHistory with the line."""
    tokens = _Tokens(text, source)
    while _ahead(tokens):
        if tokens.ahead in ("[", "("):
            closing = _CLOSES[tokens.take()]
            while _ahead(tokens) != closing:
                yield _form(tokens)
            tokens.take()
        else:
            yield _form(tokens)


def value(text: str, source: str) -> Any:
    """Read a text that is one value; raises MalformedHistory where it is none, or more."""
    tokens = _Tokens(text, source)
    found = _value(tokens)
    if _ahead(tokens):
        raise tokens.malformed(f"{_shown(tokens.ahead)} after a value, expected the end")
    if isinstance(found, Unread):
        raise tokens.malformed(f"{found.what} cannot be compared here")
    return found


def _form(tokens: _Tokens) -> Form:
    """Read a form; of a map each field is read for itself, so that what cannot be read spoils its own field only."""
    _skip_metadata(tokens)
    line, tag = tokens.line, None
    if tokens.ahead.startswith("#") and tokens.ahead != "#{":
        tag = tokens.take()[1:]
        _ahead(tokens)
    if tokens.ahead != "{":
        return Form(tag, _value(tokens), line)
    tokens.take()
    fields: dict[str, Any] = {}
    for name, held in _pairs(_items(tokens, "}", 1), tokens, line):
        if not _is_keyword(name):
            raise tokens.malformed(f"key {_shown(name)} of an operation, expected a keyword", line)
        fields[name[1:]] = held
    return Form(tag, fields, line)


_TOKEN = re.compile(
    r"""(?P<skip>[\s,]+|;[^\n]*)|(?P<open>\#?\{|\(|\[)|(?P<close>[)\]}])|(?P<string>"(?:[^"\\]|\\.)*")|(?P<discard>\#_)|(?P<meta>\^)"""
    r"""|(?P<char>\\\S[^\s,;\[\](){}"]*)|(?P<tag>\#[^\s,;\[\](){}"]+)|(?P<atom>[^\s,;\[\](){}"\\^\#][^\s,;\[\](){}"]*)""",
    re.DOTALL,
)


class _Tokens:
    """EDN split into tokens, one ahead; "" at the end."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self._text, self._place = text, 0
        self.line, self._next_line = 1, 1
        self.ahead = ""
        self.take()

    def take(self) -> str:
        """Give the token ahead and look at the next one."""
        taken = self.ahead
        self.ahead = ""
        while self._place < len(self._text):
            found = _TOKEN.match(self._text, self._place)
            if not found:
                self.line = self._next_line
                raise self.malformed(f"{_shown(self._text[self._place :])} is no EDN")
            self._place = found.end()
            self.line, self._next_line = self._next_line, self._next_line + found[0].count("\n")
            if found.lastgroup != "skip":
                self.ahead = found[0]
                break
        return taken

    def malformed(self, reason: str, line: int | None = None) -> MalformedHistory:
        return MalformedHistory(reason, line or self.line, self.source)


def _ahead(tokens: _Tokens, depth: int = 0) -> str:
    """Give the token ahead that counts: `#_` takes the next form away, and that may be a discard itself."""
    while tokens.ahead == "#_":
        tokens.take()
        _value(tokens, depth + 1)
    return tokens.ahead


def _skip_metadata(tokens: _Tokens, depth: int = 0) -> None:
    while _ahead(tokens, depth) == "^":
        tokens.take()
        _value(tokens, depth + 1)


_CLOSES = {"{": "}", "#{": "}", "(": ")", "[": "]"}
_WORDS = {"nil": None, "true": True, "false": False}
_INTEGER = re.compile(r"([+-]?)(0|[1-9]\d*)N?", re.ASCII)
_FLOAT = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d*([eE][+-]?\d+)?|[eE][+-]?\d+)", re.ASCII)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\"}


def _value(tokens: _Tokens, depth: int = 0) -> Any:
    """Read one value, `Unread` where a part of it is."""
    if depth > MOST_NESTED:
        raise tokens.malformed(f"nested deeper than {MOST_NESTED}, expected a value")
    _skip_metadata(tokens, depth)
    line, token = tokens.line, tokens.take()
    if token == "" or token in ")]}":
        raise tokens.malformed(f"{token or 'the end'}, expected a value", line)
    if token in _CLOSES:
        return _collection(tokens, token, depth + 1, line)
    if token[0] == '"':
        return _string(token, tokens, line)
    if token[0] == "#" and token[1] != "#":
        _value(tokens, depth + 1)
        return Unread(f"a value tagged {_shown(token)}", line)
    return _atom(token, line)


def _collection(tokens: _Tokens, token: str, depth: int, line: int) -> Any:
    items = _items(tokens, _CLOSES[token], depth)
    pairs = _pairs(items, tokens, line) if token == "{" else []
    if token == "#{":
        _refuse_twice(items, tokens, line)
    unread = next((item for item in items if isinstance(item, Unread)), None)
    if unread is not None:
        return unread
    if token == "#{":
        return {"#set": sorted(items, key=canonical)}
    if token != "{":
        return items
    if all(_is_keyword(name) for name, _ in pairs):
        return {name[1:]: held for name, held in pairs}
    return {"#map": sorted(([name, held] for name, held in pairs), key=canonical)}


def _items(tokens: _Tokens, closing: str, depth: int) -> list[Any]:
    items = []
    while _ahead(tokens, depth) != closing:
        items.append(_value(tokens, depth))
    tokens.take()
    return items


def _pairs(items: list[Any], tokens: _Tokens, line: int) -> list[tuple[Any, Any]]:
    if len(items) % 2:
        raise tokens.malformed("a map with a key and no value", line)
    _refuse_twice(items[::2], tokens, line)
    return list(zip(items[::2], items[1::2], strict=True))


def _refuse_twice(items: list[Any], tokens: _Tokens, line: int) -> None:
    seen = set()
    for item in items:
        if isinstance(item, Unread):
            continue
        text = canonical(item)
        if text in seen:
            raise tokens.malformed(f"{_shown(item)} twice in one map or set", line)
        seen.add(text)


def _is_keyword(item: Any) -> bool:
    return isinstance(item, str) and item.startswith(":")


def _string(token: str, tokens: _Tokens, line: int) -> Any:
    text = token[1:-1]
    if "\\" in text:
        text = re.sub(r"\\(u[0-9a-fA-F]{4}|.)", lambda found: _unescaped(found[1], tokens, line), text, flags=re.DOTALL)
        text = _joined(text, tokens, line)
    return {"#string": text} if text.startswith(":") else text


def _unescaped(escape: str, tokens: _Tokens, line: int) -> str:
    if escape[0] == "u" and len(escape) == 5:
        return chr(int(escape[1:], 16))
    if escape not in _ESCAPES:
        raise tokens.malformed(f'\\{escape} in a string, expected one of \\n \\t \\r \\b \\f \\" \\\\ \\uXXXX', line)
    return _ESCAPES[escape]


def _joined(text: str, tokens: _Tokens, line: int) -> str:
    """Make one character of two escapes that are its halves in UTF-16."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise tokens.malformed("half a character in a string", line) from None


def _atom(token: str, line: int) -> Any:
    if token in _WORDS:
        return _WORDS[token]
    if token[0] == ":":
        return token if len(token) > 1 and token[1] not in ":#" else Unread(f"the keyword {_shown(token)}", line)
    if found := _INTEGER.fullmatch(token):
        sign, digits = found.groups()
        text = digits if sign != "-" or digits == "0" else f"-{digits}"
        return int(text) if len(digits) <= MOST_DIGITS else {"#integer": text}
    if _FLOAT.fullmatch(token) and math.isfinite(float(token)):
        return float(token) or 0.0  # 0.0 and -0.0 are equal
    return Unread(_shown(token), line)


def _shown(item: Any) -> str:
    text = item if isinstance(item, str) else canonical(item) if not isinstance(item, Unread) else item.what
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
