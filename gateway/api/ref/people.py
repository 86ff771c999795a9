"""Human users and their portal sessions in Ref's shape. Management of the gateway's own; their pages come later."""

from typing import Annotated, Final

from pydantic import Field

from gateway.api.fields import MAX_NAME_CHARS, Answer, Managed, example
from gateway.api.operation import Call, Operation, PublicCall
from gateway.core.audit.body import timestamp
from gateway.core.jsonvalue import JsonObject
from gateway.core.people import User
from gateway.core.principal import Role, Scope
from gateway.errors import NotFound, StateConflict, StoreError, Unauthenticated

__all__ = ["OPERATIONS"]

TAG: Final = "Users and portal sessions"


# --- what is asked ----------------------------------------------------------------------------------------------------


class CreateUserRequest(Managed):
    """A human to be added."""

    tenantId: str | None = Field(default=None, title="Tenant", description="Must be the credential's own.")
    name: str = Field(title="Name", min_length=1, max_length=MAX_NAME_CHARS, description="Unique in the tenant.")
    role: Annotated[Role, Field(strict=False)] = Field(title="Role", description="What the user may do.")

    model_config = example({"name": "jane@acme.com", "role": "operator"})


class ChangeUserRequest(Managed):
    """What of a user changes; what is left out stays."""

    role: Annotated[Role, Field(strict=False)] | None = Field(default=None, description="What the user may do.")
    disabled: bool | None = Field(default=None, description="A disabled user logs in nowhere.")


class OpenSessionRequest(Managed):
    """A one-time login code."""

    code: str = Field(title="Code", min_length=1, max_length=512, description="As it was handed out.")


# --- what is answered -------------------------------------------------------------------------------------------------


class UserView(Answer):
    """A human of the tenant."""

    id: str
    tenantId: str
    name: str
    role: Role
    disabled: bool
    createdAt: str


class UserList(Answer):
    """Every user of the tenant, oldest first."""

    users: list[UserView]


class LoginLinkView(Answer):
    """A code that opens one session, once."""

    userId: str
    code: str = Field(description="Shown this once. It is exchanged for a session at `POST /portal/sessions`.")
    expiresAt: str


class OpenedSessionView(Answer):
    """An open session."""

    sessionId: str = Field(description="The value of `x-portal-session-id`. Shown this once.")
    id: str = Field(description="Names the session in the audit trail; it opens nothing.")
    tenantId: str
    userId: str
    role: Role
    expiresAt: str


class ClosedSessionView(Answer):
    """A session that was ended."""

    id: str
    userId: str


# --- the endpoints ----------------------------------------------------------------------------------------------------


async def create_user(call: Call, body: CreateUserRequest) -> JsonObject:
    """Nobody gives a user more than they have themselves."""
    return _view(await call.services.people.create(call.principal, name=body.name, role=body.role))


async def list_users(call: Call) -> JsonObject:
    """Disabled ones included."""
    return {"users": [_view(one) for one in call.services.people.users(call.principal)]}


async def change_user(call: Call, id: str, body: ChangeUserRequest) -> JsonObject:
    """By id or name. A change ends the user's sessions and login codes."""
    people = call.services.people
    return _view(await people.change(call.principal, id, role=body.role, disabled=body.disabled))


async def make_login_link(call: Call, id: str) -> JsonObject:
    """By id or name."""
    made = await call.services.people.login_code(call.principal, id)
    return {"userId": made.user.id, "code": made.code, "expiresAt": timestamp(made.expires)}


async def open_session(call: PublicCall, body: OpenSessionRequest) -> JsonObject:
    """The code is the credential: this needs no other."""
    opened = await call.services.people.open_session(body.code)
    return {
        "sessionId": opened.secret,
        "id": opened.session.id,
        "tenantId": opened.session.tenant,
        "userId": opened.user.id,
        "role": opened.user.role,
        "expiresAt": timestamp(opened.session.expires),
    }


async def close_session(call: Call) -> JsonObject:
    """Of the session that the request comes with."""
    closed = await call.services.people.close_session(call.principal)
    return {"id": closed.id, "userId": closed.user}


def _view(user: User) -> JsonObject:
    return {
        "id": user.id,
        "tenantId": user.tenant,
        "name": user.name,
        "role": user.role,
        "disabled": user.disabled,
        "createdAt": user.created,
    }


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/users",
        name="create_user",
        summary="Add a user",
        endpoint=create_user,
        answers=UserView,
        status=201,
        scope=Scope.KEYS_WRITE,
        also=(StateConflict,),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/users",
        name="list_users",
        summary="List the tenant's users",
        endpoint=list_users,
        answers=UserList,
        scope=Scope.KEYS_WRITE,
        tag=TAG,
    ),
    Operation(
        method="PATCH",
        path="/users/{id}",
        name="change_user",
        summary="Change a user's role, disable or enable it",
        endpoint=change_user,
        answers=UserView,
        scope=Scope.KEYS_WRITE,
        also=(NotFound, StateConflict),
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/users/{id}/login-link",
        name="make_login_link",
        summary="Make a one-time login code for a user",
        endpoint=make_login_link,
        answers=LoginLinkView,
        status=201,
        scope=Scope.KEYS_WRITE,
        also=(NotFound, StateConflict),
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/portal/sessions",
        name="open_session",
        summary="Log in: exchange a login code for a portal session",
        endpoint=open_session,
        answers=OpenedSessionView,
        status=201,
        public=True,
        also=(Unauthenticated, StateConflict, StoreError),
        tag=TAG,
    ),
    Operation(
        method="DELETE",
        path="/portal/sessions/current",
        name="close_session",
        summary="Log out: end the portal session",
        endpoint=close_session,
        answers=ClosedSessionView,
        also=(NotFound,),
        tag=TAG,
    ),
)
