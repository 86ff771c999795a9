"""What an upstream asks of the agent (handshake era): sampling, elicitation, roots.

Owns the tasks that wait for the agent's answers, their bound, and their ids and progress tokens on this hop. A task
and not a call in the reader's place: the answer may take a human minutes, and the reader must go on meanwhile.
asyncio tasks, because sessions open and close in different tasks and no nursery spans both; `aclose` ends them all.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.errors import UpstreamError
from gateway.ports import Relay
from gateway.upstream.messages import INTERNAL_ERROR, AskedTokens, encode_reply

__all__ = ["Asking"]

MAX_ASKED: Final = 64
"""Questions of one upstream session that wait for the agent at once; more are refused."""
ANSWER_S: Final = 3600.0
"""The longest wait for one answer. A human may be asked, so it is long; it is there so that nothing waits for ever."""

_log = logging.getLogger(__name__)


class Asking:
    """`send` brings one message to the upstream. `name` makes progress tokens unique over all upstreams."""

    def __init__(self, name: str, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._name = name
        self._send = send
        self._tokens = AskedTokens(name)
        self._tasks: dict[JsonValue, asyncio.Task[None]] = {}
        self._relays: dict[JsonValue, Relay] = {}

    async def take(self, message: JsonObject, relay: Relay) -> None:
        """Answer a request of the upstream: pings at once, everything else when the relay has the answer."""
        request_id = message["id"]
        if message["method"] == "ping":
            await self._reply(request_id, {"result": {}})
        elif request_id in self._tasks:
            return  # a second request under an id in use: whichever is answered, the upstream could not tell
        elif len(self._tasks) >= MAX_ASKED:
            await self._reply(request_id, _error("too many requests are waiting for the agent"))
        else:
            task = asyncio.create_task(self._answer(message, relay))
            self._tasks[request_id] = task
            self._relays[request_id] = relay
            task.add_done_callback(lambda _: self._forget(request_id))

    def cancel(self, request_id: JsonValue) -> None:
        """Stop waiting for an answer: the upstream has given its request up."""
        if type(request_id) in (str, int) and request_id in self._tasks:
            self._tasks[request_id].cancel()

    def drop(self, relay: Relay) -> None:
        """Stop waiting for everything that was asked through this relay: its call has ended without an answer."""
        for request_id, asked in self._relays.items():
            if asked is relay:
                self._tasks[request_id].cancel()

    def restore(self, method: str, params: JsonObject) -> JsonObject | None:
        """Return the agent's notification with the upstream's own token; None where the upstream must not get it."""
        return self._tokens.restore(method, params)

    async def aclose(self) -> None:
        """Give up every question that is still open."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, request_id: JsonValue) -> None:
        self._tasks.pop(request_id, None)
        self._relays.pop(request_id, None)

    async def _answer(self, message: JsonObject, relay: Relay) -> None:
        params, token = self._tokens.hide(message.get("params", {}))
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await relay.request(message["method"], params)
        except TimeoutError:
            answer = _error("no answer within the time allowed")
        except Exception as error:  # noqa: BLE001 - the upstream waits for an answer, whatever is wrong on our side
            _log.warning("%s asked for something that could not be passed on (%s)", self._name, type(error).__name__)
            answer = _error("the request could not be passed on")
        finally:
            self._tokens.forget(token)
        await self._reply(message["id"], answer)

    async def _reply(self, request_id: JsonValue, answer: JsonObject) -> None:
        try:
            await self._send(encode_reply(request_id, answer))
        except UpstreamError:
            # Nobody is left to tell: the upstream will notice by its own deadline, and the call by ours.
            return


def _error(message: str) -> JsonObject:
    return {"error": {"code": INTERNAL_ERROR, "message": message}}
