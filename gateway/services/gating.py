"""A gated request of an agent: from its message to a Call, through enforcement, to the answer it gets.

Owns how each gated method becomes a call (which upstream, which own name, which pinned tool) and what is done with
the upstream's answer before the agent sees it. Decides nothing: that is `enforcement`.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Final

import anyio

from gateway.core.answers import check_result, in_era
from gateway.core.audit.canonical import digest
from gateway.core.call import Call, Era
from gateway.core.codes import INVALID_PARAMS
from gateway.core.decision import Reason
from gateway.core.holds import Leg
from gateway.core.jsonvalue import JsonObject
from gateway.core.methods import INPUT_REQUIRED_METHODS, subject
from gateway.core.naming import own_name, split_name
from gateway.core.refusal import (
    Refusal,
    RefusalKind,
    next_leg_message,
    page_params,
    refusal_message,
    unknown_target_message,
)
from gateway.core.wire import Inbound, Rejection, check_param_headers
from gateway.errors import CanonicalError, StoreError, UpstreamBroken, UpstreamError
from gateway.ports import Caller
from gateway.ports.silence import SilentRelay
from gateway.services.authority import NO_AUTHORITY, Authority
from gateway.services.catalog import Catalog
from gateway.services.enforcement import Enforcement, Judged, Outcome, OutcomeKind
from gateway.services.holding import Holds, Waiting, going_on, resumed
from gateway.services.links import Links
from gateway.services.owners import Owners
from gateway.services.party import Line, Party, Reply, reply_error
from gateway.services.refusals import Refusals
from gateway.services.relaying import AgentRelay, declared, requested_call
from gateway.services.states import STATE, Handed, States, foreign

__all__ = ["Gating", "list_all"]

PAGES_LISTED = 100
"""Pages of one list that the gateway fetches for itself; beyond that the upstream is broken."""

SUBSCRIPTIONS_KEPT = 1000
"""Resources that one session may be subscribed to; their URIs are kept to filter the updates."""

AWAY: Final = "An upstream that may have it cannot be asked at the moment"

_MODERN: Final = Era.MODERN
_ANSWERED: Final = OutcomeKind.ANSWERED

NAMED = frozenset({"tools/call", "prompts/get"})
"""The methods whose target is named by `params.name`, prefixed where the path serves several upstreams."""

TASK_FIELD = "task"
"""A 2025-11-25 experiment that neither hop negotiates here, so it is struck out (research/protocol.md 1.2)."""


class Gating:
    """Takes gated requests to their answers."""

    def __init__(
        self,
        *,
        enforcement: Enforcement,
        catalog: Catalog,
        owners: Owners,
        refusals: Refusals,
        states: States,
        authority: Authority | None = None,
        holds: Holds | None = None,
        links: Links | None = None,
    ) -> None:
        """Without `authority` no call carries a token; without `holds` none waits for its human."""
        self._links = links or Links()
        self._holds = holds
        self._enforcement = enforcement
        self._authority = authority or NO_AUTHORITY
        self._catalog = catalog
        self._owners = owners
        self._refusals = refusals
        self._states = states

    def handle(self, party: Party, inbound: Inbound, caller: Caller) -> Awaitable[Reply]:
        """Answer one gated request. Not a coroutine itself, as `Dispatch._common` is none."""
        if inbound.params.get(STATE) is not None and party.era is _MODERN and inbound.method in INPUT_REQUIRED_METHODS:
            return self._come_back(party, inbound, caller)
        return self._handle(party, inbound, caller, None)

    async def _come_back(self, party: Party, inbound: Inbound, caller: Caller) -> Reply:
        """Answer a request with a state: of a held call, which goes on as it was sent first, or of its upstream."""
        came: Leg | Handed | Rejection | None = None
        if self._holds is not None and inbound.method == "tools/call":
            came = self._holds.opened(party.principal, inbound.params)
        if came is None:
            came = self._states.opened(party.principal, inbound.params[STATE])
        if isinstance(came, Rejection):
            return await self._rejected(party, came)
        if isinstance(came, Leg):
            return await self._handle(party, resumed(inbound, came), caller, came)
        own = replace(inbound, params={**inbound.params, STATE: came.state})
        return await self._handle(party, own, caller, came)

    async def _handle(self, party: Party, inbound: Inbound, caller: Caller, came: Leg | Handed | None) -> Reply:
        call = self._read(party, inbound)
        if isinstance(call, Rejection):
            return await self._rejected(party, call)
        if call.method == "resources/subscribe" and _subscribed_to_too_many(party):
            return reply_error(INVALID_PARAMS, f"At most {SUBSCRIPTIONS_KEPT} subscriptions per session")
        try:
            if party.mount.prefixed:
                call = await self._locate(party, call)
                if not call.upstream:
                    away = bool(call.uri) and self._owners.may_be_away(party)
                    return await (self._undecidable(party, call, AWAY) if away else self._unknown(party, call))
            line = await party.line(call.upstream)
            if call.method == "tools/call" and call.tool is None:
                tool = await self._catalog.tool(call.upstream, call.name, lambda: list_all(line, "tools/list", "tools"))
                call = replace(call, tool=tool)
                if tool is None and party.mount.prefixed:
                    call = self._by_short_name(call, str(inbound.params["name"]))
        except UpstreamError as error:
            return await self._undecidable(party, call, str(error))
        except StoreError:
            return await self._undecidable(party, call, "The tools of the upstream could not be listed")
        mismatch = self._mismatch(party, inbound, call, came)
        if mismatch is not None:
            return await self._rejected(party, mismatch)
        return await self._enforce(party, inbound, caller, call, line, came if isinstance(came, Leg) else None)

    async def unreachable(self, party: Party, inbound: Inbound, error: UpstreamError) -> Reply:
        """Answer one gated request whose upstream is known to be down."""
        call = self._read(party, inbound)
        if isinstance(call, Rejection):
            return await self._rejected(party, call)
        return await self._undecidable(party, call, str(error))

    async def _rejected(self, party: Party, rejection: Rejection) -> Reply:
        """Answer what does not get as far as a decision, and record it: whose it is, is known."""
        await self._refusals.record(party.principal, "", rejection)
        return reply_error(rejection.code, rejection.message, data=rejection.data)

    # --- which upstream, which name ----------------------------------------------------------------------------------

    def _read(self, party: Party, inbound: Inbound) -> Call | Rejection:
        """Return what the message asks as a call; a Rejection where its params do not fit.

        On a path that serves one upstream the call is whole: that upstream, and the tool as it is known, if it is. On
        one that serves several it has neither yet.
        """
        asked = subject(inbound.method, inbound.params)
        if isinstance(asked, Rejection):
            return asked
        try:
            arguments_digest = digest(asked.arguments)
        except CanonicalError as error:
            message = f"The arguments have no canonical form: {error}"
            return Rejection(status=400, code=INVALID_PARAMS, message=message)
        upstream = "" if party.mount.prefixed else party.mount.upstreams[0]
        is_tool = inbound.method == "tools/call"
        return Call(
            method=inbound.method,
            upstream=upstream,
            name=asked.name,
            uri=asked.uri,
            arguments=asked.arguments,
            arguments_digest=arguments_digest,
            tool=self._catalog.known(upstream, asked.name) if is_tool else None,
            answers=asked.answers,
        )

    async def _locate(self, party: Party, call: Call) -> Call:
        """Return the call with its upstream and the upstream's own name; without upstream where there is none."""
        if call.uri:
            return replace(call, upstream=await self._owners.of_uri(party, call.uri))
        upstream = split_name(call.name)[0]
        if upstream not in party.mount.upstreams:
            return call
        known = self._catalog.names(upstream) if call.method == "tools/call" else self._owners.prompts(upstream)
        return replace(call, upstream=upstream, name=own_name(upstream, call.name, known))

    def _by_short_name(self, call: Call, exposed: str) -> Call:
        """Return the call of a tool whose shortened name could only be read once the tools were listed."""
        name = own_name(call.upstream, exposed, self._catalog.names(call.upstream))
        return replace(call, name=name, tool=self._catalog.known(call.upstream, name))

    async def _unknown(self, party: Party, call: Call) -> Reply:
        outcome = await self._enforcement.deny(
            party.principal, call, Reason.UNKNOWN_TOOL, "There is no such target.", kind=OutcomeKind.HIDDEN
        )
        return self._tell(party, call, outcome)

    async def _undecidable(self, party: Party, call: Call, problem: str) -> Reply:
        """Answer where the call's own definition or owner could not be had: not forwarded, and recorded."""
        outcome = await self._enforcement.deny(
            party.principal, call, Reason.FACTS_UNAVAILABLE, f"{problem}.", kind=OutcomeKind.FAILED
        )
        return self._tell(party, call, outcome)

    def _mismatch(self, party: Party, inbound: Inbound, call: Call, came: Leg | Handed | None) -> Rejection | None:
        """Compare the state that came back, and `Mcp-Param-*` headers, with the call; fail closed (modern era)."""
        if came is not None and not came.is_of(party.principal, call):
            return foreign("it belongs to another call")
        if party.era is not _MODERN or call.tool is None:
            return None
        return check_param_headers(inbound.param_headers, call.tool.header_marks, call.arguments)

    # --- enforcement, and the answer ---------------------------------------------------------------------------------

    async def _enforce(
        self, party: Party, inbound: Inbound, caller: Caller, call: Call, line: Line, leg: Leg | None
    ) -> Reply:
        params = _outgoing(inbound.params, call)
        # Only a tool's arguments have headers; on anything else they would be text that nobody has judged.
        headers = inbound.param_headers if call.method == "tools/call" else ()
        relay = AgentRelay(
            party, call.upstream, caller, catalog=self._catalog, owners=self._owners, enforcement=self._enforcement
        )

        token = ""

        async def authorise(judged: Judged) -> None:
            nonlocal token
            token = await self._authority.token(judged)

        async def forward() -> JsonObject:
            subscribed = _subscribe(party, call)
            message = await line.request(call.method, params, relay, headers=headers, authority=token)
            result = message.get("result")
            if result is None:
                if subscribed is not None:
                    subscribed.discard(call.uri)
                return message
            problem = check_result(call.method, party.era, result, party.capabilities)
            if problem:
                raise UpstreamBroken(problem, may_have_run=True)
            return {"result": _for_one(call.method, party.era, result)}

        prepare = authorise if self._authority.wanted(call) else None
        if leg is None:
            outcome = await self._enforcement.call(party.principal, call, forward, caller, prepare=prepare)
        else:
            outcome = going_on(leg)
        if outcome.approval_id and self._holds is not None and call.method == "tools/call":

            async def proceed(waited: tuple[str, str]) -> Outcome:
                return await self._enforcement.call(
                    party.principal, call, forward, caller, prepare=prepare, waited=waited
                )

            waiting = self._holds.begin(party, inbound, call, caller, proceed, leg)
            return await self._held(self._holds, party, inbound, waiting, outcome)
        return await self._answered(party, inbound, caller, call, outcome)

    async def _held(self, holds: Holds, party: Party, inbound: Inbound, waiting: Waiting, outcome: Outcome) -> Reply:
        """Answer an escalated call: its outcome, or what makes its client come back, where time was up first.

        A client that opens pages is asked to do so first, where the operator has said where they are: by an answer
        before the first leg, or by a question while the call waits.
        """
        page = ""
        if waiting.number == 1 and outcome.kind is OutcomeKind.ESCALATED and _opens_pages(party, self._links):
            page = self._links.approval(outcome.approval_id)
        if party.era is not Era.MODERN:
            outcome = await (self._shown(holds, waiting, outcome, page) if page else holds.wait(waiting, outcome))
            return await self._answered(party, inbound, waiting.caller, waiting.call, outcome)
        if not page:
            outcome = await holds.wait(waiting, outcome)
        state = holds.state(waiting, inbound, outcome)
        if state:
            return Reply(message=next_leg_message(state, _refusal(outcome, self._links), page=page))
        return await self._answered(party, inbound, waiting.caller, waiting.call, outcome)

    async def _shown(self, holds: Holds, waiting: Waiting, outcome: Outcome, page: str) -> Outcome:
        """Hold the call while its client has the page open; what it answers to that is no answer of a human."""
        asked = page_params(page, _refusal(outcome, self._links))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiting.caller.ask, "elicitation/create", asked)
            outcome = await holds.wait(waiting, outcome)
            tasks.cancel_scope.cancel()
        return outcome

    async def _answered(self, party: Party, inbound: Inbound, caller: Caller, call: Call, outcome: Outcome) -> Reply:
        """Return the answer of an outcome."""
        if outcome.replayed:
            outcome = _in_era(outcome, party.era)
        if outcome.kind is not _ANSWERED:
            return self._tell(party, _as_written(call, inbound), outcome)
        if party.era is _MODERN and _asks(outcome.message):
            refused = await self._refused_input(party, call, outcome, caller)
            if refused is not None:
                return refused
            return Reply(message=self._states.handed(party.principal, call, outcome.message))
        return Reply(message=outcome.message)

    async def _refused_input(self, party: Party, call: Call, outcome: Outcome, caller: Caller) -> Reply | None:
        """Gate what an `input_required` result asks of the agent; the first refusal ends the call (protocol.md 1.2)."""
        for request in outcome.message["result"].get("inputRequests", {}).values():
            params = request.get("params", {})
            asked = requested_call(call.upstream, request["method"], params)
            explanation = "its params do not fit the method, or its mode was not declared"
            if asked is not None and declared(request["method"], params, party.capabilities):
                judged = await self._enforcement.call(party.principal, asked, _passed_on, caller)
                if judged.kind is OutcomeKind.ANSWERED:
                    continue
                explanation = judged.explanation
            refusal = Refusal(
                kind=RefusalKind.DENY,
                intent_id=outcome.intent_id,
                reason=Reason.POLICY_DENY,
                explanation=f"The upstream asks for {request['method']} in mid-call, which is refused: {explanation}",
                may_have_run=True,
            )
            return Reply(message=refusal_message(call, party.era, refusal))
        return None

    def _tell(self, party: Party, call: Call, outcome: Outcome) -> Reply:
        """Return what the agent is told of a call that was not answered."""
        if outcome.kind is OutcomeKind.HIDDEN:
            return Reply(message=unknown_target_message(call, party.era))
        return Reply(message=refusal_message(call, party.era, _refusal(outcome, self._links)))


