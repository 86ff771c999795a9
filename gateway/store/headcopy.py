"""The copy of the chain heads outside the store, by which a store that was cut or rolled back is found out.

Owns the file: one JSON object per data folder in the state folder, replaced as a whole. What a difference means is
decided here (`differences`); when to write is the writer's, when to refuse the start procedure's.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.core.value import value
from gateway.errors import StoreRefused

__all__ = ["Head", "HeadCopy", "Heads", "differences"]

_FORMAT = 1
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError)
"""What reading a file raises that is not there, not readable, or no copy of heads."""


@value
class Head:
    """The last entry of one tenant's chain: its number and its hash."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """The heads of one store, by tenant."""

    store_id: str
    heads: Mapping[str, Head]


class HeadCopy:
    """The file for one data folder. It lies under `state`, which must not be inside `data`."""

    def __init__(self, *, state: Path, data: Path) -> None:
        place = hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:16]
        self._folder = state / "heads"
        self.path = self._folder / f"{place}.json"

    def read(self) -> Heads | None:
        """Return what was written last for this data folder, or None where nothing ever was.

        Raises:
            StoreRefused: the file is there and cannot be read; a start without it would check nothing.
        """
        try:
            return _parse(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except _UNREADABLE as error:
            raise StoreRefused(
                f"the copy of the chain heads {self.path} cannot be read",
                remedy="put the file back from a backup, or look at the store and accept its heads with"
                " `intended store accept-head --reason TEXT` (with the same --data and --state)",
            ) from error

    def read_of_store(self, store_id: str) -> list[Heads]:
        """Return what was written for this store under other data folders, so that moving a folder hides nothing.

        A file that cannot be read is passed over: it belongs to another folder, whose own start will refuse it.
        """
        found = []
        for path in sorted(self._folder.glob("*.json")):
            if path == self.path:
                continue
            try:
                heads = _parse(path.read_bytes())
            except _UNREADABLE:
                continue
            if heads.store_id == store_id:
                found.append(heads)
        return found

    def write(self, heads: Heads) -> None:
        """Replace the file, durably and as a whole. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        document = {
            "format": _FORMAT,
            "storeId": heads.store_id,
            "heads": {tenant: {"seq": head.seq, "hash": head.hash.hex()} for tenant, head in heads.heads.items()},
        }
        temporary = self.path.with_suffix(".new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(handle, "wb", closefd=False) as file:
                file.write(json.dumps(document, sort_keys=True).encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(self.path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def differences(copy: Heads, store_id: str, hash_at: Callable[[str, int], bytes | None]) -> list[str]:
    """Return in words how a store falls short of `copy`, empty where it does not.

    `hash_at` returns the hash that the store holds at a tenant's sequence number, or None. A store may hold more than
    the copy: the copy is written at most once a second.
    """
    if copy.store_id != store_id:
        return [f"it is another store ({store_id}) than the one that was used here last ({copy.store_id})"]
    found = []
    for tenant, head in sorted(copy.heads.items()):
        held = hash_at(tenant, head.seq)
        if held is None:
            found.append(f"the chain of tenant {tenant!r} ends before entry {head.seq}, which was recorded")
        elif held != head.hash:
            found.append(f"entry {head.seq} of tenant {tenant!r} is not the one that was recorded")
    return found


def _parse(text: bytes) -> Heads:
    """Read the file's text. Raises one of `_UNREADABLE` where it is no copy of heads."""
    document: Any = json.loads(text)
    if document["format"] != _FORMAT:
        raise ValueError("unknown format")
    heads = {
        str(tenant): Head(seq=int(head["seq"]), hash=bytes.fromhex(head["hash"]))
        for tenant, head in document["heads"].items()
    }
    return Heads(store_id=str(document["storeId"]), heads=heads)
