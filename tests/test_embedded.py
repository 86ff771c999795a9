"""A gateway inside a program: its URL, its one agent, its end."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.from_thread
import httpx
import pytest
from mcp import Client
from mcp.types import TextContent

import gateway
from gateway import create_intended_gateway
from gateway.demo.upstream import DemoUpstream, running
from gateway.errors import ConfigurationError, StoreRefused
from gateway.records import reading
from gateway.settings import Settings

KEY = "mrt_live_..."
PROCESS_S = 30
"""An interpreter with the whole server in it takes seconds to start on a busy machine."""


@pytest.fixture
def portal() -> Iterator[anyio.from_thread.BlockingPortal]:
    with anyio.from_thread.start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def upstream() -> DemoUpstream:
    return DemoUpstream()


@pytest.fixture
def address(portal: anyio.from_thread.BlockingPortal, upstream: DemoUpstream) -> Iterator[str]:
    with portal.wrap_async_context_manager(running(upstream)) as address:
        yield address


def create(folder: Path, upstream: Any, **changes: Any) -> gateway.embedded.IntendedGateway:
    values = {"api_key": KEY, "tenant_id": "tenant-a", "data": folder / "data", "state": folder / "state"}
    return create_intended_gateway(upstream=upstream, **(values | changes))


async def call(url: str, tool: str, arguments: dict[str, Any]) -> tuple[bool, str]:
    async with Client(url) as client:
        result = await client.call_tool(tool, arguments)
    text = "".join(block.text for block in result.content if isinstance(block, TextContent))
    return bool(result.is_error), text


async def entries(folder: Path, tenant: str) -> list[bytes]:
    settings = Settings(data=folder / "data", state=folder / "state")
    async with reading(settings) as reader:
        return [entry.content async for entry in reader.read(tenant)]


def test_an_agent_without_a_header_is_the_programs_agent(
    tmp_path: Path, portal: anyio.from_thread.BlockingPortal, address: str, upstream: DemoUpstream
) -> None:
    """The documents' five lines: point the agent to `url`; what is allowed runs, what is not does not."""
    with create(tmp_path, address, agent="billing-agent") as embedded:
        assert embedded.url.startswith("http://127.0.0.1:")
        assert embedded.url.endswith("/mcp")
        allowed = portal.call(call, embedded.url, "notes.search", {"q": "invoice"})
        denied = portal.call(call, embedded.url, "files.delete", {"path": "/etc/passwd"})
    assert (allowed[0], denied[0]) == (False, True)
    assert upstream.record == ["notes.search"]
    recorded = portal.call(entries, tmp_path, "tenant-a")
    assert any(b'"agent":"billing-agent"' in entry and b'"effect":"DENY"' in entry for entry in recorded)
    assert all(KEY.encode() not in entry for entry in recorded)


