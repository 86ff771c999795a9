"""Trust in Ops' words."""

import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.principal import Role
from tests.api.house import House, opened

PATH = "/v1/agents/bot/trust"


async def house_with_bot() -> House:
    house = await opened()
    assert (await house.post("/v1/agents", {"name": "Bot"})).status_code == 201
    for number in range(4):
        draft = EntryDraft(
            tenant="acme",
            id=f"evt_{number}",
            type=EntryType.CALL_COMPLETED,
            time="2026-11-22T12:00:00.000Z",
            agent="bot",
            reasons=("ok",),
            risk=60,
            args_digest=str(number),
        )
        await house.store.append(draft)
    return house


async def test_an_agent_s_trust_says_what_it_rests_on() -> None:
    """By id or slug; everything that somebody needs who wonders why."""
    house = await house_with_bot()
    answer = await house.get(PATH)
    found = answer.json()["data"]
    assert (found["agent"], found["tier"], found["recorded"], found["ceiling"]) == ("bot", "T0", "T0", "T2")
    assert (found["frozen"], found["pinned"], found["ceilingSetByHuman"], found["version"]) == (False,) * 3 + (0,)
    assert found["counts"]["executed"] == 4
    assert [one["id"] for one in found["raisedBy"]] == ["evt_0", "evt_1", "evt_2"]
    assert {one["what"] for one in found["promotion"] if not one["met"]} == {"separate days", "days at this tier"}
    assert answer.headers["etag"] == '"0"'
    assert (await house.get(f"/v1/agents/{found['agentId']}/trust")).json()["data"] == found


async def test_how_trust_came_about_is_shown() -> None:
    """The points of a plot, and the entries that moved it."""
    house = await house_with_bot()
    await house.send("PUT", PATH, json={"frozen": True, "reason": "an audit"})
    found = (await house.get(f"{PATH}/history")).json()["data"]
    [point] = found["points"]
    assert (point["day"], point["tier"]) == ("2026-11-22", "T0")
    frozen, act, *_ = found["moves"]
    assert (frozen["what"], frozen["risk"]) == ("frozen", None)
    assert (act["what"], act["risk"], act["entryId"]) == ("executed", 60, "evt_2")
    assert act["scoreBefore"] < act["score"]


async def test_a_human_freezes_and_caps() -> None:
    """Each is on record; `default` gives the ceiling back to the configuration."""
    house = await house_with_bot()
    answer = await house.send("PUT", PATH, json={"frozen": True, "ceiling": "T3", "reason": "reviewed"})
    found = answer.json()["data"]
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert (found["frozen"], found["ceiling"], found["ceilingSetByHuman"]) == (True, "T3", True)
    back = await house.send("PUT", PATH, json={"ceiling": "default", "frozen": False, "reason": "over"})
    assert (back.json()["data"]["ceiling"], back.json()["data"]["frozen"]) == ("T2", False)
    told = [draft for draft in house.store.drafts if draft.type is EntryType.TRUST_CHANGED]
    assert [draft.reasons[0] for draft in told] == ["frozen", "ceiling", "unfrozen", "ceiling"]


async def test_a_change_may_name_the_version_that_was_looked_at() -> None:
    """`If-Match`, as with thresholds; here it is not asked for."""
    house = await house_with_bot()
    body = {"frozen": True, "reason": "why"}
    assert (await house.send("PUT", PATH, json=body, headers={"if-match": '"7"'})).status_code == 400
    assert (await house.send("PUT", PATH, json=body, headers={"if-match": "any"})).status_code == 400
    assert (await house.send("PUT", PATH, json=body, headers={"if-match": '"0"'})).status_code == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"frozen": True}, {"reason": "why"}, {"ceiling": "T9", "reason": "why"}, {"freeze": True, "reason": "x"}],
)
async def test_a_change_without_sense_is_refused(body: dict[str, object]) -> None:
    """VALIDATION_ERROR, and nothing is written."""
    house = await house_with_bot()
    answer = await house.send("PUT", PATH, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert not [draft for draft in house.store.drafts if draft.type is EntryType.TRUST_CHANGED]


@pytest.mark.parametrize(("role", "status"), [(Role.ADMIN, 200), (Role.POLICY_ADMIN, 200), (Role.OPERATOR, 403)])
async def test_who_may_change_thresholds_may_say_how_far_an_agent_rises(role: Role, status: int) -> None:
    """And nobody else; a key that is bound to the agent is the agent."""
    house = await house_with_bot()
    key = await house.key(role=role)
    answer = await house.send("PUT", PATH, json={"ceiling": "T4", "reason": "why"}, key=key)
    assert answer.status_code == status
    assert (await house.get(PATH, key=key)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/agents/nope/trust", "/v1/agents/nope/trust/history"])
async def test_an_unknown_agent_has_its_own_code(path: str) -> None:
    """AGENT_NOT_FOUND; of another tenant too."""
    house = await house_with_bot()
    assert (await house.get(path)).json()["error"]["code"] == "AGENT_NOT_FOUND"
    answer = await house.get(PATH, key=house.other)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "AGENT_NOT_FOUND")


async def test_what_stops_an_agent_is_shown_with_its_trust() -> None:
    """Whoever wonders why nothing of it runs finds a switch, or its failures; nothing where it may act."""
    house = await house_with_bot()

    async def stopped() -> str | None:
        return (await house.get(PATH)).json()["data"]["stopped"]

    assert await stopped() is None
    for number in range(3):
        draft = EntryDraft(
            tenant="acme",
            id=f"evt_bad_{number}",
            type=EntryType.CALL_COMPLETED,
            time="2026-11-22T12:00:00.000Z",
            agent="bot",
            reasons=("failed",),
            risk=60,
        )
        await house.store.append(draft)
    assert "The last 3 calls of this agent were denied, or failed" in str(await stopped())
    await house.send("PUT", "/v1/switches/agent/bot", json={"reason": "runs amok"})
    assert "runs amok" in str(await stopped())


async def test_the_trust_of_all_who_acted_is_listed() -> None:
    """A page of what `GET /v1/agents/{id}/trust` says, with what stops an agent."""
    house = await house_with_bot()
    assert (await house.send("PUT", PATH, json={"frozen": True, "reason": "an audit"})).status_code == 200
    answer = await house.get("/v1/trust?pageSize=5")
    found = (await house.get(PATH)).json()["data"]
    [row] = answer.json()["items"]
    assert row == {name: found[name] for name in row}
    assert (row["agent"], row["tier"], row["frozen"], row["stopped"]) == ("bot", "T0", True, None)
    assert {name: answer.json()[name] for name in ("total", "page", "pageSize")} == {
        "total": 1,
        "page": 1,
        "pageSize": 5,
    }
