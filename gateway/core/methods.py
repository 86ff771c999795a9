"""The method table: what the gateway does with each MCP message, by era and direction (protocol research, 1.2).

Owns the table as data, and which members of `params` say what a gated message is aimed at. Carrying a treatment out is
`services`; what a decision says is `core/decide.py`. What is not in the table is refused (a request) or dropped (a
notification): a method that nobody taught the gateway never reaches an upstream.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from gateway.core.call import Era
from gateway.core.codes import INVALID_PARAMS
from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.core.message import Kind, Rejection
from gateway.core.uris import URI_CHARS, normalise_uri
from gateway.core.value import value

__all__ = [
    "BY_UPSTREAM",
    "EMBEDDED_METHODS",
    "INPUT_REQUIRED_METHODS",
    "NAME_CHARS",
    "NAME_MEMBER",
    "TABLE",
    "Direction",
    "Row",
    "Subject",
    "Treatment",
    "listen_uris",
    "normalise_uri",
    "subject",
    "treatment",
]


class Treatment(StrEnum):
    """What the gateway does with a message."""

    GATE = "gate"
    """Make an intent, decide, forward only on ALLOW, record."""
    FILTER = "filter"
    """Forward, then cut the answer to what this principal may use."""
    PASS = "pass"  # noqa: S105 - not a password
    """Forward with ids, tokens and headers re-written, if the row's condition holds; else as REJECT or DROP."""
    LOCAL = "local"
    """The gateway answers itself."""
    REJECT = "reject"
    """An error (`-32601`); nothing is forwarded."""
    DROP = "drop"
    """Accepted (202) and forgotten; nothing is forwarded."""


class Direction(StrEnum):
    """Who sends the message."""

    FROM_AGENT = "from-agent"
    FROM_UPSTREAM = "from-upstream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table. `condition` is what whoever carries out PASS or FILTER must check beside the envelope."""

    method: str
    kind: Kind
    direction: Direction
    eras: tuple[Era, ...]
    treatment: Treatment
    condition: str = ""


def _row(
    direction: Direction, kind: Kind, eras: str, treatment: Treatment, methods: str, condition: str = ""
) -> tuple[Row, ...]:
    known = {"H": Era.HANDSHAKE, "M": Era.MODERN}
    return tuple(
        Row(
            method=method,
            kind=kind,
            direction=direction,
            eras=tuple(known[era] for era in eras),
            treatment=treatment,
            condition=condition,
        )
        for method in methods.split()
    )


_AGENT, _UPSTREAM = Direction.FROM_AGENT, Direction.FROM_UPSTREAM
_REQ, _NOTE = Kind.REQUEST, Kind.NOTIFICATION
_GATE, _FILTER, _PASS = Treatment.GATE, Treatment.FILTER, Treatment.PASS
_LOCAL, _REJECT, _DROP = Treatment.LOCAL, Treatment.REJECT, Treatment.DROP

