"""`intended health`: can a running gateway decide? Made for container health checks, so it loads next to nothing.

Where the gateway listens is read from two variables, not from the whole configuration: a check that runs every few
seconds must not parse files. A gateway configured by file is named with `--url`.
"""

import http.client
import json
import os
from contextlib import suppress
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


def health(
    url: Annotated[
        str | None,
        typer.Option(help="What to ask [default: /health on loopback, port of INTENDED_GATEWAY_PORT or 8787]."),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Ask a running gateway whether it can decide: exit 0 or 5.

    What is wrong though it decides, as policy files that cannot be loaded, is said on standard error.
    """
    target = url or _own()
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter("write an http(s) URL, as http://127.0.0.1:8787", param_hint="--url")
    where = (parts.scheme, parts.hostname, parts.port)
    # The URL that agents are given is the one that people paste.
    path = {"": "/health", "/mcp": "/health", "/readyz": CHECKS}.get(parts.path.rstrip("/"), parts.path.rstrip("/"))
    status: int | None = None
    body = b""
    try:
        status, body = _answer(*where, path, TIMEOUT_S)
    except (OSError, http.client.HTTPException) as error:
        say(f"unreachable: {target} ({type(error).__name__}); is the gateway running there? --url names another one")
    healthy = status == http.HTTPStatus.OK
    if status is not None and not healthy:
        say(f"unhealthy: {target} answered {status}")
    if healthy and path == "/health":  # which tells what can be decided, and nothing else
        with suppress(OSError, http.client.HTTPException):
            _, body = _answer(*where, CHECKS, DETAIL_S)
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


def _answer(scheme: str, host: str, port: int | None, path: str, timeout: float) -> tuple[int, bytes]:
    connection: http.client.HTTPConnection
    if scheme == "https":
        import ssl

        # The probe asks its own machine, under an address that no certificate names; it sends and trusts nothing.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(MAX_BYTES)
    finally:
        connection.close()
