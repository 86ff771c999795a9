"""Agents, submissions and the steps of an intent, for the tests of `services/intents.py`."""

from collections.abc import Awaitable, Callable

import anyio
import jwt

from gateway.core.audit.entry import EntryType
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role, Scope
from gateway.core.submission import IntentRecord, IntentStatus, Submission
from gateway.errors import (
    RequestError,
)
from gateway.services.intents import Submitted
from tests.simulate.world import ALLOW_ALL, World

MAY = frozenset({Scope.INTENTS_READ, Scope.INTENTS_WRITE})
KEY = Principal(tenant="default", agent="key-1", credential="key_1", scopes=MAY)
OTHER_KEY = Principal(tenant="default", agent="key-2", credential="key_2", scopes=MAY)
BOUND = Principal(tenant="default", agent="github-actions", credential="key_3", bound=True, scopes=MAY)
OPERATOR = Principal(tenant="default", agent="cli", credential="cli", role=Role.ADMIN)
HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
FOREIGN = Principal(tenant="other", agent="key-4", credential="key_4", role=Role.ADMIN)
DEPLOY = Submission(
    agent="agent:github-actions",
    action="deploy application to production",
    system="github",
    params={"repo": "acme/frontend", "branch": "main"},
)
INVOICE = Submission(
    agent="billing-agent",
    action="billing.send_invoice",
    declared_type="billing.send_invoice",
    domain="billing",
    params={"customerId": "cust_123", "amount": 99.99},
    description="Send monthly subscription invoice",
)
ASK = ALLOW_ALL.replace("effect: allow", "effect: escalate")
DENY = ALLOW_ALL.replace("effect: allow", "effect: deny")


def claims(token: str) -> JsonObject:
    return jwt.decode(token, options={"verify_signature": False})


def decided(made: World) -> int:
    return len(made.entries(EntryType.CALL_DECIDED))


async def waiting(made: World, submission: Submission = DEPLOY) -> IntentRecord:
    """Submit what escalates."""
    submitted = await made.intents.submit(KEY, submission)
    assert (submitted.record.status, submitted.token) == (IntentStatus.PENDING, "")
    return submitted.record


async def approve(made: World, record: IntentRecord, *, yes: bool = True) -> None:
    await made.approvals.resolve(HUMAN, intent_id=record.id, approve=yes)


async def all_at_once(*acts: Callable[[], Awaitable[object]]) -> list[object]:
    """Run the acts at the same time and return what each returned or raised."""
    ends: list[object] = []

    async def run(act: Callable[[], Awaitable[object]]) -> None:
        try:
            ends.append(await act())
        except RequestError as error:
            ends.append(error)

    async with anyio.create_task_group() as group:
        for act in acts:
            group.start_soon(run, act)
    return ends


def tokens_of(ends: list[object]) -> list[str]:
    return [end.token for end in ends if isinstance(end, Submitted) and end.token]
