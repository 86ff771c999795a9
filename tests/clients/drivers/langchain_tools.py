"""Drives LangChain with our client, in an environment of its own (see ../setup.sh). INTENDED_API_URL is the service.

    python langchain_tools.py KEY SNIPPET

Prints one JSON object: what the document's tool and our guarded ones bring to a model, and which tools ran.
"""

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Annotated

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolArg, tool

from intended import AsyncIntendedClient, IntendedClient
from intended.integrations.langchain import guard

key, snippet = sys.argv[1:]
names = {}
exec(snippet, names)
client, aio = IntendedClient(key), AsyncIntendedClient(key)
ran = []


@tool
def search_notes(q: str, config: RunnableConfig, user: Annotated[str, InjectedToolArg] = "nobody") -> str:
    """Search the notes."""
    ran.append("search_notes")
    return f"found {q} for {user} {bool(config)}"


@tool
async def read_file(path: str) -> str:
    """Read a file."""
    ran.append("read_file")
    return "content"


class DeleteDatabase(BaseTool):
    """A tool of one's own class."""

    name: str = "delete_database"
    description: str = "Delete a database."

    def _run(self, target: str) -> str:
        ran.append("delete_database")
        return "deleted"


class Model(GenericFakeChatModel):
    """A model that says what it was told to."""

    def bind_tools(self, tools, **kwargs):
        return self


def agent_run(guarded):
    """Let LangChain's agent make one call; return what its model would read."""
    call = ToolCall(name=guarded.name, args={"target": "production"}, id="1")
    model = Model(messages=iter([AIMessage("", tool_calls=[call]), AIMessage("done")]))
    end = create_agent(model, [guarded]).invoke({"messages": [("user", "go")]})
    return [message.content for message in end["messages"] if isinstance(message, ToolMessage)]


async def awaited():
    tools = (guard(search_notes, client), guard(read_file, aio), guard(DeleteDatabase(), aio))
    arguments = ({"q": "invoice"}, {"path": "/etc/shadow"}, {"target": "production"})
    return [await one.ainvoke(given) for one, given in zip(tools, arguments, strict=True)]


deploy = names["deploy"]
result = {
    "version": version("langchain"),
    "snippet": deploy.invoke({"repo": "acme/site", "branch": "main"}),
    "guarded": [
        guard(search_notes, client, actor="langchain-agent").invoke({"q": "invoice"}),
        guard(DeleteDatabase(), client, actor="langchain-agent").invoke({"target": "production"}),
    ],
    "awaited": asyncio.run(awaited()),
    "agent": agent_run(guard(DeleteDatabase(), client)),
    "kept": [guard(search_notes, client).args == search_notes.args, type(guard(search_notes, client)).__name__],
    "ran": ran,
}
print(json.dumps(result))
