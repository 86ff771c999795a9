"""An agent's trust reads as a person would tell it, and its plot fits a terminal."""

from typing import Any

from gateway.cli.trust_text import history, plot, told

TRUST: dict[str, Any] = {
    "agentId": "agt_1",
    "agent": "billing-agent",
    "tier": "T1",
    "recorded": "T1",
    "score": 34,
    "pinned": False,
    "frozen": False,
    "ceiling": "T2",
    "ceilingSetByHuman": False,
    "since": "2026-11-22",
    "failuresInRow": 0,
    "stopped": None,
    "counts": {"executed": 7, "failed": 0, "denied": 1},
    "raisedBy": [{"seq": 4, "id": "evt_4"}, {"seq": 5, "id": "evt_5"}],
    "loweredBy": [{"seq": 9, "id": "evt_9"}],
    "promotion": [
        {"what": "ceiling", "has": "T2", "asks": "T2", "met": True},
        {"what": "score", "has": "34", "asks": "50", "met": False},
    ],
    "version": 1,
}


def test_trust_is_told_with_what_is_missing() -> None:
    """Line by line."""
    assert list(told(TRUST)) == [
        "tier      T1 (since 2026-11-22, ceiling T2 configured)",
        "score     34 of 100",
        "acts      7 executed, 1 denied",
        "raised    by entries 4 (evt_4), 5 (evt_5)",
        "lowered   by entry 9 (evt_9)",
        "to rise   met     ceiling: T2, takes T2",
        "          MISSING score: 34, takes 50",
    ]


def test_what_a_human_or_the_configuration_says_is_told() -> None:
    """And a fall that is not written yet."""
    given = TRUST | {"pinned": True, "promotion": [], "raisedBy": [], "loweredBy": [], "counts": {"executed": 0}}
    assert list(told(given)) == [
        "tier      T1 (given by the configuration, it does not move)",
        "score     34 of 100",
        "acts      none",
    ]
    frozen = TRUST | {"frozen": True, "ceiling": "T4", "ceilingSetByHuman": True, "since": None}
    assert next(told(frozen)) == "tier      T1 (ceiling T4 set by a human, FROZEN: not promoted)"
    fallen = TRUST | {"recorded": "T3", "failuresInRow": 4}
    lines = list(told(fallen))
    assert lines[1] == "          T3 by its last change; that it fell is in force and about to be recorded"
    assert "in a row  4 failed or denied" in lines
    stopped = TRUST | {"stopped": "The agent 'bot' has been switched off\x1b[2J"}
    (line,) = [one for one in told(stopped) if one.startswith("STOPPED   The agent 'bot' has been switched off")]
    assert "\x1b" not in line


def point(day: int, score: int, tier: str) -> dict[str, Any]:
    return {"day": f"2026-11-{day:02}", "score": score, "tier": tier}


def test_a_plot_shows_score_and_tier() -> None:
    """A column for each point, in eighths of ten points of score."""
    points = [point(1 + number, score, tier) for number, (score, tier) in enumerate(SCORES)]
    assert list(plot(points)) == [
        "100 │                     █",
        "    │                    ▄█",
        " 80 │                    ██",
        "    │                    ██",
        " 60 │                   ▇██",
        "    │                   ███",
        " 40 │                   ███",
        "    │                   ███",
        " 20 │ ▁█████████████████████",
        "    │ ██████████████████████",
        "    └───────────────────────",
        "tier 00000000000000000000123",
        "     2026-11-01    2026-11-23",
    ]


SCORES = [(0, "T0"), (11, "T0"), *[(20, "T0")] * 17, (58, "T0"), (85, "T1"), (100, "T2"), (20, "T3")]


def test_the_moves_are_told_under_the_plot() -> None:
    """With their entries; whoever wants more looks there."""
    act = {"seq": 9, "at": "2026-11-22T12:30:00.000Z", "what": "denied", "risk": 80, "scoreBefore": 40, "score": 22}
    moved = act | {"tierBefore": "T1", "tier": "T1"}
    change = act | {"seq": 10, "what": "demoted", "risk": None, "tierBefore": "T1", "tier": "T0"}
    lines = list(history({"points": [point(1, 20, "T0")], "moves": [change, moved]}))
    assert lines[-3:] == [
        "     2026-11-01",
        "moved by  entry 10  2026-11-22 12:30  demoted  40 → 22  T1 → T0",
        "          entry 9  2026-11-22 12:30  denied, risk 80  40 → 22",
    ]
    assert list(history({"points": [], "moves": []})) == []
