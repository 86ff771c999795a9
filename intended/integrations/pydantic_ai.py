"""PydanticAI: `guard(tool, client, actor="…")` for functions and `Tool`s, or as a decorator below `@agent.tool`.

    @agent.tool
    @guard(client=client, actor="crm-agent")
    async def write_record(ctx: RunContext, table: str, data: dict) -> str: ...

    agent = Agent(model, tools=[guard(write_record, client, actor="crm-agent")])

The guarded function keeps its signature, so that the tool's schema stays. The model sees a refusal as the tool's result
and not as an error, which PydanticAI would answer with a retry.
"""

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from pydantic_ai import RunContext, Tool
from pydantic_core import to_jsonable_python

from intended.errors import ApiError
from intended.integrations.guarding import Client, Guarding, OnBlock, guarded_function

__all__ = ["guard"]


_T = TypeVar("_T")


@overload
def guard(
    tool: _T, client: Client, *, actor: str = ..., system: str = ..., action: str | None = ..., on_block: OnBlock = ...
) -> _T: ...


@overload
def guard(
    *, client: Client, actor: str = ..., system: str = ..., action: str | None = ..., on_block: OnBlock = ...
) -> Callable[[_T], _T]: ...


def guard(
    tool: Any = None,
    client: Client | None = None,
    *,
    actor: str = "pydantic-ai-agent",
    system: str = "pydantic-ai",
    action: str | None = None,
    on_block: OnBlock = "tell",
) -> Any:
    """Return `tool` (a function or a `Tool`) so that it runs only after an ALLOW for `actor`.

    The service is asked about `action` (default: the tool's name) with the tool's arguments as metadata. DENY and
    ESCALATE become the tool's result, or raise BlockedError with `on_block="raise"`. Without `tool` it is a decorator.
    """
    if client is None:
        raise TypeError("guard needs a client: guard(function, client, actor=…)")
    if tool is None:
        return lambda wrapped: guard(wrapped, client, actor=actor, system=system, action=action, on_block=on_block)
    guarding = Guarding(client, actor=actor, system=system, action=action, on_block=on_block)
    if isinstance(tool, Tool):
        return _guarded(tool, guarding)
    if callable(tool):
        return guarded_function(tool, guarding, name=getattr(tool, "__name__", "tool"), shown=_chosen)
    raise TypeError(f"guard takes a function or a Tool, not a {type(tool).__name__}")


def _guarded(tool: Tool[Any], guarding: Guarding) -> Tool[Any]:
    """Return a copy of `tool` whose function is guarded; schema, retries and everything else stay."""
    function = guarded_function(tool.function, guarding, name=tool.name, shown=_chosen)
    guarded = copy.copy(tool)
    guarded.function = function
    guarded.function_schema = dataclasses.replace(
        tool.function_schema, function=function, is_async=inspect.iscoroutinefunction(function)
    )
    return guarded


def _chosen(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the model chose as JSON values: everything but the run's context."""
    try:
        return {
            name: to_jsonable_python(value) for name, value in arguments.items() if not isinstance(value, RunContext)
        }
    except ValueError as error:
        raise ApiError("INVALID_REQUEST", f"the tool's arguments cannot be shown to the policy: {error}") from error
