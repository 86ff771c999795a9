"""Real evidence: a gateway decides, a human says yes, and what is downloaded is kept with all that checks it.

made = evidence_of(folder)              # a whole gateway on disk, once; then nothing of it runs any more
report = verify(made.bundles["ALLOW"], keys=made.keys)
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx

from gateway.app import Gateway
from gateway.core.principal import Role
from gateway.services.audit_query import export
from gateway.services.operator import operator
from gateway.settings import Settings
from intended.evidence.keys import Key, key_of

__all__ = ["POLICY", "TENANT", "Made", "evidence_of", "settings_in"]

TENANT = "acme"

POLICY = """
apiVersion: intended/v1
policySet: payments
rules:
  - {id: never-offshore, effect: deny, when: 'has(args.to) && args.to == "offshore"'}
  - {id: ask-above-100, effect: escalate, when: has(args.amount) && args.amount > 100}
  - {id: small-ones, effect: allow}
"""

ACTS: dict[str, dict[str, Any]] = {
    "ALLOW": {"amount": 5, "to": "ACME", "password": "hunter2-hunter2"},
    "DENY": {"amount": 5, "to": "offshore"},
    "ESCALATE": {"amount": 500, "to": "ACME"},
    "PENDING": {"amount": 501, "to": "ACME"},
}


@dataclass
class Made:
    """Bundles by what was decided first, and what is checked with: keys, the secret, the export of the chain.

    `other` is another tenant's bundle, `token` an authority token of the intent that was allowed.
    """

    bundles: dict[str, bytes] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    jwks: dict[str, Any] = field(default_factory=dict)
    secret: str = ""
    export: bytes = b""
    other: bytes = b""
    token: str = ""

    @property
    def keys(self) -> tuple[Key, ...]:
        """The tenant's keys."""
        return tuple(map(key_of, self.jwks["keys"]))

    def document(self, name: str = "ALLOW") -> dict[str, Any]:
        """Return a bundle to be changed."""
        return dict(json.loads(self.bundles[name]))


def settings_in(folder: Path) -> Settings:
    """Return settings under which the policy alone decides, whatever the risk."""
    policy = folder / "policy.yaml"
    policy.write_text(POLICY)
    thresholds = {f"T{tier}": {"allow_below": 101, "deny_from": 101} for tier in range(5)}
    return Settings.model_validate(
        {
            "port": 0,
            "data": folder / "data",
            "state": folder / "state",
            "policies": policy,
            "tiers": {"thresholds": thresholds},
        }
    )


def evidence_of(folder: Path) -> Made:
    """Run the story once."""
    return anyio.run(_story, folder)


async def _story(folder: Path) -> Made:
    made = Made()
    async with Gateway.open(settings_in(folder)) as gateway:
        transport = httpx.ASGITransport(gateway.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            agent, human, other = [await _key(gateway, tenant) for tenant in (TENANT, TENANT, "beta")]

            async def ask(method: str, path: str, key: str, body: Any = None) -> httpx.Response:
                answer = await client.request(method, path, json=body, headers={"x-api-key": key})
                assert answer.is_success, answer.text
                return answer

            for name, arguments in ACTS.items():
                body = {"action": "issue_refund", "actor": "billing-agent", "metadata": arguments}
                decided = (await ask("POST", "/intent", agent, body)).json()
                made.ids[name] = decided["intentId"]
                made.token = made.token or decided.get("token", "")
            yes = {"intentId": made.ids["ESCALATE"], "decision": "approve", "rationale": "agreed"}
            await ask("POST", "/authority/approval", human, yes)
            await ask("GET", f"/intent/{made.ids['ESCALATE']}", agent)
            for name in ("ALLOW", "ESCALATE"):
                await ask("POST", f"/intent/{made.ids[name]}/outcome", agent, {"status": "completed"})
            for name, id_ in made.ids.items():
                made.bundles[name] = (await ask("GET", f"/intent/{id_}/evidence-bundle", human)).content
            made.jwks = (await ask("GET", "/evidence/keys", human)).json()
            made.secret = (await ask("POST", "/evidence/secret/show", human)).json()["secret"]
            theirs = (await ask("POST", "/intent", other, {"action": "issue_refund", "actor": "bot"})).json()
            made.other = (await ask("GET", f"/intent/{theirs['intentId']}/evidence-bundle", other)).content
        made.export = b"".join([line async for line in export(gateway._store, TENANT)])
    return made


async def _key(gateway: Gateway, tenant: str) -> str:
    created = await gateway.known.keys.create(
        operator(tenant), tenant=tenant, name="test", role=Role.ADMIN, plan="enterprise", per_minute=10**6
    )
    return created.secret
