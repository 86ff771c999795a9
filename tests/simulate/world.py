"""A whole gateway in memory, but for its sockets: the services on a store, upstreams, clock and agents that obey.

world = World(upstreams=[FakeUpstream(tools=[tool("echo")])], policy=ALLOW_ALL)
reply = await world.call("echo", {"text": "hi"})                   # modern era
assert world.upstream().calls() == []                              # nothing reached the upstream
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial

import orjson

from gateway.core.approvals import Approval, ApprovalState
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.breaker import BreakerTerms
from gateway.core.call import Era
from gateway.core.decision import Thresholds as Caps
from gateway.core.holds import HoldTerms
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.message import Inbound, Kind
from gateway.core.policy.bundle import Bundle
from gateway.core.principal import Principal, TrustTier
from gateway.core.tiers import ConfiguredTiers
from gateway.core.trust.failing import Failing
from gateway.core.worth import NO_AMOUNTS, Amounts
from gateway.policyfiles.files import PolicyText, compile_texts
from gateway.ports import Mount, Page, RemoteAuthority, Spans
from gateway.services.agents import Agents
from gateway.services.approval_list import ApprovalList
from gateway.services.approvals import Approvals
from gateway.services.asking import Asking
from gateway.services.authority import Authority
from gateway.services.breaker import Breakers
from gateway.services.cancelling import Cancelling
from gateway.services.catalog import Catalog
from gateway.services.conversation import Conversation
from gateway.services.desk import CallDesk
from gateway.services.dispatch import Dispatch, Reply
from gateway.services.enforcement import Enforcement, Judged
from gateway.services.facts import FactSource
from gateway.services.holding import Holds
from gateway.services.inflight import InFlight
from gateway.services.intents import Intents
from gateway.services.jobs import Jobs
from gateway.services.leases import Leases
from gateway.services.observing import DecisionsOnly, Observers
from gateway.services.refusals import Refusals
from gateway.services.retention import Retention
from gateway.services.running import Running
from gateway.services.states import States
from gateway.services.switches import Switches
from gateway.services.thresholds import Thresholds
from gateway.services.tokens import Tokens
from gateway.services.tracing import DecisionSpans, TracedDispatch, TracedUpstream
from gateway.services.wakeups import Wakeups
from gateway.store.sealing import Sealer
from tests.simulate.index import MemoryIndex
from tests.simulate.signer import SEALING_KEY, QuickSigner
from tests.simulate.store import MemoryStore
from tests.simulate.upstream import FakeUpstream

LOCAL = Principal(tenant="default", agent="local", credential="keyless")

ALLOW_ALL = """
apiVersion: intended/v1
policySet: test
rules:
  - id: allow-all
    effect: allow
    match:
      methods: [tools/call, intent, prompts/get, resources/read, resources/subscribe, completion/complete,
                sampling/createMessage, elicitation/create, roots/list]
    reason: everything in this test
"""

MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def tool(name: str, **more: object) -> JsonObject:
    """Return a tool definition that takes any object."""
    return {"name": name, "inputSchema": {"type": "object"}, **more}


@lru_cache(maxsize=256)
def bundle(text: str) -> Bundle:
    """Return the bundle of one policy text. It is immutable, and most worlds have one of a few texts."""
    return compile_texts([PolicyText(path="test.yaml", sha256="0" * 64, text=text)], (), taxonomy=TAXONOMY)


class FakeClock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds


class FakeIds:
    """Ids that count."""

    def __init__(self) -> None:
        self.count = 0

    def new(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count:026d}"

    def secret(self) -> str:
        return self.new("secret")


class FixedPolicies:
    """A policy source whose bundle a test may replace."""

    def __init__(self, text: str) -> None:
        self.bundle = bundle(text)
        self.broken = ""

    def current(self) -> Bundle:
        return self.bundle

    def problem(self) -> str:
        return self.broken

    def replace(self, text: str) -> None:
        self.bundle = bundle(text)


class FakeCaller:
    """An agent that waits for an answer: keeps what it is told, answers what it is asked."""

    def __init__(self, answer: JsonObject | None = None) -> None:
        self.told: list[tuple[str, JsonObject]] = []
        self.asked: list[tuple[str, JsonObject]] = []
        self.answer: JsonObject = answer or {"result": {}}
        self.left = False
        self.pauses = 0
        self.prefer = ""

    async def notify(self, method: str, params: JsonObject) -> None:
        self.told.append((method, params))

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        self.asked.append((method, params))
        return self.answer

    async def pause(self) -> None:
        self.pauses += 1

    def gone(self) -> bool:
        return self.left

    def connected(self) -> bool:
        return not self.left


class FakeFailures:
    """How many failures of its own doing each agent has in a row, and when the last was: what a test says."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], tuple[int, str]] = {}

    def failing(self, tenant: str, agent: str) -> Failing | None:
        row = self.of.get((tenant, agent))
        return None if row is None else Failing(reported=row)


