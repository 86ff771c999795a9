"""One message in every spelling that has ever got a call past a gateway (research/security.md, section 2).

Each spelling is the bytes of one HTTP request. None of them is an allowed call in any reading.
"""

import base64
import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

from tests.attack.agent import Headers, request

Spelling = tuple[str, bytes]

_LOOKS_LIKE_NOTHING = ("\u200b", "\u00ad", "\u2060", "\ufeff", " ", "\t", "\n", "\u0000", "\u00a0", "\u202e")


def spellings(body: dict[str, Any], headers: Headers, path: str, member: str | None) -> Iterator[Spelling]:
    """Yield what is sent. `member` is the one of `params` that names the target, where the method has one."""
    bodies = (twice(body), keys(body, member), methods(body), bytes_of(body), values(body), envelopes(body))
    for label, raw in (*(one for several in bodies for one in several), *names(body, member)):
        yield label, request(raw, headers, path)
    yield from media(json.dumps(body).encode(), headers, path)
    yield from routing(body, headers, path, member)
    yield from verbs(body, headers, path)
    yield from framing(json.dumps(body).encode(), headers, path)


# --- the bytes of the body --------------------------------------------------------------------------------------------


def twice(body: dict[str, Any]) -> Iterator[Spelling]:
    """The message itself, escaped, and with members given twice."""
    plain = json.dumps(body)
    method, params = json.dumps(body["method"]), json.dumps(body["params"])
    yield "plain", plain.encode()
    yield (
        "method escaped",
        plain.replace(method, '"' + "".join(f"\\u{ord(c):04x}" for c in body["method"]) + '"').encode(),
    )
    yield "slash escaped", plain.replace(method, method.replace("/", "\\/")).encode()
    for other in ('"ping"', '"tools/list"', '"notifications/initialized"'):
        yield (
            f"method twice, last is {other}",
            plain.replace(f'"method": {method}', f'"method": {method}, "method": {other}').encode(),
        )
        yield (
            f"method twice, first is {other}",
            plain.replace(f'"method": {method}', f'"method": {other}, "method": {method}').encode(),
        )
        yield (
            "method twice, one escaped",
            plain.replace(f'"method": {method}', f'"m\\u0065thod": {other}, "method": {method}').encode(),
        )
    yield (
        "params twice",
        plain.replace(f'"params": {params}', f'"params": {{"name": "echo"}}, "params": {params}').encode(),
    )
    yield (
        "params twice, one escaped",
        plain.replace(f'"params": {params}', f'"params": {params}, "p\\u0061rams": {{"name": "echo"}}').encode(),
    )
    yield "id twice", plain.replace('"id": 1', '"id": 1, "id": 2').encode()


def keys(body: dict[str, Any], member: str | None) -> Iterator[Spelling]:
    """Members whose names are nearly the right ones."""
    plain = json.dumps(body)
    for key in ("Method", "METHOD", "method\\u0000", "method ", "\\u043cethod", "metho\\u0064", "\\ufeffmethod"):
        yield f"key {key}", plain.replace('"method"', f'"{key}"').encode()
        yield f"key {key} beside", plain.replace('"method"', f'"method": "ping", "{key}"').encode()
    for key in ("Params", "PARAMS", "param\\u017f", "params\\u0000"):
        yield f"key {key}", plain.replace('"params"', f'"{key}"').encode()
        yield f"key {key} beside", plain.replace('"params"', f'"params": {{"name": "echo"}}, "{key}"').encode()
    if member is not None:
        target = json.dumps(body["params"][member])
        for key in (
            member.upper(),
            member.title(),
            member + "\\u0000",
            member.replace("e", "\\u0435").replace("i", "\\u0456"),
            " " + member,
        ):
            yield f"member {key}", plain.replace(f'"{member}"', f'"{key}"').encode()
            if key.replace("\\u0000", "").lower() == member:  # what no reader takes for the member is an unknown one
                yield f"member {key} beside", plain.replace(f'"{member}"', f'"{member}": "echo", "{key}"').encode()
        yield (
            "member twice, last allowed",
            plain.replace(f'"{member}": {target}', f'"{member}": {target}, "{member}": "echo"').encode(),
        )
        yield (
            "member twice, first allowed",
            plain.replace(f'"{member}": {target}', f'"{member}": "echo", "{member}": {target}').encode(),
        )
        yield (
            "member twice, escaped",
            plain.replace(
                f'"{member}": {target}', f'"{member}": "echo", "\\u{ord(member[0]):04x}{member[1:]}": {target}'
            ).encode(),
        )


