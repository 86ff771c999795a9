"""Every wrong input that the issue names, made of a call that would be allowed: its exact answer, nothing upstream.

What is denied never leaves in any spelling is `test_matrix.py`; here each call is a good one but for one thing, so that
nothing but that thing can be why it is refused.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attack.agent import Agent, Headers, call, meta, modern_headers, open_session, request, tool
from tests.attack.guarded import Guarded, guarded
from tests.attack.spy import MODERN, Spy

HANDSHAKE = "2025-11-25"
PARSE, INVALID, PARAMS, METHOD, MISMATCH, VERSION = -32700, -32600, -32602, -32601, -32020, -32022
NO_JSON_RPC = 0
"""The answer is HTTP's own: plain text, before there is a message."""

Wrong = tuple[bytes, int, int, str]
"""What is sent; the status, the code and the text of the answer."""


class Era:
    """A good call of one era, to be spoilt."""

    def __init__(self, version: str, headers: Headers) -> None:
        self.modern = version == MODERN
        self.headers = list(headers)
        params: dict[str, Any] = {"name": "echo", "arguments": {"text": "x"}}
        if self.modern:
            params["_meta"] = meta()
        self.body = call("tools/call", params)
        self.plain = json.dumps(self.body).encode()

    def sent(self, raw: bytes) -> bytes:
        return request(raw, self.headers)

    def swapped(self, old: str, new: str) -> bytes:
        """The call with a piece of its text replaced."""
        assert self.plain.count(old.encode()) == 1, old
        return self.sent(self.plain.replace(old.encode(), new.encode()))

    def with_(self, **members: Any) -> bytes:
        return self.sent(json.dumps({**self.body, **members}).encode())

    def params(self, **members: Any) -> bytes:
        return self.with_(params={**self.body["params"], **members})

    def headed(self, *lines: tuple[str, str], raw: bytes | None = None) -> bytes:
        """The call with headers of these names replaced; an empty value leaves one out."""
        names = {name.lower() for name, _ in lines}
        kept = [pair for pair in self.headers if pair[0].lower() not in names]
        return request(self.plain if raw is None else raw, [*kept, *(line for line in lines if line[1])])

    def framed(self, *lines: tuple[str, str], raw: bytes | None = None) -> bytes:
        return request(self.plain if raw is None else raw, [*self.headers, *lines], length=False)


def chunked(raw: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(raw), raw)


# --- what is sent, by the place where it is found out -----------------------------------------------------------------

ONE_OBJECT = "the body must be one JSON-RPC object; batches are not taken"
TWICE = "a key is given twice in one object"
CASE = "two keys of one object differ only in case"
HUGE = "an integer beyond 2^53-1"
NO_DOUBLE = "a number too large for a double"
SURROGATE = "a lone surrogate (\\ud800 to \\udfff) in a text"
NUL = "NUL (\\u0000) in a text"
NO_UTF8 = "not UTF-8"
TYPE = "Content-Type must be application/json (UTF-8, no other charset)"
CODING = "Send the body without Content-Encoding"
ID = "`id` must be a text or an integer"
NO_ID = "this method needs an `id`: only notifications go without"
ORIGIN = "This Origin may not call the gateway. Fix: add it to `allowed_origins`."
HOST = "This Host is not served here. Fix: use the gateway's own address, or add the host to `allowed_hosts`."
NO_HTTP = "Invalid HTTP request."
BAD_CODING = "Transfer-Encoding must be `chunked` alone, and without Content-Length."


