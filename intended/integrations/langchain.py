"""LangChain: `guard(tool, client, actor="…")`, or `guard` as a decorator above `@tool`.

    safe_deploy = guard(deploy, client, actor="release-agent")

    @guard(client=client, actor="release-agent")
    @tool
    def deploy(repo: str, branch: str) -> str: ...

The guarded tool keeps its class, name, description and schema. The model sees a refusal as the tool's result.
"""

import functools
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from langchain_core.tools import BaseTool
from pydantic_core import to_jsonable_python

from intended.aio import AsyncIntendedClient
from intended.errors import ApiError
from intended.integrations.guarding import Client, Guarding, OnBlock, Permission, guarded_function

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
    actor: str = "langchain-agent",
    system: str = "langchain",
    action: str | None = None,
    on_block: OnBlock = "tell",
) -> Any:
    """Return `tool` (a LangChain tool or a function) so that it runs only after an ALLOW for `actor`.

    The service is asked about `action` (default: the tool's name) with the tool's arguments as metadata. DENY and
    ESCALATE become the tool's result, or raise BlockedError with `on_block="raise"`. Without `tool` it is a decorator.
    """
    if client is None:
        raise TypeError("guard needs a client: guard(tool, client, actor=…)")
    if tool is None:
        return lambda wrapped: guard(wrapped, client, actor=actor, system=system, action=action, on_block=on_block)
    guarding = Guarding(client, actor=actor, system=system, action=action, on_block=on_block)
    if isinstance(tool, BaseTool):
        if isinstance(client, AsyncIntendedClient) and getattr(tool, "coroutine", tool) is None:
            raise TypeError(f"the tool {tool.name} is not awaited: guard it with an IntendedClient")
        return _guarded(tool, guarding)
    if callable(tool):
        return guarded_function(tool, guarding, name=getattr(tool, "__name__", "tool"), shown=_jsonable)
    raise TypeError(f"guard takes a LangChain tool or a function, not a {type(tool).__name__}")


def _guarded(inner: BaseTool, guarding: Guarding) -> BaseTool:
    """Return a copy of `inner` whose class asks first and then lets `inner` itself run.

    LangChain looks at the signatures of `_run` and `_arun` to know what to hand in; they are kept.
    """
    kind = type(inner)
    awaits = kind._run if kind._arun is BaseTool._arun else kind._arun

    @functools.wraps(kind._run)
    def _run(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        permission = guarding.permit(inner.name, lambda: _arguments(inner, args, kwargs))
        if not permission.allowed:
            return _told(inner, permission)
        try:
            result = inner._run(*args, **kwargs)
        except Exception as error:  # the tool's own, whatever it is: told of by its type, and raised again
            guarding.report(permission, error)
            raise
        guarding.report(permission, None)
        return result

    @functools.wraps(awaits)
    async def _arun(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        permission = await guarding.permit_awaited(inner.name, lambda: _arguments(inner, args, kwargs))
        if not permission.allowed:
            return _told(inner, permission)
        try:
            result = await inner._arun(*args, **kwargs)
        except Exception as error:  # the tool's own, whatever it is: told of by its type, and raised again
            await guarding.report_awaited(permission, error)
            raise
        await guarding.report_awaited(permission, None)
        return result

    members = {"_run": _run, "_arun": _arun, "__module__": kind.__module__}
    guarded = inner.model_copy()
    # Assignment to `__class__` is how the copy keeps every field and private attribute, whatever class it is of.
    object.__setattr__(guarded, "__class__", types.new_class(kind.__name__, (kind,), {}, lambda ns: ns.update(members)))
    return guarded


def _told(tool: BaseTool, permission: Permission) -> Any:
    """Return the refusal in the form of the tool's results."""
    return (permission.text, None) if tool.response_format == "content_and_artifact" else permission.text


def _arguments(tool: BaseTool, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the model chose: everything but what LangChain itself hands in."""
    chosen = tuple(tool.args)
    injected = {"run_manager", "callbacks", "config"} | set(tool.get_input_schema().model_fields)
    positional = {chosen[place] if place < len(chosen) else f"argument{place}": one for place, one in enumerate(args)}
    named = {name: value for name, value in kwargs.items() if name in chosen or name not in injected}
    return _jsonable(positional | named)


def _jsonable(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments as JSON values; models, dates and the like as pydantic writes them."""
    try:
        return {name: to_jsonable_python(value) for name, value in arguments.items()}
    except ValueError as error:
        raise ApiError("INVALID_REQUEST", f"the tool's arguments cannot be shown to the policy: {error}") from error
