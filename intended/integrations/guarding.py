"""What every guard does, without any framework: ask, tell the model what was refused, remember what waits for a human.

Fails closed: where no decision can be had, or the arguments cannot be shown to the policy, the tool does not run.
"""

import functools
import hashlib
import inspect
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, ParamSpec, TypeVar, cast

from anyio import to_thread

from intended.aio import AsyncIntendedClient
from intended.client import IntendedClient
from intended.errors import ApiError, BlockedError, IntendedError
from intended.results import Decision, Intent

__all__ = ["Client", "Guarding", "OnBlock", "Permission", "guarded_function"]

Client = IntendedClient | AsyncIntendedClient

OnBlock = Literal["tell", "raise"]
"""What a refusal does: the tool's result is a text for the model, or BlockedError is raised."""

MAX_WAITING: Final = 1000
"""Calls that wait for a human and are remembered; the oldest is forgotten first, and then asks anew."""

_log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Whether a tool may run. `text` tells a model why not."""

    allowed: bool
    verdict: str
    intent_id: str
    text: str = ""


class Guarding:
    """Asks for one agent. A call that waits for a human is asked about again, not submitted again.

    Usable from several threads; an `AsyncIntendedClient` serves tools that are awaited.
    """

    def __init__(
        self, client: Client, *, actor: str, system: str, action: str | None = None, on_block: OnBlock = "tell"
    ) -> None:
        self.client = client
        self.on_block = on_block
        self._actor = actor
        self._system = system
        self._action = action
        self._waiting: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    # --- asking -----------------------------------------------------------------------------------------------------

    def permit(self, tool: str, describe: Callable[[], Mapping[str, Any]]) -> Permission:
        """Return whether `tool` may run with the arguments that `describe` returns as JSON values.

        Raises BlockedError instead of refusing, where the guard is to do so.
        """
        client = self._blocking()
        try:
            arguments = describe()
            key = _key(tool, arguments)
            waiting = self._waiting_for(key)
            found = self._looked_at(key, client.get_intent(waiting)) if waiting else None
            if found is None:
                found = self._decided(key, client.submit_intent(**self._question(tool, arguments)))
        except IntendedError as error:
            found = _unanswered(error)
        return self._settled(found)

    async def permit_awaited(self, tool: str, describe: Callable[[], Mapping[str, Any]]) -> Permission:
        """As `permit`, for tools that are awaited; a blocking client is asked in a thread."""
        client = self.client
        if isinstance(client, IntendedClient):
            return await to_thread.run_sync(self.permit, tool, describe)
        try:
            arguments = describe()
            key = _key(tool, arguments)
            waiting = self._waiting_for(key)
            found = self._looked_at(key, await client.get_intent(waiting)) if waiting else None
            if found is None:
                found = self._decided(key, await client.submit_intent(**self._question(tool, arguments)))
        except IntendedError as error:
            found = _unanswered(error)
        return self._settled(found)

    def report(self, permission: Permission, error: Exception | None) -> None:
        """Tell the service how the tool went. Failing to tell changes nothing about what was done."""
        try:
            self._blocking().report_outcome(permission.intent_id, _outcome(error), error=_kind(error))
        except IntendedError as problem:
            _log.warning("the outcome of %s could not be reported: %s", permission.intent_id, problem)

    async def report_awaited(self, permission: Permission, error: Exception | None) -> None:
        """As `report`, awaited."""
        client = self.client
        if isinstance(client, IntendedClient):
            await to_thread.run_sync(self.report, permission, error)
            return
        try:
            await client.report_outcome(permission.intent_id, _outcome(error), error=_kind(error))
        except IntendedError as problem:
            _log.warning("the outcome of %s could not be reported: %s", permission.intent_id, problem)

    def _blocking(self) -> IntendedClient:
        if isinstance(self.client, IntendedClient):
            return self.client
        raise TypeError("a tool that is not awaited needs an IntendedClient, not an AsyncIntendedClient")

    def _question(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "action": self._action or tool,
            "actor": self._actor,
            "system": self._system,
            "metadata": dict(arguments),
        }

    # --- what the answers mean --------------------------------------------------------------------------------------

    def _decided(self, key: str, decision: Decision) -> Permission:
        if decision.allowed:
            return Permission(allowed=True, verdict="ALLOW", intent_id=decision.intent_id)
        if decision.escalated:
            with self._lock:
                self._waiting[key] = decision.intent_id
                while len(self._waiting) > MAX_WAITING:
                    self._waiting.popitem(last=False)
            return _wait(decision.intent_id, decision.reason, decision.escalation_id)
        if decision.fail_closed:
            text = f"Not executed: no decision could be made. {decision.reason}"
            return Permission(allowed=False, verdict="DENY", intent_id="", text=text)
        return _refused(decision.intent_id, decision.reason, decision.retry_after_s)

    def _looked_at(self, key: str, intent: Intent) -> Permission | None:
        """Return what became of a call that waited; None where it must be submitted anew."""
        reason = intent.decision.reason if intent.decision is not None else ""
        if intent.status == "pending":
            return _wait(intent.id, reason, intent.approval_id)
        with self._lock:
            self._waiting.pop(key, None)
        if intent.status == "approved" and intent.token is not None:
            return Permission(allowed=True, verdict="ALLOW", intent_id=intent.id)
        if intent.status == "rejected":
            # Decided again after a yes, policy may say no: a person must not be told that they did.
            by_policy = intent.decision is not None and intent.decision.denied
            return _refused(intent.id, reason if by_policy else "A human said no.")
        return None

    def _waiting_for(self, key: str) -> str:
        with self._lock:
            return self._waiting.get(key, "")

    def _settled(self, permission: Permission) -> Permission:
        if not permission.allowed and self.on_block == "raise":
            raise BlockedError(permission.text, verdict=permission.verdict, intent_id=permission.intent_id)
        return permission


def _key(tool: str, arguments: Mapping[str, Any]) -> str:
    """Return what tells one call from another. Arguments that are no JSON cannot be decided, let alone compared."""
    try:
        text = json.dumps([tool, dict(arguments)], sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ApiError("INVALID_REQUEST", f"the tool's arguments cannot be shown to the policy: {error}") from error
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _refused(intent_id: str, reason: str, retry_after_s: float | None = None) -> Permission:
    again = "Do not repeat this call; it would be denied again."
    if retry_after_s is not None:
        again = (
            f"Do not repeat this call within {retry_after_s:.0f} s; by then enough of what was spent counts no more."
        )
    text = f"Not executed: denied. {reason} {again} ({intent_id})"
    return Permission(allowed=False, verdict="DENY", intent_id=intent_id, text=text)


def _wait(intent_id: str, reason: str, approval_id: str | None) -> Permission:
    approval = f" Approval {approval_id}." if approval_id else ""
    text = (
        f"Not executed: a human must approve this call first. {reason}{approval} Tell the user. Once it is approved,"
        f" make the same call again with exactly the same arguments. ({intent_id})"
    )
    return Permission(allowed=False, verdict="ESCALATE", intent_id=intent_id, text=text)


def _unanswered(error: IntendedError) -> Permission:
    _log.warning("a tool was not run: %s", error)
    return Permission(
        allowed=False, verdict="DENY", intent_id="", text=f"Not executed: no decision could be made. {error}"
    )


def _outcome(error: Exception | None) -> Literal["completed", "failed"]:
    return "completed" if error is None else "failed"


def _kind(error: Exception | None) -> str | None:
    """Return the error's kind only: its text may hold anything that the tool saw."""
    return None if error is None else type(error).__name__


