"""The gateway's store as a stranger reads it: from the file, with hashes computed here and nothing of the gateway's.

`Ledger.read_on` returns what was added since the last time and checks each link on the way.
"""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

__all__ = ["Entry", "Ledger"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One audit entry: its hashed fields, and its body."""

    fields: dict[str, Any]
    body: dict[str, Any]

    @property
    def call(self) -> str:
        """The `call` argument of a decided entry, by which tests tell calls apart."""
        return str(self.body.get("call", {}).get("arguments", {}).get("call", ""))

    @property
    def decided(self) -> bool:
        return bool(self.fields["type"] == "call.decided")

    @property
    def completed(self) -> bool:
        return bool(self.fields["type"] == "call.completed")


@dataclass(slots=True)
class Ledger:
    """A reader of `path` that remembers how far it has read."""

    path: Path
    broken: list[str] = field(default_factory=list)
    """What is wrong with the chains, in words."""
    open: dict[str, Entry] = field(default_factory=dict)
    """Decided ALLOW entries without a completed one, by intent."""
    heads: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    _read: int = 0

    def read_on(self) -> list[Entry]:
        """Return the entries that are new, in order of writing over all chains."""
        found = []
        query = "SELECT n, tenant, seq, hash, salt, content, body FROM entries WHERE n > ? ORDER BY n"
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=5)) as store:
            rows = store.execute(query, (self._read,)).fetchall()
        for number, tenant, seq, hash_, salt, content, body in rows:
            self._read = number
            fields = json.loads(content)
            self._check(tenant, seq, hash_, content, fields)
            if sha256(salt + body).hexdigest() != fields["bodyDigest"]:
                self.broken.append(f"{tenant} {seq}: body")
            found.append(self._take(Entry(fields, json.loads(body))))
        return found

    def _check(self, tenant: str, seq: int, hash_: bytes, content: bytes, fields: dict[str, Any]) -> None:
        first = sha256(b"so.intended/chain/v1\0" + tenant.encode()).digest()
        last, prev = self.heads.get(tenant, (0, first))
        if (seq, fields["seq"], fields["prev"], fields["tenant"]) != (last + 1, last + 1, prev.hex(), tenant):
            self.broken.append(f"{tenant} {seq}: link")
        if sha256(content).digest() != hash_:
            self.broken.append(f"{tenant} {seq}: hash")
        self.heads[tenant] = (seq, hash_)

    def _take(self, entry: Entry) -> Entry:
        intent = entry.fields["intentId"]
        if entry.decided and entry.fields["effect"] == "ALLOW":
            if intent in self.open:
                self.broken.append(f"{intent}: decided twice")
            self.open[intent] = entry
        elif entry.completed and self.open.pop(intent, None) is None:
            self.broken.append(f"{intent}: completed without being open")
        return entry
