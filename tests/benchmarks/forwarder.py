"""A bare forwarder for benchmarks: raw ASGI under uvicorn and the gateway's own HTTP client, bytes in, bytes out.

It parses nothing, decides nothing and records nothing: what remains is what a proxy in Python costs at all.

    python -m tests.benchmarks.forwarder PORT UPSTREAM_URL
"""

import asyncio
import sys

import uvicorn

from gateway.upstream.exchange import Exchange, session_headers


def forwarder(url: str):
    exchange: list[Exchange] = []

    async def app(scope, receive, send) -> None:
        if not exchange:
            exchange.append(
                Exchange(
                    "upstream",
                    url,
                    {},
                    connect_timeout_s=5,
                    max_answer_bytes=1 << 20,
                    max_connections=100,
                    max_streams=1,
                )
            )
        body = (await receive())["body"]
        deadline = asyncio.get_running_loop().time() + 30
        connection = await exchange[0].connection(deadline)
        await exchange[0].post(connection, body, session_headers("2025-11-25", "bench"), deadline, stream=False)
        answer = await connection.body()
        connection.done()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


if __name__ == "__main__":
    uvicorn.run(
        forwarder(sys.argv[2]), port=int(sys.argv[1]), loop="uvloop", lifespan="off", log_config=None, access_log=False
    )
