"""The composition root: the only place that names concrete classes.

`Gateway.open(settings)` builds the house from the bottom up, in the order in which a failure must stop it: settings,
policies, store (which refuses what must not be opened), what the past left open, upstreams, the front. It owns every
background task and takes the house down in reverse.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from gateway import __version__
from gateway.admin.application import App, MetricsApp, OperatorApp
from gateway.api.app import rest_app
from gateway.core.audit.entry import EntryDraft
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.policy.bundle import Bundle
from gateway.downstream.arriving import noting_arrival
from gateway.downstream.http import McpFront
from gateway.errors import PolicyError, StoreError, UpstreamError
from gateway.identity.ids import RandomIds
from gateway.parts import (
    amounts,
    audiences,
    configured_tiers,
    data_folder,
    describe,
    front_limits,
    make_authority,
    make_spans,
    make_upstreams,
    mounts,
    policy_places,
    recorded,
    store_options,
    why_unstartable,
)
from gateway.policyfiles.directory import PolicyDirectory
from gateway.ports import Appended, OpenCall
from gateway.services.asking import Asking
from gateway.services.authority import Authority
from gateway.services.catalog import Catalog
from gateway.services.dispatch import Dispatch
from gateway.services.enforcement import Enforcement
from gateway.services.facts import FactSource
from gateway.services.inflight import InFlight
from gateway.services.lifecycle import Lifecycle
from gateway.services.localagent import LocalAgent
from gateway.services.observing import Observer, Observers
from gateway.services.readiness import Readiness
from gateway.services.recovery import close_disowned, close_open_calls
from gateway.services.refusals import Refusals
from gateway.services.tracing import DecisionSpans, TracedDispatch
from gateway.settings import Settings
from gateway.store.sqlite.store import SqliteStore, open_store
from gateway.telemetry.clock import SystemClock
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.metrics import Metrics
from gateway.usecases import Directories

__all__ = ["Gateway", "StartReport"]

REACH_S = 10.0
"""For an upstream to say what it speaks when the operator is told which ones do not answer."""

NO_MCP = frozenset({404, 405, 410})
"""Statuses of a path where there is no MCP server. One of the handshake era says 400 to a question new to it."""

RECORD_AGAIN_S = 1.0
"""Between attempts to record a reload; while it cannot be recorded no decision can either."""

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReport:
    """What a start has to tell the operator."""

    upstreams: Mapping[str, str]
    policies: Sequence[Path]
    policy_digest: str
    policy_warnings: tuple[str, ...]
    data: Path
    in_doubt: Sequence[OpenCall]
    keyless: bool
    keys: int = 0


class Gateway:
    """One running gateway without its socket: `asgi` is the application, `report` what the start found.

    `local` is the agent of the program that embeds the gateway (`embedded.py`).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        observers: Sequence[Observer] = (),
        local: LocalAgent | None = None,
        named: Collection[str] | None = None,
    ) -> None:
        self._named = named
        self._settings = settings
        self._local = local
        self._metrics = Metrics(names=settings.metrics.names)
        self._observers: tuple[Observer, ...] = (self._metrics, *observers)
        self._clock = SystemClock()
        self._ids = RandomIds()
        self._in_flight = InFlight(
            per_agent=settings.limits.calls_per_agent, per_upstream=settings.limits.calls_per_upstream
        )
        self._policy_places = policy_places(settings)
        self._policies = PolicyDirectory(*self._policy_places, taxonomy=TAXONOMY, on_change=self._policies_changed)
        self._spans = make_spans(settings)
        self._upstreams = make_upstreams(settings, self._spans)
        self._authority = make_authority(settings, self._clock)
        self._in_doubt: Sequence[OpenCall] = ()
        self._store: SqliteStore
        self._tasks: TaskGroup | None = None
        self._lifecycle: Lifecycle
        self._readiness: Readiness
        self._refusals: Refusals
        self.known: Directories
        self._facts: FactSource
        self._front: McpFront
        self._mcp: App
        self._rest: App
        self._pages: App

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        *,
        observers: Sequence[Observer] = (),
        local: LocalAgent | None = None,
        named: Collection[str] | None = None,
    ) -> AsyncIterator["Gateway"]:
        """Build, run and take down a gateway. `named` are its upstreams, where the settings name none of them.

        Raises:
            ConfigurationError: settings or policies cannot be used.
            StoreRefused: the store must not be opened as it is.
            StoreError: the start could not be recorded.
        """
        gateway = cls(settings, observers=observers, local=local, named=named)
        async with AsyncExitStack() as stack:
            await gateway._build(stack)
            yield gateway

    def asgi(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one HTTP request: the MCP front under `/mcp`, pages under `/approve`, REST elsewhere."""
        path: str = scope["path"]
        if path == "/mcp" or path.startswith("/mcp/"):
            return self._mcp(scope, receive, send)
        if path == "/approve" or path.startswith("/approve/"):
            return self._pages(scope, receive, send)
        return self._rest(scope, receive, send)

    @property
    def operator(self) -> App:
        """The REST application as the operator at the command line sees it: for the admin socket, or in process."""
        return OperatorApp(self._rest)

    @property
    def monitored(self) -> App:
        """The metrics of all tenants and the probes, for a port that this machine alone reaches."""
        return MetricsApp(self._rest)

    def drain(self) -> None:
        """Begin to stop: unready from now on; streams and calls that only wait are ended, calls in flight go on."""
        self._readiness.drain()
        self.known.holds.stop()
        self._front.drain()

    @property
    def report(self) -> StartReport:
        """What the start found."""
        bundle = self._policies.current()
        return StartReport(
            upstreams={name: describe(one) for name, one in self._settings.upstreams.items()},
            policies=self._policy_places,
            policy_digest=bundle.digest,
            policy_warnings=bundle.warnings,
            data=data_folder(self._settings),
            in_doubt=self._in_doubt,
            keyless=not self.known.keys.any(),
            keys=self.known.keys.count(),
        )

    async def unreachable(self) -> AsyncIterator[tuple[str, str]]:
        """Yield each upstream that does not answer, or not as MCP does, and why. It may yet: nothing is refused.

        A stdio upstream is not asked, since that would start its process before an agent wants it; its command is
        looked for. Nor is a handshake made that no agent wants, so a wrong path is told from an older server by its
        status alone.
        """
        for name, settings in self._settings.upstreams.items():
            if settings.url is None:
                if why := why_unstartable(name, settings):
                    yield name, why
                continue
            try:
                with anyio.fail_after(REACH_S):
                    found = await self._upstreams[name].support(handshake=False)
                if found.refused in NO_MCP:
                    yield name, f"upstream {name} answered HTTP {found.refused}; is the path of its URL right?"
            except TimeoutError:
                yield name, f"upstream {name} gave no answer within {REACH_S:.0f} s"
            except UpstreamError as error:
                yield name, "; ".join((str(error), *getattr(error, "__notes__", ())))

    # --- building, from the bottom up ---------------------------------------------------------------------------------

    async def _build(self, stack: AsyncExitStack) -> None:
        settings = self._settings
        if self._spans is not None:
            stack.push_async_callback(self._spans.aclose)
        if self._authority is not None:
            await stack.enter_async_context(self._authority)
        store = await open_store(store_options(settings), self._clock, unclaimed=self._disown)
        stack.push_async_callback(store.aclose)
        self._store = store
        store.follow(self._metrics.follow)
        known = self.known = Directories(
            store=store, settings=settings, clock=self._clock, ids=self._ids, local=self._local, upstreams=self._named
        )
        await known.load()
        settings.require_safe_address(keyed=known.keys.any())  # before the start is on record
        stack.callback(known.keys.flush)
        stack.push_async_callback(known.trust.keep)
        self._in_doubt = await close_open_calls(store, store, self._clock, self._ids)
        self._lifecycle = Lifecycle(audit=store, clock=self._clock, ids=self._ids)
        self._refusals = Refusals(audit=store, clock=self._clock, ids=self._ids)
        self._readiness = Readiness(
            audit=store,
            policies=self._policies,
            trust=known.trust,
            tokens=known.tokens,
            authority=self._authority,
        )
        self._facts = FactSource(
            policies=self._policies,
            state=store,
            clock=self._clock,
            tiers=configured_tiers(settings),
            thresholds=known.thresholds,
            agents=known.agents,
            trust=known.trust,
            stops=known.switches,
            circuits=known.breakers,
        )
        enforcement = self._enforcement(store)
        services = await known.services(
            enforcement=enforcement,
            policies=self._policies,
            upstreams=self._upstreams,
            readiness=self._readiness,
            refusals=self._refusals,
            meter=Exposition(self._metrics, version=__version__, domain_of=_domain_of),
            in_flight=self._in_flight,
        )
        self._rest = rest_app(services, front_limits(settings).wire)
        self._pages = known.pages(refusals=self._refusals)
        self._front = McpFront(
            dispatch=self._dispatch(store, enforcement),
            authentication=known.authentication,
            mounts=mounts(settings),
            limits=front_limits(settings),
            clock=self._clock,
            ids=self._ids,
            allowed_hosts=settings.allowed_hosts,
            allowed_origins=settings.allowed_origins,
        )
        self._mcp = self._front if self._spans is None else noting_arrival(self._front)
        known.keys.on_change(self._front.review)
        await self._record_start()
        stack.push_async_callback(self._close_upstreams)
        stack.push_async_callback(self._record_stop)
        tasks = self._tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(self._end_tasks, tasks)
        tasks.start_soon(self._policies.run)
        known.start(tasks)
        if self._authority is not None:
            tasks.start_soon(self._authority.run)
        await stack.enter_async_context(self._front.running())

    def _enforcement(self, store: SqliteStore) -> Enforcement:
        settings = self._settings
        return Enforcement(
            audit=store,
            facts=self._facts,
            taxonomy=TAXONOMY,
            clock=self._clock,
            ids=self._ids,
            in_flight=self._in_flight,
            show_arguments=settings.audit.arguments == "redacted",
            observer=Observers(*self._observers)
            if self._spans is None
            else Observers(*self._observers, DecisionSpans()),
            desk=self.known.desk,
            running=self.known.running,
            amounts=amounts(settings),
            asking=self._asking(store),
        )

    def _asking(self, store: SqliteStore) -> Asking | None:
        if self._authority is None:
            return None
        return Asking(authority=self._authority, state=store, ids=self._ids, tenant=self._settings.authority.tenant)

    def _dispatch(self, store: SqliteStore, enforcement: Enforcement) -> Dispatch:
        settings = self._settings
        make: Callable[..., Dispatch] = Dispatch
        if self._spans is not None:
            make = partial(TracedDispatch, spans=self._spans, arguments=settings.tracing.arguments)
        return make(
            upstreams=self._upstreams,
            timeouts={name: one.timeout_s for name, one in settings.upstreams.items()},
            enforcement=enforcement,
            catalog=Catalog(audit=store, state=store, clock=self._clock, ids=self._ids),
            facts=self._facts,
            refusals=self._refusals,
            authority=Authority(
                tokens=self.known.tokens,
                audiences=audiences(settings),
                ttl_s=settings.tokens.ttl_s,
                remote=self._authority is not None,
            ),
            holds=self.known.holds,
            links=self.known.links,
            states=self.known.states,
        )

    # --- the gateway's own entries ------------------------------------------------------------------------------------

    async def _record_start(self) -> None:
        await self._lifecycle.started(
            __version__, {name: recorded(one) for name, one in self._settings.upstreams.items()}
        )
        await self._lifecycle.policies_loaded(self._policies.current(), self._policies.texts())

    async def _record_stop(self) -> None:
        """Write what is left to write; a store that fails now leaves the stop unrecorded, as a crash would."""
        try:
            await self._refusals.flush()
            await self._lifecycle.stopped()
        except StoreError:
            return

    def _disown(self, draft: EntryDraft, appended: Appended) -> None:
        """Close a decision that became durable after its call had been answered: it was never forwarded.

        Before and after the tasks there is nobody to do it; the next start closes the call as in doubt.
        """
        if draft.opens and self._tasks is not None:
            self._tasks.start_soon(close_disowned, self._store, draft, self._clock, self._ids)

    def _end_tasks(self, tasks: TaskGroup) -> None:
        self._tasks = None
        tasks.cancel_scope.cancel()

    async def _policies_changed(self, news: Bundle | PolicyError, texts: Mapping[str, str]) -> None:
        """Record a reload as soon as the store takes it, and tell it; new policies come into force after that.

        Giving up would leave decisions whose policy is nowhere on record, once the store is well again.
        """
        if isinstance(news, PolicyError):
            self._tell_policies(news)
        while True:
            try:
                if isinstance(news, PolicyError):
                    await self._lifecycle.policies_rejected(news, self._policies.current())
                else:
                    await self._lifecycle.policies_loaded(news, texts)
                    self._tell_policies(news)
            except StoreError:
                await anyio.sleep(RECORD_AGAIN_S)
            else:
                return

    def _tell_policies(self, news: Bundle | PolicyError) -> None:
        """Say whether an edit is in force: who saved it looks at the terminal, not at a probe."""
        if not isinstance(news, PolicyError):
            _log.info("policies reloaded, digest %s", news.digest[:12])
            for warning in news.warnings:
                _log.warning("%s", " ".join(warning.split()))
            return
        _log.error("policies NOT reloaded, digest %s stays in force", self._policies.current().digest[:12])
        for problem in news.problems:
            _log.error("%s", " ".join(str(problem).split()))

    async def _close_upstreams(self) -> None:
        async with anyio.create_task_group() as group:
            for upstream in self._upstreams.values():
                group.start_soon(upstream.aclose)


def _domain_of(intent_type: str) -> str:
    """Return the domain of an intent type, also of one that is known no more."""
    known = TAXONOMY.get(intent_type)
    return known.domain if known is not None else intent_type.partition(".")[0]