def of_the_keys(e: Era) -> Iterator[tuple[str, Wrong]]:
    """Batches, and keys given twice or in another spelling."""
    p = e.plain
    for label, raw in {
        "batch of one": b"[" + p + b"]",
        "batch": b"[" + p + b"," + p + b"]",
        "empty batch": b"[]",
        "batch in a batch": b"[[" + p + b"]]",
    }.items():
        yield label, (e.sent(raw), 400, INVALID, ONE_OBJECT)
    for old, new in (
        ('"id": 1', '"id": 1, "id": 1'),
        ('"method": "tools/call"', '"method": "tools/call", "m\\u0065thod": "tools/call"'),
        ('"name": "echo"', '"name": "echo", "name": "echo"'),
        ('"text": "x"', '"text": "x", "text": "x"'),
        ('"text": "x"', '"text": "x", "te\\u0078t": "x"'),
        ('"text": "x"', '"text": [{"a": {"b": 1, "b": 1}}]'),
    ):
        yield f"key twice: {new}", (e.swapped(old, new), 400, INVALID, TWICE)
    for old, new in (
        ('"params"', '"Params": {}, "params"'),
        ('"params"', '"param\\u017f": {}, "params"'),
        ('"text": "x"', '"text": "x", "TEXT": "x"'),
    ):
        yield f"key in two spellings: {new}", (e.swapped(old, new), 400, INVALID, CASE)
    for old, new in (("name", "Name"), ("arguments", "ARGUMENTS"), ("arguments", "argument\\u017f")):
        message = f"`params` has a member that differs from `{old}` only in case"
        yield f"key {new}", (e.swapped(f'"{old}"', f'"{new}"'), 400, INVALID, message)
    neither = "neither a request (`method`) nor an answer (`id` and one of `result`, `error`)"
    yield "key Method", (e.swapped('"method"', '"Method"'), 400, INVALID, neither)


def of_the_values(e: Era) -> Iterator[tuple[str, Wrong]]:
    """Numbers, texts and encodings that two readers take for different values."""
    p = e.plain
    numbers = dict.fromkeys(("1e400", "-1e400", "1" + "0" * 5000 + ".0"), NO_DOUBLE)
    numbers |= dict.fromkeys(("9007199254740992", "-9007199254740992", "9" * 400, "9" * 100_000), HUGE)
    for number, message in numbers.items():
        yield f"number {number[:17]}", (e.swapped('"x"', number), 400, INVALID, message)
    for number in ("NaN", "Infinity", "-Infinity"):
        yield f"number {number}", (e.swapped('"x"', number), 400, PARSE, f"{number} is not JSON")
    for text, message in (("\\ud800", SURROGATE), ("\\udc00\\ud800", SURROGATE), ("\\u0000", NUL), ("a\\u0000", NUL)):
        yield f"text {text}", (e.swapped('"x"', f'"{text}"'), 400, INVALID, message)
        yield f"key {text}", (e.swapped('"text"', f'"{text}"'), 400, INVALID, message)
    x = p.index(b'"x"')
    for label, raw, message in (
        ("NUL as it is", p.replace(b'"x"', b'"\x00"'), f"not JSON at character {x + 1}"),
        ("NUL behind", p + b"\x00", f"more than one JSON document (from character {len(p)})"),
        ("two documents", p + p, f"more than one JSON document (from character {len(p)})"),
        ("nothing", b"", "not JSON at character 0"),
        ("BOM", b"\xef\xbb\xbf" + p, "not JSON at character 0"),
        ("Latin-1", p.replace(b'"x"', b'"\xe9"'), NO_UTF8),
        ("a surrogate in UTF-8", p.replace(b'"x"', b'"\xed\xa0\x80"'), NO_UTF8),
        ("overlong UTF-8", p.replace(b"tools/call", b"tools\xc0\xafcall"), NO_UTF8),
        ("UTF-16", p.decode().encode("utf-16"), NO_UTF8),
        ("gzip that is not said", gzip.compress(p), NO_UTF8),
    ):
        yield label, (e.sent(raw), 400, PARSE, message)


def of_the_size(e: Era) -> Iterator[tuple[str, Wrong]]:
    """Depth and counts over bounds, and ids."""
    deep = e.swapped('"x"', "[" * 40 + "]" * 40)
    yield "depth", (deep, 400, INVALID, "nested deeper than 32 levels, or brackets that do not match")
    keys = e.swapped('"text": "x"', ",".join(f'"k{n}":1' for n in range(20_001)))
    items = e.swapped('"x"', f"[{','.join('1' * 20_001)}]")
    for label, raw in (("keys", keys), ("items", items)):
        yield label, (raw, 400, INVALID, "more than 20000 keys and items")
    for identifier in (None, True, False, 1.0, 1.5, [], {}):
        yield f"id {identifier}", (e.with_(id=identifier), 400, INVALID, ID)
    yield "id 1e0", (e.swapped('"id": 1', '"id": 1e0'), 400, INVALID, ID)
    yield "huge id", (e.with_(id=2**53), 400, INVALID, HUGE)
    yield "long id", (e.with_(id="x" * 257), 400, INVALID, "`id` must have at most 256 characters")
    without = {key: value for key, value in e.body.items() if key != "id"}
    yield "no id", (e.sent(json.dumps(without).encode()), 400, INVALID, NO_ID)