def methods(body: dict[str, Any]) -> Iterator[Spelling]:
    """Methods that are nearly the right one."""
    for spelled in (
        "TOOLS/CALL",
        body["method"].upper(),
        body["method"].title(),
        body["method"].replace("/", "\uff0f"),
        body["method"].replace("/", "//"),
        body["method"].replace("/", "."),
        "/" + body["method"],
        body["method"] + "/",
        body["method"].replace("/", "\\"),
        body["method"].replace("l", "\u217c"),
        "",
    ):
        if spelled != body["method"]:
            yield f"method {spelled!a}", json.dumps({**body, "method": spelled}).encode()
    for char in _LOOKS_LIKE_NOTHING:
        yield f"method then {char!a}", json.dumps({**body, "method": body["method"] + char}).encode()
        yield f"method after {char!a}", json.dumps({**body, "method": char + body["method"]}).encode()
    for odd in (None, 1, True, [body["method"]], {"name": body["method"]}):
        yield f"method {odd!r}", json.dumps({**body, "method": odd}).encode()


def bytes_of(body: dict[str, Any]) -> Iterator[Spelling]:
    """Batches, other encodings, and bytes around the message."""
    plain = json.dumps(body)
    for batch in (
        [body],
        [body, body],
        [[body]],
        [],
        [{"jsonrpc": "2.0", "id": 2, "method": "ping"}, body],
        {"batch": [body]},
    ):
        yield "batch", json.dumps(batch).encode()
    yield "vertical tab, batch", b"\x0b" + json.dumps([body]).encode()
    for codec in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "utf-8-sig", "cp037"):
        yield codec, plain.encode(codec)
    yield "BOM, batch", codecs.BOM_UTF8 + json.dumps([body]).encode()
    for before, after in (
        ("\x0b", ""),
        ("\x00", ""),
        ("\u00a0", ""),
        ("", "\x00"),
        ("", "x"),
        ("", ","),
        ("", plain),
        ("{}", ""),
        ("", "\n" + plain),
        ("//\n", ""),
        ("/**/", ""),
        ("", "//"),
        ("\x1e", ""),
        (")]}',\n", ""),
        ("data: ", "\n\n"),
        ("body=", ""),
    ):
        yield f"{before!a} before, {after[:4]!a} after", (before + plain + after).encode()
    yield "single quotes", plain.replace('"', "'").encode()
    yield "trailing comma", (plain[:-1] + ",}").encode()
    yield "no quotes", plain.replace('"method"', "method").encode()
    yield "not UTF-8", plain.encode().replace(b"2.0", b"2.0\xff")
    yield "overlong UTF-8", plain.encode().replace(b"/", b"\xc0\xaf")
    yield "cut", plain[:-1].encode()
    yield "a string of it", json.dumps(plain).encode()
    yield "nothing", b""


def values(body: dict[str, Any]) -> Iterator[Spelling]:
    """Numbers, texts and nesting that two readers take for different values."""
    plain = json.dumps(body)
    for number in (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "9" * 5000,
        "9007199254740993",
        "1" + "0" * 400,
        "01",
        "0x10",
        "1_000",
        "+1",
        "1.",
        ".5",
    ):
        yield f"number {number[:12]}", plain.replace('"id": 1', f'"id": 1, "x": {number}').encode()
        yield f"number {number[:12]} in params", plain.replace('"params": {', f'"params": {{"x": {number}, ').encode()
    for text in ("\\ud800", "\\udfff", "\\ud800x\\udc00", "\\u0000", "\\x41", "\x01", "\\u12"):
        yield f"text {text!a}", plain.replace('"params": {', f'"params": {{"x": "{text}", ').encode()
        yield f"key {text!a}", plain.replace('"params": {', f'"params": {{"{text}": 1, ').encode()
    for depth in (40, 2000, 100_000):
        yield (
            f"{depth} levels",
            plain.replace('"params": {', '"params": {"x": ' + "[" * depth + "]" * depth + ", ").encode(),
        )
        yield f"{depth} levels never closed", b"[" * depth
    yield (
        "many keys",
        plain.replace('"params": {', '"params": {' + "".join(f'"k{n}":1,' for n in range(20_001))).encode(),
    )


