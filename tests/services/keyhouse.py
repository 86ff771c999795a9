"""A house that issues keys and proves them, for the tests of `services/keys.py`."""

from typing import Any

from gateway.core.principal import ROLE_SCOPES, Principal, Role, Scope
from gateway.services.keys import CreatedKey, Keys
from gateway.services.operator import operator
from tests.simulate.store import MemoryStore
from tests.simulate.world import FakeClock, FakeIds

OPERATOR = operator("acme")
THEIRS = operator("other")


class House:
    """Keys on a store that breaks when it is told to."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = FakeClock()
        self.ids = FakeIds()
        self.keys = self.open()

    def open(self, **more: Any) -> Keys:
        return Keys(audit=self.store, state=self.store, uses=self.store, clock=self.clock, ids=self.ids, **more)

    async def restarted(self) -> Keys:
        keys = self.open()
        await keys.load(await self.store.tenants())
        return keys

    async def make(self, by: Principal = OPERATOR, **fields: Any) -> CreatedKey:
        return await self.keys.create(by, **{"tenant": by.tenant, "name": "ci", **fields})


WEAK = Principal(tenant="acme", agent="keeper", credential="key_w", scopes=ROLE_SCOPES[Role.AGENT] | {Scope.KEYS_WRITE})
