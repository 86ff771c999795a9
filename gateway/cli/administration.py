"""How a command administers a gateway: the REST application, as its operator, wherever that is.

Where a gateway runs on the data folder it is asked through its admin socket. Where none does, the same application is
opened in this process, under the store's lock: no port is bound and no upstream is contacted. Either way there is one
set of use cases, and each change is an entry with the credential `cli`.
"""

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer

from gateway.cli.options import Place
from gateway.cli.output import Format, data, say, table
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

if TYPE_CHECKING:
    import httpx

    from gateway.settings import Settings

__all__ = [
    "Administration",
    "address",
    "administer",
    "agent_segment",
    "duration",
    "moment",
    "segment",
    "show",
    "show_one",
]


ANSWER_S: Final = 30.0
"""For one answer; the slowest, a new pair of RSA keys, takes a second."""

WAIT_S: Final = 5.0
"""For another process to let the store go, or to answer: another command, or a gateway that is just starting."""

AGAIN_S: Final = 0.1

PAGE_ITEMS: Final = 100
"""The most that a page of a list may have."""

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_DURATION: Final = re.compile(r"([0-9]{1,6})([smhdw])")

_Found = TypeVar("_Found")


class Administration:
    """The REST application as the operator of one tenant. Bodies and answers are JSON; paths begin with `/`."""

    def __init__(self, client: "httpx.AsyncClient", tenant: str) -> None:
        self._client = client
        self.tenant = tenant

    async def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Any:
        """Return what is at `path`. Raises GatewayError."""
        return await self._ask("GET", path, params={name: one for name, one in (query or {}).items() if one != ""})

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Post the members of `body` that are not None. Raises GatewayError."""
        return await self._ask("POST", path, json={name: one for name, one in body.items() if one is not None})

    async def all(self, path: str, query: Mapping[str, str] | None = None, *, most: int | None = None) -> list[Any]:
        """Return every item of a list that comes in pages, as the gateway sorts it, or the first so many.

        Raises GatewayError.
        """
        items: list[Any] = []
        page = 0
        while True:
            page += 1
            found = await self.get(path, {**(query or {}), "page": page, "pageSize": PAGE_ITEMS})
            items.extend(found["items"])
            wanted = found["total"] if most is None else min(most, found["total"])
            if len(items) >= wanted or not found["items"]:
                return items[:wanted]

    async def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change the members of what is at `path`. Raises GatewayError."""
        return await self._ask("PATCH", path, json=dict(body))

    async def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Replace what is at `path`. Raises GatewayError."""
        return await self._ask("PUT", path, json=dict(body))

    async def delete(self, path: str) -> Any:
        """Remove what is at `path`. Raises GatewayError."""
        return await self._ask("DELETE", path)

    async def text(self, path: str) -> str:
        """Return the plain text at `path`. Raises GatewayError."""
        answer = await self._answer("GET", path)
        if answer.is_success:
            return answer.text
        raise _refusal(answer.status_code, None)

    async def _answer(self, method: str, path: str, **more: Any) -> "httpx.Response":
        import httpx

        try:
            return await self._client.request(method, path, headers={"x-tenant-id": self.tenant}, **more)
        except httpx.HTTPError as error:
            msg = f"the gateway did not answer {method} {path} ({type(error).__name__}); it is not known what it did"
            raise Unavailable(msg) from error

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        answer = await self._answer(method, path, **more)
        try:
            found = answer.json()
        except ValueError as error:
            msg = f"the gateway's answer to {method} {path} is no JSON; is another program behind its admin socket?"
            raise Unavailable(msg) from error
        if answer.is_success:
            # Ops has its answers in an envelope, Ref has not.
            return found["data"] if set(found) == {"data"} else found
        raise _refusal(answer.status_code, found)


def administer(place: Place, act: Callable[[Administration], Awaitable[_Found]], *, begins: bool = False) -> _Found:
    """Do `act` on the gateway at `place` and return what it returns.

    `begins` says that it may be the first thing ever done there, so that a store is made where there is none.

    Raises:
        GatewayError: whatever the gateway refuses, or that none can be reached or opened.
    """
    import anyio

    return anyio.run(_administer, place.settings(), place.tenant, act, begins)


async def _administer(
    settings: "Settings",
    tenant: str,
    act: Callable[[Administration], Awaitable[_Found]],
    begins: bool,  # noqa: FBT001 - handed over by anyio.run, which takes no keywords
) -> _Found:
    async with _client(settings, begins=begins) as client:
        try:
            return await act(Administration(client, tenant))
        except GatewayError as error:
            refused = error
    raise refused  # out here, where no task group wraps it


@asynccontextmanager
async def _client(settings: "Settings", *, begins: bool) -> "AsyncIterator[httpx.AsyncClient]":
    """Open the way to the application: the socket where it is answered, else the store where it can be had."""
    import anyio
    import httpx

    from gateway.admin.address import is_answered, socket_path
    from gateway.parts import data_folder

    folder = data_folder(settings)
    until = anyio.current_time() + WAIT_S
    async with AsyncExitStack() as stack:
        transport: httpx.AsyncBaseTransport | None = None
        while transport is None:
            if is_answered(folder):
                transport = httpx.AsyncHTTPTransport(uds=stack.enter_context(socket_path(folder)))
                break
            # Only here: asking a running gateway needs nothing of it, and takes a third of the time.
            from gateway.app import Gateway
            from gateway.store.sqlite.files import LOCK
            from gateway.store.sqlite.store import DATABASE

            if not (folder / DATABASE).exists():  # else a mistyped folder looks like a gateway that did as it was told
                if not (begins or (folder / LOCK).exists()):  # one that just starts has its lock, and is waited for
                    msg = f"no gateway runs on {folder} and nothing is there; name its data folder with `--data`"
                    raise Unavailable(msg)
                say(f"no gateway runs on {folder} and nothing is there: a new store is made (`--data` names another)")
            try:
                alone = Gateway.open(_alone(settings), named=tuple(settings.upstreams))
                gateway = await stack.enter_async_context(alone)
                transport = httpx.ASGITransport(gateway.operator)
            except StoreInUse as error:
                if anyio.current_time() >= until:
                    msg = f"{error}, but does not answer at its admin socket"
                    raise StoreInUse(msg, remedy="wait for it, or see whether that process hangs and end it") from error
                await anyio.sleep(AGAIN_S)
        client = httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=ANSWER_S)
        yield await stack.enter_async_context(client)


def _alone(settings: "Settings") -> "Settings":
    """Return the settings of a gateway that serves nobody: no address to be careful about, no upstream."""
    return settings.model_copy(update={"host": "127.0.0.1", "behind_tls_proxy": False, "upstreams": {}})


def _refusal(status: int, found: Any) -> GatewayError:
    """Return the error that an answer tells of, in either dialect's shape."""
    error = found.get("error") if isinstance(found, dict) else None
    told = error if isinstance(error, dict) else found
    message = str(told.get("message", "")) if isinstance(told, dict) else ""
    message = message or f"the gateway answered {status}"
    if status >= 500:
        return Unavailable(message)
    kinds: dict[int, type[RequestError]] = {401: Unauthenticated, 403: Forbidden, 404: NotFound, 409: StateConflict}
    return kinds.get(status, RequestError)(message)


