"""The normal form of a resource URI, for policies to match: one spelling for one resource (RFC 3986, 6.2.2).

Refuses rather than guesses. The upstream gets the URI as the agent wrote it, so whatever an upstream could resolve to
something else than the text says (dot segments, encoded separators, backslashes, user names, double encoding) is no
URI here. The normal form is for reading and matching: percent-encoded characters that mean only themselves are
written out.
"""

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

__all__ = ["URI_CHARS", "normalise_uri"]

URI_CHARS: Final = 8192
"""More than any real resource; bounds the work of matching."""

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://([^/?#]*))?([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_ESCAPE = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DELIMITERS: Final = frozenset(":/?#[]@!$&'()*+,;=%")
_PATH_TRICKS: Final = frozenset("/\\.%")
"""Encoded in a path these are separators, dot segments or a second encoding to some readers, and text to others."""
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def normalise_uri(uri: str) -> str | None:
    """Return the normal form, None for what is no absolute URI or could be read in two ways."""
    match = _URI.fullmatch(uri) if 0 < len(uri) <= URI_CHARS else None
    if match is None or _suspect(uri):
        return None
    scheme, authority, path, query, fragment = match.groups()
    if (authority is not None and _is_trick(authority)) or _has_path_tricks(path):
        return None
    try:
        rest = "".join(_ESCAPE.sub(_written_out, part) for part in (path, query or "", fragment or ""))
    except UnicodeDecodeError:
        return None
    if any(_invisible(char) for char in rest):
        return None
    place = "" if authority is None else f"//{authority.lower()}"
    return f"{scheme.lower()}:{place}{rest}"


def _suspect(uri: str) -> bool:
    """Tell whether the text itself has what no URI has: spaces, controls, backslashes, a percent sign that is none."""
    return "\\" in uri or _PERCENT.search(uri) is not None or any(char.isspace() or _invisible(char) for char in uri)


def _invisible(char: str) -> bool:
    if char < "\x7f":
        return char < " "
    return unicodedata.category(char) in _REFUSED_CATEGORIES


def _is_trick(authority: str) -> bool:
    """Tell whether some reader could take the authority for user names, for an encoding, or for a step in a path."""
    return "@" in authority or "%" in authority or authority in {".", ".."}


def _has_path_tricks(path: str) -> bool:
    if any(segment in {".", ".."} for segment in path.split("/")):
        return True
    return any(chr(int(code, 16)) in _PATH_TRICKS for code in re.findall(r"%([0-9A-Fa-f]{2})", path))


def _written_out(match: re.Match[str]) -> str:
    """Write out what an escape stands for, but for the delimiters, whose meaning depends on being encoded."""
    text = unquote(match.group(), errors="strict")
    return "".join(f"%{ord(char):02X}" if char in _DELIMITERS else char for char in text)
