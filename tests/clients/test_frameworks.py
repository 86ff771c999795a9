"""Real LangChain and real PydanticAI: the reference's snippets as written, and the one-line guards."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.conftest import CALL_SECONDS, DRIVERS, Environments
from tests.documents import live
from tests.documents.conftest import behind_upstream
from tests.documents.rows import rows_of

pytestmark = pytest.mark.clients

TENANT = "tenant-a"
WAITS = "a human must approve this call first"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Service]:
    with behind_upstream(tmp_path_factory.mktemp("frameworks")) as started:
        yield started


def drive(python: str, script: str, snippet: str, service: live.Service) -> dict[str, Any]:
    """Run a driver with our client on its path and the document's snippet, whose key alone is ours."""
    key = service.keys[TENANT, "operator"]
    done = subprocess.run(
        [python, str(DRIVERS / script), key, snippet.replace("mrt_live_...", key)],
        cwd=service.folder,
        env=live.environment(INTENDED_API_URL=service.url),
        capture_output=True,
        text=True,
        timeout=CALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def langchain(environments: Environments, service: live.Service) -> dict[str, Any]:
    (row,) = rows_of("test_the_langchain_snippet_runs_as_written")
    return drive(environments.python("langchain"), "langchain_tools.py", row.text, service)


@pytest.fixture(scope="module")
def pydantic_ai(environments: Environments, service: live.Service) -> dict[str, Any]:
    (row,) = rows_of("test_the_pydantic_ai_snippet_runs_as_written")
    return drive(environments.python("pydantic-ai"), "pydantic_ai_tools.py", row.text, service)


def test_the_langchain_snippet_runs_as_written(langchain: dict[str, Any]) -> None:
    """A deployment to production wants a human under the shipped policy, and the tool says so."""
    assert langchain["snippet"].startswith(("Blocked: ", "Deployed acme/site@main"))


def test_guarded_langchain_tools_run_only_when_they_are_allowed(langchain: dict[str, Any]) -> None:
    """Blocking, awaited, of one's own class, and within LangChain's own agent."""
    assert langchain["guarded"][0] == langchain["awaited"][0] == "found invoice for nobody True"
    assert WAITS in langchain["guarded"][1]
    assert "Not executed: denied." in langchain["awaited"][1]
    assert WAITS in langchain["awaited"][2]
    assert WAITS in langchain["agent"][0]
    assert langchain["kept"] == [True, "StructuredTool"]
    assert langchain["ran"] == ["search_notes", "search_notes"]


def test_the_pydantic_ai_snippet_runs_as_written(pydantic_ai: dict[str, Any]) -> None:
    """With a dummy key for the model that it names, and a test model in its place."""
    [text] = pydantic_ai["snippet"].values()
    assert list(pydantic_ai["snippet"]) == ["write_record"]
    assert text.startswith("Blocked: ") or text == "Record written successfully"


def test_guarded_pydantic_ai_tools_run_only_when_they_are_allowed(pydantic_ai: dict[str, Any]) -> None:
    """As decorators and as `Tool` objects; a refusal is a result and no retry."""
    assert pydantic_ai["decorated"]["search_notes"] == "found a"
    assert pydantic_ai["listed"]["find_notes"] == "found a"
    assert WAITS in pydantic_ai["decorated"]["delete_database"]
    assert WAITS in pydantic_ai["listed"]["delete_database"]
    assert pydantic_ai["ran"] == ["search_notes", "find_notes"]
