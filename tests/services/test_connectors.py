"""Which upstreams there are and how they are: by tests and by what calls showed."""

import anyio
import pytest

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.principal import Principal
from gateway.errors import NotFound, StoreError, UpstreamUnreachable
from gateway.ports import UpstreamSupport
from gateway.services import connectors as module
from gateway.services.connectors import Connector, Connectors, Health
from tests.simulate.index import MemoryIndex
from tests.simulate.store import MemoryStore
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import FakeClock

ACME = Principal(tenant="acme", agent="bot", credential="key_1")
OTHER = Principal(tenant="other", agent="bot", credential="key_2")


class Probed(FakeUpstream):
    """An upstream whose answer to being asked what it speaks is set by a test."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.asked: list[tuple[bool, bool]] = []
        self.says: UpstreamSupport | Exception = UpstreamSupport(handshake=("2025-11-25",), modern=("2026-07-28",))
        self.takes: anyio.Event | None = None

    async def support(self, *, refresh: bool = False, handshake: bool = True) -> UpstreamSupport:
        self.asked.append((refresh, handshake))
        self.clock.advance(0.25)
        if self.takes is not None:
            await self.takes.wait()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


class House:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.upstream = Probed(self.clock)
        self.connectors = Connectors(
            upstreams={"files": self.upstream},
            transports={"files": "http"},
            index=MemoryIndex(self.store),
            clock=self.clock,
        )

    async def completed(self, reason: str, tenant: str = "acme") -> None:
        self.clock.advance(1)
        await self.store.append(
            EntryDraft(
                tenant=tenant,
                id=f"evt_{len(self.store.drafts)}",
                type=EntryType.CALL_COMPLETED,
                time=timestamp(self.clock.now()),
                upstream="files",
                reasons=(reason,),
            )
        )

    async def listed(self, by: Principal = ACME) -> Connector:
        [found] = await self.connectors.list(by)
        return found


async def test_to_list_connectors_contacts_none() -> None:
    """A list must not start processes, nor wait for what is down."""
    house = House()
    found = await house.listed()
    assert (found.id, found.transport, found.health, found.checked) == ("files", "http", Health.UNKNOWN, "")
    assert house.upstream.asked == []


async def test_a_test_asks_anew_and_measures() -> None:
    """`POST /connectors/:id/test`: a connectivity check with its latency; no session that no agent wants is opened."""
    house = House()
    found = await house.connectors.test(ACME, "files")
    assert (found.health, found.latency_ms, found.versions) == (Health.HEALTHY, 250.0, ("2025-11-25", "2026-07-28"))
    assert house.upstream.asked == [(True, False)]
    assert await house.listed() == found


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        (UpstreamUnreachable("upstream files: no connection", may_have_run=False), "upstream files: no connection"),
        (UpstreamSupport(handshake=(), modern=(), refused=404), "answered HTTP 404: there is no MCP server here"),
    ],
)
async def test_what_does_not_answer_as_mcp_is_unhealthy(says: UpstreamSupport | Exception, problem: str) -> None:
    """That is the answer of a test, not a failure of it."""
    house = House()
    house.upstream.says = says
    found = await house.connectors.test(ACME, "files")
    assert (found.health, found.problem.split(" at this path")[0]) == (Health.UNHEALTHY, problem.removesuffix(" here"))
    assert found.latency_ms is not None


async def test_a_test_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks waits for an answer, not for an upstream."""
    monkeypatch.setattr(module, "TEST_S", 0.01)
    house = House()
    house.upstream.takes = anyio.Event()
    with anyio.fail_after(5):
        found = await house.connectors.test(ACME, "files")
    assert (found.health, found.problem) == (Health.UNHEALTHY, "no answer within 0 s")


async def test_there_is_nothing_to_test_under_an_unknown_name() -> None:
    """404, and nothing is contacted."""
    house = House()
    with pytest.raises(NotFound):
        await house.connectors.test(ACME, "nope")
    assert house.upstream.asked == []


@pytest.mark.parametrize(
    ("reason", "health"),
    [
        ("ok", Health.HEALTHY),
        ("tool-error", Health.HEALTHY),
        ("upstream-failed", Health.UNHEALTHY),
        ("cancelled", Health.UNKNOWN),
    ],
)
async def test_the_last_call_tells_how_a_connector_is(reason: str, health: Health) -> None:
    """An answer is a sign of life, whichever it is; a cancelled call says nothing of the upstream."""
    house = House()
    await house.completed(reason)
    found = await house.listed()
    assert found.health is health
    assert (found.checked == "") is (health is Health.UNKNOWN)


async def test_whichever_is_later_counts() -> None:
    """A call before the test is older news than the test; one after it is newer."""
    house = House()
    await house.completed("upstream-failed")
    house.clock.advance(1)
    await house.connectors.test(ACME, "files")
    assert (await house.listed()).health is Health.HEALTHY
    await house.completed("upstream-failed")
    assert (await house.listed()).health is Health.UNHEALTHY


async def test_the_calls_of_other_tenants_are_not_looked_at() -> None:
    """Two tenants never see each other's anything (issue 3)."""
    house = House()
    await house.completed("upstream-failed", tenant="other")
    assert (await house.listed()).health is Health.UNKNOWN
    assert (await house.listed(OTHER)).health is Health.UNHEALTHY


async def test_without_the_index_nothing_is_told() -> None:
    """Unknown would be a lie where something is known."""
    house = House()
    house.store.unreadable = "disk"
    with pytest.raises(StoreError):
        await house.listed()
