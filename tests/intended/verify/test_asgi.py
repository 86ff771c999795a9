"""The middleware before a server: what it lets through, what it refuses, and that a refused call reaches nobody."""

import json
import logging
from typing import Any

import pytest

from intended.verify import Reason, RequireAuthority, StaticKeys
from intended.verify.asgi import SCOPE_KEY
from tests.intended.verify.guarded import ARGUMENTS, GONE, JWKS, NOW, Guarded, token


@pytest.fixture
def server() -> Guarded:
    return Guarded()


@pytest.mark.parametrize(("header", "meta"), [(True, True), (True, False), (False, True)])
async def test_a_call_with_its_token_reaches_the_tool_as_it_was_sent(server: Guarded, header: bool, meta: bool) -> None:
    """By header, by `_meta`, or by both as the gateway sends it; the server learns who acts."""
    text = token()
    answer = await server.call(text if header else None, text if meta else None)
    assert (answer.status, answer.body, server.ran) == (200, b"ran", 1)
    scope, body = server.seen[0]
    assert json.loads(body)["params"]["arguments"] == ARGUMENTS
    assert (scope[SCOPE_KEY].agent, scope[SCOPE_KEY].intent_id) == ("billing-agent", "int_1")


async def test_a_call_without_token_reaches_nobody(server: Guarded) -> None:
    """Going around the gateway fails."""
    answer = await server.call()
    assert (answer.status, server.ran) == (403, 0)
    assert server.refusals[0].reason is Reason.MISSING


async def test_a_refusal_tells_the_caller_nothing_of_the_reason(server: Guarded) -> None:
    """Each reason would be a hint for the next try; log and reporter have it."""
    first = await server.call(token(exp=NOW - 1, iat=NOW - 100, nbf=NOW - 100))
    second = await server.call(token(aud="notes"))
    assert first == second
    assert json.loads(first.body) == {
        "jsonrpc": "2.0",
        "id": 7,
        "error": {
            "code": 40301,
            "message": "This server takes tool calls with the authority of its gateway only. Nothing was done.",
        },
    }
    assert [(refusal.reason, refusal.intent_id, refusal.token_id) for refusal in server.refusals] == [
        (Reason.EXPIRED, "int_1", "tok_1"),
        (Reason.AUDIENCE, "int_1", "tok_1"),
    ]


async def test_what_cannot_be_checked_now_is_refused_as_such() -> None:
    """503: the caller may try again; nothing was done."""

    class Broken:
        def get(self, kid: str) -> object:
            raise OSError("no route")

    server = Guarded(keys=Broken())
    answer = await server.call(token())
    assert (answer.status, answer.error["code"], server.ran) == (503, 50301, 0)


@pytest.mark.parametrize("method", ["initialize", "tools/list", "notifications/initialized", "resources/read"])
async def test_messages_that_call_no_tool_pass_untouched(server: Guarded, method: str) -> None:
    """A client has to initialise and list before it can call."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}).encode()
    answer = await server.send(body)
    assert (answer.status, server.seen[0][1]) == (200, body)


async def test_an_answer_to_the_server_passes(server: Guarded) -> None:
    """Sampling and elicitation are answered by POST too."""
    answer = await server.send(b'{"jsonrpc":"2.0","id":1,"result":{}}')
    assert (answer.status, server.ran) == (200, 1)


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "HEAD"])
async def test_requests_without_a_message_pass(server: Guarded, method: str) -> None:
    """Streams and the end of a session."""
    assert (await server.send(b"", method=method)).status == 200


async def test_the_server_s_own_start_and_stop_pass(server: Guarded) -> None:
    """Its lifespan is no request."""
    assert (await server.send(b"", kind="lifespan")).status == 200


async def test_a_websocket_reaches_nobody(server: Guarded) -> None:
    """Nothing here could read what it says."""
    answer = await server.send(b"", kind="websocket")
    assert json.loads(answer.body) == [{"type": "websocket.close", "code": 1008}]
    assert server.ran == 0


@pytest.mark.parametrize("method", ["PUT", "PATCH", "post"])
async def test_any_other_http_method_is_read_as_a_post(server: Guarded, method: str) -> None:
    """A server that is lax about methods must not be a way around."""
    body = json.dumps({"method": "tools/call", "params": {"name": "transfer"}}).encode()
    assert ((await server.send(body, method=method)).status, server.ran) == (403, 0)


CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "transfer", "arguments": ARGUMENTS}}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps([CALL]).encode(),
        b"",
        b"null",
        b"\xef\xbb\xbf" + json.dumps(CALL).encode(),
        json.dumps(CALL).encode("utf-16"),
        b'{"method":"tools/list","method":"tools/call","params":{"name":"transfer"}}',
        b'{"method":"tools/list","Method":"tools/call","params":{"name":"transfer"}}',
        b'{"Method":"tools/call","params":{"name":"transfer"}}',
        b'{"method":"tools/list","Params":{"name":"transfer"}}',
        b'{"method":"tools/call","params":{"name":"transfer","Arguments":{"amount":500}}}',
        '{"method":"tools/call","param\u017f":{"name":"transfer"}}'.encode(),
        b'{"method":"tools/call","params":{"name":"transfer","name":"refund"}}',
        b'{"method":"tools/call","params":{"name":"transfer","Name":"refund"}}',
        b'{"method":"tools/call","params":{"name":"transfer","_meta":{"a":1,"A":2}}}',
        b'{"method":"tools/call","params":{"name":"transfer","arguments":{"amount":NaN}}}',
    ],
)
async def test_a_body_with_two_readings_reaches_nobody(server: Guarded, body: bytes) -> None:
    """The server behind may read the other one. Batches have a call in each member."""
    assert ((await server.send(body)).status, server.ran) == (400, 0)


async def test_a_compressed_body_reaches_nobody(server: Guarded) -> None:
    """The server behind might unpack what was not checked."""
    answer = await server.send(json.dumps(CALL).encode(), [(b"Content-Encoding", b"gzip")])
    assert (answer.status, server.ran) == (400, 0)
    plain = json.dumps({**CALL, "method": "tools/list"}).encode()
    assert (await server.send(plain, [(b"content-encoding", b"identity")])).status == 200


async def test_a_body_beyond_the_bound_reaches_nobody() -> None:
    """It is not read to its end."""
    server = Guarded(body_bytes=100)
    assert ((await server.send(b" " * 1000)).status, server.ran) == (413, 0)


async def test_a_caller_that_leaves_in_mid_body_is_forgotten(server: Guarded) -> None:
    """Half a message is none."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await server.app({"type": "http", "method": "POST", "headers": []}, receive, send)
    assert (sent, server.ran) == ([], 0)


