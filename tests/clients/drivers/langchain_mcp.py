"""Drives LangChain's MCP adapters with their defaults through a plan of tool calls, in the environment of ../setup.sh.

    python langchain_mcp.py URL PLAN      PLAN: JSON list of {"name", "arguments"}

Prints one JSON object: the tools that were listed, and for each call the message that a model would get.
"""

import asyncio
import json
import sys
from importlib.metadata import version

from langchain_mcp_adapters.client import MultiServerMCPClient


async def main(url, plan):
    client = MultiServerMCPClient({"gateway": {"transport": "streamable_http", "url": url}})
    tools = {tool.name: tool for tool in await client.get_tools()}
    calls = []
    for call in plan:
        asked = {"name": call["name"], "args": call["arguments"], "id": "1", "type": "tool_call"}
        try:
            message = await tools[call["name"]].ainvoke(asked)
        except Exception as error:
            calls.append({"raised": f"{type(error).__name__}: {error}"})
            continue
        words = message.content
        if not isinstance(words, str):
            words = "\n".join(block["text"] for block in words if block["type"] == "text")
        calls.append({"isError": message.status == "error", "text": words})
    name = "langchain-mcp-adapters"
    return {"client": f"{name} {version(name)}", "protocol": None, "tools": list(tools), "calls": calls}


print(json.dumps(asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))))
