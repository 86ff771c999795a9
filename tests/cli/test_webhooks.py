"""`intended webhooks`: what is asked, and where the secret goes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.desk import Asked, command, desk

SECRET = "whsec_" + "x" * 43
HOOK = {
    "id": "hook_1",
    "tenantId": "default",
    "url": "https://example.com/",
    "description": "ops",
    "events": ["intent.approved"],
    "enabled": True,
    "disabledReason": None,
    "oldSecretUntil": None,
    "createdAt": "2026-11-22T12:00:00.000Z",
    "createdBy": "cli",
}
DELIVERY = {
    "id": "whk_1",
    "webhookId": "hook_1",
    "event": "webhook.test",
    "intentId": None,
    "state": "failed",
    "attempts": 1,
    "lastAttemptAt": "2026-11-22T12:00:00.000Z",
    "nextAttemptAt": "2026-11-22T12:00:05.000Z",
    "reason": "answered with an error (500)",
}
ROW = "whk_1\twebhook.test\t\tfailed\t1\t2026-11-22T12:00:00.000Z\t2026-11-22T12:00:05.000Z\t"


def test_a_new_secret_is_the_only_thing_on_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`SECRET=$(intended webhooks add URL)` must be the secret."""
    with desk(monkeypatch, HOOK | {"secret": SECRET}) as asked:
        done = command(
            tmp_path, "webhooks", "create", "https://example.com/", "--event", "intent.approved", "--description", "ops"
        )
    assert (done.exit_code, done.stdout) == (0, f"{SECRET}\n")
    body = {"url": "https://example.com/", "events": ["intent.approved"], "description": "ops"}
    assert asked.asked == [Asked(method="POST", path="/webhooks", body=body)]
    assert SECRET not in done.stderr
    assert "webhook hook_1 of tenant default: intent.approved to https://example.com/" in done.stderr


def test_a_rotated_secret_says_how_long_the_old_one_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver has until then."""
    rotated = HOOK | {"secret": SECRET, "events": [], "oldSecretUntil": "2026-11-23T12:00:00.000Z"}
    with desk(monkeypatch, rotated, rotated) as asked:
        done = command(tmp_path, "webhooks", "rotate", "hook_1", "--overlap", "1d", "--tenant", "acme")
        shown = command(tmp_path, "webhooks", "rotate", "hook_1", "-o", "json")
    assert done.stdout == f"{SECRET}\n"
    assert "all events to" in done.stderr
    assert "the old secret signs too until 2026-11-23T12:00:00.000Z" in done.stderr
    assert json.loads(shown.stdout) == rotated
    path = "/webhooks/hook_1/rotate"
    assert asked.asked == [
        Asked(method="POST", path=path, body={"overlapSeconds": 86_400}, tenant="acme"),
        Asked(method="POST", path=path, body={"overlapSeconds": 0}),
    ]


@pytest.mark.parametrize(
    ("words", "answer", "asked", "shown"),
    [
        (
            ["list"],
            {"webhooks": [HOOK]},
            Asked(method="GET", path="/webhooks"),
            "hook_1\thttps://example.com/\tintent.approved\tyes\tops\n",
        ),
        (["show", "hook_1"], HOOK, Asked(method="GET", path="/webhooks/hook_1"), "id\thook_1\n"),
        (
            ["update", "hook_1", "--disable", "--event", "chain.break"],
            HOOK,
            Asked(method="PATCH", path="/webhooks/hook_1", body={"events": ["chain.break"], "enabled": False}),
            "id\thook_1\n",
        ),
        (
            ["update", "hook_1", "--enable", "--all-events", "--url", "https://example.org/", "--description", ""],
            HOOK,
            Asked(
                method="PATCH",
                path="/webhooks/hook_1",
                body={"url": "https://example.org/", "events": [], "description": "", "enabled": True},
            ),
            "id\thook_1\n",
        ),
        (["remove", "hook_1"], HOOK, Asked(method="DELETE", path="/webhooks/hook_1"), "hook_1\t"),
        (
            ["deliveries", "hook_1", "--only", "failed"],
            {"items": [DELIVERY], "total": 1, "page": 1, "pageSize": 100},
            Asked(
                method="GET",
                path="/webhooks/hook_1/deliveries",
                query={"state": "failed", "page": "1", "pageSize": "100"},
            ),
            ROW,
        ),
        (
            ["deliveries", "hook_1"],
            {"items": [DELIVERY], "total": 1, "page": 1, "pageSize": 100},
            Asked(method="GET", path="/webhooks/hook_1/deliveries", query={"page": "1", "pageSize": "100"}),
            ROW,
        ),
        (
            ["resend", "hook_1", "whk_1"],
            DELIVERY,
            Asked(method="POST", path="/webhooks/hook_1/deliveries/whk_1/resend", body={}),
            ROW,
        ),
        (["test", "hook_1"], DELIVERY, Asked(method="POST", path="/webhooks/hook_1/test", body={}), ROW),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_each_command_asks_for_what_it_says(
    words: list[str],
    answer: Any,
    asked: Asked,
    shown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the words of the API, and shows what came back."""
    with desk(monkeypatch, answer) as stand_in:
        done = command(tmp_path, "webhooks", *words)
    assert done.exit_code == 0, done.output
    assert stand_in.asked == [asked]
    assert shown in done.stdout