def of_the_headers(e: Era) -> Iterator[tuple[str, Wrong]]:
    """Media types, codings, lengths that are too long, Origin and Host."""
    types = ("text/plain", "text/json", "application/json5", "application/vnd.api+json", "application/json-seq", "")
    types += ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json, text/plain")
    odd = ("charset=utf-16", "charset=utf-7", "charset=utf-8; charset=utf-16", "x=y", "", "charset=utf-8;")
    for kind in (*types, *(f"application/json;{more}" for more in odd)):
        yield f"type {kind}", (e.headed(("Content-Type", kind)), 415, INVALID, TYPE)
    two = e.headed(("Content-Type", "application/json"), ("Content-Type", "application/json"))
    yield "two types", (two, 400, MISMATCH, "header content-type is given twice")
    for coding in ("gzip", "deflate", "br", "zstd", "identity, gzip", "x-gzip", "aws-chunked"):
        packed = e.headed(("Content-Encoding", coding), raw=gzip.compress(e.plain))
        yield f"coding {coding}", (packed, 415, INVALID, CODING)
    accept = "Accept must name both application/json and text/event-stream"
    yield "accepts JSON only", (e.headed(("Accept", "application/json")), 406, INVALID, accept)
    long = "the body is longer than 4194304 bytes"
    yield "long body", (e.sent(e.plain + b" " * 4 * 1024 * 1024), 413, INVALID, long)
    yield "length that is said", (e.framed(("Content-Length", str(2**40)), raw=b"{"), 413, INVALID, long)
    many = chunked(e.plain + b" " * 4 * 1024 * 1024)
    yield "long body in chunks", (e.framed(("Transfer-Encoding", "chunked"), raw=many), 413, INVALID, long)
    for origin in (
        *("http://evil.example", "null", "file://", "http://127.0.0.1.evil.example", "http://localhost.evil.example"),
        *("http://evil@localhost", "http://localhost@evil", "http://localhost.", "http://127.0.0.1.", "http://127.1"),
        *("http://localhost:999999", "http://localhost/", "http://localhost http://evil.example", "http://[::2]"),
        *("http://[::1]x", "http://LOCALHOST.", "HTTP://localhost", "ws://localhost"),
    ):
        yield f"origin {origin}", (e.headed(("Origin", origin)), 403, INVALID, ORIGIN)
    yield (
        "two origins",
        (e.headed(("Origin", "http://localhost"), ("Origin", "http://localhost")), 403, INVALID, ORIGIN),
    )
    good = e.sent(e.plain)
    for host in (
        *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil@localhost", "u:p@127.0.0.1"),
        *("localhost.", "127.0.0.1.", "127.0.0.1:", "127.0.0.1:0x50", "localhost:123456", "127.1", "2130706433", "0"),
        *("[::1", "[::1].", "[::2]", "[::ffff:127.0.0.1]", "127.0.0.1, evil.example", "127.0.0.1 evil.example", ""),
    ):
        raw = good.replace(b"Host: 127.0.0.1", b"Host: " + host.encode())
        yield f"host {host}", (raw, 421, INVALID, HOST)


