"""A stand-in for the REST application, for tests of commands: answers as it is told and keeps what it was asked."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typer.testing import CliRunner, Result

from gateway.admin.application import OperatorApp
from gateway.cli import administration
from gateway.cli.main import app
from gateway.core.principal import Principal
from gateway.services.operator import OPERATOR_KEY
from gateway.settings import Settings

__all__ = ["Asked", "Desk", "ask", "command", "desk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that arrived."""

    method: str
    path: str
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    tenant: str = "default"


class Desk:
    """A REST application. `answers` are given in turn; after them, each request is told its tenant."""

    def __init__(self, *answers: Response | Any) -> None:
        self.answers = list(answers)
        self.asked: list[Asked] = []
        self.principals: list[Principal] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body, principal = await request.body(), scope[OPERATOR_KEY]
        self.asked.append(
            Asked(
                method=request.method,
                path=request.url.path,
                body=json.loads(body) if body else None,
                query=dict(request.query_params),
                tenant=principal.tenant,
            )
        )
        self.principals.append(principal)
        answer = self.answers.pop(0) if self.answers else {"tenant": principal.tenant}
        await (answer if isinstance(answer, Response) else JSONResponse(answer))(scope, receive, send)


@contextmanager
def desk(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> Iterator[Desk]:
    """Let every command ask a stand-in, without a gateway around it."""
    stand_in = Desk(*answers)
    ask(monkeypatch, stand_in)
    yield stand_in


def ask(monkeypatch: pytest.MonkeyPatch, application: Any) -> None:
    """Let every command ask this application as its operator, without a gateway around it."""

    @asynccontextmanager
    async def client(settings: Settings, *, begins: bool) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(OperatorApp(application))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as found:
            yield found

    monkeypatch.setattr(administration, "_client", client)


def command(folder: Path, *arguments: str) -> Result:
    """Run a command on the data in `folder`."""
    places = ["--data", str(folder / "data"), "--state", str(folder / "state")]
    return CliRunner().invoke(app, [*arguments, *places])
