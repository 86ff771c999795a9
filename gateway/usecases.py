"""The use cases that the REST API, the admin socket and the MCP front share, composed over one store.

Owns their order: the directories are read from the store before anything can ask them. What they need of the world is
given by `app.py`, which also owns their tasks.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TypedDict

from anyio import to_thread
from anyio.abc import TaskGroup

from gateway import __version__
from gateway.api.services import Services
from gateway.console.app import ApprovalPages, ConsoleServices
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.policy.bundle import Bundle
from gateway.core.principal import Principal
from gateway.identity.ids import RandomIds
from gateway.identity.rs256 import Rs256
from gateway.parts import (
    amounts,
    breaker_terms,
    configured_tiers,
    data_folder,
    hold_terms,
    lease_bounds,
    public_url,
    sealing_key,
    store_options,
    trust_terms,
)
from gateway.policyfiles.recorded import compile_recorded
from gateway.ports import Clock, PolicySource, Upstream
from gateway.services.accounts import Accounts
from gateway.services.agents import Agents
from gateway.services.approval_list import ApprovalList
from gateway.services.approval_view import ApprovalViews
from gateway.services.approvals import Approvals
from gateway.services.authentication import Authentication
from gateway.services.breaker import Breakers
from gateway.services.cancelling import Cancelling
from gateway.services.connectors import Connectors
from gateway.services.delivering import Delivering
from gateway.services.desk import CallDesk
from gateway.services.enforcement import Enforcement
from gateway.services.evidence import Evidence, Issued
from gateway.services.evidence_secret import EvidenceSecrets
from gateway.services.holding import Holds
from gateway.services.inclusion import Inclusion
from gateway.services.inflight import InFlight
from gateway.services.intents import Intents
from gateway.services.jobs import Jobs
from gateway.services.keys import Keys
from gateway.services.leases import Leases
from gateway.services.links import Links
from gateway.services.localagent import LocalAgent, LocalAuthentication
from gateway.services.metering import Meter, Metering, Sources
from gateway.services.people import People
from gateway.services.ratelimit import RateLimits
from gateway.services.readiness import Readiness
from gateway.services.recorded import Recorded
from gateway.services.refusals import Refusals
from gateway.services.retention import Retention
from gateway.services.running import Running
from gateway.services.states import States
from gateway.services.stats import Stats
from gateway.services.switches import Switches
from gateway.services.thresholds import Thresholds
from gateway.services.tokens import Tokens
from gateway.services.trail import Trail
from gateway.services.trust import Trust
from gateway.services.trust_changes import TrustChanges
from gateway.services.trust_history import TrustHistory
from gateway.services.wakeups import Wakeups
from gateway.services.webhooks import Webhooks
from gateway.settings import Settings
from gateway.store.sealing import Sealer, data_key
from gateway.store.sqlite.chain import SqliteChain
from gateway.store.sqlite.index import SqliteIndex
from gateway.store.sqlite.outbox import SqliteOutbox
from gateway.store.sqlite.store import DATABASE, SqliteStore
from gateway.store.sqlite.trust import SqliteShelf
from gateway.webhooks.courier import Courier

__all__ = ["Directories"]


class _Common(TypedDict):
    """What whoever writes entries is made with."""

    audit: SqliteStore
    state: SqliteStore
    clock: Clock
    ids: RandomIds


class Directories:
    """Who and what a gateway knows: agents, keys, people, thresholds, signing keys, open approvals."""

    def __init__(
        self,
        *,
        store: SqliteStore,
        settings: Settings,
        clock: Clock,
        ids: RandomIds,
        local: LocalAgent | None = None,
        upstreams: Collection[str] | None = None,
    ) -> None:
        """`upstreams` are the names of those that are configured, where the settings do not have them."""
        self._store = store
        self._settings = settings
        self._clock = clock
        self._ids = ids
        self._common: _Common = {"audit": store, "state": store, "clock": clock, "ids": ids}
        self._vault = Sealer(data_key(store_options(settings).key_file))
        self._wakeups = Wakeups()
        self.jobs = Jobs()
        # In this order: each makes what those after it ask.
        self._make_identities(local)
        self._make_trust()
        self._make_approvals()
        self._make_stops(upstreams)
        self._make_holds()
        self._make_tokens_and_links(local)
        self._make_webhooks()

    def _make_identities(self, local: LocalAgent | None) -> None:
        """Make what knows who somebody is."""
        self.agents = Agents(**self._common, taxonomy=TAXONOMY)
        rates = self._settings.rates.by_plan()
        self.keys = Keys(**self._common, uses=self._store, rates=rates, bind_agent=self._agent_of_key)
        self.people = People(**self._common)
        limits = self.limits = RateLimits(self._clock)
        self.authentication = (
            Authentication(keys=self.keys, limits=limits, sessions=self.people)
            if local is None
            else LocalAuthentication(local, keys=self.keys, limits=limits, sessions=self.people)
        )

    def _make_trust(self) -> None:
        """Make what knows how far an agent is trusted, and what its tier may do."""
        store, settings, clock = self._store, self._settings, self._clock
        tiers = configured_tiers(settings)
        self.thresholds = Thresholds(**self._common, configured=tiers.thresholds)
        self.shelf = SqliteShelf(data_folder(settings) / DATABASE)
        self.trust = Trust(
            chain=store, shelf=self.shelf, state=store, clock=clock, tiers=tiers, terms=trust_terms(settings)
        )
        self.trust_changes = TrustChanges(trust=self.trust, audit=store, agents=self.agents, clock=clock, ids=self._ids)
        self.breakers = Breakers(failures=self.trust, clock=clock, terms=breaker_terms(settings))

    def _make_approvals(self) -> None:
        """Make what a human has said, is asked, and granted; and the desk at which calls ask for it."""
        settings, vault = self._settings, self._vault
        self.index = SqliteIndex(data_folder(settings) / DATABASE)
        self.approvals = Approvals(**self._common, index=self.index, vault=vault, jobs=self.jobs)
        self.approval_list = ApprovalList(approvals=self.approvals, state=self._store, wakeups=self._wakeups)
        self.leases = Leases(
            **self._common,
            approvals=self.approvals,
            index=self.index,
            vault=vault,
            bounds=lease_bounds(settings),
            show_arguments=settings.audit.arguments == "redacted",
        )
        self.approval_views = ApprovalViews(
            approvals=self.approvals,
            lists=self.approval_list,
            leases=self.leases,
            reader=self._store,
            index=self.index,
            clock=self._clock,
        )
        self.desk = CallDesk(
            **self._common, approvals=self.approvals, leases=self.leases, vault=vault, wakeups=self._wakeups
        )
        self.retention = Retention(
            **self._common,
            reader=self._store,
            jobs=self.jobs,
            speaks=self.desk.speaks,
            keep_closed_days=settings.approvals.keep_closed_days,
            newest=self._store.opening.newest,
        )

    def _make_stops(self, upstreams: Collection[str] | None) -> None:
        """Make what stops agents, upstreams and tenants, and what it ends."""
        self.running = Running()
        self.switches = Switches(
            **self._common,
            agents=self.agents,
            cancels=Cancelling(self.approvals, self.leases),
            upstreams=frozenset(self._settings.upstreams if upstreams is None else upstreams),
        )
        self.switches.on_throw(self.running.end)

    def _make_holds(self) -> None:
        """Make what lets a call wait for its human, or come back with its upstream's state."""
        self.states = States(self._vault)
        self.holds = Holds(
            approvals=self.approvals,
            desk=self.desk,
            clock=self._clock,
            vault=self._vault,
            terms=hold_terms(self._settings),
            stands=self.authentication.stands,
            stop=self.switches.stop,
        )
        self.switches.on_throw(lambda tenant, switch: self.holds.look())

    def _make_tokens_and_links(self, local: LocalAgent | None) -> None:
        """Make what is given out: authority tokens, and addresses of pages."""
        settings = self._settings
        signer = Rs256(sealing_key(settings))
        self.tokens = Tokens(**self._common, signer=signer, issuer=settings.tokens.issuer)
        self.evidence_secrets = EvidenceSecrets(**self._common, vault=self._vault)
        # A program that embeds the gateway serves no page, unless it says where.
        base = public_url(settings) if local is None or settings.public_url is not None else ""
        self.links = Links(base, fixed=settings.public_url is not None)

    def _make_webhooks(self) -> None:
        """Make what tells other systems."""
        outbox = SqliteOutbox(data_folder(self._settings) / DATABASE)
        courier = Courier(self._settings.webhooks.allow_hosts)
        self.webhooks = Webhooks(**self._common, reader=self._store, outbox=outbox, courier=courier, vault=self._vault)
        self.delivering = Delivering(
            webhooks=self.webhooks,
            outbox=outbox,
            courier=courier,
            clock=self._clock,
            jobs=self.jobs,
            newest=self._store.opening.newest,
        )

    async def load(self) -> None:
        """Read everything; nothing may be asked before. Raises StoreError."""
        tenants = await self._store.tenants()
        for directory in (
            self.agents,
            self.keys,
            self.people,
            self.thresholds,
            self.trust,
            self.approvals,
            self.leases,
            self.switches,
            self.tokens,
            self.webhooks,
        ):
            await directory.load(tenants)

    def start(self, tasks: TaskGroup) -> None:
        """Start what expires, retires and catches up by the clock."""
        for run in (self.approvals.run, self.leases.run, self.tokens.run, self.index.run, self.delivering.run):
            tasks.start_soon(run)
        for run in (self.trust.run, self.trust_changes.run, self.switches.run, self.retention.run):
            tasks.start_soon(run)

    async def _agent_of_key(self, by: Principal, name: str) -> str:
        """Return the slug of the agent that a key is to be bound to, which is registered where it is new."""
        return (await self.agents.acting(by, name, known=False, field="agent")).slug

    def pages(self, *, refusals: Refusals) -> ApprovalPages:
        """Return the pages on which people answer approvals."""
        services = ConsoleServices(
            authentication=self.authentication,
            people=self.people,
            approvals=self.approvals,
            views=self.approval_views,
            lists=self.approval_list,
            leases=self.leases,
            refusals=refusals,
            links=self.links,
        )
        secure = self._settings.behind_tls_proxy or public_url(self._settings).startswith("https:")
        return ApprovalPages(services, key=self._ids.secret(), secure=secure)

    async def services(
        self,
        *,
        enforcement: Enforcement,
        policies: PolicySource,
        upstreams: Mapping[str, Upstream],
        readiness: Readiness,
        refusals: Refusals,
        meter: Meter,
        in_flight: InFlight,
    ) -> Services:
        """Return the use cases of the REST API. Raises StoreError."""
        intents = Intents(
            enforcement=enforcement,
            approvals=self.approvals,
            agents=self.agents,
            tokens=self.tokens,
            audit=self._store,
            state=self._store,
            reader=self._store,
            index=self.index,
            clock=self._clock,
            ids=self._ids,
            taxonomy=TAXONOMY,
            show_arguments=self._settings.audit.arguments == "redacted",
            ttl_s=self._settings.tokens.ttl_s,
            amounts=amounts(self._settings),
        )
        transports = {name: "stdio" if one.url is None else "http" for name, one in self._settings.upstreams.items()}
        trail = Trail(reader=self._store, index=self.index, audit=self._store, clock=self._clock, ids=self._ids)
        accounts = Accounts(
            policies=policies,
            state=self._store,
            index=self.index,
            clock=self._clock,
            agents=self.agents,
            trust=self.trust,
        )
        return Services(
            evidence=self._evidence(policies),
            evidence_secrets=self.evidence_secrets,
            authentication=self.authentication,
            intents=intents,
            approvals=self.approvals,
            approval_list=self.approval_list,
            approval_views=self.approval_views,
            leases=self.leases,
            agents=self.agents,
            accounts=accounts,
            thresholds=self.thresholds,
            switches=self.switches,
            breakers=self.breakers,
            trust=self.trust_changes,
            trust_history=TrustHistory(shelf=self.shelf, clock=self._clock, terms=self.trust.terms),
            keys=self.keys,
            people=self.people,
            tokens=self.tokens,
            webhooks=self.webhooks,
            audit=trail,
            connectors=Connectors(upstreams=upstreams, transports=transports, index=self.index, clock=self._clock),
            stats=Stats(
                index=self.index,
                approvals=self.approvals,
                clock=self._clock,
                currency=self._settings.value.currency,
            ),
            readiness=readiness,
            metering=Metering(meter, self._sources(readiness, trail, accounts, in_flight)),
            refusals=refusals,
            links=self.links,
            clock=self._clock,
        )

    def _evidence(self, policies: PolicySource) -> Evidence:
        """Return what makes evidence bundles."""

        async def compiled(files: Sequence[JsonObject]) -> Bundle | None:
            return await to_thread.run_sync(compile_recorded, files)

        return Evidence(
            reader=self._store,
            state=self._store,
            index=self.index,
            inclusion=Inclusion(reader=self._store, rows=SqliteChain(data_folder(self._settings) / DATABASE)),
            recorded=Recorded(index=self.index, policies=policies, compiled=compiled),
            tokens=self.tokens,
            secrets=self.evidence_secrets,
            taxonomy=TAXONOMY,
            clock=self._clock,
            issued=Issued(issuer=self._settings.tokens.issuer, version=__version__),
        )

    def _sources(self, readiness: Readiness, trail: Trail, accounts: Accounts, in_flight: InFlight) -> Sources:
        """Return what the metrics are read from."""
        return Sources(
            reader=self._store,
            index=self.index,
            approvals=self.approvals,
            agents=self.agents,
            trust=self.trust,
            budgets=accounts,
            readiness=readiness,
            deliveries=self.delivering,
            in_flight=lambda: in_flight.count,
            held=lambda: self.holds.by_tenant,
            chains=lambda: trail.verified,
            requests=lambda: self.limits.totals,
            jobs=lambda: self.jobs.counts,
        )
