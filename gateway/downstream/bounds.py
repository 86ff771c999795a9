"""The bounds of the agent-facing front, as plain numbers. Where they come from is `settings.py`."""

from dataclasses import dataclass

from gateway.core.message import WireLimits

__all__ = ["FrontLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontLimits:
    """Every bound on what agents may make the front hold or wait for; seconds, bytes, counts."""

    wire: WireLimits
    sessions_per_agent: int = 1000
    """At the cap the session that has been idle longest is ended; with none idle a new one is refused."""
    session_idle_s: float = 1800.0
    housekeeping_s: float = 30.0
    """How often idle sessions and old events are looked for; what an agent asks for is checked at once."""
    event_buffer_bytes: int = 1024 * 1024
    """Of one session, all streams together."""
    event_buffer_s: float = 300.0
    questions_per_session: int = 64
    """Requests to the agent that wait for its answer."""
    ask_timeout_s: float = 300.0
    """How long the agent (its user) may take to answer; what MCP SDKs wait for a call by default."""
    keep_alive_s: float = 14.0
    """Longest silence of an open stream, and of a call before its stream is opened; the protocol wants at most 15."""
    attend_after_s: float = 0.1
    """A call that takes one to two of these is watched for a disconnect; until then it is asked for on demand."""
    retry_ms: int = 1000
    """How soon an agent should resume a broken stream."""
    refusal_s: float = 1.0
    """How long a refusal may wait for being recorded: nothing was done, so its answer does not depend on it."""
    close_s: float = 5.0
    """How long the end of a session, and the end of all of them at shutdown, may take."""
