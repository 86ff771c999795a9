"""Probes, and the plain JSON 404 for every path that is none: `/health`, `/livez`, `/readyz?verbose`.

Clients look for OAuth documents and registration where there are none; an HTML page or a 200 there would read as
"OAuth found" (research/ecosystem.md 1.2), so whatever is unknown is a 404 in JSON, in Ref's error shape (contract,
section 1).
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway import __version__
from gateway.core.audit.body import timestamp
from gateway.ports import Clock
from gateway.services.readiness import Readiness

__all__ = ["probes_app"]

CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


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
