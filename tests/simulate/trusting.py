"""An agent's life in memory for the tests of live trust: it acts, the days go by, its tiers are written."""

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.principal import Principal, Role, TrustTier
from gateway.core.tiers import ConfiguredTiers
from gateway.services.agents import Agents
from gateway.services.trust import Trust, TrustTerms
from gateway.services.trust_changes import TrustChanges
from gateway.services.trust_history import TrustHistory
from tests.simulate.shelf import MemoryShelf
from tests.simulate.store import MemoryStore
from tests.simulate.world import FakeClock, FakeIds

__all__ = ["ADMIN", "Life"]

ADMIN = Principal(tenant="acme", agent="cli", credential="key_1", role=Role.ADMIN, human="usr_1")


class Life:
    """The agent `bot` of the tenant `acme`."""

    def __init__(self, *, terms: TrustTerms | None = None, pins: dict[str, TrustTier] | None = None) -> None:
        self.store, self.clock, self.ids = MemoryStore(), FakeClock(), FakeIds()
        self.shelf, self.terms = MemoryShelf(self.store), terms or TrustTerms()
        written = {"audit": self.store, "clock": self.clock, "ids": self.ids}
        self.agents = Agents(**written, state=self.store, taxonomy=TAXONOMY)
        tiers = ConfiguredTiers(default=self.terms.start, agents=pins or {}, thresholds={})
        self.trust = Trust(
            chain=self.store, shelf=self.shelf, state=self.store, clock=self.clock, tiers=tiers, terms=self.terms
        )
        self.changes = TrustChanges(**written, trust=self.trust, agents=self.agents)
        self.history = TrustHistory(shelf=self.shelf, clock=self.clock, terms=self.terms)

    def entry(self, what: EntryType, **fields: object) -> EntryDraft:
        """Return an entry of the agent as of now."""
        given: dict[str, object] = {"tenant": "acme", "id": self.ids.new("evt"), "type": what, "agent": "bot"}
        return EntryDraft(**({"time": timestamp(self.clock.now())} | given | fields))  # type: ignore[arg-type]

    async def did(self, reason: str = "ok", *, risk: int = 60, **fields: object) -> None:
        """Complete a call, each time with other arguments."""
        given = {"reasons": (reason,), "risk": risk, "args_digest": str(len(self.store.drafts))}
        await self.store.append(self.entry(EntryType.CALL_COMPLETED, **(given | fields)))

    async def denied(self, *, risk: int = 80, marks: tuple[str, ...] = ()) -> None:
        """Ask for what a policy forbids."""
        reasons = ("policy-deny", *marks)
        fields = {"effect": "DENY", "reasons": reasons, "risk": risk, "tool": str(len(self.store.drafts))}
        await self.store.append(self.entry(EntryType.CALL_DECIDED, body=b'{"facts":{}}', **fields))

    async def days(self, count: int, *, settle: bool = False) -> None:
        """Work for so many days; with `settle` each change of tier is written when it is due."""
        for _ in range(count):
            for _ in range(6):
                await self.did()
            self.clock.advance(86_400)
            if settle:
                await self.trust.look()
                await self.changes.settle()

    async def tier(self) -> TrustTier:
        """Return the tier of a decision made now."""
        return (await self.trust.trusted("acme", "bot", self.clock.now())).tier

    def told(self) -> list[EntryDraft]:
        """Return the changes that were written."""
        return [draft for draft in self.store.drafts if draft.type is EntryType.TRUST_CHANGED]
