"""`intended health`: can a running gateway decide? Made for container health checks, so it loads next to nothing.

Where the gateway listens is read from two variables, not from the whole configuration: a check that runs every few
seconds must not parse files. A gateway configured by file is named with `--url`.
"""

import http.client
import os
from typing import Annotated
from urllib.parse import urlsplit

import typer

from gateway.cli.exits import Exit
from gateway.cli.output import Format, FormatOption, data, say

__all__ = ["health"]

TIMEOUT_S = 3.0
"""A gateway that takes longer to say that it is healthy is not."""


def health(
    url: Annotated[
        str | None,
        typer.Option(help="What to ask [default: /health on loopback, port of INTENDED_GATEWAY_PORT or 8787]."),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Ask a running gateway whether it can decide: exit 0 or 5."""
    target = url or _own()
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter("write an http(s) URL, as http://127.0.0.1:8787", param_hint="--url")
    status: int | None = None
    try:
        path = parts.path.rstrip("/")
        # The URL that agents are given is the one that people paste.
        status = _status(parts.scheme, parts.hostname, parts.port, path if path not in ("", "/mcp") else "/health")
    except (OSError, http.client.HTTPException) as error:
        say(f"unreachable: {target} ({type(error).__name__}); is the gateway running there? --url names another one")
    healthy = status == http.HTTPStatus.OK
    if status is not None and not healthy:
        say(f"unhealthy: {target} answered {status}")
    if output is not Format.TABLE:
        data({"healthy": healthy, "url": target, "status": status}, output)
    elif healthy:
        print("healthy")
    raise typer.Exit(Exit.OK if healthy else Exit.UNREACHABLE)


def _own() -> str:
    """Return the address of the gateway in this container or on this machine."""
    scheme = "https" if os.environ.get("INTENDED_GATEWAY_TLS_CERTIFICATE") else "http"
    return f"{scheme}://127.0.0.1:{os.environ.get('INTENDED_GATEWAY_PORT') or 8787}"


def _status(scheme: str, host: str, port: int | None, path: str) -> int:
    connection: http.client.HTTPConnection
    if scheme == "https":
        import ssl

        # The probe asks its own machine, under an address that no certificate names; it sends and trusts nothing.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