NO_BREAKER = BreakerTerms(failures=0)


class World:
    """The services of one gateway with everything around them in memory."""

    def __init__(
        self,
        *,
        upstreams: Sequence[FakeUpstream] = (),
        policy: str = ALLOW_ALL,
        tier: TrustTier = TrustTier.T4,
        thresholds: Caps | None = None,
        calls_per_agent: int = 100,
        show_arguments: bool = True,
        audiences: Mapping[str, str] | None = None,
        holds: HoldTerms | None = None,
        amounts: Amounts = NO_AMOUNTS,
        breaker: BreakerTerms = NO_BREAKER,
        spans: Spans | None = None,
        arguments_in_spans: bool = False,
        keep_closed_days: int = 30,
        remote: RemoteAuthority | None = None,
    ) -> None:
        """`audiences` names the upstreams whose calls carry a token, with its audience; without `holds` none waits."""
        self.upstreams: Mapping[str, FakeUpstream] = {one.id: one for one in upstreams or [FakeUpstream()]}
        self.store = MemoryStore()
        self.clock = FakeClock()
        self.ids = FakeIds()
        self.policies = FixedPolicies(policy)
        caps = thresholds or Caps(allow_below=101, deny_from=101)
        tiers = ConfiguredTiers(default=tier, agents={}, thresholds=dict.fromkeys(TrustTier, caps))
        own = {"audit": self.store, "state": self.store, "clock": self.clock, "ids": self.ids}
        self.thresholds = Thresholds(**own, configured=tiers.thresholds)
        self.agents = Agents(**own, taxonomy=TAXONOMY)
        vault = Sealer(SEALING_KEY)
        index = MemoryIndex(self.store)
        self.approvals = Approvals(**own, index=index, vault=vault)
        self.wakeups = Wakeups()
        self.leases = Leases(**own, index=index, approvals=self.approvals, vault=vault, show_arguments=show_arguments)
        self.desk = CallDesk(**own, approvals=self.approvals, vault=vault, wakeups=self.wakeups, leases=self.leases)
        self.retention = Retention(
            **own,
            reader=self.store,
            jobs=Jobs(),
            speaks=self.desk.speaks,
            keep_closed_days=keep_closed_days,
            pause_s=0,
        )
        self.running = Running()
        self.switches = Switches(
            **own,
            agents=self.agents,
            cancels=Cancelling(self.approvals, self.leases),
            upstreams=frozenset(self.upstreams),
        )
        self.approval_list = ApprovalList(approvals=self.approvals, state=self.store, wakeups=self.wakeups)
        self.states = States(vault)
        self.holds = Holds(
            approvals=self.approvals,
            desk=self.desk,
            clock=self.clock,
            vault=vault,
            terms=holds or HoldTerms(leg_s=0),
            stop=self.switches.stop,
        )
        self.switches.on_throw(self.running.end)
        self.switches.on_throw(lambda tenant, switch: self.holds.look())
        self.failures = FakeFailures()
        self.facts = FactSource(
            policies=self.policies,
            state=self.store,
            clock=self.clock,
            tiers=tiers,
            thresholds=self.thresholds,
            agents=self.agents,
            trust=None,
            stops=self.switches,
            circuits=Breakers(failures=self.failures, clock=self.clock, terms=breaker),
        )
        self.judged: list[Judged] = []
        self.enforcement = Enforcement(
            audit=self.store,
            facts=self.facts,
            taxonomy=TAXONOMY,
            clock=self.clock,
            ids=self.ids,
            in_flight=InFlight(per_agent=calls_per_agent, per_upstream=1000),
            show_arguments=show_arguments,
            observer=Observers(DecisionsOnly(self.judged.append), *([DecisionSpans()] if spans else [])),
            desk=self.desk,
            amounts=amounts,
            running=self.running,
            asking=None if remote is None else Asking(authority=remote, state=self.store, ids=self.ids, tenant="acme"),
        )
        self.catalog = Catalog(audit=self.store, state=self.store, clock=self.clock, ids=self.ids)
        self.refusals = Refusals(audit=self.store, clock=self.clock, ids=self.ids)
        self.signer = QuickSigner()
        self.tokens = Tokens(
            signer=self.signer,
            audit=self.store,
            state=self.store,
            clock=self.clock,
            ids=self.ids,
            issuer="intended-gateway",
        )
        self.intents = Intents(
            **own,
            enforcement=self.enforcement,
            approvals=self.approvals,
            agents=self.agents,
            tokens=self.tokens,
            reader=self.store,
            index=index,
            taxonomy=TAXONOMY,
            show_arguments=show_arguments,
            amounts=amounts,
        )
        make: Callable[..., Dispatch] = Dispatch
        if spans is not None:
            make = partial(TracedDispatch, spans=spans, arguments=arguments_in_spans)
        place = {"server.address": "upstream.example"}
        self.dispatch = make(
            upstreams=self.upstreams
            if spans is None
            else {name: TracedUpstream(one, spans, place) for name, one in self.upstreams.items()},
            timeouts=dict.fromkeys(self.upstreams, 5.0),
            enforcement=self.enforcement,
            catalog=self.catalog,
            facts=self.facts,
            refusals=self.refusals,
            authority=Authority(tokens=self.tokens, audiences=audiences, ttl_s=120, remote=remote is not None)
            if audiences
            else None,
            states=self.states,
            holds=None if holds is None else self.holds,
        )
        self.mount = Mount(upstreams=tuple(self.upstreams), prefixed=len(self.upstreams) > 1)

    def upstream(self, name: str = "default") -> FakeUpstream:
        """Return one upstream by its id."""
        return self.upstreams[name]

    def entries(self, kind: EntryType | None = None) -> list[EntryDraft]:
        """Return what was recorded, in order; of one type where it is given."""
        return [draft for draft in self.store.drafts if kind in (None, draft.type)]

    def bodies(self, kind: EntryType) -> list[JsonObject]:
        """Return the bodies of the entries of one type."""
        return [orjson.loads(draft.body) for draft in self.entries(kind)]

    async def list_approvals(
        self, principal: Principal, *, state: ApprovalState | None = ApprovalState.PENDING, page: int, page_size: int
    ) -> Page[Approval]:
        """Return one page of the tenant's approvals, as a human lists them, without what is told of their likes."""
        found = await self.approval_list.list(principal, state=state, page=page, page_size=page_size)
        return Page(items=tuple(one.approval for one in found.items), total=found.total)

    async def modern(
        self,
        method: str,
        params: JsonObject | None = None,
        *,
        principal: Principal | None = None,
        caller: FakeCaller | None = None,
        meta: JsonObject | None = None,
        param_headers: tuple[tuple[str, str], ...] = (),
    ) -> Reply:
        """Send one request of the modern era."""
        inbound = Inbound(
            kind=Kind.REQUEST,
            era=Era.MODERN,
            version="2026-07-28",
            id=1,
            method=method,
            params={**(params or {}), "_meta": {**MODERN_META, **(meta or {})}},
            param_headers=param_headers,
        )
        return await self.dispatch.handle_modern(principal or LOCAL, self.mount, inbound, caller or FakeCaller())

    async def call(self, name: str, arguments: JsonObject | None = None, **more: object) -> Reply:
        """Call one tool in the modern era."""
        params: JsonObject = {"name": name} if arguments is None else {"name": name, "arguments": arguments}
        return await self.modern("tools/call", params, **more)  # type: ignore[arg-type]

    async def open(
        self, *, capabilities: JsonObject | None = None, version: str = "2025-11-25", channel: FakeCaller | None = None
    ) -> Conversation | Reply:
        """Initialise a conversation of the handshake era."""
        params = {
            "protocolVersion": version,
            "capabilities": capabilities or {},
            "clientInfo": {"name": "test", "version": "1"},
        }
        inbound = handshake("initialize", params)
        return await self.dispatch.initialize(LOCAL, self.mount, inbound, channel or FakeCaller())

    async def conversation(self, **more: object) -> Conversation:
        """Initialise a conversation that must succeed."""
        opened = await self.open(**more)  # type: ignore[arg-type]
        assert isinstance(opened, Conversation), opened
        return opened

    async def handle(
        self,
        conversation: Conversation,
        method: str,
        params: JsonObject | None = None,
        caller: FakeCaller | None = None,
    ) -> Reply:
        """Send one request of the handshake era."""
        return await self.dispatch.handle(conversation, handshake(method, params or {}), caller or FakeCaller())

    async def notice(self, conversation: Conversation, method: str, params: JsonObject | None = None) -> None:
        """Send one notification of the handshake era."""
        await self.dispatch.notice(conversation, handshake(method, params or {}, Kind.NOTIFICATION))


def handshake(method: str, params: JsonObject, kind: Kind = Kind.REQUEST) -> Inbound:
    """Return one message of the handshake era."""
    return Inbound(
        kind=kind,
        era=Era.HANDSHAKE,
        version="2025-11-25",
        id=None if kind is Kind.NOTIFICATION else 1,
        method=method,
        params=params,
    )


Answering = Callable[[], Awaitable[JsonObject]]
