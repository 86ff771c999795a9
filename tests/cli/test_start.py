"""What a start tells the operator."""

import json
from pathlib import Path
from unittest.mock import ANY

import pytest

from gateway import __version__
from gateway.app import StartReport
from gateway.cli.start import announce
from gateway.ports import OpenCall
from gateway.settings import Settings


def report(**changes: object) -> StartReport:
    values = {
        "upstreams": {"default": "http://x/mcp"},
        "policies": (Path("/etc/policies"),),
        "policy_digest": "ab" * 32,
        "policy_warnings": (),
        "data": Path("/data"),
        "in_doubt": (),
        "keyless": True,
    }
    return StartReport(**(values | changes))


def told(capsys: pytest.CaptureFixture[str], found: StartReport, settings: Settings, url: str) -> str:
    announce(found, settings, url)
    out, err = capsys.readouterr()
    assert out == ""
    return err


URL = "http://127.0.0.1:8787"


def test_it_says_what_is_protected_where_the_agent_goes_and_where_data_lies(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And which policy is in force, and the next command (issue, "What a user can do", 2)."""
    text = told(capsys, report(), Settings(), URL)
    for part in (
        "protects   default  http://x/mcp\n",
        "agent URL  http://127.0.0.1:8787/mcp\n",
        "policy     /etc/policies  (digest abababababab)\n",
        "data       /data\n",
        "claude mcp add --transport http intended http://127.0.0.1:8787/mcp\n",
        "intended audit tail --follow\n",
    ):
        assert part in text
    assert "WARNING" not in text


def test_the_remote_authority_is_said_where_one_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether calls are asked about elsewhere, and where, decides what happens to each of them."""
    settings = Settings.model_validate({"authority": {"url": "https://intended.example.org", "key": "k"}})
    assert "authority  https://intended.example.org\n" in told(capsys, report(), settings, URL)
    assert "authority" not in told(capsys, report(), Settings(), URL)
    announce(report(), settings, URL, as_json=True)
    assert json.loads(capsys.readouterr().err)["authority"] == "https://intended.example.org"


def test_several_upstreams_have_an_address_each(capsys: pytest.CaptureFixture[str]) -> None:
    """`/mcp` for all of them, `/mcp/NAME` for one."""
    text = told(capsys, report(upstreams={"a": "http://a", "b": "npx b"}), Settings(), URL)
    assert "http://127.0.0.1:8787/mcp  all of them" in text
    assert "http://127.0.0.1:8787/mcp/a  only a" in text
    assert "http://127.0.0.1:8787/mcp/b  only b" in text


def test_warnings_of_the_policy_are_loud(capsys: pytest.CaptureFixture[str]) -> None:
    """allow-all allows everything."""
    text = told(capsys, report(policy_warnings=("everything is allowed",)), Settings(), URL)
    assert "WARNING: policy: everything is allowed" in text


def test_keyless_mode_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Who connects is agent `local`."""
    assert "every program of this machine" in told(capsys, report(), Settings(), URL)
    assert "keyless" not in told(capsys, report(keyless=False), Settings(), URL)


def test_an_open_address_without_keys_is_a_loud_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """And the URLs shown are ones that work from here."""
    settings = Settings(host="0.0.0.0", unsafe_allow_unauthenticated=True)
    text = told(capsys, report(), settings, "http://0.0.0.0:8787")
    assert "WARNING: unauthenticated: anyone who reaches 0.0.0.0" in text
    assert "agent URL  http://127.0.0.1:8787/mcp\n" in text


@pytest.mark.parametrize(
    ("changes", "warned"),
    [({}, True), ({"behind_tls_proxy": True}, False), ({"tls_certificate": "c.pem", "tls_key": "k.pem"}, False)],
)
def test_keys_in_the_clear_are_a_loud_warning(changes: dict, warned: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The unsafe switch lets them; somebody should know."""
    settings = Settings.model_validate({"host": "0.0.0.0", "unsafe_allow_unauthenticated": True, **changes})
    text = told(capsys, report(keyless=False), settings, URL)
    assert ("WARNING: unencrypted: API keys come to 0.0.0.0 in the clear" in text) is warned
    assert "unauthenticated" not in text


@pytest.mark.parametrize(("count", "more"), [(1, ""), (7, " and 2 more")])
def test_calls_in_doubt_are_listed(count: int, more: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They may have run, and are not sent again."""
    calls = tuple(OpenCall(tenant="default", intent_id=f"int_{number}", seq=number) for number in range(count))
    text = told(capsys, report(in_doubt=calls), Settings(), URL)
    assert f"{'1 call was' if count == 1 else f'{count} calls were'} allowed" in text
    assert f"int_0{', int_1, int_2, int_3, int_4' if count > 1 else ''}{more}. They may have run." in text


def test_the_next_command_works_with_this_data_folder(capsys: pytest.CaptureFixture[str]) -> None:
    """Copied as it stands."""
    text = told(capsys, report(), Settings(data=Path("/data")), URL)
    assert "intended audit tail --follow --data /data\n" in text


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (0, "0 keys: nobody is let in until there is one"),
        (1, "1 key: every request needs one"),
        (3, "3 keys: every request needs one"),
    ],
)
def test_keys_are_told_with_the_command_that_makes_one(
    keys: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An agent without one is refused, and the URL alone would not say why."""
    found = told(capsys, report(keyless=False, keys=keys), Settings(data=Path("/data")), URL)
    assert f"keys       {text}; intended keys create NAME --data /data\n" in found
    assert '/mcp --header "Authorization: Bearer $INTENDED_AGENT_KEY"\n' in found


def test_where_prometheus_asks_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """With port 0 nobody could know it otherwise; without the setting there is nothing to say."""
    announce(report(), Settings(), URL, metrics="http://127.0.0.1:9464/metrics")
    assert "  metrics    http://127.0.0.1:9464/metrics\n" in capsys.readouterr().err
    assert "metrics" not in told(capsys, report(), Settings(), URL)


def test_a_log_of_json_is_greeted_by_one_line_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """With the same facts as the greeting for people, and warnings among them."""
    found = report(policy_warnings=("everything is allowed",), keyless=False, keys=2)
    settings = Settings(host="0.0.0.0")
    announce(found, settings, "http://0.0.0.0:8787", metrics="http://127.0.0.1:9100/metrics", as_json=True)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line.pop("warnings") == [
        {"title": "policy", "text": "everything is allowed"},
        {"title": "unencrypted", "text": ANY},
    ]
    assert line == {
        "event": "started",
        "level": "info",
        "logger": "gateway.cli",
        "version": __version__,
        "upstreams": {"default": "http://x/mcp"},
        "agentUrl": "http://127.0.0.1:8787/mcp",
        "policy": "/etc/policies",
        "policyDigest": "ab" * 32,
        "authority": None,
        "data": "/data",
        "metrics": "http://127.0.0.1:9100/metrics",
        "keyless": False,
        "keys": 2,
    }


def test_the_next_command_can_be_copied_wherever_data_lies(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with a space in it is quoted."""
    text = told(capsys, report(), Settings(data=Path("/my data")), URL)
    assert "intended audit tail --follow --data '/my data'\n" in text
