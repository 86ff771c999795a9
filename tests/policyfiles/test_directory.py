"""Reload: one broken file keeps the last good bundle, and says so; never ALLOW by absence."""

import os
from collections.abc import Mapping
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from gateway.core.policy.bundle import Bundle
from gateway.errors import PolicyError
from gateway.policyfiles import directory
from gateway.policyfiles.directory import PolicyDirectory
from tests.policyfiles.test_files import POLICY, write

News = Bundle | PolicyError


class Listener:
    """Keeps what it is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: list[News] = []
        self._send, self._receive = anyio.create_memory_object_stream[News](100)

    async def __call__(self, news: News, texts: Mapping[str, str]) -> None:
        self.told.append(news)
        await self._send.send(news)

    async def wait(self) -> News:
        with anyio.fail_after(5):
            return await self._receive.receive()

    async def until(self, *rules: str) -> None:
        with anyio.fail_after(5):
            while True:
                news = await self._receive.receive()
                if isinstance(news, Bundle) and ids(news) == list(rules):
                    return

    def close(self) -> None:
        self._send.close()
        self._receive.close()


@pytest.fixture
def listener():  # type: ignore[no-untyped-def]
    made = Listener()
    yield made
    made.close()


def ids(bundle: Bundle) -> list[str]:
    return [rule.matched.id for rule in bundle.rules]


def policies(path: Path, listener: Listener | None = None) -> PolicyDirectory:
    return PolicyDirectory(path, on_change=listener, settle_s=0, look_s=0.2)


def test_without_a_sound_policy_there_is_no_start(tmp_path: Path) -> None:
    """At start there is no last good bundle: the gateway refuses."""
    with pytest.raises(PolicyError):
        policies(tmp_path)
    (tmp_path / "p.yaml").write_text("rules: [", encoding="utf-8")
    with pytest.raises(PolicyError):
        policies(tmp_path)


async def test_sound_files_come_into_force_as_a_whole(tmp_path: Path, listener: Listener) -> None:
    """The bundle that a call has taken stays as it was."""
    source = policies(write(tmp_path / "p.yaml"), listener)
    before = source.current()
    write(tmp_path / "p.yaml", "b")
    after = await source.reload()
    assert after is source.current()
    assert ids(source.current()) == ["b"]
    assert ids(before) == ["a"]
    assert listener.told == [after]


async def test_new_policies_are_told_before_they_are_in_force(tmp_path: Path) -> None:
    """Whoever listens records them: nothing may be decided by a policy that is nowhere on record."""
    seen: list[tuple[list[str], list[str], list[str]]] = []

    async def record(news: News, texts: Mapping[str, str]) -> None:
        assert isinstance(news, Bundle)
        seen.append((ids(news), ids(source.current()), list(texts)))

    source = PolicyDirectory(write(tmp_path / "p.yaml"), on_change=record, settle_s=0)
    write(tmp_path / "p.yaml", "b")
    await source.reload()
    assert seen == [(["b"], ["a"], list(source.texts()))]
    assert ids(source.current()) == ["b"]


async def test_a_reload_of_the_same_files_changes_and_tells_nothing(tmp_path: Path, listener: Listener) -> None:
    """A touched file is no new policy."""
    source = policies(write(tmp_path / "p.yaml"), listener)
    before = source.current()
    assert await source.reload() is before
    assert listener.told == []


BROKEN = {
    "syntax error": b"rules: [\n",
    "empty": b"",
    "half-written": POLICY.encode()[:40],
    "half-written, by chance sound": (POLICY % "b").encode().rstrip(),
    "ten megabytes": b"#" * (10 * 1024 * 1024),
    "not UTF-8": b"\xff\xfe\n",
    "unknown field": (POLICY % "b").encode() + b"ruels: []\n",
    "broken condition": (POLICY % "b").replace("allow}", "deny, when: agent.teir > 1}").encode(),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
async def test_one_broken_file_rejects_the_whole_reload(tmp_path: Path, listener: Listener, content: bytes) -> None:
    """The last good bundle stays, `problem()` says why, and the next good files heal it."""
    write(tmp_path / "a.yaml")
    source = policies(tmp_path, listener)
    write(tmp_path / "c.yaml", "c")
    (tmp_path / "b.yaml").write_bytes(content)
    refused = await source.reload()
    assert isinstance(refused, PolicyError)
    assert ids(source.current()) == ["a"]
    assert "b.yaml" in source.problem()
    assert await source.reload() is refused or str(await source.reload()) == str(refused)
    assert len(listener.told) == 1, "one rejection is told once"
    (tmp_path / "b.yaml").unlink()
    healed = await source.reload()
    assert isinstance(healed, Bundle)
    assert ids(source.current()) == ["a", "c"]
    assert source.problem() == ""


@pytest.mark.parametrize("fault", ["deleted file", "deleted folder", "unreadable"])
async def test_files_that_are_gone_or_closed_change_nothing_but_the_problem(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Absence is no permission: the last good bundle keeps deciding."""
    folder = tmp_path / "policies"
    folder.mkdir()
    file = write(folder / "p.yaml")
    source = policies(folder, listener)
    if fault == "unreadable":

        def forbidden(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", forbidden)
    else:
        file.unlink()
    if fault == "deleted folder":
        folder.rmdir()
    assert isinstance(await source.reload(), PolicyError)
    assert ids(source.current()) == ["a"]
    assert source.problem()
    monkeypatch.undo()
    folder.mkdir(exist_ok=True)
    write(file)
    assert isinstance(await source.reload(), Bundle)
    assert source.problem() == ""


async def test_going_back_to_the_bundle_in_force_clears_the_problem_and_is_told(
    tmp_path: Path, listener: Listener
) -> None:
    """The audit shows when the files were sound again."""
    file = write(tmp_path / "p.yaml")
    source = policies(file, listener)
    file.write_text("x\n", encoding="utf-8")
    await source.reload()
    write(file)
    await source.reload()
    assert source.problem() == ""
    assert [isinstance(news, Bundle) for news in listener.told] == [False, True]


async def test_files_that_never_come_to_rest_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    """A file that is being written also looks whole."""
    file = write(tmp_path / "p.yaml")
    source = policies(file, listener)
    reads = iter(range(1000))
    real = directory._read

    def changing(path: Path) -> object:
        write(file, f"r{next(reads)}")
        return real(path)

    monkeypatch.setattr(directory, "_read", changing)
    refused = await source.reload()
    assert "keep changing" in str(refused)
    assert ids(source.current()) == ["a"]
    assert "keep changing" in source.problem()


async def test_a_hundred_rewrites_end_in_the_last_whole_version(tmp_path: Path, listener: Listener) -> None:
    """Whatever the storm, what is in force was one whole version at every moment."""
    file = write(tmp_path / "p.yaml")
    source = policies(file, listener)
    seen: set[str] = set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        for number in range(100):
            new = write(tmp_path / ".p.yaml.new", f"v{number}")
            new.replace(file)
            await anyio.lowlevel.checkpoint()
            seen.update(ids(source.current()))
        await listener.until("v99")
        tasks.cancel_scope.cancel()
    assert ids(source.current()) == ["v99"]
    assert seen <= {"a", *(f"v{number}" for number in range(100))}


async def test_an_editors_atomic_save_is_noticed(tmp_path: Path, listener: Listener) -> None:
    """The name stands for another file afterwards: folders are watched, not files."""
    file = write(tmp_path / "p.yaml")
    source = policies(file, listener)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        write(tmp_path / "p.yaml.tmp", "b").replace(file)
        await listener.until("b")
        tasks.cancel_scope.cancel()


async def test_a_configmaps_link_swap_is_noticed(tmp_path: Path, listener: Listener) -> None:
    """Kubernetes swaps `..data`; the files themselves never change."""
    for version in ("1", "2"):
        (tmp_path / f"..{version}").mkdir()
        write(tmp_path / f"..{version}" / "p.yaml", f"v{version}")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "p.yaml").symlink_to("..data/p.yaml")
    source = policies(tmp_path, listener)
    assert ids(source.current()) == ["v1"]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        (tmp_path / "..new").symlink_to("..2")
        os.replace(tmp_path / "..new", tmp_path / "..data")
        await listener.until("v2")
        write(tmp_path / "..2" / "p.yaml", "v3")
        await listener.until("v3")
        tasks.cancel_scope.cancel()


