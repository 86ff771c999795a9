"""Towards the agent: HTTP, SSE, handshake sessions. Translates, never decides."""
