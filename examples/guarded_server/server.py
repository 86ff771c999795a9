"""An MCP server that takes tool calls with the authority of its gateway only.

python examples/guarded_server/server.py --keys http://127.0.0.1:8787/.well-known/jwks.json
"""

import argparse
import socket
from typing import Any

import uvicorn
from mcp.server import MCPServer

from intended.verify import RequireAuthority


def transfer(amount: float, to: str) -> str:
    """Transfer an amount in EUR to an account."""
    print(f"transferred {amount:.2f} to {to}", flush=True)
    return f"Transferred {amount:.2f} EUR to {to}."


def make_app(keys: Any, *, tenant: str = "default", upstream: str = "payments", **more: Any) -> RequireAuthority:
    """Return the server as an ASGI application at `/mcp`, guarded."""
    server = MCPServer("payments")
    server.add_tool(transfer)
    return RequireAuthority(server.streamable_http_app(), keys=keys, tenant=tenant, upstream=upstream, **more)


def main() -> None:
    """Serve on loopback until interrupted."""
    parser = argparse.ArgumentParser(description="An MCP server that takes calls from its gateway only.")
    parser.add_argument("--keys", required=True, help="URL of the gateway's JWK set")
    parser.add_argument("--tenant", default="default", help="the tenant whose calls are taken")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one")
    chosen = parser.parse_args()
    app = make_app(chosen.keys, tenant=chosen.tenant)
    with socket.create_server(("127.0.0.1", chosen.port)) as listener:
        print(f"ready http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
