"""The demo's MCP server: real tools, made-up data, and an honest record."""

from mcp import Client

from gateway.demo.upstream import DemoUpstream, running


async def test_every_tool_does_what_it_says_and_is_recorded() -> None:
    """The demo's claims rest on this record."""
    upstream = DemoUpstream()
    async with Client(upstream.server()) as client:
        for name, arguments, expected in (
            ("notes.add", {"text": "Buy milk."}, "Added note 5."),
            ("notes.search", {"q": "MILK"}, "Buy milk."),
            ("files.read", {"path": "/workspace/readme.txt"}, "This workspace belongs to the demo."),
            ("files.read", {"path": "/etc/passwd"}, "There is no file /etc/passwd."),
            ("files.delete", {"path": "/workspace/readme.txt"}, "Deleted /workspace/readme.txt."),
            ("files.delete", {"path": "/workspace/readme.txt"}, "There is no file /workspace/readme.txt."),
            ("payments.refund", {"amount": 9.5, "to": "ACME"}, "Refunded 9.50 EUR to ACME."),
        ):
            result = await client.call_tool(name, arguments)
            assert [item.text for item in result.content] == [expected]
    assert upstream.record == [
        "notes.add",
        "notes.search",
        "files.read",
        "files.read",
        "files.delete",
        "files.delete",
        "payments.refund",
    ]
    assert upstream.refunds == [{"amount": 9.5, "to": "ACME"}]


async def test_no_tool_touches_the_machine() -> None:
    """It reads and deletes a dictionary; the demo calls it with real paths."""
    one, other = DemoUpstream(), DemoUpstream()
    one.files_delete("/workspace/readme.txt")
    assert "/workspace/readme.txt" in other.files


async def test_it_serves_http_on_a_free_loopback_port() -> None:
    """Nothing to configure, nothing reachable from elsewhere."""
    upstream = DemoUpstream()
    async with running(upstream) as url:
        assert url.startswith("http://127.0.0.1:")
        async with Client(url) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
    assert names == ["notes.search", "notes.add", "files.read", "files.delete", "payments.refund"]
