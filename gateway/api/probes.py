"""Probes: `/health`, `/livez`, `/readyz?verbose`. They need no credential and leak nothing without being asked."""

from typing import Any, Final, Literal

import orjson
from pydantic import Field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway import __version__
from gateway.api.errors import JSON
from gateway.api.fields import Answer
from gateway.api.operation import Operation, PublicCall
from gateway.core.audit.body import timestamp
from gateway.ports import Clock
from gateway.services.readiness import Readiness

__all__ = ["operations", "probes_app"]

TAG: Final = "System"


class HealthFigures(Answer):
    """Whether decisions can be made."""

    status: Literal["healthy", "unhealthy"]
    version: str
    uptime: float = Field(description="Seconds since the start.")
    timestamp: str


class Health(HealthFigures):
    """Whether decisions can be made: bare for Ref, the same in `data` for Ops."""

    data: HealthFigures


class Live(Answer):
    """The process answers."""

    status: Literal["live"]


class Ready(Answer):
    """Whether traffic should come."""

    status: Literal["ready", "unready"]
    checks: dict[str, str] = Field(default={}, description="Each check, with `?verbose`.")


def operations(clock: Clock) -> tuple[Operation, ...]:
    """Return the probes; uptime counts from now."""
    started = clock.monotonic()

    async def health(call: PublicCall) -> Response:
        """Both dialects read it. 503 when decisions cannot be made."""
        decides = call.services.readiness.report().decides
        figures = {
            "status": "healthy" if decides else "unhealthy",
            "version": __version__,
            "uptime": round(clock.monotonic() - started, 3),
            "timestamp": timestamp(clock.now()),
        }
        return _json({**figures, "data": figures}, 200 if decides else 503)

    return (
        Operation(
            method="GET",
            path="/health",
            name="health",
            summary="Can decisions be made?",
            endpoint=health,
            answers=Health,
            unwell=Health,
            public=True,
            both_prefixes=True,
            tag=TAG,
        ),
        Operation(
            method="GET",
            path="/livez",
            name="live",
            summary="Does the process answer?",
            endpoint=_live,
            answers=Live,
            public=True,
            tag=TAG,
        ),
        Operation(
            method="GET",
            path="/readyz",
            name="ready",
            summary="Should traffic come?",
            endpoint=_ready,
            answers=Ready,
            unwell=Ready,
            public=True,
            tag=TAG,
        ),
    )


async def _live(call: PublicCall) -> Response:
    """Rests on nothing but the process."""
    return _json({"status": "live"}, 200)


async def _ready(call: PublicCall) -> Response:
    """With `?verbose` it lists the checks."""
    report = call.services.readiness.report()
    body: dict[str, Any] = {"status": "ready" if report.ready else "unready"}
    if "verbose" in call.query_params:
        body["checks"] = dict(report.checks)
    return _json(body, 200 if report.ready else 503)


def _json(body: object, status: int) -> Response:
    return Response(orjson.dumps(body), status_code=status, media_type=JSON)


CODES: Final = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


def probes_app(readiness: Readiness, clock: Clock) -> Starlette:
    """Return the ASGI app of the probes; uptime counts from now."""
    started = clock.monotonic()

    async def health(request: Request) -> Response:
        """Tell whether decisions can be made, and nothing more (contract, section 1)."""
        decides = readiness.report().decides
        health = {
            "status": "healthy" if decides else "unhealthy",
            "version": __version__,
            "uptime": round(clock.monotonic() - started, 3),
            "timestamp": timestamp(clock.now()),
        }
        return JSONResponse({**health, "data": health}, status_code=200 if decides else 503)

    async def live(request: Request) -> Response:
        """Tell that the process answers."""
        return JSONResponse({"status": "live"})

    async def ready(request: Request) -> Response:
        """Tell whether traffic should come; `?verbose` lists the checks."""
        report = readiness.report()
        body: dict[str, object] = {"status": "ready" if report.ready else "unready"}
        if "verbose" in request.query_params:
            body["checks"] = dict(report.checks)
        return JSONResponse(body, status_code=200 if report.ready else 503)

    app = Starlette(
        routes=[Route("/health", health), Route("/livez", live), Route("/readyz", ready)],
        exception_handlers={HTTPException: _refuse},
    )
    app.router.redirect_slashes = False
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer in Ref's error shape."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    code = CODES.get(status, "INTERNAL_ERROR")
    message = "There is nothing at this path." if status == 404 else "This path does not take that method."
    return JSONResponse({"error": code, "message": message, "statusCode": status}, status_code=status, headers=headers)
