"""Drives FastMCP's client through a plan of tool calls; runs in an environment of its own (see ../setup.sh).

    python fastmcp_client.py URL PLAN       PLAN: JSON list of {"name", "arguments"}

Prints one JSON object: the tools that were listed, and for each call what the client's caller gets to see.
"""

import asyncio
import json
import sys
from importlib.metadata import version

from fastmcp import Client


async def main(url, plan):
    async with Client(url) as client:
        tools = [tool.name for tool in await client.list_tools()]
        calls = []
        for call in plan:
            try:
                result = await client.call_tool(call["name"], call["arguments"], raise_on_error=False)
            except Exception as error:
                calls.append({"raised": f"{type(error).__name__}: {error}"})
                continue
            words = "\n".join(block.text for block in result.content if block.type == "text")
            calls.append({"isError": bool(result.is_error), "text": words, "meta": result.meta})
    return {"client": "fastmcp " + version("fastmcp"), "protocol": None, "tools": tools, "calls": calls}


print(json.dumps(asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))))
