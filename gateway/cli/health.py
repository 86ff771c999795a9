"""`intended health`: can a running gateway decide? Made for container health checks, so it loads next to nothing.

Where the gateway listens is read from two variables, not from the whole configuration: a check that runs every few
seconds must not parse files. A gateway configured by file is named with `--url`, or by its data folder, where it is
asked through its admin socket, wherever it listens.
"""

import http.client
import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from gateway.cli.exits import Exit
from gateway.cli.output import Format, FormatOption, data, say

__all__ = ["health"]

TIMEOUT_S = 3.0
"""A gateway that takes longer to say that it is healthy is not."""

DETAIL_S = 1.0
"""How long it may take to say what is wrong beside: container health checks give the whole command a few seconds."""

CHECKS = "/readyz?verbose"

MAX_BYTES = 65_536
"""Read of an answer."""

Ask = Callable[[str, float], tuple[int, bytes]]
"""A path and the seconds that it may take → the status and the body."""


def health(
    url: Annotated[
        str | None,
        typer.Option(help="What to ask [default: /health on loopback, port of INTENDED_GATEWAY_PORT or 8787]."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--data", help="Instead ask the gateway on this data folder, wherever it listens.")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Ask a running gateway whether it can decide: exit 0 or 5.

    What is wrong though it decides, as policy files that cannot be loaded, is said on standard error.
    """
    if url is not None and folder is not None:
        raise typer.BadParameter("give --url or --data, not both", param_hint="--data")
    target, path, ask = _at_url(url or _own()) if folder is None else _on_folder(folder)
    status: int | None = None
    body = b""
    try:
        status, body = ask(path, TIMEOUT_S)
    except (OSError, http.client.HTTPException) as error:
        others = "--url or --data names another one"
        say(f"unreachable: {target} ({type(error).__name__}); is the gateway running there? {others}")
    healthy = status == http.HTTPStatus.OK
    if status is not None and not healthy:
        say(f"unhealthy: {target} answered {status}")
    if healthy and path == "/health":  # which tells what can be decided, and nothing else
        with suppress(OSError, http.client.HTTPException):
            _, body = ask(CHECKS, DETAIL_S)
    state, problems = _told(body)
    for name, what in problems.items():
        say(f"{state}: {name}: {what}")
    if output is not Format.TABLE:
        data({"healthy": healthy, "url": target, "status": status, "problems": problems}, output)
    elif healthy:
        print("healthy")
    raise typer.Exit(Exit.OK if healthy else Exit.UNREACHABLE)


def _own() -> str:
    """Return the address of the gateway in this container or on this machine."""
    scheme = "https" if os.environ.get("INTENDED_GATEWAY_TLS_CERTIFICATE") else "http"
    return f"{scheme}://127.0.0.1:{os.environ.get('INTENDED_GATEWAY_PORT') or 8787}"


def _told(body: bytes) -> tuple[str, dict[str, str]]:
    """Return what a gateway says of its readiness: in a word, and each check that fails; nothing where it says none."""
    told: Any = None
    with suppress(ValueError):
        told = json.loads(body)
    checks = told.get("checks") if isinstance(told, dict) else None
    if not isinstance(checks, dict):
        return "", {}
    return str(told.get("status")), {name: str(check) for name, check in checks.items() if check != "ok"}


def _at_url(url: str) -> tuple[str, str, Ask]:
    """Return what is asked, the path of it, and how. Raises BadParameter."""
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise typer.BadParameter("write an http(s) URL, as http://127.0.0.1:8787", param_hint="--url")
    # The URL that agents are given is the one that people paste.
    path = {"": "/health", "/mcp": "/health", "/readyz": CHECKS}.get(parts.path.rstrip("/"), parts.path.rstrip("/"))
    return url, path, lambda path, timeout: _answer(_connection(parts.scheme, host, parts.port, timeout), path)


def _on_folder(folder: Path) -> tuple[str, str, Ask]:
    """Return the same of the gateway that holds a data folder."""
    from gateway.admin.address import NAME, socket_path

    def ask(path: str, timeout: float) -> tuple[int, bytes]:
        with socket_path(folder) as address:
            return _answer(_UnixConnection(address, timeout), path)

    return str(folder / NAME), "/health", ask


class _UnixConnection(http.client.HTTPConnection):
    """HTTP through a unix socket."""

    def __init__(self, address: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._address = address

    def connect(self) -> None:
        """Connect to the socket's address."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._address)


def _connection(scheme: str, host: str, port: int | None, timeout: float) -> http.client.HTTPConnection:
    if scheme == "https":
        import ssl

        # The probe asks its own machine, under an address that no certificate names; it sends and trusts nothing.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    return http.client.HTTPConnection(host, port, timeout=timeout)


def _answer(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(MAX_BYTES)
    finally:
        connection.close()
