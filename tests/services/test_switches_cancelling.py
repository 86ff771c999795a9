"""A switch cancels what waits, sooner or later, and before it is released."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.submission import Submission
from gateway.core.switches import Cancelled
from gateway.core.tokens import Grant
from gateway.errors import (
    StoreError,
)
from gateway.services import switches as module
from gateway.services.switches import Switches
from tests.services.calling import ASK
from tests.services.switching import ADMIN, AGENT, PROGRAM, anew, release, throw
from tests.simulate.world import World


class Slow:
    """Cancels nothing the first few times."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.asking: Callable[[], None] = lambda: None

    async def cancel(self, tenant: str, stopped: Callable[[str, str], object]) -> Cancelled:
        self.asked.append(tenant)
        self.asking()
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return Cancelled(approvals=2, complete=answer)


@pytest.mark.parametrize("first", [False, StoreError("slow")])
async def test_what_could_not_be_cancelled_is_tried_again(
    first: bool | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch is in force whatever becomes of the approvals, and a human should not be asked in vain for long."""
    monkeypatch.setattr(module, "SETTLE_S", 0.001)
    world = World()
    slow = world.switches._cancels = Slow(first, first)
    await throw(world)
    assert slow.asked == ["default"]
    await running(world.switches, lambda: len(slow.asked) == 3)
    assert world.switches._unsettled == set()


@pytest.mark.parametrize(("first", "told"), [(True, 2), (False, None), (StoreError("slow"), None)])
async def test_whoever_throws_a_switch_is_told_how_many_approvals_it_cancelled(
    first: bool | Exception, told: int | None
) -> None:
    """A number that is not all of them would be taken for all of them."""
    world = World()
    world.switches._cancels = Slow(first)
    thrown, cancelled = await world.switches.throw(ADMIN, AGENT, "local", reason="runs amok")
    assert (thrown.name, cancelled) == ("local", told)


async def test_whoever_throws_a_switch_does_not_wait_for_a_slow_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch is in force; its approvals are cancelled later."""
    monkeypatch.setattr(module, "SETTLE_S", 0.001)
    world = World()

    class Stuck(Slow):
        async def cancel(self, tenant: str, stopped: Callable[[str, str], object]) -> Cancelled:
            await anyio.sleep_forever()
            raise AssertionError

    world.switches._cancels = Stuck()
    assert (await world.switches.throw(ADMIN, AGENT, "local", reason="runs amok"))[1] is None


@pytest.mark.parametrize("first", [False, StoreError("slow")])
async def test_what_could_not_be_cancelled_is_cancelled_before_the_release(first: bool | Exception) -> None:
    """Who throws a switch and soon releases it must not find a yes of before in force again."""
    world = World()
    slow = world.switches._cancels = Slow(first)
    await throw(world)
    thrown: list[bool] = []
    slow.asking = lambda: thrown.append(bool(world.switches.list(ADMIN)))
    await release(world, AGENT, "local")
    assert slow.asked == ["default", "default"]
    assert thrown == [True]


async def test_a_start_cancels_what_the_process_before_left() -> None:
    """It may have ended between the switch and its approvals."""
    world = World()
    await throw(world)
    started = anew(world)
    slow = started._cancels = Slow()
    await started.load(["default"])
    await running(started, lambda: slow.asked == ["default"])


async def test_a_switch_that_is_thrown_meanwhile_is_not_forgotten() -> None:
    """Two humans at once, and the first one's approvals are being cancelled."""
    world = World()

    class Meanwhile(Slow):
        async def cancel(self, tenant: str, stopped: Callable[[str, str], object]) -> Cancelled:
            if not self.asked:
                self.asked.append(tenant)
                self.answers = [False]
                await throw(world, AGENT, "other")
                return Cancelled(approvals=0, complete=True)
            return await super().cancel(tenant, stopped)

    world.switches._cancels = Meanwhile()
    await throw(world)
    assert world.switches._unsettled == {"default"}


async def running(switches: Switches, until: Callable[[], bool]) -> None:
    """Let the task of the switches run until something holds."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(switches.run)
            while not until():
                await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()


async def test_a_token_that_is_being_signed_as_the_switch_is_thrown_is_not_issued() -> None:
    """Between the second decision, which was ALLOW, and the entry of its token; a slow store cancels nothing yet."""
    world = World(policy=ASK.replace("resources/read", "intent"))
    made = await world.intents.submit(PROGRAM, Submission(agent="ci", action="pay the invoice"))
    await world.approvals.resolve(ADMIN, approval_id=made.record.approval_id, approve=True)
    world.switches._cancels = Slow(False)
    issue = world.tokens.issue

    async def slowly(grant: Grant) -> str:
        await throw(world, AGENT, "ci")
        return await issue(grant)

    world.tokens.issue = slowly  # type: ignore[method-assign]
    assert (await world.intents.show(PROGRAM, made.record.id)).token == ""
    kinds = [entry.type for entry in world.entries()]
    assert EntryType.SWITCH_CHANGED in kinds
    assert EntryType.TOKEN_ISSUED not in kinds
