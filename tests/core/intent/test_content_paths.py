"""Protected paths and `..` segments are found in every spelling, and ordinary paths are left alone."""

import time
from collections.abc import Callable

import pytest

from gateway.core.intent.content_paths import (
    SECRET_PLACES,
    TRIGGERS,
    looks_like_path,
    root_path,
    system_path,
    traversal,
)
from gateway.core.intent.signals import MAX_TEXT_CHARS, fold


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd", "c:/users/u/AppData/Roaming/x", "/etc", "//etc//shadow", "/./etc/shadow",
        "file:///etc/passwd", "/root/x", "/proc/self/environ",
        "/var/run/docker.sock", "~/.ssh/id_rsa", "/home/u/.aws/credentials", ".env", "project/.env",
        "app/.env.production",
        "C:\\Windows\\System32", "c:/windows/win.ini", "%SystemRoot%\\x", "\\\\host\\share", "\\\\?\\C:\\x",
        "cat /etc/shadow",
        "--file=/etc/hosts", "HEAD:.git/config", "/HOME/U/.SSH/config", "%2fetc%2fpasswd", "%252fetc%252fpasswd",
        "／etc／passwd", "$HOME/.kube/config", "/private/etc/hosts", "kubeconfig", "/bin/sh", "/dev/sda",
        "a; cat /etc/passwd",
        "/e*c/sh?dow",
        "/{etc,tmp}/shadow", "/[er]oot/x", "\\\\.\\PhysicalDrive0", "smb://host/share", "∕etc∕shadow",
        "c:/users/u/NTUSER.DAT", "/var/backups/x", "/usr/bin/x", "foo'/etc/passwd'",
        "d:\\Program Files\\x", "$env:APPDATA\\x",
        "/home/u/.s3cfg", "~/.config/rclone/rclone.conf", "/home/u/.m2/settings.xml", "/var/log/auth.log",
        "/home/u/.config/google-chrome/Default/Cookies", "backup/shadow.bak", "local.settings.json",
    ],
)  # fmt: skip
def test_protected_paths_are_found(text: str) -> None:
    """One spelling that slips through is all that an attacker needs."""
    assert system_path(fold(text))


@pytest.mark.parametrize(
    "text",
    [
        "/home/u/project/readme.md", "/srv/etc/notes.md", "src/environment.ts", ".env.example", "docs/.env.sample",
        "https://example.com/etc/passwords-guide", "notes", "", "/dev/null", "my.profile.txt", "library/book.txt",
        "/data/windows/report.txt", "main..feature", "a library of windows", "\\alpha\\beta", "C:\\Users\\u\\notes.txt",
        "50% of users", "the /usr/bin folder", "costs $5", "x/devtools/y", "windows",
        "//example.com/page", "\\\\ two words",
    ],
)  # fmt: skip
def test_ordinary_paths_are_left_alone(text: str) -> None:
    """A gateway that denies ordinary files is not used."""
    assert system_path(fold(text)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "../x", "a/../b", "..", "a/..", "..\\x", "a\\..\\b", "%2e%2e/x", "%2e%2e%2fx", "%252e%252e%252fx", "..;/x",
        "..%c0%afx",
        "．．/x", "--file=../x", "cat ../x", " .. ",
    ],
)  # fmt: skip
def test_traversal_is_found_in_every_spelling(text: str) -> None:
    """Encoded and doubled encodings reach the same file."""
    assert traversal(fold(text))


@pytest.mark.parametrize(
    "text", ["a..b", "main..feature", "wait...", "...", "a .. b", "1..5", "v1.2", "foo.../bar", ""]
)
def test_dots_that_are_no_segment_are_left_alone(text: str) -> None:
    """Ranges and ellipses are ordinary."""
    assert not traversal(fold(text))


@pytest.mark.parametrize("text", ["/", "~", "~/", "C:\\", "c:", "/home", "$HOME", "file:///"])
def test_a_whole_machine_is_known(text: str) -> None:
    """Listing everything is not listing a folder."""
    assert root_path(fold(text))


@pytest.mark.parametrize("text", ["/work", "", "c", "3:", "ab"])
def test_a_folder_is_not_a_whole_machine(text: str) -> None:
    """Only the root itself counts."""
    assert not root_path(text)


def test_a_text_is_a_path_where_it_begins_like_one() -> None:
    """Prose may speak of paths; a value that is one is one."""
    assert looks_like_path("/x")
    assert looks_like_path("c:/x")
    assert not looks_like_path("see /x")
    assert not looks_like_path("/x\n/y")


@pytest.mark.parametrize("piece", ["/etc", "../", "..", "//", "/./", ".env", "c:/windows", "/", "\\", "a/etc/", ".ssh"])
def test_hostile_paths_are_read_in_linear_time(piece: str) -> None:
    """Twice the text may take twice the time, never four times; a bound in seconds would test the machine."""
    assert grows_linearly(lambda text: (system_path(text), traversal(text)), piece)


def grows_linearly(read: Callable[[str], object], piece: str) -> bool:
    """Compare the longest text that is ever read with a sixteenth of it: quadratic time would be 256 times as much."""

    def seconds(size: int) -> float:
        text = "x" + piece * (size // len(piece))
        best = 10.0
        for _ in range(3):
            begun = time.process_time()
            read(text)
            best = min(best, time.process_time() - begun)
        return best

    return seconds(MAX_TEXT_CHARS) < max(0.05, 60 * seconds(MAX_TEXT_CHARS // 16))


def test_a_protected_name_of_one_word_is_found_as_it_stands() -> None:
    """Ours: a single word is looked up whole; what a longer search would find in it must be among these."""
    words = [place for place in SECRET_PLACES if place.isalnum()]
    assert words
    assert all(system_path(word) and word in TRIGGERS for word in words)
    assert all(system_path(word) == system_path(f" {word} ") for word in (*TRIGGERS, "invoice", "etcetera"))
