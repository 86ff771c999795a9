"""An ASGI middleware before an MCP server over Streamable HTTP: no `tools/call` without a good authority token.

Owns how a token travels (header and `_meta`) and what a refused caller is told: nothing but that it was refused. Why
is in the log and in the reporter's hands. It reads the body in one strict way and hands on the very bytes that it read.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from intended.verify.canonical import strict
from intended.verify.keys import JwksUrl, Keys
from intended.verify.tokens import DEFAULT_ISSUER, LEEWAY_S, Authority, AuthorityError, Reason, verify
from intended.verify.used import MemoryUsedIds, UsedIds

__all__ = ["AUTHORITY_HEADER", "AUTHORITY_META", "SCOPE_KEY", "Refusal", "RequireAuthority"]

AUTHORITY_META: Final = "so.intended/authority"
AUTHORITY_HEADER: Final = "Intended-Authority"
SCOPE_KEY: Final = "intended.authority"
"""Where the server behind finds the `Authority` of an accepted call, in the ASGI scope."""

BODY_BYTES: Final = 4 * 1024 * 1024
"""The MCP SDK's own limit."""
WITHOUT_CALLS: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods that carry no message to an MCP server. Every other one is read as a POST."""

REFUSED: Final = 40301
UNAVAILABLE: Final = 50301
"""JSON-RPC error codes, outside the range that the specification keeps for itself."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One refused call, for whoever wants to know. The token itself is not in it.

    `agent`, `intent_id` and `token_id` are empty where the token's signature was not good: anybody can write those.
    """

    reason: Reason
    message: str
    tool: str
    agent: str = ""
    intent_id: str = ""
    token_id: str = ""


Reporter = Callable[[Refusal], None]
"""Is told of each refusal, in a worker thread; may block. What it raises is logged and changes nothing."""


class RequireAuthority:
    """Lets a `tools/call` pass to `app` only with a token of this tenant, for this upstream and exactly this call.

    `keys` is a JWKS URL or anything that implements `Keys`. `upstream` is this server's id in the gateway's
    configuration, `audience` the `authority_audience` there (by default the id too). `used` must be shared by all
    processes that serve the audience; the default is for one process.
    With `intents` the tokens are those of a service that the gateway asks (its setting `authority.url`): for an intent
    whose action is the tool, on the system `upstream`. `keys` are then the service's; who may submit intents gets them.
    Everything else passes: `initialize`, lists, reads. Guard what those must not show in some other way.
    """

    def __init__(
        self,
        app: App,
        *,
        keys: Keys | str,
        tenant: str,
        upstream: str,
        audience: str = "",
        issuer: str = DEFAULT_ISSUER,
        used: UsedIds | None = None,
        reporter: Reporter | None = None,
        intents: bool = False,
        body_bytes: int = BODY_BYTES,
        leeway_s: float = LEEWAY_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        if not (tenant and upstream):
            raise ValueError("name the tenant, and this server's id in the gateway's configuration")
        self._app = app
        self._keys = JwksUrl(keys) if isinstance(keys, str) else keys
        self._tenant = tenant
        self._upstream = upstream
        self._audience = audience or upstream
        self._issuer = issuer
        self._used = MemoryUsedIds(now=now) if used is None else used
        self._reporter = reporter
        self._intents = intents
        self._body_bytes = body_bytes
        self._leeway_s = leeway_s
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["method"] in WITHOUT_CALLS):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._message(scope, receive, send)
        else:  # a websocket, or what ASGI may yet have: nothing here could read it
            await send({"type": "websocket.close", "code": 1008})

    async def _message(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        body = await _read(receive, self._body_bytes)
        if body is None:
            return  # the caller is gone
        if len(body) > self._body_bytes:
            await _answer(send, 413, None, REFUSED, "The message is too large.")
            return
        message = _one_message(headers, body)
        if message is None:
            await _answer(send, 400, None, REFUSED, "This is not one JSON-RPC message in plain UTF-8 JSON.")
            return
        if message.get("method") == "tools/call":
            try:
                authority = await asyncio.to_thread(self._check, headers, message)
            except AuthorityError as error:
                await _refuse(send, message.get("id"), error)
                return
            scope = {**scope, SCOPE_KEY: authority}
        await self._app(scope, _again(body, receive), send)

    # --- in a worker thread: keys and used ids may be a network away --------------------------------------------------

    def _check(self, headers: list[tuple[bytes, bytes]], message: dict[str, Any]) -> Authority:
        """Check the token of one call. Raises AuthorityError, told to log and reporter first."""
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        tool = params.get("name")
        tool = tool if isinstance(tool, str) else ""
        try:
            token = _token(headers, params.get("_meta"))
            if not tool:
                raise AuthorityError(Reason.TARGET, "the call names no tool")
            return verify(
                token,
                keys=self._keys,
                audience=self._audience,
                tenant=self._tenant,
                used=self._used,
                arguments=params.get("arguments"),
                answers=params.get("inputResponses"),
                **self._target(tool),
                issuer=self._issuer,
                leeway_s=self._leeway_s,
                now=self._now,
            )
        except AuthorityError as error:
            self._report(error, tool)
            raise

    def _target(self, tool: str) -> dict[str, str]:
        """Return what the token must be for."""
        if self._intents:
            return {"action": tool, "system": self._upstream}
        return {"upstream": self._upstream, "tool": tool}

    def _report(self, error: AuthorityError, tool: str) -> None:
        _log.warning("refused a call of %.100r: %s: %s", tool, error.reason, error)
        if self._reporter is None:
            return
        refusal = Refusal(
            reason=error.reason,
            message=str(error),
            tool=tool,
            agent=error.claims.get("sub", ""),
            intent_id=error.claims.get("intentId", ""),
            token_id=error.claims.get("jti", ""),
        )
        try:
            self._reporter(refusal)
        except Exception:  # noqa: BLE001 - somebody else's code; the call is refused in any case
            _log.exception("the reporter of refusals failed")


# --- reading ----------------------------------------------------------------------------------------------------------


async def _read(receive: Receive, limit: int) -> bytes | None:
    """Return the body, or a little more than `limit` of it; None where the caller left."""
    parts: list[bytes] = []
    size = 0
    more = True
    while more and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _one_message(headers: list[tuple[bytes, bytes]], body: bytes) -> dict[str, Any] | None:
    """Return the JSON-RPC message that every reader reads alike, None for anything else.

    No batch, no compression, no name twice, none that differs from another, or from one that is checked here, only in
    case: the server behind may read what was not checked.
    """
    if any(name == b"content-encoding" and value.strip().lower() != b"identity" for name, value in headers):
        return None
    try:
        message = strict(body)
    except ValueError:
        return None
    if not isinstance(message, dict) or not _unlike(message, "method", "params"):
        return None
    params = message.get("params")
    if not _unlike(params, "name", "arguments", "inputResponses", "_meta"):
        return None
    if isinstance(params, dict) and not _unlike(params.get("_meta"), AUTHORITY_META):
        return None
    return message


def _unlike(members: Any, *checked: str) -> bool:
    if not isinstance(members, dict):
        return True
    folded = {name.casefold() for name in (*members, *checked)}
    return len(folded) == len(members.keys() | set(checked))


def _token(headers: list[tuple[bytes, bytes]], meta: Any) -> str:
    """Return the token of header and `_meta`; where both are there they must be one. Raises AuthorityError."""
    wanted = AUTHORITY_HEADER.lower().encode()
    found = [value.decode("latin-1").strip() for name, value in headers if name == wanted]
    if isinstance(meta, dict) and AUTHORITY_META in meta:
        found.append(meta[AUTHORITY_META])
    if not found:
        raise AuthorityError(Reason.MISSING, "the call carries no token")
    if any(token != found[0] for token in found) or len(found) > 2:
        raise AuthorityError(Reason.MALFORMED, "the call carries two tokens")
    return found[0]


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that begins with the body that was read."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


# --- refusing ---------------------------------------------------------------------------------------------------------


async def _refuse(send: Send, request_id: Any, error: AuthorityError) -> None:
    if error.reason is Reason.UNAVAILABLE:
        text = "This server cannot check the authority of calls at the moment. Nothing was done; try again later."
        await _answer(send, 503, request_id, UNAVAILABLE, text)
    else:
        text = "This server takes tool calls with the authority of its gateway only. Nothing was done."
        await _answer(send, 403, request_id, REFUSED, text)


async def _answer(send: Send, status: int, request_id: Any, code: int, text: str) -> None:
    known = request_id if isinstance(request_id, str | int) and not isinstance(request_id, bool) else None
    body = json.dumps({"jsonrpc": "2.0", "id": known, "error": {"code": code, "message": text}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