def of_the_frame(e: Era) -> Iterator[tuple[str, Wrong]]:
    """Where the message begins and ends, and headers in absurd number or size: refused by HTTP itself."""
    good, size = e.sent(e.plain), str(len(e.plain))
    inside = chunked(e.plain)
    for lines in (
        (("Content-Length", size), ("Content-Length", size)),
        (("Content-Length", size), ("Content-Length", "2")),
        (("Content-Length", size), ("Transfer-Encoding", "chunked")),
        *(
            (("Content-Length", length),)
            for length in (f"+{size}", f"-{size}", f"{size},{size}", f"0x{size}", "9" * 30)
        ),
    ):
        yield f"{lines}", (e.framed(*lines), 400, NO_JSON_RPC, NO_HTTP)
    yield (
        "chunked, length",
        (
            e.framed(("Transfer-Encoding", "chunked"), ("Content-Length", size), raw=inside),
            *(400, NO_JSON_RPC, NO_HTTP),
        ),
    )
    for coding in ("xchunked", "gzip, chunked", "identity"):
        yield (
            f"transfer {coding}",
            (
                e.framed(("Transfer-Encoding", coding), raw=inside),
                *(400, NO_JSON_RPC, BAD_CODING),
            ),
        )
    with_chunks = e.framed(("Transfer-Encoding", "chunked"), raw=inside)
    old = with_chunks.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    yield "chunked in HTTP/1.0", (old, 400, NO_JSON_RPC, BAD_CODING)
    trailer = with_chunks[:-2] + b"Mcp-Name: x\r\n\r\n"
    yield "trailer", (trailer, 400, NO_JSON_RPC, "Trailers are not supported.")
    extension = e.framed(("Transfer-Encoding", "chunked"), raw=b"1;" + b"x" * 100_000)
    yield "endless extension", (extension, 400, NO_JSON_RPC, "Chunked body with too much beside its content.")
    for label, raw in {
        "signed chunk": e.framed(("Transfer-Encoding", "chunked"), raw=b"+" + inside),
        "folded": good.replace(b"Content-Type: ", b"Content-Type:\r\n ", 1),
        "space before the colon": good.replace(b"Content-Type:", b"Content-Type :", 1),
        "bare LF": good.replace(b"\r\n", b"\n"),
        "one bare LF": good.replace(b"Host: 127.0.0.1\r\n", b"Host: 127.0.0.1\n"),
        "NUL in a header": good.replace(b"Accept: ", b"Accept: \0", 1),
        "verb in other case": request(e.plain, e.headers, verb="post"),
    }.items():
        yield label, (raw, 400, NO_JSON_RPC, NO_HTTP)
    many = request(e.plain, [*e.headers, *((f"X-{n}", "y") for n in range(5000))])
    yield "many headers", (many, 431, NO_JSON_RPC, "Too many request header fields.")
    long = request(e.plain, [*e.headers, ("X-Long", "y" * 100_000)])
    yield "long header", (long, 431, NO_JSON_RPC, "Request header fields too large.")
    for verb in ("TRACE", "CONNECT"):
        yield verb, (request(e.plain, e.headers, verb=verb), 405, NO_JSON_RPC, "This method is not supported.")


