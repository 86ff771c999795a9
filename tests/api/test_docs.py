"""The page of the document works offline, under a policy that lets nothing else in."""

import re

from gateway.api.docs import CSP
from tests.api.house import opened


async def test_the_document_is_served_to_anybody_and_made_once() -> None:
    """It needs no key and tells nothing of this installation."""
    house = await opened()
    first, second = await house.get("/openapi.json", key=""), await house.get("/openapi.json", key="")
    assert (first.status_code, first.headers["content-type"]) == (200, "application/json")
    assert first.json()["openapi"].startswith("3.1")
    assert first.content == second.content
    assert "acme" not in first.text.replace("@acme.com", "").replace("acme/frontend", "")
    assert "servers" not in first.json()


async def test_the_page_asks_nobody_but_its_own_server() -> None:
    """No CDN, no inline script or style: the policy would block them, and offline they would be missing."""
    house = await opened()
    page = await house.get("/docs", key="")
    assert page.headers["content-security-policy"] == CSP
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in CSP
    assert "unsafe" not in CSP
    assert re.findall(r"https?://", page.text) == []
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=", page.text) == []
    for link in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        found = await house.get(f"/{link}", key="")
        assert found.status_code == 200, link


async def test_the_script_makes_no_html_of_what_it_is_given() -> None:
    """Text nodes only: a description could hold anything."""
    script = (await (await opened()).get("/docs/docs.js", key="")).text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)
