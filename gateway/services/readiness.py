"""Can the gateway decide, and should it be sent traffic? Answers probes; leaks no detail without being asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.ports import AuditLog, PolicySource

__all__ = ["Readiness", "Report"]

OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The state of the gateway. `checks` names each thing that readiness rests on, `ok` or what is wrong with it."""

    decides: bool
    ready: bool
    checks: Mapping[str, str]


class Ready(Protocol):
    """What can say of itself whether it works."""

    def ready(self) -> str:
        """Return an empty string, or what is wrong."""
        ...


class Readiness:
    """Looks at what a decision needs. An upstream that is down is no reason to be unready: its calls fail clearly."""

    def __init__(
        self, *, audit: AuditLog, policies: PolicySource, trust: Ready | None = None, tokens: Ready | None = None
    ) -> None:
        self._audit = audit
        self._policies = policies
        self._trust = trust
        self._tokens = tokens
        self._draining = False

    def drain(self) -> None:
        """Say from now on that no new traffic should come: the gateway is going to stop."""
        self._draining = True

    def report(self) -> Report:
        """Return the state as it is now.

        Policy files that cannot be loaded make the gateway unready though it goes on deciding by the last good ones.
        Signing keys that do not open make it unready too, though calls that need no token go on, and so does a tenant
        whose agents have no tier because its chain could not be read: its calls are refused, those of others are not.
        """
        checks = {
            "audit": self._audit.ready() or OK,
            "policies": self._policies.problem() or OK,
            "trust": (self._trust.ready() if self._trust is not None else "") or OK,
            "tokens": (self._tokens.ready() if self._tokens is not None else "") or OK,
            "draining": "the gateway is stopping" if self._draining else OK,
        }
        return Report(
            decides=checks["audit"] == OK,
            ready=all(check == OK for check in checks.values()),
            checks=checks,
        )
