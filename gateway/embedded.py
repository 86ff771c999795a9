"""A gateway inside a program: `create_intended_gateway(...)` starts one in a thread and gives its URL.

Owns the thread, its end, and who the program's agent is. What runs in the thread is the gateway that `intended run`
serves, with an audit store of its own. Closed by `close()`, at the end of a `with` block, or when the program ends.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

import anyio
import orjson
import platformdirs
from anyio.from_thread import BlockingPortal
from pydantic import ValidationError

from gateway.app import Gateway
from gateway.core.agents import slug_of
from gateway.core.credentials import digest, is_tenant_id
from gateway.core.principal import DEFAULT_TENANT, KEYLESS_AGENT, Principal, Scope
from gateway.errors import ConfigurationError, Problem
from gateway.parts import APP
from gateway.services.localagent import LocalAgent
from gateway.serving import serving
from gateway.settings import Settings

__all__ = ["IntendedGateway", "create_intended_gateway"]

START_S: Final = 60.0
"""For opening the store and binding the port; it takes less than a second, and much longer on a busy disk."""

END_S: Final = 30.0
"""Beyond the drain, for what is cut off then to be recorded and the store to be closed."""


def create_intended_gateway(
    *,
    api_key: str,
    tenant_id: str = DEFAULT_TENANT,
    upstream: str | Mapping[str, str],
    authority: str | None = None,
    agent: str = KEYLESS_AGENT,
    tier: str = "T0",
    policies: str | Path | Sequence[str | Path] | None = None,
    data: str | Path | None = None,
    state: str | Path | None = None,
) -> "IntendedGateway":
    """Start a gateway in front of `upstream` on a free loopback port, and return it when its `url` answers.

    Point the agent to `url` instead of the MCP server: every call is decided by the policy, recorded in the audit chain
    of tenant `tenant_id`, and forwarded only if it is allowed. If it cannot be decided or recorded, it is denied.

    Whoever connects without a credential is the agent `agent` of that tenant: the program that embeds the gateway
    vouches for it. `api_key` is that agent's too, for a client that sends one; a wrong key is refused. It is compared
    and never stored. As with every loopback port, other programs of this machine can connect as well.

    With `authority`, the URL of an Intended service, each call that `policies` do not deny is asked about there as one
    of the agent `agent`, with `api_key` as the key; it is sent nowhere else, and without `authority` nowhere at all.
    The stricter answer counts, and where none can be had the call is denied (docs/remote.md).

    `upstream` is the URL of a Streamable HTTP server, or a mapping of names to URLs. `policies` is a file, a folder,
    `shipped:NAME`, or several of them, by default `shipped:default`; `tier` is the agent's trust tier. The audit store
    lies in `data` (and a copy of the chain's head in `state`), by default in folders of the user's own for this tenant
    and upstream, where it stays.

    Raises:
        ConfigurationError: an argument cannot be used.
        StoreRefused: the store must not be opened, for example because another process has it open.
        TimeoutError: it did not start in time.
    """
    if not api_key or not api_key.strip():
        raise _unusable("api_key", "it is empty", "name the key that stands for the agent")
    if not is_tenant_id(tenant_id):
        raise _unusable("tenant_id", "it is no tenant id", "use at most 63 letters, digits, `-` and `_`")
    if not agent or agent != slug_of(agent):  # a switch or a ceiling for any other name would be for nobody
        raise _unusable(
            "agent", "it is no slug", f"use lower-case letters, digits and `-`, as {slug_of(agent) or 'bot'}"
        )
    upstreams = {"default": upstream} if isinstance(upstream, str) else dict(upstream)
    folder = Path("embedded", _folder(tenant_id, upstreams))
    settings = _settings(
        upstreams={name: {"url": url} for name, url in upstreams.items()},
        data=Path(data) if data is not None else platformdirs.user_data_path(APP) / folder,
        state=Path(state) if state is not None else platformdirs.user_state_path(APP) / folder,
        tiers={"agents": {f"{tenant_id}/{agent}": tier}},
        **({} if policies is None else {"policies": policies}),
        **({} if authority is None else {"authority": {"url": authority, "key": api_key, "tenant": tenant_id}}),
    )
    principal = Principal(
        tenant=tenant_id, agent=agent, credential="embedded", scopes=frozenset({Scope.MCP_CALL}), bound=True
    )
    local = LocalAgent(principal=principal, key_digest=digest(api_key))
    return IntendedGateway(settings, local)


class IntendedGateway:
    """A running gateway. `url` is what an agent connects to instead of its MCP server."""

    def __init__(self, settings: Settings, local: LocalAgent) -> None:
        self._settings = settings
        self._local = local
        self._stop: Callable[[], object] = lambda: None
        self._started: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, name="intended-gateway")
        self._thread.start()
        try:
            self.url = self._started.result(START_S)
        except BaseException:
            if not self._started.cancel():  # else it ends by itself as soon as it comes to the end of its start
                self._thread.join(END_S)
            raise
        # Python waits for the thread before it ends, so that the gateway must learn that the program does.
        threading.Thread(target=self._end_with_program, name="intended-gateway-end", daemon=True).start()

    def __repr__(self) -> str:
        return f"IntendedGateway(url={self.url!r})"

    def close(self) -> None:
        """Stop: nothing new is taken, calls in flight may finish, the end is recorded. Returns when all is down."""
        self._stop()
        self._thread.join(self._settings.drain_s + END_S)

    def __enter__(self) -> "IntendedGateway":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- in the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            anyio.run(self._serve)
        except Exception as error:  # whoever waits for the start gets it, in its own thread
            if self._started.done():
                raise
            self._started.set_exception(_single(error))

    async def _serve(self) -> None:
        stopped = anyio.Event()
        async with (
            BlockingPortal() as portal,
            Gateway.open(self._settings, local=self._local) as gateway,
            serving(gateway, self._settings) as served,
        ):
            self._stop = lambda: _told(portal, stopped)
            if not self._started.set_running_or_notify_cancel():
                return
            self._started.set_result(f"{served.url}/mcp")
            await stopped.wait()

    def _end_with_program(self) -> None:
        threading.main_thread().join()
        self.close()


def _told(portal: BlockingPortal, stopped: anyio.Event) -> None:
    """Wake the thread; where it has ended already there is nobody to wake."""
    with suppress(RuntimeError):
        portal.start_task_soon(stopped.set)


def _single(error: BaseException) -> BaseException:
    """Return what went wrong without the groups that task groups put around it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _settings(**values: object) -> Settings:
    """Return the settings of an embedded gateway. Raises ConfigurationError in place of pydantic's error."""
    try:
        return Settings.model_validate({"host": "127.0.0.1", "port": 0, **values})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _unusable(".".join(map(str, first["loc"])), first["msg"], "see the docstring") from error


def _folder(tenant_id: str, upstreams: Mapping[str, str]) -> str:
    """Return a folder name of its own for each tenant and set of upstreams: one store has one gateway."""
    return hashlib.sha256(orjson.dumps([tenant_id, sorted(upstreams.items())])).hexdigest()[:16]


def _unusable(argument: str, message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(Problem(source="create_intended_gateway", field=argument, message=message, remedy=remedy))