def of_the_era(e: Era) -> Iterator[tuple[str, Wrong]]:
    """Header against body, methods in other spelling, verbs."""
    takes = "This endpoint takes POST." if e.modern else "This endpoint takes GET, POST, DELETE."
    for verb in ("PUT", "PATCH", "OPTIONS", "QUERY", *(("GET", "DELETE") if e.modern else ())):
        yield verb, (request(e.plain, e.headers, verb=verb), 405, INVALID, takes)
    differs = "the {} header is missing or differs from the body"
    for name, value in (
        *(("Mcp-Name", "delete_everything"), ("Mcp-Name", "Echo"), ("Mcp-Name", "=?base64?eA==?=")),
        *(("Mcp-Method", "tools/list"), ("Mcp-Method", "Tools/call")),
        *((("Mcp-Name", ""), ("Mcp-Method", "")) if e.modern else ()),
        *((("MCP-Protocol-Version", ""), ("MCP-Protocol-Version", HANDSHAKE)) if e.modern else ()),
    ):
        yield f"{name}: {value}", (e.headed((name, value)), 400, MISMATCH, differs.format(name))
    for name, value in (("Mcp-Name", "echo"), ("Mcp-Method", "tools/call"), ("MCP-Protocol-Version", MODERN)):
        twice = e.headed((name, value), (name, value))
        yield f"{name} twice", (twice, 400, MISMATCH, f"header {name.lower()} is given twice")
        strange = e.headed((name, "\xe9"))
        problem = f"header {name.lower()} has characters other than visible ASCII"
        yield f"{name} of other characters", (strange, 400, MISMATCH, problem)
    for method in ("Tools/Call", "TOOLS/CALL", "tools//call", "tools\\call", "tools/call/"):
        raw = json.dumps({**e.body, "method": method}).encode()
        said = e.headed(("Mcp-Method", method), raw=raw) if e.modern else e.sent(raw)
        yield f"method {method}", (said, 404 if e.modern else 200, METHOD, "Method not found")
    unknown = e.headed(("MCP-Protocol-Version", "1999-01-01"))
    if not e.modern:
        yield "unknown version", (unknown, 400, VERSION, "Unsupported protocol version")
        other = e.headed(("Mcp-Session-Id", "x"))
        yield "session of nobody", (other, 404, INVALID, "Session not found")
        answer = e.sent(b'{"jsonrpc":"2.0","id":"x","result":{}}')
        yield "answer to nothing", (answer, 400, INVALID, "This answers no question that is open in this session.")
    else:
        posted = e.sent(b'{"jsonrpc":"2.0","id":1,"result":{}}')
        yield "answer", (posted, 400, INVALID, "answers are not POSTed in this protocol version")


KINDS = (of_the_keys, of_the_values, of_the_size, of_the_headers, of_the_frame, of_the_era)


# --- and what comes back ----------------------------------------------------------------------------------------------


def good(agent: Agent, era: Era, spy: Spy) -> None:
    """The call as it was before it was spoilt is made."""
    assert agent.raw(era.sent(era.plain)).message["result"]["content"] == [{"type": "text", "text": "done"}]
    assert [received.method for received in spy.received] == ["tools/call"]
    spy.forget()


@pytest.mark.parametrize("version", [MODERN, HANDSHAKE])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_wrong_input_has_its_exact_answer_and_reaches_nobody(
    served: Guarded, spy: Spy, version: str, kind: Any
) -> None:
    """Issue, "Wire": strict, one reading only; refused with the protocol's own error, and nothing was forwarded."""
    honest = served.agent()
    tool(honest, "echo", {})
    era = Era(version, modern_headers("tools/call", "echo") if version == MODERN else open_session(honest, version))
    spy.forget()
    good(honest, era, spy)
    for label, (raw, status, code, message) in kind(era):
        agent = served.agent()
        found = agent.raw(raw)
        agent.close()
        if code == NO_JSON_RPC:
            assert (found.status, found.body.decode()) == (status, message), label
            assert found.headers["connection"] == "close", label
        else:
            error = found.message["error"]
            assert (found.status, error["code"], error["message"]) == (status, code, message), label
        assert spy.received == [], label
    good(honest, era, spy)
    honest.close()


SLOW = """\
upstreams:
  default:
    url: {url}
limits:
  header_timeout_s: 0.5
  body_timeout_s: 0.5
"""


def test_what_comes_too_slowly_is_answered_and_reaches_nobody(spy: Spy, tmp_path: Path) -> None:
    """Issue, "Wire": headers and bodies that come slowly end in a bounded time."""
    with guarded(tmp_path, config=SLOW.format(url=spy.url)) as served:
        honest = served.agent()
        tool(honest, "echo", {})
        for version in (MODERN, HANDSHAKE):
            headers = modern_headers("tools/call", "echo") if version == MODERN else open_session(honest, version)
            era = Era(version, headers)
            whole = era.sent(era.plain)
            chunks = era.framed(("Transfer-Encoding", "chunked"), raw=chunked(era.plain))
            spy.forget()
            for half in (whole[:40], whole[:-1], whole[: -len(era.plain)], chunks[:-2], whole.partition(b"\r\n")[0]):
                agent = served.agent()
                found = agent.raw(half)
                agent.close()
                assert (found.status, found.body) == (408, b"The request did not arrive in time."), half
                assert found.headers["connection"] == "close"
                assert spy.received == []
        honest.close()
