"""A house that watches one tenant's entries, for the tests of `services/trust.py`."""

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.principal import TrustTier
from gateway.core.tiers import ConfiguredTiers
from gateway.services.trust import Trust, TrustTerms, trust_key
from tests.simulate.shelf import MemoryShelf
from tests.simulate.store import MemoryStore
from tests.simulate.world import FakeClock

NOBODY = ConfiguredTiers(default=TrustTier.T0, agents={}, thresholds={})


class House:
    """Trust over a store in memory."""

    def __init__(
        self, *, tiers: ConfiguredTiers = NOBODY, terms: TrustTerms | None = None, store: MemoryStore | None = None
    ):
        self.store = store or MemoryStore()
        self.clock = FakeClock()
        self.shelf = MemoryShelf(self.store)
        self.terms = terms or TrustTerms()
        self.tiers = tiers
        self.trust = self.made()

    def made(self) -> Trust:
        return Trust(
            chain=self.store,
            shelf=self.shelf,
            state=self.store,
            clock=self.clock,
            tiers=self.tiers,
            terms=self.terms,
        )

    async def again(self) -> Trust:
        """Return the trust of another process on the same store."""
        other = self.made()
        await other.load(await self.store.tenants())
        return other

    def entry(self, what: EntryType, **fields: object) -> EntryDraft:
        given: dict[str, object] = {
            "tenant": "acme",
            "id": f"evt_{len(self.store.drafts)}",
            "type": what,
            "time": timestamp(self.clock.now()),
            "agent": "bot",
        }
        return EntryDraft(**(given | fields))  # type: ignore[arg-type]

    async def did(self, reason: str = "ok", *, risk: int = 40, **fields: object) -> None:
        given = {"reasons": (reason,), "risk": risk, "args_digest": str(len(self.store.drafts))}
        await self.store.append(self.entry(EntryType.CALL_COMPLETED, **(given | fields)))

    async def denied(self, *, risk: int = 80) -> None:
        entry = self.entry(
            EntryType.CALL_DECIDED,
            effect="DENY",
            reasons=("policy-deny",),
            risk=risk,
            tool=str(risk + len(self.store.drafts)),
        )
        await self.store.append(entry)

    async def changed(self, *reasons: str) -> None:
        put = Put(key=trust_key("bot"), value=b"{}")
        await self.store.append(self.entry(EntryType.TRUST_CHANGED, reasons=reasons, puts=(put,)))

    async def days(self, count: int) -> None:
        """Let the agent work for so many days."""
        for _ in range(count):
            for _ in range(6):
                await self.did(risk=60)
            self.clock.advance(86_400)

    async def tier(self, trust: Trust | None = None) -> TrustTier:
        return (await (trust or self.trust).trusted("acme", "bot", self.clock.now())).tier
