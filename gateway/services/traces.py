"""The trace that the request at hand belongs to, by its id; empty wherever nothing is traced.

Owns where it is kept: in the context of the task that answers the request, so that what is recorded and logged for it
can name it. Who opens traces is `services/tracing.py`.
"""

from contextvars import ContextVar
from typing import Final

__all__ = ["TRACE_ID"]

TRACE_ID: Final[ContextVar[str]] = ContextVar("trace_id", default="")
