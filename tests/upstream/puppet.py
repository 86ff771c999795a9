"""An MCP server on standard input and output that misbehaves on request; without any library, so that it starts fast.

    python puppet.py [--ignore-end] [--grandchild] [--no-modern] [--no-handshake] [--noisy] [--dies]

The name of the tool that is called is the way it fails. Each message that arrives is appended to the file that the
environment variable PUPPET_JOURNAL names.
"""

import json
import os
import signal
import subprocess
import sys
import time


def out(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def send(message):
    out(json.dumps(message).encode() + b"\n")


def text(said):
    return {"content": [{"type": "text", "text": said}], "resultType": "complete"}


def reply(request, result):
    send({"jsonrpc": "2.0", "id": request["id"], "result": result})


def note(method, **params):
    send({"jsonrpc": "2.0", "method": method, "params": params})


def noise():
    out(b"INFO: starting up\n\n   \n\xff\xfe broken \xc3\n[1, 2]\nnull\n" + b'{"level": "info"}\n' + b"{nonsense\n")
    out(json.dumps({"jsonrpc": "2.0", "id": 987654, "result": {}}).encode() + b"\n")


def call(request, name):  # noqa: C901 - a table of ways to fail
    if name == "good":
        reply(request, text("well"))
    elif name == "hang":
        return
    elif name == "stuck":
        time.sleep(60)
    elif name == "echo":
        reply(request, text(json.dumps(request["params"]["arguments"])))
    elif name == "fail":
        send({"jsonrpc": "2.0", "id": request["id"], "error": {"code": 7, "message": "no", "data": [1.0, None]}})
    elif name == "noise":
        noise()
        reply(request, text("well"))
    elif name == "pieces":
        for byte in json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": text("well")}).encode() + b"\r\n":
            out(bytes([byte]))
    elif name == "crash":
        sys.stderr.write("last words\n")
        sys.stderr.flush()
        os._exit(3)
    elif name == "answer_and_crash":
        reply(request, text("well"))
        os._exit(0)
    elif name == "wrong_id":
        send({"jsonrpc": "2.0", "id": request["id"] + 1000, "result": text("wrong")})
    elif name == "id_as_text":
        send({"jsonrpc": "2.0", "id": str(request["id"]), "result": text("wrong")})
    elif name == "no_id":
        send({"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "x"}})
    elif name == "two_replies":
        one = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": text("well")}).encode() + b"\n"
        out(one + one)
    elif name == "huge_line":
        send({"jsonrpc": "2.0", "id": request["id"], "result": text("x" * 2_000_000)})
    elif name == "duplicate_keys":
        out(b'{"jsonrpc":"2.0","id":%d,"result":{},"result":{}}\n' % request["id"])
    elif name == "not_json":
        out(b'{"jsonrpc":"2.0","id":%d,"result":{]}\n' % request["id"])
    elif name == "environment":
        reply(request, text(json.dumps(dict(os.environ))))
    elif name == "where":
        reply(request, text(os.getcwd()))
    elif name == "pid":
        reply(request, text(str(os.getpid())))
    elif name == "stderr_flood":
        sys.stderr.write("x" * 1_000_000)
        sys.stderr.flush()
        reply(request, text("well"))
    elif name == "flood":
        for number in range(5000):
            note("notifications/message", level="info", data=number)
        reply(request, text("well"))
    elif name == "progress":
        token = request["params"]["_meta"]["progressToken"]
        note("notifications/progress", progressToken=token + 1000, progress=0)
        note("notifications/progress", progressToken=token, progress=1)
        note("notifications/progress", progressToken=token, progress=2)
        note("notifications/message", level="info", data="of a call")
        note("notifications/tools/list_changed")
        reply(request, text("well"))
    elif name in ("ask", "asks_in_the_stream"):
        send({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
        answer = json.loads(sys.stdin.readline())
        reply(request, text(json.dumps(answer)))


def handle(message, options):
    method = message.get("method", "")
    journal = os.environ.get("PUPPET_JOURNAL")
    if journal:
        with open(journal, "a") as file:
            file.write(json.dumps(message) + "\n")
    if method == "initialize" and "--no-handshake" not in options:
        params = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}}
        reply(message, {**params, "serverInfo": {"name": "puppet", "version": "1"}})
    elif method == "server/discover" and "--no-modern" not in options:
        reply(message, {"supportedVersions": ["2026-07-28"], "capabilities": {}, "resultType": "complete"})
    elif method == "tools/call":
        call(message, message["params"]["name"])
    elif "id" in message and method:
        send({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "Method not found"}})


def main():
    options = sys.argv[1:]
    if "--dies" in options:
        sys.stderr.write("cannot start\n")
        sys.exit(7)
    if "--noisy" in options:
        noise()
    if "--grandchild" in options:
        script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-ISc", script])
        with open(os.environ["PUPPET_GRANDCHILD"], "w") as file:
            file.write(str(child.pid))
    if "--ignore-end" in options:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while line := sys.stdin.readline():
        handle(json.loads(line), options)
    while "--ignore-end" in options:
        time.sleep(1)


main()
