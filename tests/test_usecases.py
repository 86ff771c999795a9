"""What the faces share is read from the store before anyone can ask for it."""

from pathlib import Path

from gateway.app import Gateway
from gateway.core.principal import Role
from gateway.services.operator import operator
from gateway.services.trust_changes import Control
from gateway.settings import Settings


def settings_in(folder: Path) -> Settings:
    return Settings(port=0, data=folder / "data", state=folder / "state")


async def test_what_was_known_is_known_again_after_a_restart(tmp_path: Path) -> None:
    """Every directory lives in memory; each must have been loaded before the first request."""
    by = operator("acme")
    async with Gateway.open(settings_in(tmp_path)) as gateway:
        known = gateway.known
        created = await known.keys.create(by, tenant="acme", name="ci", agent="Billing Agent")
        await known.people.create(by, name="Ada", role=Role.OPERATOR)
        table = known.thresholds.get("acme")
        await known.thresholds.put(by, "acme", table.tiers, table.version)
        await known.tokens.ensure("acme")
        published = known.tokens.jwks("acme")
        await known.trust_changes.change(by, "billing-agent", Control(frozen=True), reason="an audit")
    assert (tmp_path / "data" / "trust.sqlite3").exists()
    async with Gateway.open(settings_in(tmp_path)) as gateway:
        known = gateway.known
        principal = known.keys.resolve(created.secret)
        assert principal is not None
        assert (principal.tenant, principal.agent, principal.bound) == ("acme", "billing-agent", True)
        assert [one.slug for one in known.agents.list("acme")] == ["billing-agent"]
        assert [one.name for one in known.people.users(by)] == ["Ada"]
        assert known.thresholds.get("acme").version == table.version + 1
        assert known.tokens.jwks("acme") == published
        assert (await known.trust_changes.view("acme", "billing-agent")).row.frozen
