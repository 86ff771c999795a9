"""The PydanticAI guard against what it touches of PydanticAI; `tests/clients/test_frameworks.py` runs the real one."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Generic, TypeVar

import pytest

from intended import BlockedError
from tests.intended.integrations.test_guarding import DENY, Desk, awaiting, blocking

_D = TypeVar("_D")


class RunContext(Generic[_D]):
    """The run's context, which is the framework's and not the model's."""


@dataclass
class Schema:
    """What the framework calls."""

    function: Callable[..., Any]
    is_async: bool


class Tool(Generic[_D]):
    """A tool as PydanticAI has them."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function = function
        self.name = name
        self.function_schema = Schema(function, inspect.iscoroutinefunction(function))


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the guard of a freshly imported module that takes the classes above for PydanticAI's."""
    framework = ModuleType("pydantic_ai")
    framework.RunContext = RunContext  # type: ignore[attr-defined]
    framework.Tool = Tool  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pydantic_ai", framework)
    monkeypatch.delitem(sys.modules, "intended.integrations.pydantic_ai", raising=False)
    yield importlib.import_module("intended.integrations.pydantic_ai").guard
    sys.modules.pop("intended.integrations.pydantic_ai", None)


async def test_a_guarded_function_asks_without_the_context(guard: Any) -> None:
    """The context is no argument of the model's."""
    desk = Desk()

    @guard(client=blocking(desk), actor="crm-agent")
    async def write_record(ctx: RunContext[None], table: str, data: dict[str, Any]) -> str:
        """Write."""
        return f"wrote {table}"

    assert list(inspect.signature(write_record).parameters) == ["ctx", "table", "data"]
    assert await write_record(RunContext(), "users", data={"a": 1}) == "wrote users"
    assert desk.bodies[0] == {
        "action": "write_record",
        "actor": "crm-agent",
        "system": "pydantic-ai",
        "metadata": {"table": "users", "data": {"a": 1}},
    }


async def test_a_guarded_tool_is_a_copy_with_its_function_guarded(guard: Any) -> None:
    """The tool that was given stays as it is; one that blocks is awaited where the client is."""
    runs: list[str] = []

    def drop(table: str) -> str:
        runs.append(table)
        return "dropped"

    tool: Tool[None] = Tool(drop, "drop_table")
    denied = guard(tool, blocking(Desk(DENY)))
    assert (tool.function, tool.function_schema.function) == (drop, drop)
    assert "Not executed: denied." in denied.function_schema.function(table="users")
    assert runs == []
    desk = Desk()
    allowed = guard(tool, awaiting(desk))
    assert allowed.function_schema.is_async
    assert await allowed.function(table="users") == "dropped"
    assert (runs, desk.bodies[0]["action"]) == (["users"], "drop_table")


def test_arguments_that_cannot_be_shown_are_not_run_with(guard: Any) -> None:
    """What the policy cannot see it cannot have allowed."""
    desk = Desk()
    guarded = guard(lambda table: table, blocking(desk))
    assert "cannot be shown to the policy" in guarded(object())
    assert desk.asked == []


def test_what_cannot_be_guarded_is_refused_at_once(guard: Any) -> None:
    """Not with the first call; and a refusal can be raised."""
    with pytest.raises(TypeError, match="client"):
        guard(print)
    with pytest.raises(TypeError, match="not a int"):
        guard(3, blocking(Desk()))
    with pytest.raises(BlockedError):
        guard(lambda: None, blocking(Desk(DENY)), on_block="raise")()