async def test_a_folder_that_goes_and_comes_back_is_noticed(tmp_path: Path, listener: Listener) -> None:
    """A watch dies with its folder; the regular look does not."""
    folder = tmp_path / "policies"
    folder.mkdir()
    file = write(folder / "p.yaml")
    source = policies(folder, listener)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        file.unlink()
        folder.rmdir()
        assert isinstance(await listener.wait(), PolicyError)
        assert ids(source.current()) == ["a"]
        folder.mkdir()
        write(file, "b")
        await listener.until("b")
        tasks.cancel_scope.cancel()


async def test_a_watch_that_cannot_be_had_is_replaced_by_regular_looks(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system out of watches must not freeze the policy."""

    def none_left(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(directory, "awatch", none_left)
    file = write(tmp_path / "p.yaml")
    source = policies(file, listener)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        write(file, "b")
        await listener.until("b")
        tasks.cancel_scope.cancel()


async def test_a_change_in_any_of_several_places_is_noticed(tmp_path: Path, listener: Listener) -> None:
    """The shipped default, a pack, and a folder of one's own: each is watched where it lies."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    write(tmp_path / "one" / "p.yaml", "a")
    second = write(tmp_path / "two" / "q.yaml", "b")
    source = PolicyDirectory(tmp_path / "one", second, on_change=listener, settle_s=0, look_s=0.2)
    assert ids(source.current()) == ["a", "b"]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        write(second, "c")
        await listener.until("a", "c")
        second.unlink()
        assert isinstance(await listener.wait(), PolicyError)
        assert ids(source.current()) == ["a", "c"]
        tasks.cancel_scope.cancel()


async def test_nobody_needs_to_listen(tmp_path: Path) -> None:
    """The callback is for the audit; the source works without."""
    source = policies(write(tmp_path / "p.yaml"))
    write(tmp_path / "p.yaml", "b")
    assert isinstance(await source.reload(), Bundle)


def test_folders_to_watch_are_those_of_the_path_and_of_where_links_lead(tmp_path: Path) -> None:
    """A change in any of them can change what the path stands for."""
    (tmp_path / "real").mkdir()
    write(tmp_path / "real" / "p.yaml")
    (tmp_path / "link.yaml").symlink_to("real/p.yaml")
    assert set(directory._folders([tmp_path / "link.yaml"])) == {tmp_path, tmp_path / "real"}
    assert directory._folders([tmp_path / "none" / "p.yaml"]) == ()
    assert directory._folders([tmp_path / "gone"]) == (tmp_path,)


def test_a_file_that_vanishes_during_a_look_has_a_fingerprint_of_its_own(tmp_path: Path) -> None:
    """A look never raises; it only says that something is different."""
    assert directory._fingerprint([tmp_path / "none.yaml"]) == ((str(tmp_path / "none.yaml"), 2, 0, 0, 0),)