def envelopes(body: dict[str, Any]) -> Iterator[Spelling]:
    """Ids, further members, versions and params of the wrong kind."""
    for identifier in (None, True, 1.5, [], {}, "x" * 300, 2**53, -(2**63)):
        yield f"id {str(identifier)[:20]}", json.dumps({**body, "id": identifier}).encode()
    yield "no id", json.dumps({key: value for key, value in body.items() if key != "id"}).encode()
    for extra in (
        {"result": {}},
        {"error": {"code": 1, "message": "x"}},
        {"Method": "ping"},
        {"params2": {}},
        {"_meta": {}},
        {"headers": {"x": "y"}},
        {"": 1},
    ):
        yield f"beside {extra}", json.dumps({**body, **extra}).encode()
    for version in ("1.0", 2.0, 2, None, "2.0 ", ["2.0"], "2.1", "\uff12.0"):
        yield f"jsonrpc {version!a}", json.dumps({**body, "jsonrpc": version}).encode()
    yield "no jsonrpc", json.dumps({key: value for key, value in body.items() if key != "jsonrpc"}).encode()
    for odd in ([], [body["params"]], "x", None, 1, True):
        yield f"params {str(odd)[:9]}", json.dumps({**body, "params": odd}).encode()
    for odd in ([], "x", None, 1):
        yield f"_meta {odd!r}", json.dumps({**body, "params": {**body["params"], "_meta": odd}}).encode()
        yield (
            f"arguments {odd!r}",
            json.dumps({**body, "params": {**body["params"], "arguments": odd, "x": 1}}).encode(),
        )


# --- the name of the target -------------------------------------------------------------------------------------------


def names(body: dict[str, Any], member: str | None) -> Iterator[Spelling]:
    """Names that look like the denied target, or like the allowed one, and are neither."""
    if member is None:
        return
    target = body["params"][member]
    looks = [
        target.upper(),
        target.title(),
        target.swapcase(),
        target.replace("_", "-"),
        target.replace("e", "\u0435"),
        target[:-1],
        target + "x",
    ]
    looks += ["".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in target)]
    for base in (target, *(("echo",) if member == "name" else ())):
        for char in _LOOKS_LIKE_NOTHING:
            looks += [base + char, char + base, base[:2] + char + base[2:]]
        for prefix in (
            "default__",
            "default_",
            "default.",
            "default/",
            "default:",
            "spy__",
            "__",
            "default__default__",
            "../",
            "/mcp/default/",
        ):
            looks.append(prefix + base)
    looks += [
        "echo,delete_everything",
        "echo\ndelete_everything",
        "echo\r\nMcp-Name: delete_everything",
        "echo%00",
        "ECHO",
        "Echo",
        "\uff45\uff43\uff48\uff4f",
        "*",
        "ech?",
        "e.*",
        "",
        "x" * 5000,
    ]
    for look in looks:
        yield f"{member} {look[:40]!a}", json.dumps({**body, "params": {**body["params"], member: look}}).encode()
    for odd in (None, 1, True, ["echo", target], {"name": target}, [target], {"$ref": target}):
        yield f"{member} {odd!r}", json.dumps({**body, "params": {**body["params"], member: odd}}).encode()
    for wrapped in ("call_tool", "tools/call", "invoke"):
        inner = {"Tool_Name": target, "tool_name": target, "arguments": {}}
        yield (
            f"inside {wrapped}",
            json.dumps({**body, "params": {**body["params"], member: wrapped, "arguments": inner}}).encode(),
        )


# --- media types, and what is packed ----------------------------------------------------------------------------------


