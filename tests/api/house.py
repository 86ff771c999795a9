"""The REST application on services in memory, with a credential of each kind, for the tests of the faces.

house = await opened()
answer = await house.post("/intent", {"action": "deploy", "actor": "bot"})       # as an admin of tenant acme
answer = await house.get("/v1/stats", key=house.other)                           # as an admin of another tenant

Intents and approvals are answered by what a test sets (`house.intents`, `house.approvals`); all else is real.
"""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import httpx

from gateway.api.app import RestApp, rest_app
from gateway.api.dialect import Dialect
from gateway.api.error_models import OpsError, RefError, error_responses
from gateway.api.openapi import enveloped
from gateway.api.operation import OperationRoute
from gateway.api.services import Services
from gateway.core.approvals import Approval, ApprovalState
from gateway.core.breaker import BreakerTerms
from gateway.core.decision import ApprovalTerms, Effect
from gateway.core.decision import Thresholds as Caps
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.lease_rows import Lease
from gateway.core.leases import Check, Leased, LeaseState, Told
from gateway.core.message import WireLimits
from gateway.core.presentation import Alike, ApprovalView, Details, Listed
from gateway.core.principal import Principal, Role, TrustTier
from gateway.core.submission import IntentRecord, IntentStatus, Outcome, Submission
from gateway.core.switches import Cancelled
from gateway.core.tiers import ConfiguredTiers
from gateway.ports import IntentFilter, Page
from gateway.services.accounts import Accounts
from gateway.services.agents import Agents
from gateway.services.authentication import Authentication
from gateway.services.breaker import Breakers
from gateway.services.connectors import Connectors
from gateway.services.evidence import Evidence, Issued
from gateway.services.evidence_secret import EvidenceSecrets
from gateway.services.inclusion import Inclusion
from gateway.services.intents import Submitted
from gateway.services.keys import Keys
from gateway.services.lease_terms import LeaseTerms
from gateway.services.leases import LeaseView
from gateway.services.links import Links
from gateway.services.operator import operator
from gateway.services.people import People
from gateway.services.ratelimit import RateLimits
from gateway.services.readiness import Readiness
from gateway.services.recorded import Recorded
from gateway.services.refusals import Refusals
from gateway.services.stats import Stats
from gateway.services.switches import Switches
from gateway.services.thresholds import Thresholds
from gateway.services.tokens import Tokens
from gateway.services.trail import Trail
from gateway.services.trust import Trust, TrustTerms
from gateway.services.trust_changes import TrustChanges
from gateway.services.trust_history import TrustHistory
from gateway.services.webhooks import Webhooks
from gateway.store.sealing import Sealer
from tests.simulate.chain import MemoryChain
from tests.simulate.index import MemoryIndex
from tests.simulate.outbox import MemoryOutbox, ToldCourier
from tests.simulate.shelf import MemoryShelf
from tests.simulate.signer import QuickSigner
from tests.simulate.store import MemoryStore
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, FakeClock, FakeIds, FixedPolicies

LIMITS = WireLimits(body_bytes=64 * 1024, depth=32, keys=2000, id_chars=128)

RECORD = IntentRecord(
    id="int_1",
    tenant="acme",
    agent="github-actions",
    front="rest",
    type="deploy.release",
    domain="deploy",
    action="deploy application to production",
    system="github",
    params={"repo": "acme/frontend"},
    description="",
    justification="",
    status=IntentStatus.APPROVED,
    effect=Effect.ALLOW,
    reason="policy-allow",
    explanation="Rule `allow-ci-deploy` allows it.",
    risk=42,
    confidence=0.94,
    factors=(("production", 20, "action"),),
    tier=0,
    policy_set="prod-deploy-v3",
    rules=("allow-ci-deploy",),
    policy_digest="p" * 64,
    args_digest="a" * 64,
    created="2026-03-22T14:30:00.000Z",
    decided="2026-03-22T14:31:00.000Z",
    updated="2026-03-22T14:30:00.000Z",
)

ESCALATED = replace(
    RECORD, status=IntentStatus.PENDING, effect=Effect.ESCALATE, reason="policy-escalate", approval_id="apr_1"
)

APPROVAL = Approval(
    id="apr_1",
    tenant="acme",
    intent_id="int_1",
    agent="github-actions",
    requested_by="key_7",
    state=ApprovalState.PENDING,
    reason="Rule `ask` wants a human.",
    terms=ApprovalTerms(),
    created="2026-03-22T14:30:00.000Z",
    expires="2026-03-22T15:30:00.000Z",
)


