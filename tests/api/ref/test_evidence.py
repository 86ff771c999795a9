"""The bundle as a file, the keys to give away, and the secret, once."""

import pytest

from gateway.core.audit.canonical import canonical
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.principal import Role
from gateway.errors import SigningError, StoreError, Unavailable
from gateway.services import evidence as module
from intended.evidence import verify
from intended.evidence.keys import key_of
from tests.api.house import House, opened
from tests.services.submitting import DEPLOY, KEY
from tests.simulate.world import World


async def with_an_intent() -> tuple[House, str]:
    """Return a house whose chain has what a world decided."""
    house, world = await opened(), World()
    record = (await world.intents.submit(KEY, DEPLOY)).record
    for draft in world.store.drafts:
        if draft.type is EntryType.CALL_DECIDED:
            await house.store.append(_of_acme(draft))
    return house, record.id


def _of_acme(draft: EntryDraft) -> EntryDraft:
    return EntryDraft(
        tenant="acme",
        id=draft.id,
        type=draft.type,
        time=draft.time,
        intent_id=draft.intent_id,
        agent=draft.agent,
        upstream=draft.upstream,
        tool=draft.tool,
        effect=draft.effect,
        reasons=draft.reasons,
        policy_digest=draft.policy_digest,
        risk=draft.risk,
        confidence=draft.confidence,
        args_digest=draft.args_digest,
        body=draft.body,
        evaluation_input=draft.evaluation_input,
    )


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_a_bundle_is_downloaded_as_a_file_and_verifies(prefix: str) -> None:
    """With the keys from the service, and with its secret."""
    house, intent = await with_an_intent()
    answer = await house.get(f"{prefix}/intent/{intent}/evidence-bundle")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == f'attachment; filename="evidence-{intent}.json"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == canonical(answer.json())
    keys = [key_of(one) for one in (await house.get(f"{prefix}/evidence/keys")).json()["keys"]]
    shown = await house.post(f"{prefix}/evidence/secret/show")
    report = verify(answer.content, keys=keys, secret=shown.json()["secret"])
    assert report.trusted, report.failed


async def test_the_secret_is_shown_once_and_then_rotated() -> None:
    """In Ref's words."""
    house = await opened()
    first = (await house.post("/evidence/secret/show")).json()
    assert first["secret"].startswith("evsec_")
    again = await house.post("/evidence/secret/show")
    assert (again.status_code, again.json()["error"]) == (409, "CONFLICT")
    second = (await house.post("/evidence/secret/rotate")).json()
    assert second["id"] != first["id"]
    assert (await house.post("/evidence/secret/show")).status_code == 409


async def test_reading_the_audit_is_what_a_bundle_asks_for_and_making_keys_its_secret() -> None:
    """A viewer may look; an agent may do neither."""
    house, intent = await with_an_intent()
    viewer, agent = await house.key(role=Role.VIEWER), await house.key(role=Role.AGENT)
    assert (await house.get(f"/intent/{intent}/evidence-bundle", key=viewer)).status_code == 200
    assert (await house.get("/evidence/keys", key=viewer)).status_code == 200
    for key in (viewer, agent):
        for act in ("show", "rotate"):
            assert (await house.post(f"/evidence/secret/{act}", key=key)).status_code == 403
    assert (await house.get(f"/intent/{intent}/evidence-bundle", key=agent)).status_code == 403
    assert (await house.get(f"/intent/{intent}/evidence-bundle", key="")).status_code == 401


async def test_of_another_tenants_intent_nothing_is_known() -> None:
    """As of one that there never was."""
    house, intent = await with_an_intent()
    for key, id_ in ((house.other, intent), (house.admin, "int_unknown")):
        answer = await house.get(f"/intent/{id_}/evidence-bundle", key=key)
        assert answer.status_code == 404
        assert answer.json() == {"error": "NOT_FOUND", "message": "There is no such intent.", "statusCode": 404}


@pytest.mark.parametrize("fault", [SigningError("x"), StoreError("x"), Unavailable("no evidence is made of it")])
async def test_what_cannot_be_vouched_for_is_not_handed_out(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, and nothing that could be taken for a bundle."""
    house = await opened()

    async def fails(*asked: object) -> bytes:
        raise fault

    monkeypatch.setattr(house.services.evidence, "bundle", fails)
    answer = await house.get("/intent/int_1/evidence-bundle")
    assert (answer.status_code, answer.json()["error"]) == (503, "SERVICE_UNAVAILABLE")


async def test_an_intent_with_more_entries_than_a_bundle_holds_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """No outage: a client that came back after a 503 would come back for ever, and one of 409 may try again."""
    monkeypatch.setattr(module, "MOST", 0)
    house, intent = await with_an_intent()
    answer = await house.get(f"/intent/{intent}/evidence-bundle")
    assert (answer.status_code, answer.json()["error"]) == (413, "PAYLOAD_TOO_LARGE")
    assert "retry-after" not in answer.headers
    said = answer.json()["message"]
    assert "has 1 entries, and an evidence bundle holds 0 at most" in said
    assert "`intended audit export`" in said
    assert EntryType.EVIDENCE_SECRET_CREATED not in [one.type for one in house.store.drafts], "nothing was made for it"


async def test_a_file_name_holds_nothing_but_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in a path must not stand in a header."""
    house = await opened()

    async def made(*asked: object) -> bytes:
        return b""

    monkeypatch.setattr(house.services.evidence, "bundle", made)
    monkeypatch.setattr(House, "_check", lambda *asked: None)
    answer = await house.get('/intent/a";b/evidence-bundle')
    disposition = answer.headers.get("content-disposition", "")
    assert disposition in ("", 'attachment; filename="evidence-ab.json"')
