"""A guarded server in memory, and tokens for it that a second implementation signs.

server = Guarded()
answer = await server.call(good(), arguments={"amount": 5})
assert server.ran == 1
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from intended.verify import MemoryUsedIds, Refusal, RequireAuthority, StaticKeys
from tests.golden.tokens_by_hand import VECTORS, sign

GOLDEN = json.loads(VECTORS.read_text())
N, D = int(GOLDEN["n"]), int(GOLDEN["d"])
JWKS = GOLDEN["jwks"]
KID = JWKS["keys"][0]["kid"]
HEAD = {"alg": "RS256", "kid": KID, "typ": "authority+jwt"}
NOW = 1_795_348_800
ARGUMENTS = {"amount": 5}
CLAIMS: dict[str, Any] = {
    "iss": "intended-gateway",
    "sub": "billing-agent",
    "aud": "payments",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 120,
    "jti": "tok_1",
    "tenant": "acme",
    "intentId": "int_1",
    "intentType": "payment.transfer",
    "upstream": "payments",
    "tool": "transfer",
    "argsDigest": hashlib.sha256(b'{"amount":5}').hexdigest(),
    "policyDigest": "5f" * 32,
}
GONE = object()
"""In place of a claim or header member: leave it out."""


def changed(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (members | changes).items() if value is not GONE}


def token(*, head: dict[str, Any] | None = None, n: int = N, d: int = D, **claims: Any) -> str:
    """Return a signed token with some claims and header members changed."""
    return signed(json.dumps(changed(HEAD, head or {})), json.dumps(changed(CLAIMS, claims)), n, d)


@cache
def signed(head: str, claims: str, n: int, d: int) -> str:
    """Sign once what many tests want: by hand it takes a while."""
    return sign(json.loads(head), json.loads(claims), n, d)


@dataclass
class Answer:
    status: int
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


@dataclass
class Guarded:
    """`ran` counts the calls that reached the tool; `seen` are their scopes and bodies. `now` is the clock."""

    keys: Any = field(default_factory=lambda: StaticKeys(JWKS))
    used: Any = None
    audience: str = ""
    body_bytes: int = 100_000
    intents: bool = False
    now: float = NOW
    seen: list[tuple[Any, bytes]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.used = self.used or MemoryUsedIds(now=lambda: self.now)
        self.app = RequireAuthority(
            self._behind,
            keys=self.keys,
            tenant="acme",
            upstream="payments",
            audience=self.audience,
            used=self.used,
            reporter=self.refusals.append,
            body_bytes=self.body_bytes,
            intents=self.intents,
            now=lambda: self.now,
        )

    @property
    def ran(self) -> int:
        return len(self.seen)

    async def _behind(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", scope["type"] == "http"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.seen.append((scope, body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ran"})

    async def call(
        self,
        header: str | None = None,
        meta: Any = None,
        *,
        arguments: Any = ARGUMENTS,
        tool: Any = "transfer",
        headers: Iterable[tuple[bytes, bytes]] = (),
        **params: Any,
    ) -> Answer:
        """Send one `tools/call` with a token in the header, in `_meta`, in both or in neither."""
        sent = {"name": tool, "arguments": arguments, **params}
        if meta is not None:
            sent["_meta"] = {"so.intended/authority": meta}
        lines = [*headers, *([(b"intended-authority", header.encode())] if header is not None else [])]
        body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": sent}).encode()
        return await self.send(body, lines)

    async def send(
        self, body: bytes, headers: Iterable[tuple[bytes, bytes]] = (), method: str = "POST", kind: str = "http"
    ) -> Answer:
        """Send one request, its body in two pieces."""
        half = len(body) // 2
        waiting = [
            {"type": "http.request", "body": body[:half], "more_body": True},
            {"type": "http.request", "body": body[half:]},
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": kind, "method": method, "path": "/mcp", "headers": list(headers)}
        await self.app(scope, receive, send)
        if not sent or "status" not in sent[0]:
            return Answer(status=0, body=json.dumps(sent).encode())
        return Answer(status=sent[0]["status"], body=sent[1]["body"])
