"""`intended store accept-head`: say that the store as it is now is the one to go on with, and have that recorded."""

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.command import group, placed
from gateway.cli.options import Where
from gateway.cli.output import say

if TYPE_CHECKING:
    from gateway.settings import Settings

__all__ = ["app"]

app = group("The audit store itself.")


@app.command("accept-head")
@placed
def accept_head(
    where: Where,
    reason: Annotated[str, typer.Option(help="Why entries are missing; it is recorded.")],
) -> None:
    """Accept a store that falls short of its head copy.

    For example after a restore. The gateway must be stopped.
    """
    if not reason.strip():
        raise typer.BadParameter("say why: it is what an auditor will read", param_hint="--reason")
    import anyio

    anyio.run(_accept, where.settings(), reason)


async def _accept(settings: "Settings", reason: str) -> None:
    import orjson

    from gateway.core.audit.body import timestamp
    from gateway.core.audit.entry import EntryDraft, EntryType
    from gateway.core.principal import SYSTEM_TENANT
    from gateway.identity.ids import RandomIds
    from gateway.parts import data_folder, state_folder
    from gateway.store.sqlite.store import StoreOptions, open_store
    from gateway.telemetry.clock import SystemClock

    clock = SystemClock()
    options_ = StoreOptions(data=data_folder(settings), state=state_folder(settings))
    opened = await open_store(options_, clock, accept_head=True)
    try:
        accepted = opened.opening.accepted
        await opened.append(
            EntryDraft(
                tenant=SYSTEM_TENANT,
                id=RandomIds().new("evt"),
                type=EntryType.HEAD_ACCEPTED,
                time=timestamp(clock.now()),
                body=orjson.dumps({"reason": reason, "accepted": list(accepted)}),
            )
        )
    finally:
        await opened.aclose()
    for difference in accepted:
        say(f"accepted: {difference}")
    say("recorded; the gateway can be started" if accepted else "nothing was missing; the acceptance is recorded")