TABLE: Final[tuple[Row, ...]] = (
    # requests of agents
    *_row(_AGENT, _REQ, "H", _LOCAL, "initialize"),
    *_row(_AGENT, _REQ, "H", _LOCAL, "ping"),
    *_row(_AGENT, _REQ, "M", _REJECT, "initialize ping"),
    *_row(_AGENT, _REQ, "M", _FILTER, "server/discover"),
    *_row(_AGENT, _REQ, "HM", _FILTER, "tools/list prompts/list resources/list resources/templates/list"),
    *_row(_AGENT, _REQ, "HM", _GATE, "tools/call prompts/get resources/read completion/complete"),
    *_row(_AGENT, _REQ, "H", _GATE, "resources/subscribe"),
    *_row(_AGENT, _REQ, "H", _PASS, "resources/unsubscribe", "the session has subscribed to the URI"),
    *_row(_AGENT, _REQ, "H", _PASS, "logging/setLevel"),
    *_row(_AGENT, _REQ, "M", _REJECT, "resources/subscribe resources/unsubscribe logging/setLevel"),
    *_row(_AGENT, _REQ, "M", _FILTER, "subscriptions/listen", "each resource URI is gated as a read"),
    # Tasks are neither advertised nor relayed, so no task is ever an agent's own: the ownership table is empty.
    *_row(_AGENT, _REQ, "HM", _REJECT, "tasks/get tasks/cancel"),
    *_row(_AGENT, _REQ, "H", _REJECT, "tasks/result tasks/list"),
    *_row(_AGENT, _REQ, "M", _REJECT, "tasks/update"),
    # notifications of agents
    *_row(_AGENT, _NOTE, "H", _LOCAL, "notifications/initialized"),
    *_row(_AGENT, _NOTE, "H", _PASS, "notifications/cancelled", "the request is this session's own and in flight"),
    # Honouring it over HTTP would let one agent cancel another's work: closing the stream is the cancel there.
    *_row(_AGENT, _NOTE, "M", _DROP, "notifications/cancelled"),
    *_row(_AGENT, _NOTE, "H", _PASS, "notifications/progress", "the token is of an upstream request in flight"),
    *_row(_AGENT, _NOTE, "H", _PASS, "notifications/roots/list_changed", "roots are allowed"),
    *_row(_AGENT, _NOTE, "M", _DROP, "notifications/progress notifications/roots/list_changed"),
    *_row(_AGENT, _NOTE, "H", _DROP, "notifications/tasks/status"),
    # requests of upstreams; in the modern era they are embedded in a result (EMBEDDED_METHODS), never sent
    *_row(_UPSTREAM, _REQ, "H", _LOCAL, "ping"),
    *_row(_UPSTREAM, _REQ, "H", _GATE, "sampling/createMessage elicitation/create roots/list"),
    *_row(_UPSTREAM, _REQ, "M", _REJECT, "ping sampling/createMessage elicitation/create roots/list"),
    *_row(_UPSTREAM, _REQ, "H", _REJECT, "tasks/get tasks/result tasks/list tasks/cancel"),
    # notifications of upstreams
    *_row(_UPSTREAM, _NOTE, "HM", _PASS, "notifications/progress", "the token's request is in flight"),
    *_row(_UPSTREAM, _NOTE, "HM", _PASS, "notifications/message", "modern: the request carried a logLevel"),
    *_row(
        _UPSTREAM,
        _NOTE,
        "HM",
        _PASS,
        "notifications/tools/list_changed notifications/prompts/list_changed notifications/resources/list_changed",
        "our caches are dropped first; modern: on a listen stream that asked",
    ),
    *_row(_UPSTREAM, _NOTE, "HM", _PASS, "notifications/resources/updated", "the session or stream has subscribed"),
    *_row(_UPSTREAM, _NOTE, "M", _LOCAL, "notifications/subscriptions/acknowledged"),
    *_row(_UPSTREAM, _NOTE, "H", _PASS, "notifications/elicitation/complete", "the elicitation was relayed here"),
    *_row(_UPSTREAM, _NOTE, "H", _PASS, "notifications/cancelled", "the request is the upstream's own"),
    *_row(_UPSTREAM, _NOTE, "M", _PASS, "notifications/cancelled", "the request is a listen stream"),
    *_row(_UPSTREAM, _NOTE, "H", _DROP, "notifications/tasks/status"),
    *_row(_UPSTREAM, _NOTE, "M", _DROP, "notifications/tasks"),
)

_TREATMENTS: Final[Mapping[tuple[str, Era, Direction, Kind], Treatment]] = MappingProxyType(
    {(row.method, era, row.direction, row.kind): row.treatment for row in TABLE for era in row.eras}
)

EMBEDDED_METHODS: Final = frozenset({"sampling/createMessage", "elicitation/create", "roots/list"})
"""What a modern upstream may ask inside of an `input_required` result; each is GATE."""

BY_UPSTREAM: Final = "by:upstream"
"""Among the reasons of an entry: an upstream asked for it, and not the agent in whose name it is decided. No rule has
such an id."""

