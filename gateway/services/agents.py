"""The agents of every tenant: who is registered, under which slug, and what each declared for itself.

Owns the directory. It is whole in memory, read at the start and changed only once the change is durable: one process
owns the store. The value and the rule for slugs are `core/agents.py`; tiers are `core/tiers.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import orjson

from gateway.core.agents import MAX_SLUG_CHARS, Agent, Restriction, slug_of
from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.intent.taxonomy import UNKNOWN_TYPE, Taxonomy
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.core.redact import redact
from gateway.core.submitted import MAX_TEXT_CHARS, is_text
from gateway.errors import AgentNotFound, FieldProblem, Forbidden, InvalidRequest, StateConflict
from gateway.ports import AuditLog, Clock, Conflict, Ids, StateStore

__all__ = ["AGENTS_KEPT", "MAX_DESCRIPTION_CHARS", "MAX_NAME_CHARS", "Agents"]

MAX_NAME_CHARS: Final = 128
MAX_DESCRIPTION_CHARS: Final = MAX_TEXT_CHARS

AGENTS_KEPT: Final = 10_000
"""Agents of one tenant: whoever submits under ever new names must not fill the memory."""

_PREFIX: Final = "agent:"
"""Before an actor's name in Ref's examples; also of the rows here."""

_ID: Final = "agt_"

_Place = tuple[str, str]


class Agents:
    """The directory of agents over all tenants."""

    def __init__(self, *, audit: AuditLog, state: StateStore, clock: Clock, ids: Ids, taxonomy: Taxonomy) -> None:
        self._audit = audit
        self._state = state
        self._clock = clock
        self._ids = ids
        self._taxonomy = taxonomy
        self._by_slug: dict[str, dict[str, Agent]] = {}
        self._by_id: dict[_Place, Agent] = {}
        self._restrictions: dict[_Place, Restriction] = {}

    async def load(self, tenants: Iterable[str]) -> None:
        """Read the directory of these tenants; part of the start. Raises StoreError."""
        for tenant in tenants:
            for row in await self._state.scan(tenant, _PREFIX):
                self._take(_read(tenant, row.value))

    # --- looking ------------------------------------------------------------------------------------------------------

    def find(self, tenant: str, name: str) -> Agent | None:
        """Return the agent of that id or slug, or None."""
        return self._by_id.get((tenant, name)) or self._by_slug.get(tenant, {}).get(name)

    def slug(self, tenant: str, name: str) -> str:
        """Return the slug under which an agent acts, by its name, slug or id, be it registered or not.

        One that acts with a key of its own acts as the slug of that key's id. Empty where the name makes none.
        """
        found = self.find(tenant, name)
        return slug_of(name) if found is None else found.slug

    def require(self, tenant: str, name: str) -> Agent:
        """Return the agent of that id or slug. Raises AgentNotFound."""
        found = self.find(tenant, name)
        if found is None:
            msg = f"There is no agent '{name[:MAX_SLUG_CHARS]}'."
            raise AgentNotFound(msg)
        return found

    def list(self, tenant: str) -> tuple[Agent, ...]:
        """Return the tenant's agents, newest first."""
        return tuple(sorted(self._by_slug.get(tenant, {}).values(), key=lambda one: one.id, reverse=True))

    def restriction(self, tenant: str, slug: str) -> Restriction | None:
        """Return what the agent declared for itself; None where that is nothing, or there is no such agent."""
        return self._restrictions.get((tenant, slug))

    # --- registering --------------------------------------------------------------------------------------------------

    async def register(
        self,
        principal: Principal,
        *,
        name: str,
        description: str = "",
        domains: Sequence[str] = (),
        intent_types: Sequence[str] = (),
    ) -> Agent:
        """Register an agent in the principal's tenant.

        Raises:
            InvalidRequest: the name is taken or makes no slug, or a domain or intent type is none.
            StateConflict: the tenant has as many agents as it may.
            StoreError: it could not be made durable; there is no such agent.
        """
        problems = tuple(self._problems(name, description, domains, intent_types))
        if problems:
            raise InvalidRequest(*problems)
        restriction = Restriction(domains=frozenset(domains), intent_types=frozenset(intent_types))
        agent, new = await self._added(principal, name, description, restriction)
        if not new:
            text = f"is taken: there is an agent with the slug '{slug_of(name)}'; choose another"
            raise InvalidRequest(FieldProblem(path=("name",), message=text))
        return agent

    async def acting(self, principal: Principal, name: str, *, known: bool, field: str = "actor") -> Agent:
        """Return the agent in whose name a request of this principal acts, as its body names it.

        A credential that is bound to an agent acts as that one only. Where the agent need not be `known`, it is
        registered, at the tier that is configured for all. `field` is the name of the field in the body.

        Raises:
            AgentNotFound: it must be known and is not.
            Forbidden: the credential is bound to another agent.
            InvalidRequest: the name makes no slug.
            StateConflict: the tenant has as many agents as it may.
            StoreError: it could not be made durable.
        """
        plain = name.removeprefix(_PREFIX).strip()
        slug = self.slug(principal.tenant, plain)
        if principal.bound and slug != principal.agent:
            msg = f"This credential is bound to the agent '{principal.agent}' and acts as no other."
            raise Forbidden(msg)
        found = self.find(principal.tenant, slug)
        if found is not None:
            return found
        if known or plain.startswith(_ID):
            return self.require(principal.tenant, plain)
        problem = _name_problem(plain)
        if problem:
            raise InvalidRequest(FieldProblem(path=(field,), message=problem))
        return (await self._added(principal, plain, "", Restriction()))[0]

    async def _other(self, tenant: str, slug: str) -> Agent:
        """Return the agent that was registered under the slug and is not known here yet.

        Another request is about to make it known, or an earlier one gave up on a registration that became durable.
        """
        pointer = await self._state.get(tenant, _slug_key(slug))
        row = await self._state.get(tenant, f"{_PREFIX}{pointer.value.decode()}") if pointer is not None else None
        if row is None:
            msg = f"The agent '{slug}' is being registered; try again."
            raise StateConflict(msg)
        return self._take(_read(tenant, row.value))

    async def _added(
        self, principal: Principal, name: str, description: str, restriction: Restriction
    ) -> tuple[Agent, bool]:
        """Make an agent durable and known, and return it and True; where its slug is taken, its owner and False."""
        known = self._by_slug.get(principal.tenant, {})
        slug = slug_of(name)
        if slug in known:
            return known[slug], False
        if len(known) >= AGENTS_KEPT:
            msg = f"This tenant has {AGENTS_KEPT} agents, which is as many as it may have."
            raise StateConflict(msg)
        agent = Agent(
            tenant=principal.tenant,
            id=self._ids.new("agt"),
            slug=slug,
            name=name,
            description=description,
            restriction=restriction,
            created=timestamp(self._clock.now()),
        )
        if isinstance(await self._audit.append(self._draft(principal, agent)), Conflict):
            return await self._other(agent.tenant, slug), False
        return self._take(agent), True

    def _draft(self, principal: Principal, agent: Agent) -> EntryDraft:
        row = _written(agent)
        return EntryDraft(
            tenant=agent.tenant,
            id=self._ids.new("evt"),
            type=EntryType.AGENT_REGISTERED,
            time=agent.created,
            agent=agent.slug,
            body=orjson.dumps({**row, **redact({"description": agent.description}), "by": principal.credential}),
            expects=(Expect(key=_slug_key(agent.slug), version=0),),
            puts=(
                Put(key=f"{_PREFIX}{agent.id}", value=orjson.dumps(row)),
                Put(key=_slug_key(agent.slug), value=agent.id.encode()),
            ),
        )

    def _take(self, agent: Agent) -> Agent:
        self._by_slug.setdefault(agent.tenant, {})[agent.slug] = agent
        self._by_id[agent.tenant, agent.id] = agent
        if agent.restriction != Restriction():
            self._restrictions[agent.tenant, agent.slug] = agent.restriction
        return agent

    def _problems(
        self, name: str, description: str, domains: Sequence[str], intent_types: Sequence[str]
    ) -> Iterator[FieldProblem]:
        problem = _name_problem(name)
        if problem:
            yield FieldProblem(path=("name",), message=problem)
        if not is_text(description, MAX_DESCRIPTION_CHARS):
            text = f"must be a text of at most {MAX_DESCRIPTION_CHARS} characters"
            yield FieldProblem(path=("description",), message=text)
        known = self._taxonomy
        for field, kind, given, words in (
            ("domains", "a domain", domains, known.by_domain),
            ("intentTypes", "an intent type", intent_types, known.by_id),
        ):
            for number, word in enumerate(given):
                if word not in words or word == UNKNOWN_TYPE.id:
                    yield FieldProblem(path=(field, number), message=f"is not {kind} of the taxonomy")


def _name_problem(name: str) -> str:
    """Say why a name makes no agent, or nothing."""
    if not is_text(name, MAX_NAME_CHARS):
        return f"must be a text of at most {MAX_NAME_CHARS} characters"
    if not slug_of(name):
        return "must hold a letter a to z or a digit: its slug is made of these"
    return ""


def _slug_key(slug: str) -> str:
    return f"agent-slug:{slug}"


def _written(agent: Agent) -> JsonObject:
    return {
        "id": agent.id,
        "slug": agent.slug,
        "name": agent.name,
        "description": agent.description,
        "domains": sorted(agent.restriction.domains),
        "intentTypes": sorted(agent.restriction.intent_types),
        "created": agent.created,
    }


def _read(tenant: str, text: bytes) -> Agent:
    row = orjson.loads(text)
    return Agent(
        tenant=tenant,
        id=row["id"],
        slug=row["slug"],
        name=row["name"],
        description=row["description"],
        restriction=Restriction(domains=frozenset(row["domains"]), intent_types=frozenset(row["intentTypes"])),
        created=row["created"],
    )
