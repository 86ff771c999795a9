"""The approval pages as an ASGI application: `/approve/` lists what waits, `/approve/{approvalId}` answers one.

The line of a request: 1. its path and method; 2. of a form: size, kind, and whether a page of ours sent it; 3. the
session in the cookie, or the login; 4. of a form: its token; 5. one use case, the same that REST calls; 6. a page, or
the way back to one. A GET changes nothing. Every refusal is a page that says so, and is recorded as the API's are.
"""

import logging
import re
import traceback
from dataclasses import dataclass
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qsl

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.console.guard import cookie_header, form_token, is_ours, is_token, session_of
from gateway.console.lease_form import MAX_FIELDS, terms_of
from gateway.console.pages import INDEX, STYLE, approval_page, list_page, login_page, message_page
from gateway.core.approvals import ApprovalState
from gateway.core.principal import Principal
from gateway.core.principal import Scope as Permission
from gateway.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    RequestError,
    StateConflict,
    StoreError,
    Unauthenticated,
)
from gateway.services.approval_list import ApprovalList
from gateway.services.approval_view import ApprovalViews
from gateway.services.approvals import Approvals
from gateway.services.authentication import Authentication, require_scope
from gateway.services.leases import Leases
from gateway.services.links import Links
from gateway.services.people import People
from gateway.services.refusals import Refusals

__all__ = ["CSP", "ApprovalPages", "ConsoleServices"]

CSP: Final = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
MAX_FORM_BYTES: Final = 32 * 1024
"""A reason of 4096 characters, each four bytes and percent-encoded, would be 48 KiB; nobody types that."""
LISTED: Final = 50
READ_S: Final = 30.0
RECORD_S: Final = 1.0
"""For a refusal to be recorded; it stands either way."""

