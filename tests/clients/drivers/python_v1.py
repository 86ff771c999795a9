"""Drives the Python SDK 1.x through a plan of tool calls; runs in an environment of its own (see ../setup.sh).

    python python_v1.py URL PLAN        PLAN: JSON list of {"name", "arguments"}

Prints one JSON object: the tools that were listed, and for each call what the client's caller gets to see.
"""

import asyncio
import json
import sys
from importlib.metadata import version

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


async def main(url, plan):
    async with streamablehttp_client(url) as (incoming, outgoing, _), ClientSession(incoming, outgoing) as session:
        hello = await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        calls = []
        for call in plan:
            try:
                result = await session.call_tool(call["name"], call["arguments"])
            except Exception as error:
                calls.append({"raised": f"{type(error).__name__}: {error}"})
                continue
            words = "\n".join(block.text for block in result.content if block.type == "text")
            calls.append({"isError": bool(result.isError), "text": words, "meta": result.meta})
    return {"client": "mcp " + version("mcp"), "protocol": hello.protocolVersion, "tools": tools, "calls": calls}


print(json.dumps(asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))))