LEASE = LeaseView(
    lease=Lease(
        id="lse_1",
        tenant="default",
        agent="billing-agent",
        upstream="files",
        tool="write",
        pin="p",
        approval_id="apr_1",
        intent_id="int_1",
        requested_by="key_2",
        human="",
        granted="2026-03-22T14:30:00.000Z",
        granted_by="key_9",
        claimed="",
        rationale="agreed",
        expires="2026-03-22T14:40:00.000Z",
        uses=10,
        fact=Leased(id="lse_1", risk=40),
    ),
    used=3,
    shape=(Told(path="/amount", check=Check.MAX, value="500"), Told(path="/to", check=Check.EQUALS, value='"ACME"')),
)


class ScriptedIntents:
    """Answers with `answers`, or raises `fails`; keeps what it was asked."""

    def __init__(self) -> None:
        self.answers = Submitted(record=RECORD, token="jws", repeated=False)
        self.fails: Exception | None = None
        self.submissions: list[tuple[Principal, Submission]] = []
        self.filters: list[tuple[IntentFilter, int, int]] = []
        self.outcomes: list[tuple[str, Outcome, str]] = []

    def _answer(self) -> Submitted:
        if self.fails is not None:
            raise self.fails
        return self.answers

    async def submit(self, principal: Principal, submission: Submission) -> Submitted:
        self.submissions.append((principal, submission))
        return self._answer()

    async def show(self, principal: Principal, intent_id: str) -> Submitted:
        return self._answer()

    async def list(
        self, principal: Principal, wanted: IntentFilter, *, page: int, page_size: int
    ) -> Page[IntentRecord]:
        self.filters.append((wanted, page, page_size))
        return Page(items=(self._answer().record,), total=41)

    async def outcome(self, principal: Principal, intent_id: str, outcome: Outcome, error: str = "") -> IntentRecord:
        self.outcomes.append((intent_id, outcome, error))
        return replace(self._answer().record, status=IntentStatus(outcome), error=error)


class ScriptedApprovals:
    """As `ScriptedIntents`."""

    def __init__(self) -> None:
        self.answers = APPROVAL
        self.fails: Exception | None = None
        self.lists: list[tuple[ApprovalState | None, int, int]] = []
        self.resolved: list[dict[str, Any]] = []

    def _answer(self) -> Approval:
        if self.fails is not None:
            raise self.fails
        return self.answers

    async def list(
        self, principal: Principal, *, state: ApprovalState | None = None, page: int, page_size: int
    ) -> Page[Approval]:
        self.lists.append((state, page, page_size))
        return Page(items=(self._answer(),), total=1)

    async def pending(self, tenant: str) -> int:
        self._answer()
        return 1

    async def show(self, principal: Principal, approval_id: str) -> Approval:
        return self._answer()

    async def resolve(self, principal: Principal, **asked: Any) -> Approval:
        self.resolved.append(asked)
        return self._answer()


class ScriptedLists:
    """The lists of `ScriptedApprovals`; `groups` are those that were asked for, `alike` what a test sets."""

    def __init__(self, approvals: ScriptedApprovals) -> None:
        self.approvals = approvals
        self.groups: list[str] = []
        self.alike = Alike(target="files/write", group="grp_1", group_size=3, equal=2, asked=4, waiting=1)

    async def list(
        self, principal: Principal, *, state: ApprovalState | None = None, group: str = "", page: int, page_size: int
    ) -> Page[Listed]:
        self.groups.append(group)
        found = await self.approvals.list(principal, state=state, page=page, page_size=page_size)
        return Page(items=tuple(Listed(approval=one, alike=self.alike) for one in found.items), total=found.total)


