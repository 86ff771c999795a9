"""Which handshake sessions exist, and whose they are.

A session belongs to the credential that opened it and to the path it was opened on. To anybody else, and after its
end, it does not exist: the answers are the same. The session id is never the authentication.
"""

from collections.abc import Callable

import anyio

from gateway.core.principal import Principal
from gateway.downstream.bounds import FrontLimits
from gateway.downstream.session import Session
from gateway.ports import Clock, Ids, Mount

__all__ = ["Sessions"]


class Sessions:
    """All sessions of this process. They end with it; an agent then initialises again."""

    def __init__(self, *, limits: FrontLimits, clock: Clock, ids: Ids) -> None:
        self._limits = limits
        self._clock = clock
        self._ids = ids
        self._all: dict[str, Session] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._all)

    async def open(self, principal: Principal, mount: Mount) -> Session | None:
        """Make a session that is not ready yet, or None where the agent has too many that are in use.

        At the cap, the agent's session that has been idle longest is ended: programs that open a session for every
        call and never end one are common (research/ecosystem.md 1.2).
        """
        owner = (principal.tenant, principal.agent)
        if self._counts.get(owner, 0) >= self._limits.sessions_per_agent:
            idle = [held for held in self._of(owner) if held.idle]
            if not idle:
                return None
            await self.end(min(idle, key=lambda held: held.used_at))
        session = Session(
            session_id=self._ids.secret(),
            principal=principal,
            mount=mount,
            limits=self._limits,
            clock=self._clock,
            ids=self._ids,
        )
        self._all[session.id] = session
        self._counts[owner] = self._counts.get(owner, 0) + 1
        return session

    def find(self, session_id: str, principal: Principal, mount: Mount) -> Session | None:
        """Return the session, if it is this principal's on this path and has not idled out (`expire` ends those)."""
        session = self._all.get(session_id)
        if session is None or session.conversation is None:
            return None
        if session.principal != principal or (session.mount is not mount and session.mount != mount):
            return None
        if self._expired(session):
            return None
        session.touch()
        return session

    async def end(self, session: Session) -> None:
        """Forget the session at once, then end what belongs to it."""
        if self._all.pop(session.id, None) is not None:
            owner = (session.principal.tenant, session.principal.agent)
            self._counts[owner] -= 1
            if not self._counts[owner]:
                del self._counts[owner]
        await session.end()

    async def expire(self, stands: Callable[[Principal], bool]) -> None:
        """End what has idled out or whose owner's credential has ended, and drop events that are too old."""
        for session in tuple(self._all.values()):
            if self._expired(session) or not stands(session.principal):
                await self.end(session)
            else:
                session.log.trim()

    async def close(self) -> None:
        """End all, at once; bounded in time."""
        with anyio.move_on_after(self._limits.close_s, shield=True):
            async with anyio.create_task_group() as tasks:
                for session in tuple(self._all.values()):
                    tasks.start_soon(self.end, session)

    def hush(self) -> None:
        """End the streams that nobody's request waits for, so that a server that drains its connections can stop."""
        for session in self._all.values():
            session.general.close()

    def _of(self, owner: tuple[str, str]) -> list[Session]:
        return [held for held in self._all.values() if (held.principal.tenant, held.principal.agent) == owner]

    def _expired(self, session: Session) -> bool:
        return session.idle and self._clock.monotonic() - session.used_at > self._limits.session_idle_s
