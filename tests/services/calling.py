"""One call on its way through enforcement, and what stands on its other side, for the tests of its steps."""

import anyio
import anyio.lowlevel

from gateway.core.audit.entry import EntryType
from gateway.core.call import Call
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role
from gateway.services.enforcement import Outcome
from tests.simulate.world import LOCAL, FakeCaller, World

READ = Call(
    method="resources/read", upstream="default", name="", uri="notes://1", arguments={}, arguments_digest="0" * 64
)
ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, match: {methods: ["*"]}, reason: a person should look}
"""
OPERATOR = Principal(tenant="default", agent="cli", credential="cli", role=Role.ADMIN)


class Other:
    """The other side of a call: counts how often it was reached, and what was durable by then."""

    def __init__(self, world: World, answer: JsonObject | Exception | None = None) -> None:
        self.world = world
        self.answer = answer or {"result": {"contents": []}}
        self.durable: list[list[EntryType]] = []

    async def __call__(self) -> JsonObject:
        self.durable.append([draft.type for draft in self.world.entries()])
        await anyio.lowlevel.checkpoint()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def reached(self) -> int:
        return len(self.durable)


async def take(world: World, other: Other, call: Call = READ, caller: FakeCaller | None = None) -> Outcome:
    return await world.enforcement.call(LOCAL, call, other, caller or FakeCaller())


def opened_and_closed(world: World) -> tuple[list[str], list[str]]:
    """Return the intents that were left to run, and those whose end is recorded."""
    drafts = world.entries()
    return [one.intent_id for one in drafts if one.opens], [one.intent_id for one in drafts if one.closes]


async def approved(world: World, other: Other) -> Outcome:
    """Let one call escalate, and say yes to it."""
    first = await take(world, other)
    await world.approvals.resolve(OPERATOR, approval_id=first.approval_id, approve=True)
    return first
