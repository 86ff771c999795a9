"""How a command reaches a gateway: over its socket where it runs, in this process where none does."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import typer
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.admin.application import OperatorApp
from gateway.app import Gateway
from gateway.cli import administration
from gateway.cli.administration import Administration, address, administer, duration, moment, show, show_one
from gateway.cli.options import Place
from gateway.cli.output import Format
from gateway.errors import (
    Forbidden,
    GatewayError,
    NotFound,
    RequestError,
    StateConflict,
    StoreInUse,
    Unauthenticated,
    Unavailable,
)
from gateway.records import reading
from gateway.services.audit_query import tail
from gateway.serving import serving
from gateway.settings import Settings, UpstreamSettings
from gateway.store.sqlite.files import FolderLock
from tests.cli.desk import Asked, Desk, command


@contextmanager
def desk(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> Iterator[Desk]:
    """Put a stand-in where the REST application stands, in every gateway that is opened meanwhile."""
    stand_in = Desk(*answers)
    monkeypatch.setattr(Gateway, "operator", OperatorApp(stand_in))
    yield stand_in


def place(folder: Path, tenant: str = "acme") -> Place:
    return Place(tenant=tenant, data=folder / "data", state=folder / "state", config=None)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[None]:
    upstreams = {"default": UpstreamSettings(url="http://127.0.0.1:9/mcp")}
    settings = Settings(port=0, data=folder / "data", state=folder / "state", upstreams=upstreams)
    async with Gateway.open(settings) as gateway, serving(gateway, settings):
        yield


async def in_a_thread(folder: Path, tenant: str = "acme") -> Any:
    """Do as the command does, which runs a loop of its own."""
    return await anyio.to_thread.run_sync(lambda: administer(place(folder, tenant), lambda found: found.get("/keys")))


async def starts(folder: Path) -> int:
    """Return how often the store was opened by a gateway."""
    async with reading(place(folder).settings()) as reader:
        return [one["type"] for one in await tail(reader, "_system", 100)].count("gateway.started")


async def test_a_running_gateway_is_asked_over_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the store; the command must neither wait for it nor open a second one."""
    with desk(monkeypatch) as asked:
        async with running(tmp_path):
            assert await in_a_thread(tmp_path) == {"tenant": "acme"}
    assert asked.asked == [Asked(method="GET", path="/keys", tenant="acme")]
    assert await starts(tmp_path) == 1


def test_without_a_gateway_the_store_is_opened_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No port is bound and no upstream contacted; what is configured for serving cannot stop it."""
    (tmp_path / "intended.yaml").write_text("host: 0.0.0.0\nport: 1\nupstreams: {a: {command: no-such-command}}\n")
    there = Place(tenant="acme", data=tmp_path / "data", state=tmp_path / "state", config=tmp_path / "intended.yaml")
    with desk(monkeypatch) as asked:
        body = {"name": "ci", "role": None}
        assert administer(there, lambda found: found.post("/keys", body), begins=True) == {"tenant": "acme"}
        assert not (tmp_path / "data" / "admin.sock").exists()
        administer(there, lambda found: found.get("/keys"))
    assert asked.asked == [
        Asked(method="POST", path="/keys", body={"name": "ci"}, tenant="acme"),
        Asked(method="GET", path="/keys", tenant="acme"),
    ]
    assert {one.credential for one in asked.principals} == {"cli"}
    assert anyio.run(starts, tmp_path) == 2


def test_a_store_that_is_made_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A switch that was thrown in a mistyped folder stops nobody."""
    with desk(monkeypatch):
        for told in (True, False):
            administer(place(tmp_path), lambda found: found.post("/keys", {}), begins=True)
            assert ("nothing is there: a new store is made" in capsys.readouterr().err) is told


def test_a_folder_without_anything_is_not_made_a_store_by_who_only_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `--data` was mistyped or left out, an empty list would look like the truth."""
    with desk(monkeypatch) as asked, pytest.raises(Unavailable, match="name its data folder with `--data`"):
        administer(place(tmp_path), lambda found: found.get("/keys"))
    assert asked.asked == []
    assert not (tmp_path / "data").exists()


def test_a_store_in_use_by_who_does_not_answer_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is done beside a process that has the store; the operator learns which one."""
    monkeypatch.setattr(administration, "WAIT_S", 0.05)
    monkeypatch.setattr(administration, "AGAIN_S", 0.01)
    (tmp_path / "data").mkdir()
    lock = FolderLock.acquire(tmp_path / "data")
    try:
        with desk(monkeypatch) as asked, pytest.raises(StoreInUse, match=r"process \d+.*does not answer") as caught:
            administer(place(tmp_path), lambda found: found.get("/keys"))
    finally:
        lock.release()
    assert "see whether that process hangs" in caught.value.remedy
    assert asked.asked == []


