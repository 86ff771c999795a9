"""The state that an upstream hands out with `input_required`, on its way to the agent and back (modern era).

Owns its binding. An upstream knows the gateway and none of its agents, so that it cannot tell whose state comes back:
each is sealed for the agent and the very request that it was handed out for, and what was not is refused (security.md,
"MRTR"; MCP's security considerations, "state handle hijacking"). The upstream gets its own state back, byte for byte.
How long one holds is the upstream's to say. The states of held calls are `services/holding.py`.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

import orjson

from gateway.core.call import Call
from gateway.core.codes import INVALID_PARAMS
from gateway.core.jsonvalue import JsonObject
from gateway.core.message import Rejection
from gateway.core.principal import Principal
from gateway.errors import StoreError
from gateway.ports import Vault

__all__ = ["STATE", "Handed", "States", "foreign"]

STATE: Final = "requestState"
PREFIX: Final = "intended-state."


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A state that an upstream has handed out, and to which request of whom."""

    request: tuple[str, ...]
    state: str

    def is_of(self, principal: Principal, call: Call) -> bool:
        """Return True where it was handed out to that very request of that agent."""
        return self.request == _request(principal, call)


class States:
    """Seals and opens them."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def handed(self, principal: Principal, call: Call, message: JsonObject) -> JsonObject:
        """Return an upstream's answer as the agent gets it: the state in it, if any, is bound."""
        result = message["result"]
        state = result.get(STATE)
        if state is None:
            return message
        plain = orjson.dumps((*_request(principal, call), state))
        sealed = self._vault.seal(plain, tenant=principal.tenant, intent_id=PREFIX, entry_id=principal.agent)
        return {**message, "result": {**result, STATE: PREFIX + base64.urlsafe_b64encode(sealed).decode("ascii")}}

    def opened(self, principal: Principal, state: object) -> Handed | Rejection:
        """Return what the agent sent back; the refusal of what was changed, or was never handed out to this agent."""
        if not isinstance(state, str) or not state.startswith(PREFIX):
            return foreign("it was not handed out here")
        try:
            sealed = base64.b64decode(state.removeprefix(PREFIX), altchars=b"-_", validate=True)
            plain = self._vault.unseal(sealed, tenant=principal.tenant, intent_id=PREFIX, entry_id=principal.agent)
        except (binascii.Error, ValueError, StoreError):
            return foreign("it was changed, or belongs to another agent")
        *request, own = orjson.loads(plain)
        return Handed(request=tuple(request), state=own)


def foreign(why: str) -> Rejection:
    """Return the refusal of a request with such a state."""
    return Rejection(status=400, code=INVALID_PARAMS, message=f"This {STATE} is not taken: {why}.")


def _request(principal: Principal, call: Call) -> tuple[str, ...]:
    whose = (principal.tenant, principal.agent)
    return (*whose, call.method, call.upstream, call.name, call.uri, call.arguments_digest)
