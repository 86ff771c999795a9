"""Texts inside of texts: what a value says once an encoding that hides it is taken away.

Owns the encodings that a lenient reader undoes by itself, or that an argument beside the value may ask it to: base64,
hexadecimal, escapes of JavaScript and shells, character references; and percent-encoding, which may be part of any
text. What the inner text means is for the detectors.
"""

import base64
import binascii
import html
import re
from urllib.parse import unquote

from gateway.core.intent.naming import compatible, plain

__all__ = ["fold", "unwrapped"]

DECODINGS = 3
"""Rounds of percent-decoding: a text may be encoded again for each hop."""

SHORTEST, LONGEST = 8, 8192
"""Characters of an encoded value; shorter ones hold nothing, longer ones are the content of a file."""

BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
HEXADECIMAL = re.compile(r"(?:0[xX])?(?:[0-9A-Fa-f]{2})+")
ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([0-7]{3}))")
TELLING = frozenset("/\\ .:;")
"""Paths, addresses, statements and commands of any use hold one of these; words that happen to be base64 do not."""


def fold(text: str) -> str:
    """Return text as a lenient reader may take it: lower case, look-alike forms resolved, percent-decoded."""
    folded = plain(text).lower()
    for _ in range(DECODINGS):
        if "%" not in folded:
            break
        folded = folded.replace("%c0%ae", ".").replace("%c0%af", "/").replace("%u002e", ".").replace("%u2215", "/")
        decoded = unquote(folded, errors="replace")
        if decoded == folded:
            break
        folded = compatible(decoded).lower()
    return folded


def unwrapped(text: str) -> str:
    """Return the text inside, or an empty string where the value is not one of the encoded forms."""
    if "\\" in text and ESCAPE.search(text):
        return ESCAPE.sub(_escaped, text)
    if "&" in text and ";" in text:
        inner = html.unescape(text)
        return inner if inner != text else ""
    if not SHORTEST <= len(text) <= LONGEST:
        return ""
    if HEXADECIMAL.fullmatch(text):
        return _readable(binascii.unhexlify(text.lower().removeprefix("0x")))
    if BASE64.fullmatch(text):
        return _readable(_base64(text.rstrip("=")))
    return ""


def _escaped(match: re.Match[str]) -> str:
    long, short, octal = match.groups()
    code = int(octal, 8) if octal else int(long or short, 16)
    return chr(code) if not 0xD800 <= code <= 0xDFFF else ""


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""


def _readable(data: bytes) -> str:
    """Return bytes as text where they are one that could do something; random bytes hardly ever are."""
    if not data.isascii():
        return ""
    text = data.decode("ascii")
    printable = text.replace("\n", " ").replace("\r", " ").replace("\t", " ").isprintable()
    return text if printable and not TELLING.isdisjoint(text) else ""
