"""The admin socket as a server: to its own user the application, to anybody else a refusal and nothing of it."""

import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from starlette.responses import JSONResponse

from gateway.admin.address import NAME, bind
from gateway.admin.application import OperatorApp
from gateway.admin.peer import peer_problem
from gateway.admin.protocol import guarded
from gateway.downstream.limits import protocol_class
from gateway.services.operator import OPERATOR_KEY

LIMITED = protocol_class(
    header_bytes=16_384, header_count=100, header_timeout_s=5, body_timeout_s=5, connections_per_address=10
)


class Desk:
    """An application that says whom it takes the peer for, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        principal = scope[OPERATOR_KEY]
        await JSONResponse({"tenant": principal.tenant, "credential": principal.credential})(scope, receive, send)


@asynccontextmanager
async def served(
    folder: Path, problem: Callable[[socket.socket], str]
) -> AsyncIterator[tuple[Desk, httpx.AsyncClient]]:
    desk, bound = Desk(), bind(folder)
    protocol = guarded(LIMITED, problem=problem)
    config = uvicorn.Config(OperatorApp(desk), http=protocol, ws="none", lifespan="off", log_config=None)  # type: ignore[arg-type]
    config.load()
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server._serve, [bound.listener])
        transport = httpx.AsyncHTTPTransport(uds=str(folder / NAME))
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=5) as client:
                yield desk, client
        finally:
            server.should_exit = True
    bound.close()


async def test_the_gateways_own_user_is_its_operator(tmp_path: Path) -> None:
    """In the tenant that it names, request after request on one connection."""
    async with served(tmp_path, peer_problem) as (desk, client):
        first = await client.get("/keys")
        second = await client.post("/keys", json={"name": "ci"}, headers={"x-tenant-id": "acme"})
    assert first.json() == {"tenant": "default", "credential": "cli"}
    assert second.json() == {"tenant": "acme", "credential": "cli"}
    assert desk.asked == 2


async def test_another_user_is_refused_and_the_application_never_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it sends; the operator reads who tried."""
    caplog.set_level(logging.WARNING, logger="gateway.admin.protocol")

    def foreign(connection: socket.socket) -> str:
        return peer_problem(connection, user=lambda given: 54321)

    async with served(tmp_path, foreign) as (desk, client):
        refused = await client.post("/keys", json={"name": "mine"})
        again = await client.get("/health")
    assert (refused.status_code, again.status_code) == (403, 403)
    assert refused.json()["error"] == "FORBIDDEN"
    assert "user 54321 is not the gateway's" in json.dumps(refused.json())
    assert desk.asked == 0
    assert "user 54321" in caplog.text
