"""Questions about the audit chain: is it whole, what happened last, give me a copy, what was a decision made of.

Owns the shapes in which entries leave the gateway. Reads only; verification is `core/audit/verify.py`'s.

An export is JSON Lines, an entry each, and is all that a stranger needs to verify the chain: `tenant`, `seq`, `hash`
(hexadecimal), `content` (the hashed bytes as text), `salt` (hexadecimal) and `body` (text; its digest with the salt in
front is in the content). Arguments are in a body as they were stored, redacted; evaluation inputs are never exported.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import anyio.lowlevel
import orjson

from gateway.core.audit.entry import EntryType, StoredEntry
from gateway.core.audit.verify import ExpectedHead, Report, Verifier
from gateway.core.jsonvalue import JsonObject
from gateway.errors import StoreError
from gateway.ports import AuditReader

__all__ = [
    "RecordedDecision",
    "decided",
    "decisions",
    "export",
    "export_line",
    "read_export",
    "shown",
    "tail",
    "verify",
]

_BREATH = 100
"""Entries verified in one go, some 3 ms: the loop has calls to answer meanwhile."""
_LINE_FIELDS = frozenset({"tenant", "seq", "hash", "content", "salt", "body"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecision:
    """One decided entry and what the decision was made of. `evaluation_input` is None where it is gone."""

    seq: int
    entry: JsonObject
    body: JsonObject
    evaluation_input: JsonObject | None


async def verify(reader: AuditReader, tenant: str, *, expected: Iterable[ExpectedHead] = ()) -> Report:
    """Verify the tenant's whole chain, also against heads and checkpoints from elsewhere. Raises StoreError."""
    verifier = Verifier(tenant, expected=expected)
    taken = 0
    async for entry in reader.read(tenant, inputs=False):
        verifier.feed(entry)
        taken += 1
        if taken % _BREATH == 0:
            await anyio.lowlevel.checkpoint()
    return verifier.report()


async def tail(reader: AuditReader, tenant: str, count: int) -> Sequence[JsonObject]:
    """Return the last `count` entries as `shown`, oldest first. Raises StoreError."""
    return [shown(entry) for entry in await reader.last(tenant, count)]


async def export(reader: AuditReader, tenant: str, *, after: int = 0) -> AsyncIterator[bytes]:
    """Yield the entries with `seq > after` as lines of an export, each with its newline. Raises StoreError."""
    async for entry in reader.read(tenant, after=after, inputs=False):
        yield export_line(entry)


async def decisions(reader: AuditReader, tenant: str, intent_id: str) -> Sequence[RecordedDecision]:
    """Return the decided entries of an intent with what a recomputation needs, oldest first. Raises StoreError."""
    found = [decided(entry) for entry in await reader.by_intent(tenant, intent_id)]
    return [one for one in found if one is not None]


def decided(entry: StoredEntry) -> RecordedDecision | None:
    """Return a decided entry with what a recomputation needs; None for one that tells something else.

    Raises StoreError where it is damaged.
    """
    content = _object(entry, entry.content)
    if content.get("type") != EntryType.CALL_DECIDED:
        return None
    given = entry.evaluation_input
    return RecordedDecision(
        seq=entry.seq,
        entry=content,
        body=_object(entry, entry.body),
        evaluation_input=_object(entry, given) if given is not None else None,
    )


def shown(entry: StoredEntry) -> JsonObject:
    """Return the entry for people: the fields of its content, its own hash, and its body. Raises StoreError."""
    return {**_object(entry, entry.content), "hash": entry.hash.hex(), "body": _object(entry, entry.body)}


def export_line(entry: StoredEntry) -> bytes:
    """Return one line of an export. Bytes that are no text are replaced, and the line then does not verify."""
    line = {
        "tenant": entry.tenant,
        "seq": entry.seq,
        "hash": entry.hash.hex(),
        "content": entry.content.decode("utf-8", "replace"),
        "salt": entry.salt.hex(),
        "body": entry.body.decode("utf-8", "replace"),
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def read_export(lines: Iterable[bytes]) -> Iterator[StoredEntry]:
    """Yield the entries of an export, for the verifier. Raises StoreError with the number of a line that is none."""
    for number, line in enumerate(lines, start=1):
        try:
            yield _entry(line)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(f"line {number} of the export is no audit entry") from error


def _entry(line: bytes) -> StoredEntry:
    fields = orjson.loads(line)
    if fields.keys() != _LINE_FIELDS or type(fields["seq"]) is not int or type(fields["tenant"]) is not str:
        raise ValueError("other fields")
    return StoredEntry(
        tenant=fields["tenant"],
        seq=fields["seq"],
        hash=bytes.fromhex(fields["hash"]),
        content=fields["content"].encode(),
        salt=bytes.fromhex(fields["salt"]),
        body=fields["body"].encode(),
    )


def _object(entry: StoredEntry, text: bytes) -> JsonObject:
    """Read one of the entry's texts. Raises StoreError: a damaged entry is for the verifier, not for guessing."""
    try:
        value = orjson.loads(text)
    except ValueError as error:
        raise StoreError(f"entry {entry.seq} of tenant {entry.tenant!r} is damaged; verify the chain") from error
    if type(value) is not dict:
        raise StoreError(f"entry {entry.seq} of tenant {entry.tenant!r} is damaged; verify the chain")
    return value