def media(raw: bytes, headers: Headers, path: str) -> Iterator[Spelling]:
    rest = [(name, value) for name, value in headers if name != "Content-Type"]
    for kind in (
        "text/plain",
        "",
        "application/json5",
        "application/json; charset=utf-16",
        "application/json;charset=utf-7",
        "application/jsonx",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json, text/plain",
        "application/vnd.api+json",
        "text/json",
        "application/x-ndjson",
        "application/json-seq",
        "application/json;x=y",
        "*/*",
        "text/event-stream",
    ):
        yield f"type {kind}", request(raw, [*rest, ("Content-Type", kind)], path)
    yield "no type", request(raw, rest, path)
    yield "two types", request(raw, [*rest, ("Content-Type", "application/json"), ("Content-Type", "text/plain")], path)
    packed = (
        ("gzip", gzip.compress(raw)),
        ("deflate", zlib.compress(raw)),
        ("br", raw),
        ("identity, gzip", raw),
        ("x-gzip", gzip.compress(raw)),
    )
    for coding, body in packed:
        yield f"{coding}", request(body, [*headers, ("Content-Encoding", coding)], path)
        yield f"{coding} unsaid", request(body if body != raw else b"\x1f\x8b" + body, headers, path)
    yield "gzip bomb", request(gzip.compress(b" " * 10_000_000), [*headers, ("Content-Encoding", "gzip")], path)
    yield "two codings", request(raw, [*headers, ("Content-Encoding", "identity"), ("Content-Encoding", "gzip")], path)
    yield (
        "accepts nothing",
        request(raw, [("Accept", "text/html"), *(pair for pair in headers if pair[0] != "Accept")], path),
    )


# --- headers against body ---------------------------------------------------------------------------------------------


def encoded(text: str) -> str:
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def routing(body: dict[str, Any], headers: Headers, path: str, member: str | None) -> Iterator[Spelling]:
    """Headers that say another thing than the body; the body then says the denied or the allowed one."""
    routed = {"Mcp-Method", "Mcp-Name", "MCP-Protocol-Version"}
    rest = [(name, value) for name, value in headers if name not in routed]
    own = [(name, value) for name, value in headers if name in routed]
    bodies = [("denied", body)]
    if member == "name" and body["method"] == "tools/call":
        bodies.append(("allowed", {**body, "params": {**body["params"], "name": "echo"}}))
    for which, one in bodies:
        raw = json.dumps(one).encode()
        other = "echo" if which == "denied" else "delete_everything"
        for value in (
            other,
            encoded(other),
            f"{other}, x",
            "=?base64?!?=",
            encoded(other)[:-3] + "==?=",
            f"=?base64?{base64.b64encode(other.encode()).decode()}?= ",
            "\xe9",
            f"{other}\t",
            "=?BASE64?ZWNobw==?=",
            "",
        ):
            for before in (True, False):
                lines = (
                    [("Mcp-Name", value), *own]
                    if before
                    else [*[pair for pair in own if pair[0] != "Mcp-Name"], ("Mcp-Name", value)]
                )
                if which == "denied" or value.strip() not in ("", other):
                    yield f"{which} in the body, name {value!a}", request(raw, [*rest, *lines], path)
        for value in ("ping", "tools/list", body["method"].upper(), body["method"] + " x", ""):
            yield (
                f"{which} in the body, method {value}",
                request(raw, [*rest, *(p for p in own if p[0] != "Mcp-Method"), ("Mcp-Method", value)], path),
            )
            yield (
                f"{which} in the body, second method {value}",
                request(raw, [*rest, *own, ("Mcp-Method", value), ("Mcp-Method", body["method"])], path),
            )
        for value in ("2020-01-01", "2024-11-05", "2026-07-28, 2024-11-05", "9999-99-99", "draft", "\xb2"):
            changed = [("MCP-Protocol-Version", value)]
            if dict(own).get("MCP-Protocol-Version") != value:
                yield (
                    f"{which} in the body, version {value!a}",
                    request(raw, [*rest, *(p for p in own if p[0] != "MCP-Protocol-Version"), *changed], path),
                )
            yield (
                f"{which} in the body, second version {value!a}",
                request(raw, [*rest, *own, *changed, *changed], path),
            )


