"""What the services need from the world, as small Protocols drawn from the caller's side.

Adapters implement them and never import each other; `app.py` introduces them. Each port has one contract suite under
`tests/contracts/` that every adapter and every fake passes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from gateway.core.audit.entry import EntryDraft, StoredEntry
from gateway.core.jsonvalue import JsonObject
from gateway.core.policy.compile import Bundle
from gateway.core.tracing import Attributes, TraceContext
from gateway.core.value import value

__all__ = [
    "Appended",
    "AuditLog",
    "AuditReader",
    "Caller",
    "Channel",
    "Clock",
    "Conflict",
    "Content",
    "EntryFilter",
    "Followed",
    "Follower",
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

Item = TypeVar("Item")


# --- time and names ---------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Wall-clock time, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps, for deadlines and durations."""
        ...


class Ids(Protocol):
    """The only source of identifiers and randomness."""

    def new(self, prefix: str) -> str:
        """Return a fresh ULID behind `prefix` and `_` (contract, section 1)."""
        ...

    def secret(self) -> str:
        """Return at least 128 unguessable bits as visible ASCII, for session ids."""
        ...


# --- the audit store --------------------------------------------------------------------------------------------------


@value
class Appended:
    """The entry is durable at this place of its tenant's chain."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Nothing was written: the row under `key` is no longer as the draft expects."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRow:
    """One row of state that entries read and change.

    `version` counts its changes from 1; after a deletion from a higher number, so that no version ever comes back.
    """

    key: str
    version: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCall:
    """A decided ALLOW that has no completed entry yet."""

    tenant: str
    intent_id: str
    seq: int


class AuditLog(Protocol):
    """The hash-chained, durable record."""

    async def append(self, draft: EntryDraft) -> Appended | Conflict:
        """Return only once the entry is on disk (fsync). A caller MUST NOT act on a decision before this returns.

        Cancelling the wait does not undo the write: the entry may be there or not.

        Raises:
            AuditUnavailable: it is not certain that the entry is durable; act as if it were not.
        """
        ...

    def ready(self) -> str:
        """Return an empty string while entries can be made durable, else the reason why not."""
        ...


Follower = Callable[[EntryDraft, Appended], None]
"""Hears of one durable entry, on the event loop. It must be quick, must not wait, and ought not to raise."""


class Followed(Protocol):
    """A chain whose entries can be followed as they come."""

    def follow(self, follower: Follower, lost: Callable[[], None] | None = None) -> None:
        """Tell `follower` of every entry from now on, in the order of its chain.

        That is after the state rows it puts can be read, and before whoever waits for the append goes on. An entry
        whose append failed although it became durable is not told: the next one's `seq` then leaves a gap. `lost` is
        called, before whoever waits is told, each time that appends have failed of which that may be so.
        """
        ...


class StateStore(Protocol):
    """Reads of the state rows that `EntryDraft.puts` write."""

    async def get(self, tenant: str, key: str) -> StateRow | None:
        """Return the row as last committed. Raises StoreError where it cannot be known."""
        ...

    async def scan(self, tenant: str, prefix: str) -> Sequence[StateRow]:
        """Return all rows whose key begins with `prefix`, in key order. Raises StoreError."""
        ...


class Vault(Protocol):
    """Keeps from the reader of the store what only this gateway may read: whole arguments, while they are needed."""

    def seal(self, plain: bytes, *, tenant: str, intent_id: str, entry_id: str) -> bytes:
        """Return `plain` encrypted, and bound to what it belongs to."""
        ...

    def unseal(self, sealed: bytes, *, tenant: str, intent_id: str, entry_id: str) -> bytes:
        """Return what was sealed. Raises StoreError where it does not open."""
        ...


class AuditReader(Protocol):
    """Reads of the chain; never writes and never checkpoints."""

    async def tenants(self) -> Sequence[str]:
        """Return the tenants that have a chain, sorted."""
        ...

    async def head(self, tenant: str) -> tuple[int, bytes]:
        """Return sequence number and hash of the last entry; (0, the first `prev`) for an empty chain."""
        ...

    def read(self, tenant: str, *, after: int = 0) -> AsyncIterator[StoredEntry]:
        """Yield the entries with `seq > after` in order, streaming."""
        ...

    async def last(self, tenant: str, count: int) -> Sequence[StoredEntry]:
        """Return the last `count` entries, oldest first."""
        ...

    async def by_intent(self, tenant: str, intent_id: str) -> Sequence[StoredEntry]:
        """Return the entries of one intent, oldest first."""
        ...

    async def open_calls(self) -> Sequence[OpenCall]:
        """Return the decided ALLOWs without a completed entry, of all tenants."""
        ...


class UseLog(Protocol):
    """When credentials were last used: kept beside the chain, since an entry for each use would drown it."""

    def note(self, name: str, at: str) -> None:
        """Keep that `name` was used at this time (RFC 3339), for good within about two seconds.

        Never waits and never fails. A crash, or a store that cannot be written, may lose what was not kept yet.
        """
        ...

    async def uses(self) -> Mapping[str, str]:
        """Return name → time of everything that was kept. Raises StoreError."""
        ...


# --- questions about many records -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """One page of a list and how many items there are in all."""

    items: tuple[Item, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentFilter:
    """Which intents; an empty field asks for all. `since` and `until` are RFC 3339, inclusive and exclusive."""

    status: str = ""
    agent: str = ""
    domain: str = ""
    intent_type: str = ""
    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries; an empty field asks for all. `since` and `until` are RFC 3339, inclusive and exclusive.

    `before` is a sequence number: only earlier entries (0: no bound).
    """

    type: str = ""
    agent: str = ""
    upstream: str = ""
    since: str = ""
    until: str = ""
    before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRow:
    """What the index knows of one intent."""

    id: str
    agent: str
    domain: str
    type: str
    status: str
    effect: str
    risk: int
    created: str
    updated: str