class ScriptedLeases:
    """As `ScriptedIntents`; what was asked is in `approved`, `lists` and `revoked`."""

    def __init__(self, approvals: ScriptedApprovals) -> None:
        self.approvals = approvals
        self.answers = LEASE
        self.approved: list[tuple[LeaseTerms, dict[str, Any]]] = []
        self.lists: list[tuple[LeaseState | None, int, int]] = []
        self.revoked: list[tuple[str, str]] = []

    async def approve(self, principal: Principal, terms: LeaseTerms, **asked: Any) -> tuple[Approval, Lease]:
        approval = await self.approvals.resolve(principal, **asked)
        self.approved.append((terms, asked))
        return approval, self.answers.lease

    async def list(
        self, principal: Principal, *, state: LeaseState | None = None, page: int, page_size: int
    ) -> Page[LeaseView]:
        self.lists.append((state, page, page_size))
        return Page(items=(await self.show(principal, ""),), total=1)

    async def show(self, principal: Principal, lease_id: str) -> LeaseView:
        await self.approvals.show(principal, "")
        return self.answers

    async def revoke(self, principal: Principal, lease_id: str, *, reason: str = "") -> LeaseView:
        self.revoked.append((lease_id, reason))
        return await self.show(principal, lease_id)


class ScriptedViews:
    """The views of `ScriptedApprovals`; `details`, and `voter`, a user who said yes, are what a test sets."""

    def __init__(self, approvals: ScriptedApprovals) -> None:
        self.approvals = approvals
        self.details: Details | None = None
        self.voter = ""

    async def show(self, principal: Principal, approval_id: str) -> ApprovalView:
        approval = await self.approvals.show(principal, approval_id)
        alike = Alike(target="files/write", group="grp_1", group_size=3, equal=2, asked=4, waiting=1)
        return ApprovalView(
            approval=approval,
            seconds_left=60,
            votes=("key_3", *(["ps_3"] if self.voter else [])),
            voters=("", *([self.voter] if self.voter else [])),
            needed=1,
            alike=alike,
            details=self.details,
        )


class ScriptedMetering:
    """Says whose metrics were asked for, and in which form."""

    async def all(self, *, accept: str) -> tuple[bytes, str]:
        return f"all as {accept}\n".encode(), "text/plain; charset=utf-8"

    async def of(self, tenant: str, *, accept: str) -> tuple[bytes, str]:
        return f"{tenant} as {accept}\n".encode(), "text/plain; charset=utf-8"


class NothingToCancel:
    """No approvals to be cancelled when a switch is thrown; those of a house are scripted."""

    async def cancel(self, tenant: str, stopped: Any) -> Cancelled:
        return Cancelled(approvals=0, complete=True)


