"""Whether a form is ours: the session cookie, the token of a form, and the page that a request comes from.

Pure functions of headers and texts. A change needs all three: a cookie that other sites cannot have sent
(`SameSite=Strict`), a token that only a page of this session and this approval holds, and an Origin that is ours.
Cookies are read here and nowhere else: neither the REST API nor the MCP front knows any.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

__all__ = ["COOKIE", "cookie_header", "form_token", "is_ours", "is_token", "session_of"]

COOKIE: Final = "intended_approver"
PATH: Final = "/approve"
"""Where the cookie is sent; nothing else is there."""

Headers = Iterable[tuple[bytes, bytes]]


def session_of(headers: Headers) -> str:
    """Return the session that the request's cookie presents; empty where there is none, or more than one."""
    found = []
    for name, value in headers:
        if name == b"cookie":
            pairs = (part.strip().partition("=") for part in value.decode("latin-1").split(";"))
            found += [text for key, _, text in pairs if key == COOKIE]
    # Two cookies of the name: one of them was planted, and nobody can tell which.
    return found[0] if len(found) == 1 else ""


def cookie_header(session: str, *, secure: bool) -> str:
    """Return the `Set-Cookie` that hands a session to the browser; an empty session takes it away."""
    gone = "" if session else "; Max-Age=0"
    return f"{COOKIE}={session}; Path={PATH}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}{gone}"


def form_token(key: str, session: str, place: str) -> str:
    """Return the token of the forms that a session is shown at one place (an approval's id, or the list)."""
    return hmac.new(key.encode(), f"{session}\0{place}".encode(), hashlib.sha256).hexdigest()


def is_token(token: str, key: str, session: str, place: str) -> bool:
    """Return whether a form came with the token that this session was shown at that place."""
    return bool(session) and hmac.compare_digest(token.encode(), form_token(key, session, place).encode())


def is_ours(headers: Headers, base: str, *, secure: bool) -> bool:
    """Return whether a form was sent by a page of ours; what does not say where it comes from was not.

    Ours is the configured base, and the very host that was asked; where TLS is spoken only by `https`.
    """
    origin, site, host = _only(headers, b"origin"), _only(headers, b"sec-fetch-site"), _only(headers, b"host")
    if site not in (None, "same-origin"):
        return False
    if origin is None:
        return site == "same-origin"
    scheme, _, authority = origin.partition("://")
    if base and origin == base:
        return True
    return bool(host) and authority == (host or "").lower() and scheme in (("https",) if secure else ("http", "https"))


def _only(headers: Headers, wanted: bytes) -> str | None:
    """Return a header's value; None where it is absent. One that comes twice is joined, which is nobody's."""
    found = [value.decode("latin-1").strip() for name, value in headers if name == wanted]
    return ", ".join(found) if found else None