_ID: Final = re.compile(r"apr_[0-9A-Za-z]{1,64}")
_FORM: Final = "application/x-www-form-urlencoded"
_HEADERS: Final = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # `no-referrer` would make browsers send `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_STATUS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (Unauthenticated, 401, "Not logged in"),
    (Forbidden, 403, "Not for you"),
    (NotFound, 404, "There is no such approval"),
    (InvalidRequest, 400, "That cannot be recorded"),
    (StateConflict, 409, "Nothing was changed"),
    (RateLimited, 429, "Too many requests"),
    (StoreError, 503, "Not known to be recorded"),
)
_UNKNOWN: Final = NotFound("The address of an approval is /approve/ and its id, as apr_01HN4X7KQZ8Y1A2B3C4D5E6F7G.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleServices:
    """The use cases behind the pages."""

    authentication: Authentication
    people: People
    approvals: Approvals
    views: ApprovalViews
    lists: ApprovalList
    leases: Leases
    refusals: Refusals
    links: Links


class ApprovalPages:
    """The pages. `key` is a secret of this process that the tokens of forms are made with."""

    def __init__(self, services: ConsoleServices, *, key: str, secure: bool) -> None:
        """`secure`: people reach the pages by TLS, so that the cookie never travels in the clear."""
        self._services = services
        self._key = key
        self._secure = secure
        self._style = files("gateway.console").joinpath("static", "approve.css").read_bytes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except (RequestError, StoreError) as error:
            response = await self._refuse(request, error)
        except Exception as fault:  # noqa: BLE001 - the one place of this face; nothing unforeseen is a yes
            # Its message may hold anything, so it is not logged.
            places = "".join(traceback.format_tb(fault.__traceback__))
            _log.error("unforeseen fault of the approval pages: %s\n%s", type(fault).__name__, places)
            response = _response(message_page("Something failed", "The gateway's log says what."), status=500)
        if request.method == "HEAD":
            response.body = b""
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path == STYLE and request.method in ("GET", "HEAD"):
            return _response(self._style, kind="text/css; charset=utf-8")
        if path == INDEX.rstrip("/"):
            return _response(b"", status=308, location=INDEX)
        place = path.removeprefix(INDEX)
        if place and not _ID.fullmatch(place):
            raise _UNKNOWN
        if request.method in ("GET", "HEAD"):
            return await self._look(request, place)
        if request.method == "POST":
            return await self._act(request, place)
        return _response(message_page("Not here", "This page is looked at, or its form is sent."), status=405)

    async def _look(self, request: Request, place: str) -> Response:
        """Show the list or one approval; the login to whoever has no session."""
        session = session_of(request.headers.raw)
        if not session:
            return _response(login_page(INDEX + place))
        principal = self._principal(session)
        token = form_token(self._key, session, place)
        if place:
            view = await self._services.views.show(principal, place)
            users = {*view.voters, view.approval.resolved_by_user}
            names = {one: self._services.people.named(principal, one) for one in users}
            return _response(approval_page(view, token=token, me=principal.credential, names=names))
        require_scope(principal, Permission.APPROVALS_READ)
        found = await self._services.lists.list(principal, state=ApprovalState.PENDING, page=1, page_size=LISTED)
        return _response(list_page(found.items, found.total, token))

    async def _act(self, request: Request, place: str) -> Response:
        """Log in, answer, or log out; then back to the page, so that a reload sends nothing again."""
        form = await self._form(request)
        path = INDEX + place
        if form.get("do") == "login":
            opened = await self._services.people.open_session(form.get("code", "").strip())
            return _response(b"", status=303, location=path, cookie=cookie_header(opened.secret, secure=self._secure))
        session = session_of(request.headers.raw)
        principal = self._principal(session)
        request.scope[_PRINCIPAL] = principal
        if not is_token(form.get("token", ""), self._key, session, place):
            raise Forbidden(
                "This form is not of your session, or is older than the gateway's start. Load the page again."
            )
        if form.get("do") == "logout":
            await self._services.people.close_session(principal)
            return _response(b"", status=303, location=path, cookie=cookie_header("", secure=self._secure))
        if form.get("do") not in ("approve", "deny", "lease") or not place:
            raise _UNKNOWN
        require_scope(principal, Permission.APPROVALS_WRITE)
        said = form.get("reason", "").strip()
        if form["do"] == "lease":
            await self._services.leases.approve(principal, terms_of(form), approval_id=place, rationale=said)
        else:
            yes = form["do"] == "approve"
            await self._services.approvals.resolve(principal, approval_id=place, approve=yes, rationale=said)
        return _response(b"", status=303, location=path)

    def _principal(self, session: str) -> Principal:
        """Return who the cookie stands for. Raises Unauthenticated and RateLimited."""
        principal = self._services.people.resolve(session) if session else None
        if principal is None:
            raise Unauthenticated("Your session is over. Log in with a new code.")
        self._services.authentication.admit(principal)
        return principal

    async def _form(self, request: Request) -> dict[str, str]:
        """Read a form that a page of ours sent. Raises Forbidden."""
        headers = request.headers
        if not is_ours(headers.raw, self._services.links.base, secure=self._secure):
            raise Forbidden("Forms are taken from this gateway's own pages only.")
        body = bytearray()
        with anyio.move_on_after(READ_S) as reading:
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_FORM_BYTES:
                    break
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if reading.cancelled_caught or len(body) > MAX_FORM_BYTES or kind != _FORM:
            raise Forbidden("This is no form of ours.")
        try:
            pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
        except ValueError as error:
            raise Forbidden("This form cannot be read.") from error
        form = dict(pairs)
        if len(form) != len(pairs):
            raise Forbidden("This form has a field twice.")
        return form

    async def _refuse(self, request: Request, error: RequestError | StoreError) -> Response:
        """Return the page that says why not; nothing was changed."""
        status, title = next((status, title) for kind, status, title in _STATUS if isinstance(error, kind))
        place = request.url.path
        if status in (400, 401, 403):
            client = request.client
            principal = request.scope.get(_PRINCIPAL) if status == 403 else None
            with anyio.move_on_after(RECORD_S):
                await self._services.refusals.note(principal, client.host if client else "", code=title, status=status)
        if status == 401:
            return _response(login_page(place, str(error)), status=401)
        text = str(error) if isinstance(error, RequestError) else "The record cannot be read or written at the moment."
        more = {"retry-after": str(error.retry_after_s)} if isinstance(error, RateLimited) else {}
        back = place if status not in (404,) else ""
        return _response(message_page(title, text, back=back), status=status, more=more)


_PRINCIPAL: Final = "gateway.console.principal"
_log = logging.getLogger(__name__)


def _response(
    body: bytes,
    *,
    status: int = 200,
    kind: str = "text/html; charset=utf-8",
    location: str = "",
    cookie: str = "",
    more: dict[str, str] | None = None,
) -> Response:
    headers = {**_HEADERS, "content-type": kind, **(more or {})}
    if location:
        headers["location"] = location
    if cookie:
        headers["set-cookie"] = cookie
    return Response(body, status_code=status, headers=headers)
