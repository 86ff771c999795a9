"""A user as a member of an answer about something else, in both dialects alike.

Owns the shape. Who may be told a name is `services/people.py`'s.
"""

from pydantic import Field

from gateway.api.fields import Answer
from gateway.api.operation import Call
from gateway.core.jsonvalue import JsonObject

__all__ = ["NamedUser", "named_user"]


class NamedUser(Answer):
    """The user behind a portal session."""

    id: str = Field(description="The user's `usr_…`.")
    name: str | None = Field(description="Null where the user is no more, and to a credential bound to an agent.")


def named_user(call: Call, user_id: str) -> JsonObject | None:
    """Return the user as the answer to this call shows it; None where there is no id."""
    if not user_id:
        return None
    return {"id": user_id, "name": call.services.people.named(call.principal, user_id) or None}
