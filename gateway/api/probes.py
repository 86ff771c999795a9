"""Probes: `/health`, `/livez`, `/readyz?verbose`. They need no credential and leak nothing without being asked."""

from typing import Any, Final, Literal

import orjson
from pydantic import Field
from starlette.responses import Response

from gateway import __version__
from gateway.api.errors import JSON
from gateway.api.fields import Answer
from gateway.api.operation import Operation, PublicCall
from gateway.core.audit.body import timestamp
from gateway.ports import Clock

__all__ = ["operations"]

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

    status: Literal["ready", "degraded", "unready"] = Field(
        description="degraded: traffic should come, though calls of some tenants are refused, or the newest policy"
        " files have an error and the last good ones decide."
    )
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
    ready = "degraded" if report.degraded else "ready"
    body: dict[str, Any] = {"status": ready if report.ready else "unready"}
    if "verbose" in call.query_params:
        body["checks"] = dict(report.checks)
    return _json(body, 200 if report.ready else 503)


def _json(body: object, status: int) -> Response:
    return Response(orjson.dumps(body), status_code=status, media_type=JSON)