def test_its_key_works_and_a_wrong_one_does_not(tmp_path: Path, address: str) -> None:
    """A client that sends the key is served; one that sends another is told so instead of being taken for it."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    accept = {"accept": "application/json, text/event-stream"}
    with create(tmp_path, address) as embedded, httpx.Client() as client:
        right = client.post(embedded.url, json=body, headers={"x-api-key": KEY, **accept})
        wrong = client.post(embedded.url, json=body, headers={"x-api-key": "mrt_live_other", **accept})
        rest = client.get(embedded.url.replace("/mcp", "/v1/stats"))
        health = client.get(embedded.url.replace("/mcp", "/health"))
    assert right.status_code != 401
    assert (wrong.status_code, rest.status_code, health.status_code) == (401, 401, 200)


def test_several_upstreams_have_names(
    tmp_path: Path, portal: anyio.from_thread.BlockingPortal, address: str, upstream: DemoUpstream
) -> None:
    """As with `intended run NAME=URL …`; the tier lets ordinary writing through."""
    with create(tmp_path, {"demo": address, "other": "http://127.0.0.1:9/mcp"}, tier="T4") as embedded:
        one = embedded.url.replace("/mcp", "/mcp/demo")
        assert portal.call(call, one, "notes.add", {"text": "x"}) == (False, "Added note 5.")
    assert upstream.record == ["notes.add"]


def test_what_waits_is_approved_at_the_command_line(
    tmp_path: Path, portal: anyio.from_thread.BlockingPortal, address: str, upstream: DemoUpstream
) -> None:
    """The operator's socket lies in the data folder, as that of any gateway."""

    def operator(*words: str) -> Any:
        where = ("--tenant", "tenant-a", "--data", str(tmp_path / "data"), "--state", str(tmp_path / "state"))
        command = [sys.executable, "-m", "gateway", "approvals", *words, *where, "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROCESS_S, check=True)
        return json.loads(done.stdout)

    with create(tmp_path, address) as embedded:
        refund = portal.start_task_soon(call, embedded.url, "payments.refund", {"amount": 900, "to": "ACME"})
        [approval] = next(waiting for waiting in (operator("ls") for _ in range(20)) if waiting)
        assert upstream.record == []
        operator("approve", approval["id"])
        assert refund.result(PROCESS_S) == (False, "Refunded 900.00 EUR to ACME.")
    assert upstream.record == ["payments.refund"]


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"authority": "http://intended.example"}, "authority"),
        ({"authority": "https://user:secret@intended.example"}, "authority"),
        ({"api_key": " "}, "api_key"),
        ({"tenant_id": "a/b"}, "tenant_id"),
        ({"agent": "My Agent"}, "agent"),
        ({"agent": ""}, "agent"),
        ({"upstream": {"Bad_Name": "http://127.0.0.1:9/mcp"}}, "upstreams"),
        ({"tier": "T9"}, "tiers"),
        ({"policies": Path("/nowhere/policies.yaml")}, ""),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_before_anything_runs(
    tmp_path: Path, change: dict[str, Any], argument: str
) -> None:
    """A remote authority over plain HTTP most of all: whoever is on the way would decide."""
    values: dict[str, Any] = {"upstream": "http://127.0.0.1:9/mcp", **change}
    with pytest.raises(ConfigurationError) as caught:
        create(tmp_path, values.pop("upstream"), **values)
    assert caught.value.problems
    assert not argument or caught.value.problems[0].field.startswith(argument)


def test_one_store_has_one_gateway(tmp_path: Path) -> None:
    """Two would write two chains into one."""
    with create(tmp_path, "http://127.0.0.1:9/mcp"), pytest.raises(StoreRefused):
        create(tmp_path, "http://127.0.0.1:9/mcp")


def test_a_gateway_that_starts_too_slowly_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could close it, and its thread would keep the program from ending."""
    monkeypatch.setattr("gateway.embedded.START_S", 0)
    with pytest.raises(TimeoutError):
        create(tmp_path, "http://127.0.0.1:9/mcp")
    for thread in threading.enumerate():
        if thread.name.startswith("intended-gateway") and not thread.daemon:
            thread.join(PROCESS_S)
            assert not thread.is_alive()


def test_each_tenant_and_upstream_has_a_store_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a program can embed several without naming folders."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    arguments = {"api_key": KEY, "upstream": "http://127.0.0.1:9/mcp"}
    with (
        create_intended_gateway(tenant_id="tenant-a", **arguments) as one,
        create_intended_gateway(tenant_id="tenant-b", **arguments) as two,
    ):
        assert one.url != two.url
    assert len(list((tmp_path / "data/intended/embedded").iterdir())) == 2


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    """`close()` within a `with` block; and nothing answers afterwards."""
    embedded = create(tmp_path, "http://127.0.0.1:9/mcp")
    embedded.close()
    embedded.close()
    assert embedded.url in repr(embedded)
    assert KEY not in repr(embedded) + repr(vars(embedded))
    with pytest.raises(httpx.ConnectError):
        httpx.get(embedded.url.replace("/mcp", "/livez"))


def test_a_program_that_ends_takes_its_gateway_down(tmp_path: Path, portal: anyio.from_thread.BlockingPortal) -> None:
    """Five lines have no `close()`: the program must end by itself, and the stop be on record."""
    program = (
        "from gateway import create_intended_gateway\n"
        f"gateway = create_intended_gateway(api_key='k', tenant_id='tenant-a', upstream='http://127.0.0.1:9/mcp',"
        f" data={str(tmp_path / 'data')!r}, state={str(tmp_path / 'state')!r})\n"
        "print(gateway.url)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PROCESS_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("http://127.0.0.1:")
    recorded = portal.call(entries, tmp_path, "_system")
    assert b"stopped" in recorded[-1]


def test_the_package_loads_the_server_only_when_it_is_asked_for() -> None:
    """`import gateway` is what every command does."""
    code = "import sys, gateway; print('gateway.app' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PROCESS_S, check=True)
    assert done.stdout.strip() == "False"
    with pytest.raises(AttributeError, match="no attribute 'create_gateway'"):
        gateway.create_gateway  # noqa: B018
