"""Where the admin socket lies and who may open it."""

import os
import socket
import stat
from pathlib import Path

import pytest

from gateway.admin import address
from gateway.admin.address import NAME, bind, is_answered, socket_path
from gateway.errors import ConfigurationError


def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    """Whatever the process's umask says."""
    before = os.umask(0)
    try:
        bound = bind(tmp_path)
    finally:
        os.umask(before)
    found = (tmp_path / NAME).lstat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    bound.close()
    assert not (tmp_path / NAME).exists()


def test_a_dead_gateways_socket_is_replaced(tmp_path: Path) -> None:
    """A crash leaves the file; the lock says that nobody is behind it."""
    bind(tmp_path).listener.close()
    assert not is_answered(tmp_path)
    bound = bind(tmp_path)
    bound.listener.listen()
    assert is_answered(tmp_path)
    bound.close()
    assert not is_answered(tmp_path)


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """It is not ours to delete; the start says where it lies."""
    (tmp_path / NAME).write_text("mine")
    with pytest.raises(ConfigurationError, match=r"admin\.sock: something that is no socket"):
        bind(tmp_path)
    assert (tmp_path / NAME).read_text() == "mine"


def test_another_ones_socket_is_not_taken_away(tmp_path: Path) -> None:
    """Only the file that was made here is removed at the end."""
    first = bind(tmp_path)
    second = bind(tmp_path)
    first.close()
    assert (tmp_path / NAME).exists()
    second.close()
    second.close()
    assert not (tmp_path / NAME).exists()


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """With the place and what to do."""
    with pytest.raises(ConfigurationError, match="cannot be bound") as caught:
        bind(tmp_path / "missing")
    assert "--data" in str(caught.value)


def test_a_path_too_long_for_an_address_is_reached_by_a_short_name(tmp_path: Path) -> None:
    """Linux names every open folder; a deep data folder is no reason to do without."""
    folder = tmp_path.joinpath(*["deep" * 10] * 4)
    folder.mkdir(parents=True)
    bound = bind(folder)
    bound.listener.listen()
    assert stat.S_ISSOCK((folder / NAME).lstat().st_mode)
    assert is_answered(folder)
    with socket_path(folder) as short, socket.socket(socket.AF_UNIX) as client:
        assert len(short) <= address.MAX_PATH_BYTES
        client.connect(short)
    bound.close()
    assert not (folder / NAME).exists()


def test_elsewhere_such_a_path_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of an address that the system cuts."""
    monkeypatch.setattr(address, "HANDLES", tmp_path / "no-proc")
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with pytest.raises(ConfigurationError, match="too long a path") as caught:
        bind(folder)
    assert "shorter" in str(caught.value)
    assert list(folder.iterdir()) == []
