"""The trace of a request is known to everything that runs for it, and to nothing else."""

import anyio

from gateway.services.traces import TRACE_ID


async def test_what_a_request_starts_belongs_to_its_trace_and_what_runs_beside_it_does_not() -> None:
    """Requests are answered at the same time, in tasks of their own."""
    seen: dict[str, str] = {}

    async def inner(name: str) -> None:
        seen[name] = TRACE_ID.get()

    async def answer(name: str) -> None:
        TRACE_ID.set(name)
        async with anyio.create_task_group() as group:
            group.start_soon(inner, name)

    async with anyio.create_task_group() as group:
        group.start_soon(answer, "a")
        group.start_soon(answer, "b")
        group.start_soon(inner, "")
    assert seen == {"a": "a", "b": "b", "": ""}