async def test_the_server_behind_still_hears_that_its_caller_left(server: Guarded) -> None:
    """After the body that was read come the connection's own messages."""
    heard: list[str] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        heard.extend([(await receive())["type"], (await receive())["type"]])
        await server._behind({"type": "lifespan"}, receive, send)

    server.app._app = behind
    await server.call(token())
    assert heard == ["http.request", "http.disconnect"]


@pytest.mark.parametrize("tool", [None, 7, "", ["transfer"]])
async def test_a_call_that_names_no_tool_reaches_nobody(server: Guarded, tool: Any) -> None:
    """A token for no tool is none."""
    assert ((await server.call(token(), tool=tool)).status, server.ran) == (403, 0)


@pytest.mark.parametrize("params", [None, [], "x"])
async def test_a_call_without_params_reaches_nobody(server: Guarded, params: Any) -> None:
    """Whatever the server behind would make of it."""
    body = json.dumps({"jsonrpc": "2.0", "id": True, "method": "tools/call", "params": params}).encode()
    answer = await server.send(body)
    assert (answer.status, json.loads(answer.body)["id"], server.ran) == (403, None, 0)


async def test_a_call_without_arguments_is_one_with_an_empty_object(server: Guarded) -> None:
    """As the gateway digests it."""
    text = token(argsDigest="44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "transfer"}}).encode()
    assert (await server.send(body, [(b"intended-authority", text.encode())])).status == 200


async def test_answers_of_a_further_round_are_checked_too(server: Guarded) -> None:
    """The same call with other answers is another act."""
    answer = await server.call(token(), inputResponses={"q": {"action": "accept"}})
    assert (answer.status, server.refusals[0].reason) == (403, Reason.ANSWERS)


async def test_a_reporter_that_fails_opens_no_door(server: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    """It is told; what it does is its own business."""

    def broken(refusal: object) -> None:
        raise RuntimeError("reporter down")

    server.app._reporter = broken
    assert (await server.call()).status == 403
    assert "the reporter of refusals failed" in caplog.text


async def test_no_token_shows_in_the_log(server: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    """A refused token may still be good somewhere else."""
    caplog.set_level(logging.DEBUG)
    text = token(aud="notes")
    await server.call(text, text)
    assert "refused a call of 'transfer': audience" in caplog.text
    assert text not in caplog.text
    assert text not in repr(server.refusals)


async def test_the_audience_may_have_a_name_of_its_own() -> None:
    """`authority_audience` in the gateway's configuration."""
    server = Guarded(audience="https://pay.test/mcp")
    assert (await server.call(token())).status == 403
    assert (await server.call(token(aud="https://pay.test/mcp"))).status == 200


@pytest.mark.parametrize("changes", [{"tenant": ""}, {"upstream": ""}])
def test_a_server_must_know_whose_it_is(changes: dict[str, str]) -> None:
    """The empty name matches nothing, not everything."""
    with pytest.raises(ValueError, match="name the tenant"):
        RequireAuthority(lambda *_: None, **({"keys": StaticKeys(JWKS), "tenant": "acme", "upstream": "p"} | changes))  # type: ignore[arg-type]


async def test_a_url_of_keys_and_a_memory_of_ids_are_the_defaults() -> None:
    """One line guards a server; nothing listens there, so that nothing passes."""
    server = Guarded()
    keys = "http://127.0.0.1:1/jwks.json"
    server.app = RequireAuthority(server._behind, keys=keys, tenant="acme", upstream="payments")
    assert ((await server.call(token())).status, server.ran) == (503, 0)


async def test_a_server_behind_a_gateway_that_asks_takes_tokens_of_intents_and_no_others() -> None:
    """For the tool on this system, with these arguments; and a server that was not told so takes none of them."""
    by_intent = {"upstream": GONE, "tool": GONE, "action": "transfer", "system": "payments"}
    server = Guarded(intents=True)
    assert (await server.call(token(**by_intent))).status == 200
    assert (await server.call(token(**by_intent), tool="refund")).status == 403
    assert (await server.call(token(**by_intent, jti="b"), arguments={"amount": 1})).status == 403
    assert (await server.call(token(**by_intent | {"system": "notes", "jti": "c"}))).status == 403
    assert (await server.call(token(jti="d"))).status == 403
    assert server.ran == 1
    assert (await Guarded().call(token(**by_intent))).status == 403
