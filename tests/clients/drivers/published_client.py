"""Drives the client that PyPI has as `intended`, in an environment of its own (see ../setup.sh).

    python published_client.py URL KEY TENANT

Prints one JSON object: what each way of asking brought, and which guarded tools ran.
"""

import asyncio
import json
import sys
from importlib.metadata import version

from intended.langchain import IntendedToolGuard, ToolBlockedError
from intended.pydantic_ai import IntendedPydanticGuard
from langchain_core.tools import tool

from intended import AsyncIntendedClient, IntendedMCPMiddleware, IntendedOpenAIGuard, IntendedSdk

url, key, tenant = sys.argv[1:]
where = {"api_key": key, "tenant_id": tenant, "api_url": url}
ran = []


def shown(decision):
    return {
        "decision": decision.decision,
        "intent": decision.intent_id,
        "risk": decision.risk_score,
        "confidence": decision.confidence,
        "reason": decision.reason,
        "token": decision.token,
        "escalation": decision.escalation_id,
    }


def attempted(call, *arguments, **named):
    try:
        return call(*arguments, **named)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def search_notes(q):
    """Search the notes."""
    ran.append("search_notes")
    return f"found {q}"


def read_file(path):
    """Read a file."""
    ran.append("read_file")
    return "content"


def delete_database(target):
    """Delete a database."""
    ran.append("delete_database")
    return "deleted"


CALLS = ((search_notes, {"q": "invoice"}), (read_file, {"path": "/etc/shadow"}), (delete_database, {"target": "prod"}))


def authorized():
    with IntendedSdk(**where) as client:
        allowed = client.authorize("search notes", actor="python-sdk", system="notes", metadata={"q": "invoice"})
        denied = client.authorize("read file", actor="python-sdk", metadata={"path": "/etc/shadow"})
        escalated = client.authorize("delete the production database", actor="python-sdk")
        return {
            "allowed": shown(allowed),
            "denied": shown(denied),
            "escalated": shown(escalated),
            "intent": client.get_intent(allowed.intent_id),
            "chain": client.verify_chain(),
            "wrong_key": shown(IntendedSdk(**(where | {"api_key": "mrt_live_wrong"})).authorize("search notes")),
        }


async def awaited():
    client = AsyncIntendedClient(**where)
    try:
        return shown(await client.authorize("search notes", actor="python-sdk", metadata={"q": "invoice"}))
    finally:
        await client.close()


def langchain():
    guard = IntendedToolGuard(**where)
    found = []
    for function, arguments in CALLS:
        try:
            found.append(guard.wrap(tool(function)).invoke(arguments))
        except ToolBlockedError as error:
            found.append(f"blocked: {error.decision}")
    return found


def pydantic_ai():
    guard = IntendedPydanticGuard(**where)
    return [attempted(awaited_call, guard.protect(function), arguments) for function, arguments in CALLS]


def awaited_call(function, arguments):
    return asyncio.run(function(**arguments))


def openai_agents():
    guard = IntendedOpenAIGuard(**where)
    return [attempted(guard.protect(function), **arguments) for function, arguments in CALLS]


def mcp():
    middleware = IntendedMCPMiddleware(**where)
    return [attempted(middleware.protect(function), **arguments) for function, arguments in CALLS]


result = {"client": version("intended"), "authorized": authorized(), "awaited": asyncio.run(awaited())}
for guarded in (langchain, pydantic_ai, openai_agents, mcp):
    ran.clear()
    result[guarded.__name__] = {"results": guarded(), "ran": list(ran)}
print(json.dumps(result))