async def test_a_command_waits_for_another_one_to_let_the_store_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two commands of one script, or a gateway that is just starting, are no reason to fail."""
    (tmp_path / "data").mkdir()
    lock = FolderLock.acquire(tmp_path / "data")
    refused = anyio.Event()
    opened = Gateway.open

    @asynccontextmanager
    async def opening(settings: Settings, **more: Any) -> AsyncIterator[Gateway]:
        try:
            async with opened(settings, **more) as gateway:
                yield gateway
        except StoreInUse:
            refused.set()
            raise

    monkeypatch.setattr(Gateway, "open", opening)
    with desk(monkeypatch):
        results: list[Any] = []

        async def ask() -> None:
            async with administration._client(place(tmp_path).settings(), begins=True) as client:
                results.append(await Administration(client, "acme").get("/keys"))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await refused.wait()
                lock.release()
    assert results == [{"tenant": "acme"}]


def told(answer: Response, method: str = "get") -> Any:
    """Return what a command gets of an answer."""

    async def ask() -> Any:
        transport = httpx.ASGITransport(OperatorApp(Desk(answer)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await getattr(Administration(client, "acme"), method)("/x", *([{}] if method != "get" else []))

    return anyio.run(ask)


@pytest.mark.parametrize("method", ["get", "post", "put", "patch"])
def test_answers_of_both_dialects_are_read(method: str) -> None:
    """Ops has an envelope, Ref has none; a command need not know which it speaks."""
    assert told(JSONResponse({"data": {"id": 1}}), method) == {"id": 1}
    assert told(JSONResponse({"data": 1, "id": 2}), method) == {"data": 1, "id": 2}


@pytest.mark.parametrize("shape", ["ref", "ops"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestError),
        (401, Unauthenticated),
        (403, Forbidden),
        (404, NotFound),
        (409, StateConflict),
        (429, RequestError),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_refusals_of_both_dialects_are_told_in_their_own_words(
    status: int, kind: type[GatewayError], shape: str
) -> None:
    """The gateway says what is wrong; the command adds nothing."""
    ref = {"error": "CODE", "message": "name: is taken", "statusCode": status}
    body = ref if shape == "ref" else {"error": {"code": "CODE", "message": "name: is taken"}}
    with pytest.raises(kind, match=r"^name: is taken$") as caught:
        told(JSONResponse(body, status_code=status))
    assert type(caught.value) is kind


def test_a_refusal_comes_out_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not wrapped by what was open around it."""
    answer = JSONResponse({"error": "NOT_FOUND", "message": "no such key", "statusCode": 404}, status_code=404)
    with desk(monkeypatch, answer), pytest.raises(NotFound, match="no such key"):
        administer(place(tmp_path), lambda found: found.get("/keys"), begins=True)


@pytest.mark.parametrize("body", [{}, [], {"error": None}, "no"])
def test_a_refusal_without_words_is_told_by_its_status(body: Any) -> None:
    """Whatever came, an error is an error."""
    with pytest.raises(RequestError, match="answered 418"):
        told(JSONResponse(body, status_code=418))


def test_an_answer_that_is_no_json_is_no_answer() -> None:
    """A success is only what can be read as one."""
    with pytest.raises(Unavailable, match="no JSON"):
        told(PlainTextResponse("ok"))


