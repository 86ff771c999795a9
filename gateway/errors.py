"""The deliberate errors of the gateway.

```text
GatewayError
├── ConfigurationError        what an operator wrote cannot be used; carries Problems
│   └── PolicyError           …in a policy file
├── CanonicalError            a value has no canonical JSON form
├── StoreError
│   ├── StoreRefused          the store must not be opened as it is (cut, rolled back, foreign, unwritable)
│   │   └── StoreInUse        …because another process has it
│   └── AuditUnavailable      an entry could not be made durable; nothing may be forwarded
├── SigningError              a token could not be signed; nothing may be handed out instead
├── RequestError              a request of the REST API cannot be answered as asked; says what the client can do
│   ├── Unauthenticated       it proves nobody
│   ├── Forbidden             it proves somebody who may not
│   ├── NotFound              there is no such thing in this tenant
│   │   └── AgentNotFound     …no such agent
│   ├── InvalidRequest        a field is missing, ill-typed or unknown; carries every FieldProblem
│   ├── StateConflict         it contradicts what is already there
│   │   └── AlreadyResolved   …an approval that has its answer
│   ├── RateLimited           too many requests in this minute
│   ├── TooLarge              what is asked for is more than one answer holds
│   └── Unavailable           something that the answer needs is missing; nothing was decided
└── UpstreamError             an upstream did not give a usable answer; says whether the call may have run
    ├── UpstreamUnreachable   no connection, or it broke before the request was written
    ├── UpstreamTimeout       no complete answer within the deadline
    ├── UpstreamBroken        the answer ended early, is not HTTP, not JSON-RPC, too large, redirected …
    ├── UpstreamRefused       an HTTP status that is no answer (401, 403, 404, 5xx …)
    └── SessionLost           the upstream no longer knows the session
```

Expected outcomes (a rejection, a denial, a conflict) are values, not errors. A library's error never crosses a layer:
it is wrapped in one of these with the cause kept. No text holds a secret, a token or an argument's value.
"""

from dataclasses import dataclass

__all__ = [
    "AgentNotFound",
    "AlreadyResolved",
    "AuditUnavailable",
    "CanonicalError",
    "ConfigurationError",
    "FieldProblem",
    "Forbidden",
    "GatewayError",
    "InvalidRequest",
    "NotFound",
    "PolicyError",
    "Problem",
    "RateLimited",
    "RequestError",
    "SessionLost",
    "SigningError",
    "StateConflict",
    "StoreError",
    "StoreInUse",
    "StoreRefused",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "UpstreamBroken",
    "UpstreamError",
    "UpstreamRefused",
    "UpstreamTimeout",
    "UpstreamUnreachable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that an operator must mend: where it is, what is wrong, what to do.

    `line` and `column` count from 1; 0 means that the place is the whole file or no file at all.
    """

    source: str
    message: str
    remedy: str
    field: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """`file:line:column: field: message` and the remedy on a second line."""
        place = self.source + (f":{self.line}:{self.column}" if self.line else "")
        field = f" {self.field}:" if self.field else ""
        return f"{place}:{field} {self.message}\n  fix: {self.remedy}"


class GatewayError(Exception):
    """Base of every error that the gateway raises on purpose."""


class ConfigurationError(GatewayError):
    """What an operator wrote cannot be used. `problems` lists every one found, not only the first."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class PolicyError(ConfigurationError):
    """A policy bundle cannot be loaded; the bundle in force, if any, stays."""


class CanonicalError(GatewayError):
    """A value has no canonical JSON form (RFC 8785)."""


class StoreError(GatewayError):
    """The audit store did not do what was asked of it.

    `retry_after_s` are the whole seconds after which it may, 0 where that cannot be told.
    """

    def __init__(self, message: str = "", *, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreRefused(StoreError):
    """The store must not be opened as it is. `remedy` says what an operator can do."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class StoreInUse(StoreRefused):
    """Another process has the store; one at a time may."""


class AuditUnavailable(StoreError):
    """An entry could not be made durable. Whoever sees this forwards nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """What is wrong with one field of a request. `path` leads to it from the body's root."""

    path: tuple[str | int, ...]
    message: str


class SigningError(GatewayError):
    """An authority token could not be signed: no key, or none that can be opened."""


class RequestError(GatewayError):
    """A request of the REST API cannot be answered as asked. The text is told to the client, word for word."""


class Unauthenticated(RequestError):
    """The request proves nobody."""


class Forbidden(RequestError):
    """The credential is valid, but not for this."""


class NotFound(RequestError):
    """There is no such thing in this tenant; whether another tenant has it is not told."""


class AgentNotFound(NotFound):
    """There is no such agent in this tenant."""


class InvalidRequest(RequestError):
    """Fields of the request cannot be used. `problems` lists every one found, not only the first."""

    def __init__(self, *problems: FieldProblem) -> None:
        super().__init__("; ".join(f"{_dotted(one.path)}: {one.message}" for one in problems))
        self.problems = problems


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path)) or "body"


class StateConflict(RequestError):
    """The request contradicts what is already there. `field` names the one that does, where it is a field."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class AlreadyResolved(StateConflict):
    """The approval has its answer already."""


class RateLimited(RequestError):
    """Too many requests in this window; `retry_after_s` are the whole seconds until the next one begins.

    `repeated` marks all but the first of a window: only that one is put on record.
    """

    def __init__(self, message: str, *, retry_after_s: int, repeated: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.repeated = repeated


class TooLarge(RequestError):
    """What is asked for is more than one answer holds. The text says the bound, and where to have it otherwise."""


class Unavailable(RequestError):
    """Something that the answer needs is missing at the moment; nothing was decided and nothing changed."""


class UpstreamError(GatewayError):
    """An upstream gave no usable answer.

    The text is told to agents: it names the upstream by its id and holds no address, command or folder. Those are in
    the error's notes (`add_note`), for an operator.
    `may_have_run` is False only where no byte of the request can have been read by the upstream.
    """

    def __init__(self, message: str, *, may_have_run: bool) -> None:
        super().__init__(message)
        self.may_have_run = may_have_run


class UpstreamUnreachable(UpstreamError):
    """No connection could be made, or it broke before the request was written."""


class UpstreamTimeout(UpstreamError):
    """No complete answer came within the deadline."""


class UpstreamBroken(UpstreamError):
    """The answer ended early or is none: not HTTP, not JSON-RPC, too large, a redirect, a wrong id."""


class UpstreamRefused(UpstreamError):
    """The upstream answered with an HTTP status that is no answer to the request. `status` is that status."""

    def __init__(self, message: str, *, may_have_run: bool, status: int) -> None:
        super().__init__(message, may_have_run=may_have_run)
        self.status = status


class SessionLost(UpstreamError):
    """The upstream no longer knows the session; the next call opens a new one."""
