"""Where spans begin and end; what becomes of them is the adapter's."""

from typing import Protocol

from gateway.core.tracing import Attributes, TraceContext

__all__ = ["Span", "Spans"]


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