INPUT_REQUIRED_METHODS: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The only requests that a modern upstream may answer with `input_required`."""

NAME_MEMBER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tools/call": "name",
        "prompts/get": "name",
        "resources/read": "uri",
        "tasks/get": "taskId",
        "tasks/update": "taskId",
        "tasks/cancel": "taskId",
    }
)
"""Which member of `params` the header `Mcp-Name` repeats (modern era; `tasks/*`: the tasks extension)."""


def treatment(method: str, era: Era, direction: Direction, kind: Kind) -> Treatment:
    """Return the treatment of a request or notification. (A response is nobody's method: the session matches it.)"""
    known = _TREATMENTS.get((method, era, direction, kind))
    if known is not None:
        return known
    return _DROP if kind is _NOTE else _REJECT


# --- what a gated message is aimed at ---------------------------------------------------------------------------------

ANSWERS_MEMBER: Final = "inputResponses"
"""Where a retry carries the answers to the questions of an `input_required` result (2026-07-28)."""

NAME_CHARS: Final = 1024
"""Longer than any tool or prompt is called (the protocol recommends 128 at most): each decision records the name, in
the entry and in the log, so that it must not be what a message may be."""


@value
class Subject:
    """What a gated message names: a tool or prompt, or a URI, and what it carries there.

    `uri` is in its normal form, for policies to match (`core/uris.py`); the message itself is forwarded as it came.
    """

    name: str
    uri: str
    arguments: JsonObject
    answers: JsonObject = field(default_factory=dict)


def subject(method: str, params: JsonObject) -> Subject | Rejection:
    """Return the subject of a message whose treatment is GATE; a Rejection (`-32602`) where `params` do not fit."""
    reader = _SUBJECTS.get(method)
    if reader is None:
        return _invalid(f"{method} has no subject")
    asked = reader(params)
    if method not in INPUT_REQUIRED_METHODS or ANSWERS_MEMBER not in params or isinstance(asked, Rejection):
        return asked
    answers = params[ANSWERS_MEMBER]
    return replace(asked, answers=answers) if isinstance(answers, dict) else _invalid(_BAD_ANSWERS)


def listen_uris(params: JsonObject) -> tuple[str, ...] | Rejection:
    """Return the URIs in normal form that a `subscriptions/listen` asks about, in order; each is gated as a read."""
    wanted = params.get("notifications")
    if not isinstance(wanted, dict):
        return _invalid("`notifications` must be an object")
    uris = wanted.get("resourceSubscriptions", [])
    if not isinstance(uris, list):
        return _invalid("`notifications.resourceSubscriptions` must be a list of URIs")
    normal = [normalise_uri(uri) if isinstance(uri, str) else None for uri in uris]
    sound = tuple(uri for uri in normal if uri is not None)
    return sound if len(sound) == len(uris) else _invalid(_BAD_URI)


def _tool_call(params: JsonObject) -> Subject | Rejection:
    return _named(params, values=object)


def _prompt(params: JsonObject) -> Subject | Rejection:
    return _named(params, values=str)


def _named(params: JsonObject, *, values: type) -> Subject | Rejection:
    name = params.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS:
        return _invalid(f"`name` must be a text of 1 to {NAME_CHARS} characters")
    arguments = params.get("arguments", {})
    if not isinstance(arguments, dict):
        return _invalid("`arguments` must be an object, or absent")
    if values is not object and not all(isinstance(value, values) for value in arguments.values()):
        return _invalid("the arguments of a prompt must be texts")
    return Subject(name=name, uri="", arguments=arguments)


def _resource(params: JsonObject) -> Subject | Rejection:
    uri = _normal(params.get("uri"))
    return _invalid(_BAD_URI) if uri is None else Subject(name="", uri=uri, arguments={})


def _completion(params: JsonObject) -> Subject | Rejection:
    argument = params.get("argument")
    if not isinstance(argument, dict) or not _texts(argument, "name", "value"):
        return _invalid("`argument` must be an object with the texts `name` and `value`")
    carried: JsonObject = {member: params[member] for member in ("argument", "context") if member in params}
    ref = params.get("ref")
    kind, name, uri = (ref.get(key) for key in ("type", "name", "uri")) if isinstance(ref, dict) else (None, None, None)
    if kind == "ref/prompt" and isinstance(name, str) and 0 < len(name) <= NAME_CHARS:
        return Subject(name=name, uri="", arguments=carried)
    if kind == "ref/resource" and isinstance(uri, str) and 0 < len(uri) <= URI_CHARS and uri.isprintable():
        # A template is no URI yet: it is matched as it is written in the upstream's list.
        return Subject(name="", uri=uri, arguments=carried)
    return _invalid("`ref` must name a prompt (`ref/prompt`, `name`) or a resource template (`ref/resource`, `uri`)")


def _elicitation(params: JsonObject) -> Subject | Rejection:
    if not isinstance(params.get("message"), str):
        return _invalid("`message` must be a text")
    mode = params.get("mode", "form")
    if mode == "form":
        return Subject(name="", uri="", arguments=params)
    if mode != "url":
        return _invalid("`mode` must be `form` or `url`")
    uri = _normal(params.get("url"))
    return _invalid(_BAD_URI) if uri is None else Subject(name="", uri=uri, arguments=params)


def _whole(params: JsonObject) -> Subject:
    return Subject(name="", uri="", arguments=params)


def _normal(uri: JsonValue) -> str | None:
    return normalise_uri(uri) if isinstance(uri, str) else None


def _texts(value: JsonObject, *members: str) -> bool:
    return all(isinstance(value.get(member), str) for member in members)


def _invalid(message: str) -> Rejection:
    return Rejection(status=400, code=INVALID_PARAMS, message=message)


_BAD_ANSWERS: Final = f"`{ANSWERS_MEMBER}` must be an object, or absent"

_BAD_URI: Final = (
    "a URI must be absolute, and without dot segments, encoded separators, user names and control characters"
)

_SUBJECTS: Final[Mapping[str, Callable[[JsonObject], Subject | Rejection]]] = MappingProxyType(
    {
        "tools/call": _tool_call,
        "prompts/get": _prompt,
        "resources/read": _resource,
        "resources/subscribe": _resource,
        "completion/complete": _completion,
        "sampling/createMessage": _whole,
        "elicitation/create": _elicitation,
        "roots/list": _whole,
    }
)
