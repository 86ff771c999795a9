"""Towards MCP servers: the adapters that implement `ports.Upstream`.

```text
http ── session ── streams ─┐                     one upstream, its sessions, streams that break and go on
  └──────┴── reading ── exchange ── pool ── connection ── sse          one request, from headers down to bytes
stdio ── channel ── process · lines                                    one child process and its conversation
both: messages (JSON-RPC of this hop) · asking (what the upstream asks) · probing (which eras it speaks)
```

A request is sent once and never again by itself: an upstream that broke may have run it. Ids, progress tokens and
headers are this hop's own; nothing of the agent's credential can get here.
"""