class RecordIndex(Protocol):
    """Answers about many records, newest first. A projection of the chain: whatever is durable is in the answer.

    Every method raises StoreError where it cannot be known.
    """

    async def intents(self, tenant: str, wanted: IntentFilter, *, page: int, page_size: int) -> Page[IntentRow]:
        """Return one page (from 1) of intents."""
        ...

    async def entries(self, tenant: str, wanted: EntryFilter, *, page: int, page_size: int) -> Page[StoredEntry]:
        """Return one page (from 1) of audit entries."""
        ...

    async def intent_counts(self, tenant: str, wanted: IntentFilter) -> Mapping[tuple[str, str, str], int]:
        """Return how many intents there are by (agent, type, status)."""
        ...

    async def earned(self, tenant: str, *, agent: str = "", since: str = "") -> Mapping[str, int]:
        """Return what completed intents were credited with, in hundredths by currency; `since`: completed from then on.

        It is what their entries say: today's amounts change nothing.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecords:
    """Records of one tenant's agents, by slug and as they are written, as of the entry `seq` of its chain."""

    seq: int
    hash: bytes
    records: Mapping[str, bytes]


Content = tuple[int, bytes, bytes]
"""What the chain has hashed of an entry: seq, hash, content."""


class RecordShelf(Protocol):
    """Where records of trust are put by beside the chain, and the chain read without what lies beside its entries.

    What is put by is no evidence: deleted, it is made anew from the chain. Every method raises StoreError.
    """

    async def kept(self, tenant: str) -> KeptRecords | None:
        """Return what was put by, where its entry is in the chain as it was then."""
        ...

    async def keep(self, tenant: str, kept: KeptRecords, *, since: int) -> bool:
        """Add to the records as of `since`, or (0) put these in place of all; False where others are there."""
        ...

    async def contents(self, tenant: str, *, after: int, limit: int, agent: str = "") -> Sequence[Content]:
        """Return the next entries of the chain; with `agent` only that agent's."""
        ...


# --- policies and signing ---------------------------------------------------------------------------------------------


class PolicySource(Protocol):
    """The bundle in force."""

    def current(self) -> Bundle:
        """Return the last good bundle. There always is one: the gateway does not start without."""
        ...

    def problem(self) -> str:
        """Return an empty string, or why the newest files are not in force."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKey:
    """A signing key as it may be stored: its name, its public half as a JWK, and the private half encrypted.

    `kid` is the thumbprint of the public half (RFC 7638).
    """

    kid: str
    public: JsonObject
    sealed: bytes = field(repr=False)


class TokenSigner(Protocol):
    """Makes RSA keys and signs with them, off the event loop. Private keys leave it only encrypted.

    Whose key signs when is `services/tokens.py`. Every method raises SigningError where it cannot do its work.
    """

    async def make(self, tenant: str) -> SealedKey:
        """Make a key for a tenant and hold it ready to sign."""
        ...

    async def open(self, tenant: str, key: SealedKey) -> None:
        """Hold a stored key ready to sign. It opens for the tenant that it was made for only."""
        ...

    def sign(self, kid: str, claims: JsonObject) -> Awaitable[str]:
        """Begin to sign at once; awaited, it is the compact JWS (RS256, `typ` `authority+jwt`) of the claims.

        What nobody awaits is signed for nobody.
        """
        ...

    def forget(self, kid: str) -> None:
        """Drop a private key from memory; one that is not held is no error."""
        ...


# --- upstreams --------------------------------------------------------------------------------------------------------


@value
class Outbound:
    """One JSON-RPC request for an upstream. The adapter gives it an id of its own and the headers of the transport.

    `params` is forwarded as it is, but for `_meta.progressToken`, which the adapter replaces by its own and maps back
    in the notifications. `headers` are `Mcp-Param-*` of the agent, passed on unchanged. `version` is the protocol
    version of the hop (modern: also in `params._meta`). `timeout_s` bounds the time to the complete answer.
    """

    method: str
    params: JsonObject
    version: str
    timeout_s: float
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSupport:
    """What an upstream was found to speak, oldest version first, and (modern) its last `server/discover` result.

    `refused` is the HTTP status by which it declined to say whether it is modern; 0 where it did not, or has no HTTP.
    """

    handshake: tuple[str, ...]
    modern: tuple[str, ...]
    discovered: JsonObject = field(default_factory=dict)
    refused: int = 0


class Relay(Protocol):
    """Where an upstream's messages go that are not the answer to the request at hand."""

    async def notification(self, method: str, params: JsonObject) -> None:
        """Take one notification, in the order of arrival. Progress tokens are the agent's own again."""
        ...

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        """Answer one request of the upstream with `{"result": …}` or `{"error": …}`; the adapter adds the id."""
        ...

    async def paused(self) -> None:
        """Take note that the upstream ended the request's stream in mid-call and will go on with it (SEP-1699)."""
        ...


