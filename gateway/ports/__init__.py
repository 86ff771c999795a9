"""What the services need from the world, as small Protocols drawn from the caller's side.

Adapters implement them and never import each other; `app.py` introduces them. Each port has one contract suite under
`tests/contracts/` that every adapter and every fake passes. The protocols lie in the modules of this package by whom
they are about; everybody imports them from here.
"""

from gateway.ports.mcp import (
    Caller,
    Channel,
    Mount,
    Outbound,
    Relay,
    Upstream,
    UpstreamSession,
    UpstreamSupport,
)
from gateway.ports.records import (
    ChainRows,
    Content,
    EntryFilter,
    HeldFilter,
    HeldRow,
    IntentFilter,
    IntentRow,
    KeptRecords,
    Page,
    RecordIndex,
    RecordShelf,
)
from gateway.ports.spans import (
    Span,
    Spans,
)
from gateway.ports.store import (
    Appended,
    AuditLog,
    AuditReader,
    Conflict,
    Followed,
    Follower,
    OpenCall,
    StateRow,
    StateStore,
    UseLog,
    Vault,
)
from gateway.ports.world import (
    Clock,
    Ids,
    PolicySource,
    RemoteAuthority,
    SealedKey,
    TokenSigner,
)

__all__ = [
    "Appended",
    "AuditLog",
    "AuditReader",
    "Caller",
    "ChainRows",
    "Channel",
    "Clock",
    "Conflict",
    "Content",
    "EntryFilter",
    "Followed",
    "Follower",
    "HeldFilter",
    "HeldRow",
    "Ids",
    "IntentFilter",
    "IntentRow",
    "KeptRecords",
    "Mount",
    "OpenCall",
    "Outbound",
    "Page",
    "PolicySource",
    "RecordIndex",
    "RecordShelf",
    "Relay",
    "RemoteAuthority",
    "SealedKey",
    "Span",
    "Spans",
    "StateRow",
    "StateStore",
    "TokenSigner",
    "Upstream",
    "UpstreamSession",
    "UpstreamSupport",
    "UseLog",
    "Vault",
]
