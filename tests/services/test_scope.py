"""A scope made the short way is anyio's own."""

import anyio
import anyio.lowlevel

from gateway.services.scope import new_scope


async def test_a_scope_made_here_is_what_anyio_makes() -> None:
    """Shields, deadlines and nesting are anyio's; only the way to the object differs."""
    made, usual = new_scope(), anyio.CancelScope()
    assert type(made) is type(usual)
    assert (made.deadline, made.shield) == (usual.deadline, usual.shield)
    assert new_scope(shield=True).shield


async def test_its_cancelling_ends_what_runs_in_it_and_nothing_else() -> None:
    """A call is cancelled by its scope."""
    with new_scope() as scope:
        scope.cancel()
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    await anyio.lowlevel.checkpoint()
