"""What `intended audit export` writes: the chain whole, for verifying it; or its entries as lines for a SIEM.

Owns the loop that follows a chain for a shipper, and how it ends: after a whole line, with status 0.
"""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import typer

from gateway.cli.administration import duration
from gateway.cli.output import say, warn
from gateway.core.principal import DEFAULT_TENANT
from gateway.errors import NotFound

if TYPE_CHECKING:
    from anyio import CancelScope

    from gateway.services.siem import Selection, Words
    from gateway.settings import Settings
    from gateway.store.sqlite.reader import SqliteReader

__all__ = ["ExportForm", "Shipment", "export_chain", "require_tenant", "selection", "ship"]

POLL_S = 0.5
"""How often `--follow` looks for new entries."""

UNITS = frozenset("smhdw")
"""What a duration ends with, and a time does not."""


class ExportForm(StrEnum):
    """What an export is for."""

    CHAIN = "chain"
    """Every entry with what verifying it needs."""
    JSONL = "jsonl"
    """Entries as they are shown, for a log collector."""
    OCSF = "ocsf"
    """Decisions and outcomes as OCSF 1.8 events, for a SIEM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What is asked of an export for a collector. `after` is where a tenant's chain was left the last time."""

    form: ExportForm
    tenant: str | None
    wanted: "Selection"
    after: int = 0
    follow: bool = False


def selection(since: str | None, until: str | None, types: Sequence[str]) -> "Selection":
    """Return which entries are asked for. Raises BadParameter for what is no time, or no type of entry."""
    from gateway.core.audit.entry import EntryType
    from gateway.services.siem import Selection

    known = [one.value for one in EntryType]
    unknown = [one for one in types if one not in known]
    if unknown:
        from gateway.core.policy.document import nearest

        message = f"there is no entry type {unknown[0]!r}{nearest(unknown[0], known)}"
        raise typer.BadParameter(message, param_hint="--type")
    return Selection(since=_moment(since, "--since"), until=_moment(until, "--until"), types=frozenset(types))


def _moment(text: str | None, option: str) -> str:
    """Return a point in time as entries have it: RFC 3339, a date (its first moment, UTC), or `24h` for so long ago."""
    from datetime import UTC, datetime

    from gateway.core.audit.body import timestamp
    from gateway.telemetry.clock import SystemClock

    if not text:
        return ""
    try:
        if text[-1] in UNITS:
            return timestamp(SystemClock().now() - duration(text, option=option))
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        message = "write a time as 2027-01-31T12:00:00Z, a date as 2027-01-31, or how long ago as 24h or 7d"
        raise typer.BadParameter(message, param_hint=option) from error
    return timestamp(found if found.tzinfo else found.replace(tzinfo=UTC))


async def export_chain(settings: "Settings", tenant: str | None, out: Path | None) -> None:
    """Write every entry with what verifying it needs."""
    from gateway.records import reading
    from gateway.services.audit_query import export as exported

    async with reading(settings) as reader:
        await require_tenant(reader, tenant)
        tenants = [tenant] if tenant is not None else await reader.tenants()
        with _target(out) as file:
            count = 0
            for one in tenants:
                async for line in exported(reader, one):
                    file.write(line)
                    count += 1
    if out is not None:
        say(f"{count} entries written to {out}")


async def ship(settings: "Settings", shipment: Shipment, out: Path | None) -> None:
    """Write the lines; with `follow` go on until interrupted (SIGINT, SIGTERM) or nobody reads any more."""
    import anyio

    from gateway.records import reading

    failure: OSError | None = None
    async with reading(settings) as reader:
        await require_tenant(reader, shipment.tenant, may_come=shipment.follow)
        with _target(out) as file:
            async with anyio.create_task_group() as tasks:
                if shipment.follow:
                    tasks.start_soon(_stop_when_told, tasks.cancel_scope)
                try:
                    await _ship(reader, shipment, file)
                except BrokenPipeError:
                    _nobody_reads(file)
                except OSError as error:
                    failure = error  # raised below, where no group of errors is made of it
                tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _ship(reader: "SqliteReader", shipment: Shipment, file: BinaryIO) -> None:
    import anyio

    from gateway.services.siem import lines

    words, places = _words(shipment.form), {shipment.tenant: shipment.after}
    while True:
        for tenant in [shipment.tenant] if shipment.tenant is not None else await reader.tenants():
            async for line in lines(reader, tenant, shipment.wanted, words, after=places.get(tenant, 0)):
                if line.damaged:
                    warn("damaged", f"entry {line.seq} of tenant {tenant} cannot be read; run `intended audit verify`")
                file.write(line.text)
                places[tenant] = line.seq
        file.flush()
        if not shipment.follow:
            return
        await anyio.sleep(POLL_S)


async def require_tenant(reader: "SqliteReader", tenant: str | None, *, may_come: bool = False) -> None:
    """Raise NotFound where a tenant has no chain: of a name mistyped once nothing would ever come.

    One that `may_come` is warned of only; the default one is no mistake, and has none before its first call.
    """
    if tenant in (None, DEFAULT_TENANT) or tenant in (known := await reader.tenants()):
        return
    text = f"there is no entry of a tenant '{tenant}'; tenants are: {', '.join(known) or 'none'}"
    if not may_come:
        raise NotFound(text)
    warn("no such tenant", text)


def _words(form: ExportForm) -> "Words":
    if form is ExportForm.JSONL:
        return lambda entry: entry
    from gateway import __version__
    from gateway.core.ocsf import ocsf_event

    return lambda entry: ocsf_event(entry, product_version=__version__)


async def _stop_when_told(scope: "CancelScope") -> None:
    import anyio

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return


def _nobody_reads(file: BinaryIO) -> None:
    """Take the reader's end for ours, and keep what is still buffered from failing once more at the exit."""
    handle = os.open(os.devnull, os.O_WRONLY)
    os.dup2(handle, file.fileno())
    os.close(handle)


@contextmanager
def _target(out: Path | None) -> Iterator[BinaryIO]:
    """Return where an export goes. A new file only, and for its owner only: it holds what agents did."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
