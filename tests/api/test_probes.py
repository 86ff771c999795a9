"""Probes: they need no credential and leak nothing without being asked."""

from tests.api.house import opened


async def test_health_says_healthy_in_both_dialects() -> None:
    """Ref reads the object, Ops its `data` (contract, section 1); under both prefixes."""
    house = await opened()
    house.clock.advance(1.5)
    for path in ("/health", "/v1/health"):
        answer = await house.get(path, key="")
        body = answer.json()
        assert (answer.status_code, body["status"], body["uptime"]) == (200, "healthy", 1.5)
        assert set(body) == {"status", "version", "uptime", "timestamp", "data"}
        assert {name: value for name, value in body.items() if name != "data"} == body["data"]


async def test_health_says_unhealthy_when_no_decision_can_be_made() -> None:
    """And leaks nothing more."""
    house = await opened()
    house.store.down = "disk full on /data"
    answer = await house.get("/health", key="")
    assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")
    assert "disk" not in answer.text


async def test_readiness_lists_its_checks_only_when_asked() -> None:
    """An orchestrator needs the status, an operator the reason."""
    house = await opened()
    assert (await house.get("/readyz", key="")).status_code == 200
    house.policies.broken = "p.yaml:1:1: no"
    brief, verbose = await house.get("/readyz", key=""), await house.get("/readyz?verbose", key="")
    assert (brief.status_code, brief.json()) == (200, {"status": "degraded"})
    assert (verbose.status_code, verbose.json()["checks"]["policies"]) == (200, "p.yaml:1:1: no")
    house.store.down = "disk full on /data"
    assert (await house.get("/readyz", key="")).status_code == 503


async def test_a_gateway_that_cannot_serve_some_tenants_is_ready_and_says_so() -> None:
    """A load balancer that took it out would stop the others too."""
    house = await opened()
    trust = house.services.trust._trust
    trust._fail(trust._book("other"), "entry 1 of tenant other is damaged")
    house.services.readiness._trust = trust
    brief, verbose = await house.get("/readyz", key=""), await house.get("/readyz?verbose", key="")
    assert (brief.status_code, brief.json()) == (200, {"status": "degraded"})
    assert "1 tenant(s) have no tier now" in verbose.json()["checks"]["trust"]
    assert "other" not in verbose.text


async def test_the_process_is_live() -> None:
    """Liveness rests on nothing but the process."""
    house = await opened()
    house.store.down = "gone"
    assert (await house.get("/livez", key="")).status_code == 200


async def test_a_probe_takes_get_and_head() -> None:
    """Load balancers send HEAD; whatever else is 405 with what is taken."""
    house = await opened()
    head = await house.send("HEAD", "/health", key="")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0
    wrong = await house.post("/health", key="")
    assert (wrong.status_code, wrong.json()["error"], wrong.headers["allow"]) == (
        405,
        "METHOD_NOT_ALLOWED",
        "GET, HEAD",
    )
