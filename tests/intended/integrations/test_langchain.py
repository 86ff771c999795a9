"""The LangChain guard against what it touches of LangChain; `tests/clients/test_frameworks.py` runs the real one."""

import copy
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from intended import BlockedError
from tests.intended.integrations.test_guarding import DENY, Desk, awaiting, blocking


class BaseTool:
    """A tool as LangChain has them: fields, a schema, `_run` and `_arun`."""

    name = "deploy"
    response_format = "content"
    args = {"repo": {}, "branch": {}}  # noqa: RUF012 - as a field of the real one

    def __init__(self) -> None:
        self.runs: list[Any] = []

    def model_copy(self) -> "BaseTool":
        return copy.copy(self)

    def get_input_schema(self) -> Any:
        return SimpleNamespace(model_fields={"repo": 0, "branch": 0, "user": 0})

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def _arun(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(*args, **kwargs)


class Deploy(BaseTool):
    """A tool of one's own."""

    def _run(self, repo: Any, run_manager: Any = None, **kwargs: Any) -> Any:
        self.runs.append((repo, kwargs))
        if repo == "broken":
            raise ValueError("secret")
        return f"deployed {repo}"


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the guard of a freshly imported module that takes the class above for LangChain's."""
    tools = ModuleType("langchain_core.tools")
    tools.BaseTool = BaseTool  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "langchain_core", ModuleType("langchain_core"))
    monkeypatch.setitem(sys.modules, "langchain_core.tools", tools)
    monkeypatch.delitem(sys.modules, "intended.integrations.langchain", raising=False)
    yield importlib.import_module("intended.integrations.langchain").guard
    sys.modules.pop("intended.integrations.langchain", None)


async def test_an_allowed_tool_runs_with_what_it_was_given(guard: Any) -> None:
    """Blocking and awaited; what LangChain injects goes to the tool and not to the policy."""
    desk, tool = Desk(), Deploy()
    guarded = guard(tool, blocking(desk), actor="release-agent")
    assert isinstance(guarded, Deploy)
    assert guarded._run(repo="site", branch="main", user="mara", run_manager=1) == "deployed site"
    assert await guarded._arun(repo="site", user="mara") == "deployed site"
    assert tool.runs == [("site", {"branch": "main", "user": "mara"}), ("site", {"user": "mara"})]
    assert [body["metadata"] for body in desk.bodies if "metadata" in body] == [
        {"repo": "site", "branch": "main"},
        {"repo": "site"},
    ]
    assert desk.bodies[0]["actor"] == "release-agent"
    assert desk.bodies[0]["system"] == "langchain"


def test_what_the_schema_does_not_know_is_shown_to_the_policy(guard: Any) -> None:
    """A model that adds an argument must not have one that nobody looks at."""
    desk = Desk()
    guard(Deploy(), blocking(desk))._run("site", force=True)
    assert desk.bodies[0]["metadata"] == {"repo": "site", "force": True}


async def test_a_denied_tool_does_not_run(guard: Any) -> None:
    """The text is its result; a tool with artifacts gives none."""
    desk, tool = Desk(DENY), Deploy()
    guarded = guard(tool, blocking(desk))
    assert "Not executed: denied." in guarded._run(repo="site")
    tool.response_format = "content_and_artifact"
    text, artifact = await guard(tool, awaiting(desk))._arun(repo="site")
    assert "Not executed: denied." in text
    assert artifact is None
    with pytest.raises(BlockedError):
        guard(tool, blocking(desk), on_block="raise")._run(repo="site")
    assert tool.runs == []


async def test_arguments_that_cannot_be_shown_are_not_run_with(guard: Any) -> None:
    """What the policy cannot see it cannot have allowed."""
    desk, tool = Desk(), Deploy()
    guarded = guard(tool, blocking(desk))
    assert "cannot be shown to the policy" in guarded._run(repo=object())
    assert "cannot be shown to the policy" in await guarded._arun(repo=object())
    assert (tool.runs, desk.asked) == ([], [])


async def test_a_failed_tool_is_reported(guard: Any) -> None:
    """By the kind of its error."""
    desk = Desk()
    guarded = guard(Deploy(), blocking(desk))
    with pytest.raises(ValueError, match="secret"):
        guarded._run(repo="broken")
    with pytest.raises(ValueError, match="secret"):
        await guarded._arun(repo="broken")
    assert desk.bodies[1] == desk.bodies[3] == {"status": "failed", "error": "ValueError"}


def test_it_is_a_decorator_too(guard: Any) -> None:
    """Of tools and of plain functions."""
    desk = Desk()
    decorate = guard(client=blocking(desk), actor="a", action="deploy to production")
    assert isinstance(decorate(Deploy()), Deploy)

    @decorate
    def ship(repo: str) -> str:
        """Ship."""
        return f"shipped {repo}"

    assert ship("site") == "shipped site"
    assert desk.bodies[0]["action"] == "deploy to production"
    assert desk.bodies[0]["metadata"] == {"repo": "site"}


def test_what_cannot_be_guarded_is_refused_at_once(guard: Any) -> None:
    """Not with the first call."""
    with pytest.raises(TypeError, match="client"):
        guard(Deploy())
    with pytest.raises(TypeError, match="not a int"):
        guard(3, blocking(Desk()))
    structured = Deploy()
    structured.coroutine = None  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="not awaited"):
        guard(structured, awaiting(Desk()))