class UpstreamSession(Protocol):
    """One handshake-era session with one upstream, for one agent session."""

    @property
    def initialized(self) -> JsonObject:
        """The upstream's whole `initialize` result."""
        ...

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        """Send one request, return the answer: an object with `result` or `error`, whole and without envelope.

        `relay` gets what arrives on this request's own stream; the session's relay gets the rest. Exactly one request
        is sent, never a second try. Cancelling tells the upstream (`notifications/cancelled`) and returns.

        Raises:
            UpstreamError: no usable answer; `may_have_run` says whether the call may have been executed.
        """
        ...

    async def notify(self, method: str, params: JsonObject) -> None:
        """Send one notification. Raises UpstreamError."""
        ...

    async def aclose(self) -> None:
        """End the session on both sides, bounded in time; never raises."""
        ...


class Upstream(Protocol):
    """One MCP server behind the gateway."""

    @property
    def id(self) -> str:
        """Its name in the configuration."""
        ...

    async def support(self, *, refresh: bool = False, handshake: bool = True) -> UpstreamSupport:
        """Return which eras and versions it speaks, asked once and kept. Raises UpstreamError.

        Without `handshake` only the modern era is asked for and `handshake` may be empty: a modern server that hears
        no `initialize` but from agents is then not sent one by us.
        """
        ...

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        """Modern era: one stateless request, as `UpstreamSession.request`. Cancelling closes its stream."""
        ...

    async def connect(self, *, version: str, params: JsonObject, relay: Relay) -> UpstreamSession:
        """Handshake era: initialise with `params` (capabilities and clientInfo of the agent, already filtered).

        Returns after `notifications/initialized` was accepted and the upstream's GET stream was answered (200 or
        405) or two seconds have passed (`research/protocol.md` 1.5). Raises UpstreamError.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection and process, bounded in time; never raises."""
        ...


# --- spans ------------------------------------------------------------------------------------------------------------


class Span(Protocol):
    """One open span. No method raises or waits, whatever becomes of what it tells."""

    @property
    def context(self) -> TraceContext | None:
        """What others name as their parent; None where there is nothing to pass on."""
        ...

    def note(self, attributes: Attributes) -> None:
        """Add attributes; `error.type` among them makes it a failure."""
        ...

    def end(self) -> None:
        """End it; what is noted later is lost."""
        ...


class Spans(Protocol):
    """Where spans begin. What becomes of them when they end is the adapter's."""

    def server(
        self, name: str, attributes: Attributes, *, parent: TraceContext | None, link: TraceContext | None
    ) -> Span:
        """Begin the span of a request that came to us, under its sender's where it names one."""
        ...

    def client(self, name: str, attributes: Attributes, *, parent: Span | None) -> Span:
        """Begin the span of a request that we send, under that of what it is sent for."""
        ...


# --- towards the agent ------------------------------------------------------------------------------------------------


class Channel(Protocol):
    """A way to the agent that outlives one request: its session's GET stream (handshake era)."""

    async def notify(self, method: str, params: JsonObject) -> None:
        """Send a notification, buffered while nobody listens."""
        ...

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Send a request and return the agent's answer, `{"result": …}` or `{"error": …}`."""
        ...

    async def pause(self) -> None:
        """End this answer's stream in mid-call where the agent can resume it; else do nothing."""
        ...


class Caller(Channel, Protocol):
    """The agent that waits for one answer: messages go on this answer's own stream, before it."""

    @property
    def prefer(self) -> str:
        """How long it would wait, in the words of its `Prefer` header (RFC 7240); empty where it does not say."""
        ...

    def gone(self) -> bool:
        """Return True once nobody can receive the answer any more (modern era: the stream was closed)."""
        ...

    def connected(self) -> bool:
        """Return True while the answer would go out at once; who may come back for it later is not connected now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Which upstreams one path serves: all (`/mcp`) or one (`/mcp/{upstream}`), by id in order of configuration."""

    upstreams: tuple[str, ...]
    prefixed: bool
