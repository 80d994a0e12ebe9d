"""Looking names up in a table, with an error that names the nearest known ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence part such as ``did you mean 'digits'? known: digits, wine``."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
    return f"{hint}known: {', '.join(known)}"


def look_up(kind: str, name: str, table: dict):
    """``table[name]``, or a ValueError that says which ``kind`` of name was unknown and which are known."""
    if name not in table:
        raise ValueError(f"unknown {kind} {name!r}; {nearest(name, table)}")
    return table[name]