def _in_era(outcome: Outcome, era: Era) -> Outcome:
    """Return the outcome of an earlier call as this era can tell it."""
    message = in_era(outcome.message, era)
    if message is not None:
        return replace(outcome, message=message)
    text = "It was sent once, and its upstream asks for what only a client of the other era can answer."
    return replace(outcome, kind=OutcomeKind.DONE, explanation=text, message={})


def _refusal(outcome: Outcome, links: Links) -> Refusal:
    return Refusal(
        kind=_KINDS[outcome.kind],
        intent_id=outcome.intent_id,
        reason=outcome.reason,
        explanation=outcome.explanation,
        rule=outcome.rule,
        may_have_run=outcome.may_have_run,
        approval_id=outcome.approval_id,
        approval_url=links.approval(outcome.approval_id),
        respite=outcome.respite,
    )


_KINDS = {
    OutcomeKind.DENIED: RefusalKind.DENY,
    OutcomeKind.ESCALATED: RefusalKind.PENDING,
    OutcomeKind.RUNNING: RefusalKind.RUNNING,
    OutcomeKind.DONE: RefusalKind.DONE,
    OutcomeKind.FAILED: RefusalKind.ERROR,
    OutcomeKind.UNRECORDED: RefusalKind.ERROR,
    OutcomeKind.WITHHELD: RefusalKind.ERROR,
}