async def test_a_connection_that_breaks_leaves_it_open_what_was_done() -> None:
    """The command says so, instead of claiming either."""

    def breaks(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    async with httpx.AsyncClient(transport=httpx.MockTransport(breaks), base_url="http://localhost") as client:
        with pytest.raises(Unavailable, match="not known what it did"):
            await Administration(client, "acme").get("/keys")


def test_every_page_of_a_list_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that stops at twenty hides what comes after."""
    pages = [
        JSONResponse({"data": {"items": [1, 2], "total": 3}}),
        JSONResponse({"data": {"items": [3], "total": 3}}),
    ]
    with desk(monkeypatch, *pages) as asked:
        query = {"status": "pending"}
        found = administer(place(tmp_path), lambda gateway: gateway.all("/v1/approvals", query), begins=True)
    assert found == [1, 2, 3]
    assert [one.query for one in asked.asked] == [
        {"status": "pending", "page": "1", "pageSize": "100"},
        {"status": "pending", "page": "2", "pageSize": "100"},
    ]


def test_a_list_that_shrinks_meanwhile_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was resolved between two pages must not make a loop."""
    pages = [JSONResponse({"items": [1], "total": 3}), JSONResponse({"items": [], "total": 3})]
    with desk(monkeypatch, *pages):
        assert administer(place(tmp_path), lambda gateway: gateway.all("/v1/approvals"), begins=True) == [1]


# --- what is typed and what is printed --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [("0s", {}), ("45s", {"seconds": 45}), ("30m", {"minutes": 30}), ("12h", {"hours": 12}), ("2w", {"weeks": 2})],
)
def test_durations_are_read(text: str, found: dict[str, int]) -> None:
    """As in most tools."""
    assert duration(text, option="--overlap") == timedelta(**found)


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1.5h", "1d ", "1y", "9999999s"])
def test_other_durations_are_refused(text: str) -> None:
    """With the form that is wanted."""
    with pytest.raises(typer.BadParameter, match="90d"):
        duration(text, option="--overlap")


def test_moments_are_dates_times_or_durations() -> None:
    """What is written without a zone is UTC, as everything that is recorded."""
    assert moment("2027-01-31", option="--expires") == "2027-01-31T00:00:00.000Z"
    assert moment("2027-01-31T12:00:00+02:00", option="--expires") == "2027-01-31T10:00:00.000Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment("90d", option="--expires"))
    with pytest.raises(typer.BadParameter, match="2027-01-31"):
        moment("soon", option="--expires")


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, "http://127.0.0.1:8787"),
        ({"host": "0.0.0.0", "port": 1}, "http://127.0.0.1:1"),
        ({"host": "::"}, "http://[::1]:8787"),
        ({"tls_certificate": Path("c.pem"), "tls_key": Path("k.pem")}, "https://127.0.0.1:8787"),
    ],
)
def test_the_address_shown_is_one_that_works_from_here(changes: dict[str, Any], url: str) -> None:
    """It is pasted as it stands."""
    assert address(Settings(**changes)) == url


ROWS = [{"id": "a", "scopes": ["x", "y"], "disabled": True, "agent": None}, {"id": "b\nc", "disabled": False}]


def test_a_list_is_a_table_for_people_and_whole_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """The table leaves out what a line has no room for; data never does."""
    show(ROWS, Format.TABLE, {"ID": "id", "SCOPES": "scopes", "DISABLED": "disabled", "AGENT": "agent"})
    assert capsys.readouterr().out == "a\tx, y\tyes\t\nb c\t\tno\t\n"
    show(ROWS, Format.JSONL, {"ID": "id"})
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_one_thing_is_a_line_for_each_of_its_members(capsys: pytest.CaptureFixture[str]) -> None:
    """Or one document."""
    show_one(ROWS[0], Format.TABLE)
    assert capsys.readouterr().out.splitlines()[:2] == ["id\ta", "scopes\tx, y"]
    show_one(ROWS[0], Format.JSON)
    assert '"scopes"' in capsys.readouterr().out


@pytest.mark.parametrize("tenant", ["ü", "a b", "", "_system", "a/b", "x" * 64])
def test_a_tenant_that_is_none_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tenant: str) -> None:
    """It goes into a header and into paths."""
    with desk(monkeypatch) as asked:
        done = command(tmp_path, "thresholds", "show", "--tenant", tenant)
    assert (done.exit_code, asked.asked) == (2, [])
    assert "--tenant" in done.output


def test_an_empty_list_is_a_sentence_for_people_and_nothing_for_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Headings over nothing look like a table that has not come yet."""
    show([], Format.TABLE, {"ID": "id"}, none="no key yet")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    show([], Format.TABLE, {"ID": "id"}, none="no key yet")
    assert capsys.readouterr() == ("", "no key yet\n")
    show([], Format.JSON, {"ID": "id"})
    assert capsys.readouterr() == ("[]\n", "")
