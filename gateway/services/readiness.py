"""Can the gateway decide, and should it be sent traffic? Answers probes; leaks no detail without being asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.ports import AuditLog, PolicySource

__all__ = ["Readiness", "Report"]

OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The state of the gateway. `checks` names each thing that readiness rests on, `ok` or what is wrong with it.

    `degraded`: it is ready, though some tenants' calls are refused, or older policies than the newest files decide.
    """

    decides: bool
    ready: bool
    degraded: bool
    checks: Mapping[str, str]


class Ready(Protocol):
    """What can say of itself whether it works."""

    def ready(self) -> str:
        """Return an empty string, or what is wrong."""
        ...


class PartlyReady(Ready, Protocol):
    """What can work for some tenants and not for others."""

    def degraded(self) -> str:
        """Return an empty string, or what is wrong for some tenants while others go on."""
        ...


class Readiness:
    """Looks at what a decision needs. An upstream that is down is no reason to be unready: its calls fail clearly."""

    def __init__(
        self,
        *,
        audit: AuditLog,
        policies: PolicySource,
        trust: PartlyReady | None = None,
        tokens: Ready | None = None,
        authority: Ready | None = None,
    ) -> None:
        """`authority` is the remote one, where one is asked; else there is no such check."""
        self._authority = authority
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

        Policy files that cannot be loaded only degrade the gateway: it decides by the last good ones, and a mistake in
        files that all replicas share must not take every one of them out of service. One tenant's chain that cannot be
        read only degrades it, too: that tenant's calls are refused, and those of others must not be turned away for it.
        Signing keys that do not open make it unready, though calls that need no token go on, and so do chains that are
        being read again after appends that failed. While a remote authority gives no answers every call is denied,
        which makes the gateway unready, too.
        """
        partly = "" if self._trust is None else self._trust.degraded()
        checks = {
            "audit": self._audit.ready() or OK,
            "policies": self._policies.problem() or OK,
            "trust": (self._trust.ready() if self._trust is not None else "") or partly or OK,
            "tokens": (self._tokens.ready() if self._tokens is not None else "") or OK,
            "draining": "the gateway is stopping" if self._draining else OK,
        }
        if self._authority is not None:
            checks["authority"] = self._authority.ready() or OK
        wrong = {name for name, check in checks.items() if check != OK}
        ready = wrong <= ({"policies", "trust"} if partly else {"policies"})
        return Report(decides="audit" not in wrong, ready=ready, degraded=ready and bool(wrong), checks=checks)
