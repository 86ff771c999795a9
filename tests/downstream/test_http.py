"""The agent-facing front, through its ASGI door, in front of a dispatch that does as it is told."""

from tests.downstream.front import call, modern, world


async def test_a_modern_call_is_answered_as_json():
    """An answer that nothing precedes needs no stream (2026-07-28, Streamable HTTP)."""
    async with world() as w:
        answer = await w.ask(body=modern(name="echo", arguments={"a": 1}))
        assert (answer.status, answer.header("content-type")) == (200, "application/json")
        assert answer.json == {
            "jsonrpc": "2.0",
            "id": 1,
            "result": {"content": [{"type": "text", "text": '{"a": 1}'}], "resultType": "complete"},
        }
        assert "mcp-session-id" not in answer.headers


async def test_a_session_call_is_answered_as_json():
    """The handshake era's hot path."""
    async with world() as w:
        session = await w.open_session()
        answer = await w.ask(body=call(a=1), session=session, version="2025-11-25")
        assert (answer.status, answer.header("content-type")) == (200, "application/json")
        assert answer.json["result"]["content"][0]["text"] == '{"a": 1}'
