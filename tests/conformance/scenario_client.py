"""The client that the suite's client scenarios drive: the Python SDK, directly or through the gateway.

    python -m tests.conformance.scenario_client [--through-gateway] URL      the suite appends URL

It connects in the era that the suite asks for, lists what there is, and makes one call of everything: the calls that
the scenario gives as context, otherwise one per tool with arguments made from its schema. What the scenario's server
saw decides, so a call that fails does not end the run.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import mcp_types as types
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

CALL_SECONDS = 15


def _sample(schema: dict[str, Any]) -> Any:
    """A value for a schema, as plain as possible."""
    if "default" in schema:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    match schema.get("type"):
        case "number" | "integer":
            return 1
        case "boolean":
            return True
        case "array":
            return []
        case "object":
            return {name: _sample(schema["properties"][name]) for name in schema.get("required", ())}
    return "text"


def _arguments(tool: types.Tool, tools: list[types.Tool]) -> dict[str, Any]:
    properties = tool.input_schema.get("properties", {})
    given = {name: _sample(properties[name]) for name in tool.input_schema.get("required", ()) if name in properties}
    if "schema" in given:  # the scenario on schemas wants the other tool's schema back as it was received
        given["schema"] = next(other.input_schema for other in tools if other.name != tool.name)
    return given


async def _accept(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
    """Accept a form with its defaults, as a client that supports defaults must."""
    schema = getattr(params, "requested_schema", {})
    content = {name: _sample(field) for name, field in schema.get("properties", {}).items()}
    return types.ElicitResult(action="accept", content=content)


async def _use_everything(client: Client) -> None:
    tools = (await client.list_tools()).tools
    planned = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}").get("toolCalls")
    if planned is None:
        planned = [{"name": tool.name, "arguments": _arguments(tool, tools)} for tool in tools]
    for call in planned:
        with suppress(MCPError, TimeoutError), anyio.fail_after(CALL_SECONDS):
            await client.call_tool(call["name"], call["arguments"])
    with suppress(MCPError, TimeoutError), anyio.fail_after(CALL_SECONDS):
        for resource in (await client.list_resources()).resources:
            await client.read_resource(str(resource.uri))
    with suppress(MCPError, TimeoutError), anyio.fail_after(CALL_SECONDS):
        for prompt in (await client.list_prompts()).prompts:
            await client.get_prompt(prompt.name, {argument.name: "text" for argument in prompt.arguments or ()})


async def _run(url: str) -> None:
    asked = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "")
    mode = asked if asked in MODERN_PROTOCOL_VERSIONS else "legacy"
    async with Client(url, mode=mode, elicitation_callback=_accept) as client:
        await _use_everything(client)


@contextmanager
def _gateway_before(url: str) -> Iterator[str]:
    """A gateway that allows everything, in front of the scenario's server; gives the URL for the client."""
    with tempfile.TemporaryDirectory() as folder:
        where = ["--port", "0", "--data", f"{folder}/data", "--state", f"{folder}/state"]
        rules = ["--policies", "policies/allow-all.yaml", "--tier", "local=T4"]
        command = [sys.executable, "-m", "gateway", "run", *where, *rules, url]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as gateway:
            try:
                assert gateway.stderr is not None
                lines = []
                for line in gateway.stderr:
                    lines.append(line)
                    if "agent URL" in line:
                        break
                else:
                    sys.exit("the gateway did not start: " + "".join(lines))
                yield line.split()[-1]
            finally:
                gateway.terminate()


def main() -> None:
    url = sys.argv[-1]
    if "--through-gateway" in sys.argv:
        with _gateway_before(url) as agent_url:
            anyio.run(_run, agent_url)
    else:
        anyio.run(_run, url)


if __name__ == "__main__":
    main()