@dataclass
class House:
    """The application, what it stands on, and keys: `admin`, `other` (an admin elsewhere), one per role by `key`."""

    app: RestApp
    store: MemoryStore
    clock: FakeClock
    policies: FixedPolicies
    intents: ScriptedIntents
    approvals: ScriptedApprovals
    views: ScriptedViews
    lists: ScriptedLists
    leases: ScriptedLeases
    services: Services
    courier: ToldCourier
    admin: str = ""
    other: str = ""

    async def key(self, *, tenant: str = "acme", **given: Any) -> str:
        """Make a key, by default of role admin."""
        role = {} if "scopes" in given or "role" in given else {"role": Role.ADMIN}
        made = await self.services.keys.create(operator(tenant), tenant=tenant, name="test", **role, **given)
        return made.secret

    async def send(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        content: bytes | None = None,
        json: Any = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request, with the admin's key unless another is named (`""`: with none)."""
        credential = self.admin if key is None else key
        transport = httpx.ASGITransport(self.app, client=("192.0.2.1", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787", verify=False) as client:
            sent = {**({"x-api-key": credential} if credential else {}), **(headers or {})}
            answer = await client.request(method, path, headers=sent, content=content, json=json)
        self._check(method, path, answer)
        return answer

    def _check(self, method: str, path: str, answer: httpx.Response) -> None:
        """Hold every answer to the models: what the document promises is what is sent."""
        plain = path.partition("?")[0]
        routes = [route for route in self.app.routes if isinstance(route, OperationRoute) and "%" not in plain]
        for route in routes:
            taken = route.operation.method == method and not route.operation.hidden
            if taken and route.path_regex.fullmatch(plain):
                _hold(route, answer)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        """GET."""
        return await self.send("GET", path, **more)

    async def post(self, path: str, json: Any = None, **more: Any) -> httpx.Response:
        """POST."""
        return await self.send("POST", path, json=json, **more)


def bare_app() -> RestApp:
    """Return the application with no services behind it, to look at its routes and its document."""
    return rest_app(SimpleNamespace(clock=FakeClock()), LIMITS)  # type: ignore[arg-type]


async def nothing_compiled(files: Any) -> None:
    """No policy of the past compiles here."""


async def opened() -> House:
    """Return a house with keys."""
    store, clock, ids, policies = MemoryStore(), FakeClock(), FakeIds(), FixedPolicies(ALLOW_ALL)
    index = MemoryIndex(store)
    written: JsonObject = {"audit": store, "state": store, "clock": clock, "ids": ids}
    keys, people = Keys(**written, uses=store), People(**written)
    intents, approvals, courier = ScriptedIntents(), ScriptedApprovals(), ToldCourier()
    views, lists, leases = ScriptedViews(approvals), ScriptedLists(approvals), ScriptedLeases(approvals)
    caps = dict.fromkeys(TrustTier, Caps(allow_below=30, deny_from=80))
    agents, shelf, terms = Agents(**written, taxonomy=TAXONOMY), MemoryShelf(store), TrustTerms()
    given = ConfiguredTiers(default=TrustTier.T0, agents={}, thresholds=caps)
    trust = Trust(chain=store, shelf=shelf, state=store, clock=clock, tiers=given, terms=terms)
    vault = Sealer(b"k" * 32)
    tokens = Tokens(signer=QuickSigner(), **written, issuer="intended-gateway")
    secrets = EvidenceSecrets(**written, vault=vault)
    services = Services(
        evidence=Evidence(
            reader=store,
            state=store,
            index=index,
            inclusion=Inclusion(reader=store, rows=MemoryChain(store)),
            recorded=Recorded(index=index, policies=policies, compiled=nothing_compiled),
            tokens=tokens,
            secrets=secrets,
            taxonomy=TAXONOMY,
            clock=clock,
            issued=Issued(issuer="intended-gateway", version="0"),
        ),
        evidence_secrets=secrets,
        authentication=Authentication(keys=keys, limits=RateLimits(clock), sessions=people),
        intents=intents,  # type: ignore[arg-type]
        approvals=approvals,  # type: ignore[arg-type]
        approval_list=lists,  # type: ignore[arg-type]
        approval_views=views,  # type: ignore[arg-type]
        leases=leases,  # type: ignore[arg-type]
        agents=agents,
        accounts=Accounts(policies=policies, state=store, index=index, clock=clock, agents=agents, trust=trust),
        trust=TrustChanges(trust=trust, audit=store, agents=agents, clock=clock, ids=ids),
        trust_history=TrustHistory(shelf=shelf, clock=clock, terms=terms),
        thresholds=Thresholds(**written, configured=caps),
        breakers=Breakers(failures=trust, clock=clock, terms=BreakerTerms(failures=3)),
        switches=Switches(**written, agents=agents, cancels=NothingToCancel(), upstreams=("files",)),
        keys=keys,
        people=people,
        tokens=tokens,
        webhooks=Webhooks(
            **written,
            reader=store,
            outbox=MemoryOutbox(store=store),
            courier=courier,
            vault=vault,
        ),
        audit=Trail(reader=store, index=index, audit=store, clock=clock, ids=ids),
        connectors=Connectors(
            upstreams={"files": FakeUpstream()}, transports={"files": "http"}, index=index, clock=clock
        ),
        stats=Stats(index=index, approvals=approvals, clock=clock),
        readiness=Readiness(audit=store, policies=policies),
        metering=ScriptedMetering(),  # type: ignore[arg-type]
        refusals=Refusals(audit=store, clock=clock, ids=ids),
        links=Links("http://127.0.0.1:8787"),
        clock=clock,
    )
    house = House(
        app=rest_app(services, LIMITS),
        store=store,
        clock=clock,
        policies=policies,
        intents=intents,
        approvals=approvals,
        views=views,
        lists=lists,
        leases=leases,
        services=services,
        courier=courier,
    )
    house.admin = await house.key()
    house.other = await house.key(tenant="other")
    return house


def _hold(route: OperationRoute, answer: httpx.Response) -> None:
    status = answer.status_code
    if route.operation.text and status == route.operation.status:
        assert answer.headers["content-type"].startswith("text/plain")
        return
    assert answer.headers["content-type"] == "application/json"
    if status == route.operation.status:
        model = enveloped(route.operation, route.dialect)
        assert model is not None
        model.model_validate(answer.json())
    elif status == 503 and route.operation.unwell is not None:
        route.operation.unwell.model_validate(answer.json())
    else:
        assert status in error_responses(route.dialect, route.operation.errors()), f"{status} is not documented"
        (RefError if route.dialect is Dialect.REF else OpsError).model_validate(answer.json())
