"""Whose process is at the other end."""

import os
import socket

import pytest

from gateway.admin import peer
from gateway.admin.peer import peer_problem, peer_user


def test_a_peer_of_this_user_is_known_as_such() -> None:
    """By the operating system's word, not by what the peer sends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_user(ours) == os.geteuid()
        assert peer_problem(ours) == ""


def test_another_user_is_refused() -> None:
    """Root as well: it has other ways, and needs none of ours by mistake."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        why = peer_problem(ours, user=lambda connection: os.geteuid() + 1)
    assert f"user {os.geteuid() + 1} is not the gateway's" in why


def test_a_peer_that_cannot_be_known_is_refused() -> None:
    """Fail closed: no answer is not a good answer."""
    with socket.socket(socket.AF_UNIX) as closed:
        pass
    assert peer_user(closed) is None
    assert "does not say" in peer_problem(closed)


class Library:
    """A C library whose getpeereid answers what it is told."""

    def __init__(self, status: int) -> None:
        self.status = status

    def getpeereid(self, handle: int, user: object, group: object) -> int:
        user._obj.value = 7  # type: ignore[attr-defined]
        return self.status


@pytest.mark.parametrize(("status", "found"), [(0, 7), (-1, None)])
def test_where_there_is_no_option_getpeereid_is_asked(
    monkeypatch: pytest.MonkeyPatch, status: int, found: int | None
) -> None:
    """As on macOS and the BSDs."""
    monkeypatch.delattr(socket, "SO_PEERCRED")
    monkeypatch.setattr(peer.ctypes, "CDLL", lambda name: Library(status))
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_user(ours) == found


def test_a_system_without_either_refuses_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that the library does not have is no permission."""
    monkeypatch.delattr(socket, "SO_PEERCRED")
    monkeypatch.setattr(peer.ctypes, "CDLL", lambda name: object())
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_problem(ours)