def verbs(body: dict[str, Any], headers: Headers, path: str) -> Iterator[Spelling]:
    """Other verbs, and headers that somebody on the way might act on."""
    rest = [(name, value) for name, value in headers if name not in {"Mcp-Method", "Mcp-Name", "MCP-Protocol-Version"}]
    raw = json.dumps(body).encode()
    yield "no routing headers", request(raw, rest, path)
    yield "no session", request(raw, [pair for pair in headers if pair[0] != "Mcp-Session-Id"], path)
    for verb in ("PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "post", "POST\t", "GET", "QUERY"):
        if verb not in ("HEAD", "GET"):
            yield f"verb {verb}", request(raw, headers, path, verb=verb)
    for name, value in (
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-Original-URL", "/mcp/other"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Agent-Id", "admin"),
        ("X-Tenant-Id", "other"),
        ("Authorization", "Bearer made-up"),
        ("x-api-key", "made-up"),
        ("Cookie", "a=b"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Host", "evil.example"),
        ("Upgrade", "h2c"),
        ("Expect", "200-ok"),
        ("Connection", "Mcp-Method"),
        ("Mcp-Param-Name", "echo"),
    ):
        yield f"{name}: {value}", request(raw, [*headers, (name, value)], path)


# --- where the message begins and ends --------------------------------------------------------------------------------


def framing(raw: bytes, headers: Headers, path: str) -> Iterator[Spelling]:
    def framed(*lines: tuple[str, str], body: bytes = raw) -> bytes:
        return request(body, [*headers, *lines], path, length=False)

    size = str(len(raw))
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(raw), raw)
    yield "two lengths", framed(("Content-Length", size), ("Content-Length", size))
    yield "two lengths that differ", framed(("Content-Length", size), ("Content-Length", "2"))
    yield "first length short", framed(("Content-Length", "2"), ("Content-Length", size))
    for length in (f"+{size}", f"-{size}", f"{size},{size}", f"0x{len(raw):x}", f"{size}.0", "9" * 30, "", "x"):
        yield f"length {length[:9]}", framed(("Content-Length", length))
    yield "length and chunked", framed(("Content-Length", size), ("Transfer-Encoding", "chunked"))
    yield "chunked and length", framed(("Transfer-Encoding", "chunked"), ("Content-Length", size), body=chunk)
    for coding in (
        "xchunked",
        "chunked, identity",
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "\x0bchunked",
        "chunked;x",
        '"chunked"',
    ):
        yield f"coding {coding!a}", framed(("Transfer-Encoding", coding), body=chunk)
    yield "two codings", framed(("Transfer-Encoding", "identity"), ("Transfer-Encoding", "chunked"), body=chunk)
    yield "chunked", framed(("Transfer-Encoding", "chunked"), body=chunk)
    yield (
        "chunk extension",
        framed(("Transfer-Encoding", "chunked"), body=b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (len(raw), raw)),
    )
    yield (
        "chunk of many",
        framed(("Transfer-Encoding", "chunked"), body=b"".join(b"1\r\n%c\r\n" % byte for byte in raw) + b"0\r\n\r\n"),
    )
    yield "trailers", framed(("Transfer-Encoding", "chunked"), body=chunk[:-2] + b"Mcp-Name: echo\r\n\r\n")
    yield "chunk size +", framed(("Transfer-Encoding", "chunked"), body=b"+" + chunk)
    yield "chunk size 0x", framed(("Transfer-Encoding", "chunked"), body=b"0x" + chunk)
    yield "endless extension", framed(("Transfer-Encoding", "chunked"), body=b"1;" + b"x" * 100_000)
    plain = request(raw, headers, path)
    yield "folded header", plain.replace(b"Content-Type: ", b"Content-Type:\r\n ", 1)
    yield "space before colon", plain.replace(b"Content-Type:", b"Content-Type :", 1)
    yield "bare LF", plain.replace(b"\r\n", b"\n")
    yield "bare CR", plain.replace(b"\r\n", b"\r", 1)
    yield "NUL in a header", plain.replace(b"Accept: ", b"Accept: \0", 1)
    yield "HTTP/1.0", plain.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    yield "HTTP/2.0", plain.replace(b"HTTP/1.1", b"HTTP/2.0", 1)
    yield "absolute form", plain.replace(b" /", b" http://127.0.0.1/", 1)
    yield "no host", plain.replace(b"Host: 127.0.0.1\r\n", b"", 1)
    yield "two hosts", plain.replace(b"Host: ", b"Host: evil.example\r\nHost: ", 1)
    yield "many headers", request(raw, [*headers, *((f"X-{n}", "y") for n in range(200))], path)
    yield "long header", request(raw, [*headers, ("X-Long", "y" * 70_000)], path)
