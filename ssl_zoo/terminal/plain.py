"""Plain letters for streams that cannot encode ours: `±` is `+/-` in ASCII; letters of users are escaped (`\\xe9`)."""

from __future__ import annotations

import codecs
import unicodedata

__all__ = ["PLAIN"]

PLAIN = "ssl_zoo.plain"  # name of the error handler, as `errors="replace"`
LETTERS = {
    "·": "|", "±": "+/-", "×": "x", "−": "-", "–": "-", "—": "-", "…": "...", "→": "->", "←": "<-", "↑": "^", "↓": "v",
    "≥": ">=", "≤": "<=", "≈": "~", "≠": "!=", "√": "sqrt", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "•": "*",
    "✓": "ok", "✗": "x", "█": "#", "▏": "|",
}  # fmt: skip


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_letters, error.object[error.start : error.end])), error.end


def _letters(character: str) -> str:
    if character in LETTERS:
        return LETTERS[character]
    if "\u2500" <= character <= "\u257f":  # box drawing
        name = unicodedata.name(character)
        return "-" if name.endswith("HORIZONTAL") else "|" if name.endswith("VERTICAL") else "+"
    return character.encode("ascii", "backslashreplace").decode()  # of a path no letter is made another


codecs.register_error(PLAIN, _plain)
