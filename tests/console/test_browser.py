"""The approval page in a real browser: with the keyboard alone, on a phone's screen, and nothing blocked or run.

Needs `chromium` on the path. It is spoken to over a pipe, so that no port is opened.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
import requests

from tests.api.live import Service, live

pytestmark = pytest.mark.full

PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}


class Tab:
    """One tab of one browser."""

    def __init__(self, send: IO[bytes], receive: IO[bytes]) -> None:
        self._send = send
        self._receive = receive
        self._number = 0
        self._session = ""
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> Any:
        """Send one command and return its result; events on the way are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._send.write(json.dumps(message).encode() + b"\0")
        while True:
            found = self._read()
            if found.get("id") == self._number:
                assert "error" not in found, found
                return found["result"]
            self.events.append(found)

    def _read(self) -> Any:
        read = bytearray()
        while (char := self._receive.read(1)) != b"\0":
            assert char, "the browser has ended"
            read += char
        return json.loads(read)

    def wait_for(self, method: str) -> None:
        while not any(one.get("method") == method for one in self.events):
            self.events.append(self._read())

    def open(self, url: str) -> None:
        self.events.clear()
        self.ask("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def press_enter(self) -> None:
        """Press Enter where the focus is, and wait for the page that follows."""
        self.events.clear()
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **key)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **key)
        self.wait_for("Page.loadEventFired")

    def value(self, expression: str) -> Any:
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def faults(self) -> list[Any]:
        """Return what the browser refused or complained of: a blocked style, a script, a failed request."""
        told = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [one["params"] for one in self.events if one.get("method") in told]


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium is not None, "install chromium to run this test"
    to_read, to_send = os.pipe()
    from_read, from_send = os.pipe()
    flags = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --remote-debugging-pipe"
    process = subprocess.Popen(
        [
            "/bin/bash",
            "-c",
            f'exec "$0" {flags} --user-data-dir="$1" 3<&{to_read} 4>&{from_send}',
            chromium,
            str(folder),
        ],
        pass_fds=(to_read, from_send),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(from_send)
    with os.fdopen(to_send, "wb", buffering=0) as sent, os.fdopen(from_read, "rb") as received:
        try:
            yield Tab(sent, received)
        finally:
            process.kill()
            process.wait(10)


def code_of(service: Service) -> str:
    """Make a user who may approve, and the code that they log in with."""
    made = requests.post(
        f"{service.url}/users", json={"name": "ada", "role": "operator"}, headers=service.headers, timeout=10
    )
    user = made.json()["id"]
    link = requests.post(f"{service.url}/users/{user}/login-link", json={}, headers=service.headers, timeout=10)
    return str(link.json()["code"])


def test_a_person_logs_in_and_approves_with_the_keyboard_on_a_phone(tmp_path: Path) -> None:
    """A real browser sends the Origin, keeps the cookie and obeys the policy that other tests only read."""
    with live(tmp_path) as service, browser(tmp_path / "profile") as tab:
        page = f"{service.url}/approve/{service.ids['approvals']}"
        tab.ask("Emulation.setDeviceMetricsOverride", **PHONE)
        tab.open(page)
        assert tab.value("document.activeElement.id") == "code"
        tab.ask("Input.insertText", text=code_of(service))
        tab.press_enter()
        assert tab.value("location.href") == page
        assert "Agent billing-agent wants to" in tab.value("document.querySelector('h1').textContent")
        assert tab.value("document.documentElement.scrollWidth") <= PHONE["width"]
        assert tab.value("getComputedStyle(document.querySelector('.state')).fontWeight") == "600"
        assert tab.value("document.cookie") == ""
        assert tab.faults() == []
        tab.value("document.querySelector('#reason').focus()")
        tab.ask("Input.insertText", text="agreed")
        tab.value("document.querySelector('button.yes').focus()")
        tab.press_enter()
        assert "Approved by ps_" in tab.value("document.querySelector('[role=status]').textContent")
        assert "agreed" in tab.value("document.body.textContent")
        assert tab.faults() == []
        shown = requests.get(
            f"{service.url}/v1/approvals/{service.ids['approvals']}", headers=service.headers, timeout=10
        ).json()["data"]
        assert (shown["status"], shown["resolution"]) == ("approved", "agreed")
