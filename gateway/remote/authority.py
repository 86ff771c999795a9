"""The remote authority as the services ask it (`ports.RemoteAuthority`), and whether it answers.

Owns what a status means, the deadline of a question, and the watch over the authority: it is looked after every few
seconds, so that readiness tells of it before a call does, and knows when it is well again. How an answer is read is
`core/remote.py`, how it travels `exchange.py`.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import TracebackType
from typing import Final

import anyio

from gateway.core.remote import Question, Told, Verdict, read_decision, unavailable
from gateway.remote.exchange import Exchange, NoAnswer, Response
from gateway.remote.tokens import Tokens

__all__ = ["PROBE_S", "HttpAuthority"]

PROBE_S: Final = 10.0
"""Between two looks; six requests a minute of the key's rate."""

NOBODYS: Final = "int_00000000000000000000000000"
"""An intent that there is not: whoever is told so has a key that may look at intents of the tenant."""


class HttpAuthority(AbstractAsyncContextManager["HttpAuthority"]):
    """One tenant of an authority service, under one key. To be entered and left."""

    def __init__(
        self, url: str, *, key: str, tenant: str, issuer: str, timeout_s: float, monotonic: Callable[[], float]
    ) -> None:
        self._timeout_s = timeout_s
        self._exchange = Exchange(url, key=key, tenant=tenant, timeout_s=timeout_s)
        self._tokens = Tokens(self._exchange, tenant=tenant, issuer=issuer, monotonic=monotonic)
        self._problem = ""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exchange.__aexit__(kind, error, trace)

    # --- RemoteAuthority ----------------------------------------------------------------------------------------------

    async def ask(self, question: Question) -> Told:
        """Put a question."""
        return await self._settled(question, lambda: self._exchange.send("POST", "/intent", question.body()))

    async def recall(self, question: Question, intent_id: str) -> Told:
        """Say where an intent stands."""
        return await self._settled(question, lambda: self._exchange.send("GET", f"/intent/{intent_id}"), intent_id)

    # --- whether it answers -------------------------------------------------------------------------------------------

    def ready(self) -> str:
        """Return an empty string, or why the last question had no usable answer."""
        return self._problem and f"the remote authority cannot be asked: {self._problem}"

    async def run(self) -> None:
        """Look after it, for as long as the gateway runs."""
        while True:
            await self.probe()
            await anyio.sleep(PROBE_S)

    async def probe(self) -> None:
        """See whether it answers and takes the key."""
        try:
            self._proved(await self._exchange.send("GET", f"/intent/{NOBODYS}"))
            self._problem = ""
        except NoAnswer as error:
            self._problem = str(error)

    async def examine(self) -> str:
        """Return what keeps it from being asked, an empty text where nothing does (`intended check`).

        An empty submission is refused for what it lacks, but only to who may submit: nothing is decided by it.
        """
        try:
            self._proved(await self._exchange.send("GET", f"/intent/{NOBODYS}"))
            self._proved(await self._exchange.send("POST", "/intent", {}))
        except NoAnswer as error:
            return str(error)
        return ""

    # --- one question -------------------------------------------------------------------------------------------------

    async def _settled(self, question: Question, send: Callable[[], Awaitable[Response]], recalled: str = "") -> Told:
        """Return what was said, its token checked; all within one deadline. `recalled` is an intent that it knows."""
        try:
            with anyio.fail_after(self._timeout_s):
                told = await self._read(question, await send(), recalled)
        except TimeoutError:
            return self._broken(f"it gave no answer within {self._timeout_s:g} s")
        except NoAnswer as error:
            return self._broken(str(error))
        if told.verdict is not Verdict.UNAVAILABLE:
            self._problem = ""
        return told

    async def _read(self, question: Question, answer: Response, recalled: str) -> Told:
        """Return what an answer says. Raises NoAnswer where the authority seems broken, or its token does not hold."""
        if answer.status == 404:
            if not recalled:
                raise NoAnswer("it answered HTTP 404")
            return Told(verdict=Verdict.OVER, intent_id=recalled)
        if answer.status == 403:
            return unavailable("its key may not ask for this agent")
        if answer.status != 200:
            return unavailable(f"it does not take this question (HTTP {answer.status})")
        try:
            told = read_decision(answer.document)
        except ValueError as error:
            raise NoAnswer("its answer is no decision") from error
        if told.intent_id != (recalled or told.intent_id):
            raise NoAnswer("it answered for another intent")
        if told.verdict is not Verdict.ALLOW:
            return replace(told, token="")
        if told.token:
            return replace(told, token_id=await self._tokens.checked(told.token, question, told.intent_id))
        if recalled:  # its token was given already, to whoever was faster
            return Told(verdict=Verdict.OVER, intent_id=recalled)
        raise NoAnswer("it allows without a token")

    def _broken(self, problem: str) -> Told:
        self._problem = problem
        return unavailable(problem)

    def _proved(self, answer: Response) -> None:
        """Raise NoAnswer where the key is not taken for what it is needed for."""
        if answer.status == 403:
            said = answer.document.get("message") if isinstance(answer.document, dict) else None
            raise NoAnswer(f"it refuses the key for this tenant or for intents ({said})")
