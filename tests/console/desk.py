"""A whole gateway whose approvals are answered on its pages, with a browser's manners.

async with desk(folder) as made:
    approval = await made.ask({"amount": 5})
    jane = await made.log_in("jane")
    answer = await jane.answer(approval, "approve")
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.app import Gateway
from gateway.console.guard import COOKIE
from gateway.core.approvals import ApprovalState
from gateway.core.principal import Role, TrustTier
from gateway.services.operator import operator
from gateway.settings import Settings, TierSettings

BASE = "http://127.0.0.1:8787"
TENANT = "acme"
ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - id: ask
    effect: escalate
    reason: money
    match: {methods: [intent]}
    approval: {role: operator, approvers: %d, expires: 10m}
"""
TRUSTED = TierSettings(default=TrustTier.T4, earned=False)
"""So that no risk denies what the rule escalates, however often a human says no."""
FORM = "application/x-www-form-urlencoded"


@dataclass
class Browser:
    """One browser: it keeps its cookie and says where a form comes from, as a real one does."""

    client: httpx.AsyncClient

    async def look(self, approval: str = "") -> httpx.Response:
        return await self.client.get(f"/approve/{approval}")

    async def token(self, approval: str) -> str:
        found = re.search(r'name="token" value="([0-9a-f]+)"', (await self.look(approval)).text)
        return found[1] if found else ""

    async def send(self, approval: str, form: dict[str, str], **headers: str) -> httpx.Response:
        return await self.client.post(f"/approve/{approval}", data=form, headers={"origin": BASE} | headers)

    async def answer(self, approval: str, do: str, reason: str = "", **headers: str) -> httpx.Response:
        form = {"token": await self.token(approval), "do": do, "reason": reason}
        return await self.send(approval, form, **headers)

    @property
    def cookie(self) -> str:
        return self.client.cookies.get(COOKIE) or ""


@dataclass
class Desk:
    """The gateway, and a program that asks."""

    gateway: Gateway
    program: httpx.AsyncClient

    async def ask(self, params: dict[str, Any] | None = None, **more: str) -> str:
        body = {"action": {"type": "billing.process_refund", "params": params or {"amount": 5}}, "actor": "bot", **more}
        answer = await self.program.post("/intent", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["escalationId"])

    async def code(self, name: str, role: Role = Role.OPERATOR, tenant: str = TENANT) -> str:
        people, by = self.gateway.known.people, operator(tenant)
        if name not in [one.name for one in people.users(by)]:
            await people.create(by, name=name, role=role)
        return (await people.login_code(by, name)).code

    def browser(self) -> Browser:
        transport = httpx.ASGITransport(self.gateway.asgi)
        return Browser(httpx.AsyncClient(transport=transport, base_url=BASE))

    async def log_in(self, name: str, role: Role = Role.OPERATOR, tenant: str = TENANT) -> Browser:
        browser = self.browser()
        answer = await browser.send("", {"do": "login", "code": await self.code(name, role, tenant)})
        assert answer.status_code == 303
        return browser

    async def state(self, approval: str) -> ApprovalState:
        return (await self.gateway.known.approvals.show(operator(TENANT), approval)).state


@asynccontextmanager
async def desk(folder: Path, *, approvers: int = 1, **more: Any) -> AsyncIterator[Desk]:
    """Open a gateway that asks a human for every intent."""
    (folder / "policy.yaml").write_text(ASK % approvers)
    settings = Settings(
        data=folder / "data", state=folder / "state", policies=folder / "policy.yaml", tiers=TRUSTED, **more
    )
    async with Gateway.open(settings) as gateway:
        made = await gateway.known.keys.create(operator(TENANT), tenant=TENANT, name="test", role=Role.ADMIN)
        transport = httpx.ASGITransport(gateway.asgi)
        headers = {"x-api-key": made.secret}
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as program:
            yield Desk(gateway=gateway, program=program)
