"""A chain in memory, verified at once."""

from collections.abc import Iterable

from gateway.core.audit.entry import StoredEntry
from gateway.core.audit.verify import ExpectedHead, Report, Verifier

__all__ = ["verified"]


def verified(entries: Iterable[StoredEntry], tenant: str, *expected: ExpectedHead) -> Report:
    """Feed every entry, and return the finding."""
    verifier = Verifier(tenant, expected=expected)
    for entry in entries:
        verifier.feed(entry)
    return verifier.report()
