"""The policies in force, reloaded when their files change. Implements `ports.PolicySource`.

One broken file rejects the whole reload: the last good bundle stays and `problem()` says why. Folders are watched, not
files: an editor's atomic save and a ConfigMap's link swap replace what a name stands for. Events can be lost (a folder
deleted and made anew, a network disk), so the files are also looked at every few seconds.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import anyio
from anyio import to_thread
from watchfiles import awatch

from gateway.core.intent.taxonomy import TAXONOMY, Taxonomy
from gateway.core.policy.bundle import Bundle
from gateway.errors import PolicyError, Problem
from gateway.policyfiles.files import PolicyText, compile_texts, folder_warnings, policy_paths, read_texts

__all__ = ["OnChange", "PolicyDirectory"]

OnChange = Callable[[Bundle | PolicyError, Mapping[str, str]], Awaitable[None]]
"""Called with a new bundle and its texts by path before it comes into force (so that it is on record when it decides),
or with the refusal of new files and the texts that stay in force. Must not raise."""

LOOK_S = 3.0
"""How often the files are looked at without an event."""

SETTLE_S = 0.1
"""How long the files must stay as they are before they are taken: a file that is being written also looks whole."""

SETTLE_ROUNDS = 20
"""After so many looks at files that keep changing the reload is given up until the next event or look."""

Texts = tuple[PolicyText, ...]

Fingerprint = tuple[tuple[str, int, int, int, int], ...]


class PolicyDirectory:
    """Policy files or folders and their bundle. There is always a bundle: the first load raises if it fails."""

    def __init__(
        self,
        *paths: Path,
        taxonomy: Taxonomy = TAXONOMY,
        on_change: OnChange | None = None,
        settle_s: float = SETTLE_S,
        look_s: float = LOOK_S,
    ) -> None:
        """Load once. Raises PolicyError: there is no last good bundle yet, so the gateway must not start."""
        self._paths = paths
        self._taxonomy = taxonomy
        self._on_change = on_change
        self._settle_s = settle_s
        self._look_s = look_s
        self._reloading = anyio.Lock()
        self._seen = _fingerprint(paths)
        texts = read_texts(*paths)
        self._tried: Texts | None = texts
        self._error: PolicyError | None = None
        self._in_force: Texts = texts
        self._bundle = self._compiled(self._in_force)

    def current(self) -> Bundle:
        """Return the last good bundle."""
        return self._bundle

    def problem(self) -> str:
        """Return an empty string, or why the newest files are not in force."""
        return "" if self._error is None else str(self._error)

    def texts(self) -> dict[str, str]:
        """Return the texts of the bundle in force, by path."""
        return _by_path(self._in_force)

    async def run(self) -> None:
        """Watch and reload until cancelled. Owned by `app.py`; the first look comes at once."""
        while True:
            await self._look()
            stop = anyio.Event()
            async with anyio.create_task_group() as group:
                group.start_soon(_set_when_cancelled, stop)
                try:
                    await self._watch(_folders(self._paths), stop)
                except (OSError, RuntimeError):  # a watched folder vanished, or the system's watches are used up
                    await anyio.sleep(self._look_s)
                group.cancel_scope.cancel()

    async def reload(self) -> Bundle | PolicyError:
        """Take the files as they are now, or keep the last good bundle. Tells `on_change` what is new.

        Returns the bundle in force, or why the files are not taken.
        """
        async with self._reloading:
            texts = await self._settled()
            if isinstance(texts, PolicyError):
                return await self._reject(texts, None)
            if texts == self._tried:
                return self._error or self._bundle
            try:
                bundle = await to_thread.run_sync(self._compiled, texts)
            except PolicyError as error:
                return await self._reject(error, texts)
            await self._tell(bundle, texts)
            self._bundle, self._error, self._tried, self._in_force = bundle, None, texts, texts
            return bundle

    async def _watch(self, folders: tuple[Path, ...], stop: anyio.Event) -> None:
        """Look after each event and every few seconds, until the names stand for files in other folders."""
        changes = awatch(
            *folders,
            watch_filter=None,
            recursive=False,
            debounce=200,
            step=50,
            rust_timeout=int(self._look_s * 1000),
            yield_on_timeout=True,
            stop_event=stop,
        )
        async with aclosing(changes):
            async for _ in changes:
                await self._look()
                if _folders(self._paths) != folders:
                    return

    async def _look(self) -> None:
        """Reload if anything about the files is new since the last look."""
        seen = await to_thread.run_sync(_fingerprint, self._paths)
        if seen != self._seen:
            await self.reload()
            self._seen = seen

    async def _settled(self) -> Texts | PolicyError:
        """The files once two looks in a row saw the same; a file that vanishes for a moment is waited for too."""
        last = await to_thread.run_sync(_read, self._paths)
        for _ in range(SETTLE_ROUNDS):
            await anyio.sleep(self._settle_s)
            now = await to_thread.run_sync(_read, self._paths)
            if str(now) == str(last):
                return now
            last = now
        remedy = "write the files less often, or replace them by renaming"
        return PolicyError(Problem(source=_named(self._paths), message="the policy files keep changing", remedy=remedy))

    def _compiled(self, texts: Texts) -> Bundle:
        return compile_texts(texts, folder_warnings(*self._paths), taxonomy=self._taxonomy)

    async def _reject(self, error: PolicyError, texts: Texts | None) -> PolicyError:
        known = self.problem() == str(error)
        self._error, self._tried = error, texts
        if not known:
            await self._tell(error, self._in_force)
        return error

    async def _tell(self, news: Bundle | PolicyError, texts: Texts) -> None:
        if self._on_change is not None:
            await self._on_change(news, _by_path(texts))


def _by_path(texts: Texts) -> dict[str, str]:
    return {text.path: text.text for text in texts}


def _named(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))


def _read(paths: Sequence[Path]) -> Texts | PolicyError:
    try:
        return read_texts(*paths)
    except PolicyError as error:
        return error


def _folders(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The folders in which a change can change what the paths stand for: their own, and where links lead."""
    folders = {path if path.is_dir() else path.parent for path in paths}
    for path in paths:
        try:
            folders |= {file.resolve().parent for file in policy_paths(path)}
        except (PolicyError, OSError):
            folders.add(path.parent)
    return tuple(sorted(folder for folder in folders if folder.is_dir()))


async def _set_when_cancelled(stop: anyio.Event) -> None:
    """Tell the watching thread to end. `awatch` learns that it is cancelled only after that thread has timed out."""
    try:
        await anyio.sleep_forever()
    finally:
        stop.set()


def _fingerprint(paths: Sequence[Path]) -> Fingerprint:
    """What changes whenever a file does, without reading it; access times excepted."""
    try:
        files = policy_paths(*paths)
    except PolicyError as error:
        return ((str(error), 0, 0, 0, 0),)
    return tuple(map(_fingerprint_file, files))


def _fingerprint_file(file: Path) -> tuple[str, int, int, int, int]:
    try:
        found = file.stat()
    except OSError as error:
        return (str(file), error.errno or -1, 0, 0, 0)
    return (str(file), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
