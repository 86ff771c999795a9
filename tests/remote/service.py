"""An authority that does whatever a test tells it to, with keys of its own."""

import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import anyio
import anyio.lowlevel
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.demo.upstream import on_loopback
from intended.verify import digest

KEY = "mrt_live_secret"

Answer = tuple[int, dict[str, str], bytes]
JSON = {"content-type": "application/json"}


@cache
def private(number: int = 0) -> RSAPrivateKey:
    """Return one of a few keys; making one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(number: int = 0) -> dict[str, Any]:
    public = private(number).public_key().public_numbers()

    def text(value: int) -> str:
        return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()

    return {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": f"k{number}", "n": text(public.n), "e": text(public.e)}


@dataclass
class Service:
    """`answer` makes the answer to a request from its method, path and body; `claims` changes those of its tokens."""

    answer: Callable[["Service", str, str, Any], Answer] = lambda service, *asked: service.decided(*asked)
    claims: dict[str, Any] = field(default_factory=dict)
    status: str = ""
    signs: int = 0
    jwks: Any = None
    jwks_asked: int = 0
    hangs: bool = False
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["path"].startswith("/.well-known/jwks/"):
            self.jwks_asked += 1
            status, headers, content = self.jwks or answered({"keys": [jwk(self.signs)]})
        else:
            asked = json.loads(body) if body else None
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self.requests.append((scope["method"], scope["path"], headers, asked))
            if self.hangs:
                await anyio.sleep_forever()
            status, headers, content = self.answer(self, scope["method"], scope["path"], asked)
        named = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": named})
        await send({"type": "http.response.body", "body": content})

    def decided(self, method: str, path: str, asked: Any) -> Answer:
        """Allow what is asked; an intent that is looked at stands as `status` says."""
        if method == "GET" and not self.status:
            return answered({"error": "NOT_FOUND", "message": "none", "statusCode": 404}, 404)
        document = {"intentId": "int_there", "decision": "ALLOW", "reason": "fine", "token": self.token(asked)}
        return answered({**document, "status": self.status} if method == "GET" else document)

    def token(self, asked: Any) -> str:
        now = int(time.time())
        asked = asked or {"action": {"type": "transfer", "params": {"amount": 5}}, "actor": "bot", "system": "payments"}
        claims = {
            "iss": "intended-gateway",
            "sub": asked["actor"],
            "aud": asked.get("system", "so.intended"),
            "iat": now,
            "nbf": now,
            "exp": now + 120,
            "jti": f"tok_{len(self.tokens)}",
            "tenant": "acme",
            "intentId": "int_there",
            "intentType": "payments.transfer",
            "action": asked["action"]["type"],
            "system": asked.get("system", ""),
            "argsDigest": digest(asked["action"]["params"]),
            "policyDigest": "0" * 64,
            **self.claims,
        }
        headers = {"kid": f"k{self.signs}", "typ": "authority+jwt"}
        self.tokens.append(jwt.encode(claims, private(self.signs), algorithm="RS256", headers=headers))
        return self.tokens[-1]


def answered(document: Any, status: int = 200) -> Answer:
    return status, JSON, json.dumps(document).encode()


def always(document: Any, status: int = 200, **headers: str) -> Callable[..., Answer]:
    """Return an authority's one answer to everything."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return lambda *asked: (status, {**JSON, **headers}, content)


@asynccontextmanager
async def served_at(service: Service, port: int) -> AsyncIterator[None]:
    """Serve at a port that is known before, as one that comes back does."""
    config = uvicorn.Config(
        service, host="127.0.0.1", port=port, log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server._serve)
        with anyio.fail_after(10):
            while not server.started:
                await anyio.lowlevel.checkpoint()
        try:
            yield
        finally:
            server.should_exit = True


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    async with on_loopback(service) as address:
        yield address
