"""An MCP server that takes tool calls with the authority of its gateway only.

python examples/guarded_server/server.py --keys http://127.0.0.1:8787/.well-known/jwks.json
"""

import argparse
import asyncio
import socket
import sys
from typing import Any

import uvicorn
from mcp import MCPError
from mcp.server import MCPServer

from intended.verify import AuthorityError, JwksUrl, MemoryUsedIds, RequireAuthority, verify


def transfer(amount: float, to: str) -> str:
    """Transfer an amount in EUR to an account."""
    print(f"transferred {amount:.2f} to {to}", file=sys.stderr, flush=True)
    return f"Transferred {amount:.2f} EUR to {to}."


def http_app(keys: Any, *, tenant: str = "default", upstream: str = "payments", **more: Any) -> RequireAuthority:
    """Return the server over Streamable HTTP, at `/mcp`: one line guards it."""
    server = MCPServer("payments")
    server.add_tool(transfer)
    return RequireAuthority(server.streamable_http_app(), keys=keys, tenant=tenant, upstream=upstream, **more)


def stdio_server(keys: Any, *, tenant: str = "default", upstream: str = "payments") -> MCPServer:
    """Return the server for standard input and output: a middleware of the SDK asks for each call's token."""
    used = MemoryUsedIds()

    def check(params: Any) -> None:
        verify(
            params.get("_meta", {}).get("so.intended/authority", ""),
            keys=keys,
            used=used,
            audience=upstream,
            tenant=tenant,
            upstream=upstream,
            tool=params.get("name") or "-",
            arguments=params.get("arguments"),
            answers=params.get("inputResponses"),
        )

    async def guard(context: Any, call_next: Any) -> Any:
        if context.method == "tools/call":
            try:
                await asyncio.to_thread(check, context.params or {})
            except AuthorityError as error:
                print(f"refused: {error.reason}", file=sys.stderr, flush=True)
                raise MCPError(40301, "This server takes tool calls with the authority of its gateway only.") from None
        return await call_next(context)

    server = MCPServer("payments", middleware=[guard])
    server.add_tool(transfer)
    return server


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="An MCP server that takes calls from its gateway only.")
    parser.add_argument("--keys", required=True, help="URL of the gateway's JWK set")
    parser.add_argument("--tenant", default="default", help="the tenant whose calls are taken")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one")
    parser.add_argument("--stdio", action="store_true", help="serve standard input and output")
    chosen = parser.parse_args()
    if chosen.stdio:
        stdio_server(JwksUrl(chosen.keys), tenant=chosen.tenant).run()
        return
    app = http_app(chosen.keys, tenant=chosen.tenant)
    with socket.create_server(("127.0.0.1", chosen.port)) as listener:
        print(f"ready http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
