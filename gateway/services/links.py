"""Where people find this gateway's pages: the links that pending texts, answers and commands carry.

Owns the shape of a link. The base is the setting `public_url`, else the address that is really served, which a gateway
on a free port knows only once it listens.
"""

from typing import Final

__all__ = ["APPROVE", "Links"]

APPROVE: Final = "/approve/"
"""Where approvals are answered; an id follows."""


class Links:
    """Makes links on one base. Without a base there are none: a program that embeds the gateway serves no pages."""

    def __init__(self, base: str = "", *, fixed: bool = False) -> None:
        """`fixed`: the base is the operator's word, and no address that is served takes its place."""
        self._base = base
        self._fixed = fixed

    @property
    def base(self) -> str:
        """The origin of the pages, as `https://host:port`; empty where there are none."""
        return self._base

    @property
    def public(self) -> bool:
        """Whether the operator has said where people find the pages: an agent's user may then be sent there."""
        return self._fixed

    def serve(self, base: str) -> None:
        """Take note of the address that is served."""
        if not self._fixed:
            self._base = base

    def approval(self, approval_id: str) -> str:
        """Return the link to the page of one approval, empty where there is none."""
        return f"{self._base}{APPROVE}{approval_id}" if self._base and approval_id else ""
