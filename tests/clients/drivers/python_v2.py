"""Drives the Python SDK 2.x through a plan of tool calls, in the era that it negotiates by itself.

    python python_v2.py URL PLAN [VERSION]      PLAN: JSON list of {"name", "arguments"}

With VERSION it asks for that protocol version. Prints one JSON object: the tools that were listed, and for each call
what the client's caller gets to see.
"""

import json
import sys
from importlib.metadata import version

import anyio
from mcp.client.client import Client


async def main(url, plan, mode):
    async with Client(url, mode=mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        calls = []
        for call in plan:
            try:
                result = await client.call_tool(call["name"], call["arguments"])
            except Exception as error:
                calls.append({"raised": f"{type(error).__name__}: {error}"})
                continue
            words = "\n".join(block.text for block in result.content if block.type == "text")
            calls.append({"isError": bool(result.is_error), "text": words, "meta": result.meta})
        protocol = client.protocol_version
    return {"client": "mcp " + version("mcp"), "protocol": protocol, "tools": tools, "calls": calls}


mode = sys.argv[3] if len(sys.argv) > 3 else "auto"
print(json.dumps(anyio.run(main, sys.argv[1], json.loads(sys.argv[2]), mode)))
