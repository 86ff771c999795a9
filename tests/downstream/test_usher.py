"""Rounds: nobody is attended who does not wait, nobody waits unattended."""

import anyio
import anyio.lowlevel

from gateway.downstream.answer import Answer
from gateway.downstream.usher import Usher
from tests.downstream.front import eventually


class Guest:
    """A waiting caller that remembers what was done for it."""

    def __init__(self, *, fault: bool = False):
        self.left = anyio.Event()
        self.answer = Answer(self._receive, self._send)
        self.done = []
        self.fault = fault

    async def _receive(self):
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        self.done.append(message)

    def lost(self):
        self.done.append("lost")

    async def keep_alive(self):
        self.done.append("kept")
        if self.fault:
            raise RuntimeError


async def contained(work, *given):
    try:
        await work(*given)
    except RuntimeError:
        return False
    return True


def usher(**seconds: float) -> Usher:
    return Usher(**{"round_s": 0.001, "keep_alive_s": 60, "contain": contained, **seconds})


async def test_who_waits_is_watched():
    """A disconnect is noticed, once."""
    rounds, guest = usher(), Guest()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rounds.run, tasks)
        await anyio.lowlevel.checkpoint()
        rounds.expect(guest)
        guest.left.set()
        await eventually(lambda: guest.done == ["lost"])
        rounds.dismiss(guest)
        tasks.cancel_scope.cancel()


async def test_who_waits_long_is_kept_alive():
    """Every so often, until it is dismissed; then its attendant is gone too."""
    rounds, guest = usher(keep_alive_s=0.001), Guest()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rounds.run, tasks)
        rounds.expect(guest)
        await eventually(lambda: guest.done.count("kept") >= 2)
        running = len(anyio.get_running_tasks())
        rounds.dismiss(guest)
        await eventually(lambda: len(anyio.get_running_tasks()) == running - 1)
        tasks.cancel_scope.cancel()


async def test_who_is_answered_at_once_costs_no_task():
    """The usual call: no attendant is ever made for it."""
    rounds = usher(round_s=60)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rounds.run, tasks)
        await anyio.lowlevel.checkpoint()
        running = len(anyio.get_running_tasks())
        for _ in range(10):
            guest = Guest()
            rounds.expect(guest)
            await anyio.lowlevel.checkpoint()
            rounds.dismiss(guest)
        assert len(anyio.get_running_tasks()) == running
        tasks.cancel_scope.cancel()


async def test_one_attendants_fault_harms_nobody_else():
    """The task group is shared by all."""
    rounds, bad, good = usher(keep_alive_s=0.001), Guest(fault=True), Guest()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rounds.run, tasks)
        rounds.expect(bad)
        await eventually(lambda: bad.done == ["kept"])
        rounds.expect(good)
        await eventually(lambda: good.done.count("kept") >= 2)
        assert bad.done == ["kept"]
        tasks.cancel_scope.cancel()