def _as_written(call: Call, inbound: Inbound) -> Call:
    """Return the call under the name that the agent used, for telling it: an answer under the upstream's own name
    would say that the upstream is there.
    """
    return replace(call, name=inbound.params["name"]) if call.method in NAMED else call


def _subscribe(party: Party, call: Call) -> set[str] | None:
    """Note a new subscription before it is asked for, since an update may overtake the answer; None for any other call.

    Returns the set that it was noted in.
    """
    if call.method != "resources/subscribe":
        return None
    subscribed = party.interests(call.upstream).resources
    if call.uri in subscribed:
        return None
    subscribed.add(call.uri)
    return subscribed


def _asks(message: JsonObject) -> bool:
    """Return whether an upstream's answer asks for more input before it is one."""
    result = message.get("result")
    return result is not None and result.get("resultType") == "input_required"


def _opens_pages(party: Party, links: Links) -> bool:
    """Return whether the agent's client opens pages for its user, and there are such pages for it."""
    opens = declared("elicitation/create", {"mode": "url"}, party.capabilities)
    return opens and links.public


def _subscribed_to_too_many(party: Party) -> bool:
    several = (party.interests(upstream).resources for upstream in party.mount.upstreams)
    return sum(map(len, several)) >= SUBSCRIPTIONS_KEPT


