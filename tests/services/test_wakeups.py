"""Whoever waits for an approval is woken at once, and no wake-up is lost."""

import anyio

from gateway.services.wakeups import Wakeups


async def test_everybody_who_waits_for_an_approval_is_woken_and_nobody_else() -> None:
    """Several connections may wait for the same yes."""
    wakeups = Wakeups()
    woken: list[str] = []

    async def wait(approval_id: str, name: str) -> None:
        with wakeups.watch(approval_id) as watch:
            await watch.event.wait()
            woken.append(name)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, "apr_1", "a")
            tasks.start_soon(wait, "apr_1", "b")
            tasks.start_soon(wait, "apr_2", "c")
            await anyio.wait_all_tasks_blocked()
            wakeups.wake("apr_1")
            wakeups.wake("apr_3")
            await anyio.wait_all_tasks_blocked()
            assert sorted(woken) == ["a", "b"]
            wakeups.wake_all()
    assert sorted(woken) == ["a", "b", "c"]


async def test_a_change_between_the_look_and_the_wait_is_not_lost() -> None:
    """The event is taken first: whatever comes after the look has set it by the time that it is waited for."""
    wakeups = Wakeups()
    with wakeups.watch("apr_1") as watch, anyio.fail_after(5):
        event = watch.event
        wakeups.wake("apr_1")
        await event.wait()
        assert not watch.event.is_set(), "the next change has an event of its own"


def test_an_approval_is_watched_until_the_last_one_has_left() -> None:
    """What others need is kept as long as somebody may still ask for it, and no longer."""
    wakeups = Wakeups()
    with wakeups.watch("apr_1"):
        with wakeups.watch("apr_1"):
            assert wakeups.watched("apr_1")
        assert wakeups.watched("apr_1")
    assert not wakeups.watched("apr_1")


def test_who_waits_is_counted() -> None:
    """People see whether anybody is still there for their answer."""
    wakeups = Wakeups()
    with wakeups.watch("apr_1"), wakeups.watch("apr_1"):
        assert (wakeups.count("apr_1"), wakeups.count("apr_2")) == (2, 0)
    assert wakeups.count("apr_1") == 0
