"""The cancel scope of a call, made without asking each time which event loop this is.

`anyio.CancelScope()` looks the backend up and initialises what it made twice; with a scope for every call that was a
fortieth of a call's CPU. The class is looked up once per process: a gateway runs on one kind of event loop.
"""

from functools import lru_cache

import anyio

__all__ = ["new_scope"]


def new_scope(*, shield: bool = False) -> anyio.CancelScope:
    """Return a scope without a deadline. To be called where an event loop runs."""
    return _scope_class()(shield=shield)


@lru_cache(maxsize=1)
def _scope_class() -> type[anyio.CancelScope]:
    return type(anyio.CancelScope())
