"""Drives the OpenAI Agents SDK with its defaults and a model of our own, in the environment of ../setup.sh.

    python openai_agents.py URL PLAN      PLAN: JSON list of {"name", "arguments"}

The model calls each tool of the plan in turn. Prints one JSON object: the tools that it was given, and what it got to
read of each call. A tool's error and its result look the same to a model here, so that the text decides.
"""

import asyncio
import json
import sys
from importlib.metadata import version

from agents import Agent, Runner, set_tracing_disabled
from agents.items import ModelResponse
from agents.mcp import MCPServerStreamableHttp
from agents.models.interface import Model
from agents.usage import Usage
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText


class Scripted(Model):
    """Calls the tools of the plan one after the other, then says that it is done."""

    def __init__(self, plan):
        self.plan = list(plan)
        self.tools = []
        self.seen = []

    async def get_response(self, system_instructions, input, model_settings, tools, *_, **__):
        self.tools = [tool.name for tool in tools]
        if isinstance(input, list):
            self.seen = [item["output"] for item in input if item.get("type") == "function_call_output"]
        if self.plan:
            call = self.plan.pop(0)
            said = ResponseFunctionToolCall(
                name=call["name"],
                arguments=json.dumps(call["arguments"]),
                call_id=f"call_{len(self.plan)}",
                type="function_call",
            )
        else:
            text = ResponseOutputText(text="done", type="output_text", annotations=[])
            said = ResponseOutputMessage(id="m", content=[text], role="assistant", status="completed", type="message")
        return ModelResponse(output=[said], usage=Usage(), response_id=None)

    def stream_response(self, *_, **__):
        raise NotImplementedError


def words(output):
    if isinstance(output, str):
        try:
            output = json.loads(output)
        except ValueError:
            return output
    blocks = output if isinstance(output, list) else [output]
    return "\n".join(block["text"] for block in blocks if isinstance(block, dict) and "text" in block)


async def main(url, plan):
    set_tracing_disabled(True)
    model = Scripted(plan)
    async with MCPServerStreamableHttp(params={"url": url}, name="gateway") as server:
        agent = Agent(name="test", model=model, mcp_servers=[server])
        try:
            await Runner.run(agent, "go")
        except Exception as error:
            return {"tools": model.tools, "calls": [{"raised": f"{type(error).__name__}: {error}"}]}
    refusals = (
        "Waiting for a human",
        "Denied: ",
        "Approved and running",
        "Done already",
        "Failed: ",
        "An error occurred",
    )
    calls = [{"isError": words(one).startswith(refusals), "text": words(one)} for one in model.seen]
    return {
        "client": "openai-agents " + version("openai-agents"),
        "protocol": None,
        "tools": model.tools,
        "calls": calls,
    }


print(json.dumps(asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))))
