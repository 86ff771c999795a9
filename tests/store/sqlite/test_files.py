"""One process per data folder, and files that were touched by someone else are noticed."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.errors import StoreInUse, StoreRefused
from gateway.store.sqlite.files import FolderLock, StoreFiles, private_folder


def test_the_second_one_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    """Design, "Store": one process holds the exclusive lock; a second gateway refuses."""
    lock = FolderLock.acquire(tmp_path)
    with pytest.raises(StoreInUse, match=f"process {os.getpid()}") as caught:
        FolderLock.acquire(tmp_path)
    assert "--data" in caught.value.remedy
    lock.release()
    FolderLock.acquire(tmp_path).release()
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_is_refused_with_a_remedy(tmp_path: Path) -> None:
    """Ours: what, where, and what to do."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreRefused, match="cannot be made"):
        private_folder(tmp_path / "file" / "data")
    (tmp_path / "lock").mkdir()
    with pytest.raises(StoreRefused, match="cannot be written"):
        FolderLock.acquire(tmp_path)


def test_a_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """Issue, "Audit": modes 0600 and 0700."""
    private_folder(tmp_path / "data")
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


NAMES = ("audit.db", "audit.db-wal", "audit.db-shm")


@pytest.fixture
def files(tmp_path: Path) -> Iterator[StoreFiles]:
    for name in NAMES:
        (tmp_path / name).write_bytes(name.encode())
    watched = StoreFiles(tmp_path / "audit.db")
    assert watched.remember() == ""
    assert watched.problem() == ""
    yield watched
    watched.close()


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.rename(path)


def move_away(path: Path) -> None:
    path.rename(path.with_name("moved"))


def link(path: Path) -> None:
    path.with_name("linked").hardlink_to(path)


def overwrite(path: Path) -> None:
    path.write_bytes(b"an older copy")
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [delete, replace, move_away])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_not_the_same_any_more_is_noticed(
    files: StoreFiles, tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    """Security, 0.5: SQLite would go on successfully, and the rows would be lost."""
    change(tmp_path / name)
    assert files.problem() != ""
    assert files.remember() != ""


@pytest.mark.parametrize("change", [link, overwrite])
@pytest.mark.parametrize("name", NAMES[:2])
def test_a_file_that_someone_else_wrote_or_linked_is_noticed(
    files: StoreFiles, tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    """Security, section 4: `cp` of an older copy keeps the inode."""
    change(tmp_path / name)
    assert files.problem() != ""


def test_our_own_writes_are_no_problem_once_remembered(files: StoreFiles, tmp_path: Path) -> None:
    """Ours: a commit grows the log, a checkpoint the database."""
    overwrite(tmp_path / "audit.db-wal")
    assert files.remember() == ""
    overwrite(tmp_path / "audit.db")
    assert files.remember(checkpointed=True) == ""
    assert files.problem() == ""


def test_what_someone_else_writes_into_the_database_during_a_commit_is_not_taken_for_ours(
    files: StoreFiles, tmp_path: Path
) -> None:
    """Faults: an older copy put over the database under load fell between two looks, and calls went on."""
    overwrite(tmp_path / "audit.db-wal")
    overwrite(tmp_path / "audit.db")
    assert "changed by someone else" in files.remember()
    assert files.problem() != ""