# --- plain functions --------------------------------------------------------------------------------------------------


def guarded_function(
    function: Callable[_P, _R],
    guarding: Guarding,
    *,
    name: str,
    shown: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> Callable[_P, _R]:
    """Return `function` behind the guard, with its own signature; awaited where it is, or where the client is.

    `shown` turns the bound arguments into what the policy sees of them.
    """
    signature = inspect.signature(function)

    def arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return shown(bound.arguments)

    @functools.wraps(function)
    def blocking(*args: Any, **kwargs: Any) -> Any:
        permission = guarding.permit(name, lambda: arguments(args, kwargs))
        if not permission.allowed:
            return permission.text
        try:
            result = function(*args, **kwargs)
        except Exception as error:  # the function's own, whatever it is: told of by its type, and raised again
            guarding.report(permission, error)
            raise
        guarding.report(permission, None)
        return result

    @functools.wraps(function)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        permission = await guarding.permit_awaited(name, lambda: arguments(args, kwargs))
        if not permission.allowed:
            return permission.text
        try:
            result = await _called(function, args, kwargs)
        except Exception as error:  # the function's own, whatever it is: told of by its type, and raised again
            await guarding.report_awaited(permission, error)
            raise
        await guarding.report_awaited(permission, None)
        return result

    is_awaited = inspect.iscoroutinefunction(function) or isinstance(guarding.client, AsyncIntendedClient)
    return cast("Callable[_P, _R]", awaited if is_awaited else blocking)


async def _called(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Await `function`; one that blocks runs in a thread, as the frameworks do it."""
    if inspect.iscoroutinefunction(function):
        return await function(*args, **kwargs)
    return await to_thread.run_sync(functools.partial(function, *args, **kwargs))
