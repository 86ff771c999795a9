"""Changes come one after another, on what the store has, and are not left half done."""

import anyio
import anyio.lowlevel
import pytest

from gateway.errors import StoreError
from gateway.services.changing import Changing


class Directory:
    def __init__(self) -> None:
        self.changing = Changing(self.read)
        self.reads: list[str] = []
        self.down = False

    async def read(self, tenant: str) -> None:
        self.reads.append(tenant)
        if self.down:
            raise StoreError("no")
        self.changing.known(tenant)


async def test_what_is_in_doubt_is_read_before_the_next_change_and_nothing_else_is() -> None:
    """An append that failed may be in the store all the same."""
    one = Directory()
    async with one.changing.settled("acme"):
        one.changing.doubt("acme")
    async with one.changing.settled("other"):
        pass
    assert one.reads == []
    for _ in range(2):
        async with one.changing.settled("acme"):
            assert one.reads == ["acme"]


async def test_what_cannot_be_read_is_not_changed_and_stays_in_doubt() -> None:
    """A change of what nobody knows could undo another one."""
    one = Directory()
    one.changing.doubt("acme")
    one.down = True
    for _ in range(2):
        with pytest.raises(StoreError):
            async with one.changing.settled("acme"):
                pytest.fail("it was changed")
    assert one.reads == ["acme", "acme"]


async def test_changes_come_one_after_another_and_are_finished() -> None:
    """Whoever hangs up leaves no change in the store that memory has not."""
    one = Directory()
    done: list[str] = []

    async def change(name: str) -> None:
        async with one.changing.settled("acme"):
            done.append(f"{name} begins")
            await anyio.lowlevel.checkpoint()
            done.append(f"{name} ends")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(change, "first")
            tasks.start_soon(change, "second")
        with anyio.CancelScope() as scope:
            async with one.changing.settled("acme"):
                scope.cancel()
                await anyio.lowlevel.checkpoint()
                done.append("finished")
    assert done == ["first begins", "first ends", "second begins", "second ends", "finished"]