# --- what is typed and what is printed --------------------------------------------------------------------------------


def segment(text: str) -> str:
    """Return an id or slug as one segment of a path. Raises NotFound for any other text.

    A slash or a question mark in it would lead to another operation: a no to `apr_1/approve?` would be a yes.
    """
    if _SEGMENT.fullmatch(text) is None:
        msg = f"Nothing has the id {text[:128]!r}."
        raise NotFound(msg)
    return text


def agent_segment(name: str) -> str:
    """Return an agent's name, slug or id as one segment of a path: as calls have it, but for `agt_…`.

    An agent that acts with a key of its own acts as the slug of that key's id. Raises NotFound.
    """
    from gateway.core.agents import slug_of

    return segment(name if name.startswith("agt_") else slug_of(name))


def duration(text: str, *, option: str) -> timedelta:
    """Return `90d`, `12h`, `30m`, `45s` or `2w` as a duration."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter("write a number and s, m, h, d or w, as 90d", param_hint=option)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def moment(text: str, *, option: str) -> str:
    """Return a point in time as RFC 3339: one that is written so, a date (its first moment, UTC), or a duration."""
    from datetime import UTC, datetime

    from gateway.core.audit.body import timestamp
    from gateway.telemetry.clock import SystemClock

    if _DURATION.fullmatch(text):
        return timestamp(SystemClock().now() + duration(text, option=option))
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        message = "write a duration as 90d, a date as 2027-01-31, or a time as 2027-01-31T12:00:00Z"
        raise typer.BadParameter(message, param_hint=option) from error
    return timestamp(found if found.tzinfo else found.replace(tzinfo=UTC))


def address(settings: "Settings") -> str:
    """Return the base of the URLs at which a gateway with these settings is reached from this machine."""
    scheme = "http" if settings.tls_certificate is None else "https"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def show(
    items: Sequence[Mapping[str, Any]],
    form: Format,
    columns: Mapping[str, str],
    *,
    none: str = "there are none",
) -> None:
    """Write a list: its `columns` (title → member) as a table, or everything as data.

    `none` is said on a terminal where the list is empty.
    """
    if form is not Format.TABLE:
        data(list(items), form)
        return
    if not items and sys.stdout.isatty():
        say(none)
        return
    rows = ([_cell(item.get(member)) for member in columns.values()] for item in items)
    table(list(columns), rows)


def show_one(item: Mapping[str, Any], form: Format) -> None:
    """Write one thing: a line for each member, or as data."""
    if form is not Format.TABLE:
        data(item, form)
        return
    table(("", ""), ((member, _cell(one)) for member, one in item.items()))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