def _for_one(method: str, era: Era, result: JsonObject) -> JsonObject:
    """Return the result as this principal may keep it: a read that was decided for one is nobody else's to cache."""
    if method != "resources/read" or era is not Era.MODERN or result.get("cacheScope") != "public":
        return result
    return {**result, "cacheScope": "private"}


async def _passed_on() -> JsonObject:
    """Stand for the forwarding of an input request: it travels inside the answer that asked for it."""
    return {"result": {}}


def _outgoing(params: JsonObject, call: Call) -> JsonObject:
    """Return the params for the upstream: the very arguments that are decided on, under the upstream's own name."""
    named = params
    if call.name and params.get("name", call.name) != call.name:
        named = {**params, "name": call.name}
    ref = params.get("ref")
    if call.method == "completion/complete" and isinstance(ref, dict) and ref.get("name", call.name) != call.name:
        named = {**params, "ref": {**ref, "name": call.name}}
    if TASK_FIELD in named:
        named = {name: value for name, value in named.items() if name != TASK_FIELD}
    return named


async def list_all(line: Line, method: str, member: str) -> Sequence[JsonObject]:
    """Fetch a whole list for the gateway's own use. Raises UpstreamError."""
    items: list[JsonObject] = []
    params: JsonObject = {}
    for _ in range(PAGES_LISTED):
        message = await line.request(method, line.own(params), SilentRelay())
        result = message.get("result")
        page = result.get(member) if isinstance(result, dict) else None
        if not isinstance(page, list):
            msg = f"the answer to {method} holds no `{member}`"
            raise UpstreamBroken(msg, may_have_run=False)
        items += [item for item in page if isinstance(item, dict)]
        cursor = result.get("nextCursor") if isinstance(result, dict) else None
        if not isinstance(cursor, str):
            return items
        params = {"cursor": cursor}
    msg = f"{method} has more than {PAGES_LISTED} pages"
    raise UpstreamBroken(msg, may_have_run=False)
