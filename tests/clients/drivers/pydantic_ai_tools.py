"""Drives PydanticAI with our client, in an environment of its own (see ../setup.sh). INTENDED_API_URL is the service.

    python pydantic_ai_tools.py KEY SNIPPET

Prints one JSON object: what the document's tool and our guarded ones bring to a model, and which tools ran.
"""

import json
import os
import sys
from importlib.metadata import version

os.environ["OPENAI_API_KEY"] = "sk-dummy"  # before the snippet, which names a model that wants one

from pydantic_ai import Agent, RunContext, Tool, models
from pydantic_ai.models.test import TestModel

from intended import AsyncIntendedClient, IntendedClient
from intended.integrations.pydantic_ai import guard

models.ALLOW_MODEL_REQUESTS = False
key, snippet = sys.argv[1:]
names = {}
exec(snippet, names)
client, aio = IntendedClient(key), AsyncIntendedClient(key)
ran = []
agent = Agent(TestModel())


@agent.tool
@guard(client=client, actor="pydantic-ai-agent")
async def search_notes(ctx: RunContext[None], q: str) -> str:
    """Search the notes."""
    ran.append("search_notes")
    return f"found {q}"


@agent.tool_plain
@guard(client=client, actor="pydantic-ai-agent")
def delete_database(target: str) -> str:
    """Delete a database."""
    ran.append("delete_database")
    return "deleted"


def find_notes(q: str) -> str:
    """Find notes."""
    ran.append("find_notes")
    return f"found {q}"


other = Agent(TestModel(), tools=[guard(Tool(find_notes), aio), guard(delete_database, client)])


def run(agent):
    return json.loads(agent.run_sync("go").output)


with names["agent"].override(model=TestModel()):
    written = run(names["agent"])

print(
    json.dumps(
        {
            "version": version("pydantic-ai-slim"),
            "snippet": written,
            "decorated": run(agent),
            "listed": run(other),
            "ran": ran,
        }
    )
)
