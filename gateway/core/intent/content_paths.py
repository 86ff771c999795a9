"""Paths in text: of the operating system, of places where secrets lie, and `..` segments however they are spelled.

Works on text folded by `content_wrapped.fold`: lower case, percent-decoded, compatibility forms resolved. Every scan
is a search for literals, so its time is linear in the text whatever the text is.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase

__all__ = ["looks_like_path", "root_path", "system_path", "traversal"]

SYSTEM_ROOTS = (
    "/etc", "/root", "/proc", "/sys", "/dev", "/boot", "/var/run", "/run/secrets", "/run/docker.sock", "/var/lib",
    "/var/spool/cron", "/private/etc", "/private/var/root", "/system/library", "/library/keychains", "/windows",
    "/winnt", "/var/backups", "/usr/lib", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin", "/sbin", "/lib/systemd",
)  # fmt: skip
"""Folders of an operating system. Below them nothing is an agent's own."""

HARMLESS = frozenset({"/dev/null", "/dev/stdin", "/dev/stdout", "/dev/stderr"})

WHOLE_ONLY = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/local/bin", "/lib/systemd", "/dev"})
"""Roots that commands name all the time; they count only where the whole value is the path."""

SECRET_PLACES = (
    ".ssh", ".aws", ".gnupg", ".kube", ".docker/config.json", ".netrc", "_netrc", ".npmrc", ".pypirc", ".pgpass",
    ".git-credentials", ".git/config", ".git/hooks", ".vault-token", ".config/gcloud", ".config/gh", ".azure", ".env",
    "id_rsa", "id_ed25519", "id_ecdsa", "id_dsa", "authorized_keys", ".bash_history", ".zsh_history", ".bashrc",
    ".bash_profile", ".zshrc", ".profile", "docker.sock", "containerd.sock", "terraform.tfstate", "wallet.dat",
    "login.keychain", "appdata/roaming", "appdata/local", "login.keychain-db", "ntds.dit", ".mcp.json",
    "claude_desktop_config.json", ".my.cnf", "ntuser.dat", "wp-config.php",
    ".s3cfg", ".boto", ".wgetrc", "rclone.conf", ".m2/settings.xml", "default/cookies", "log/auth.log", "log/secure",
    "master.passwd", "shadow.bak", "local.settings.json",
    ".psql_history", ".mysql_history", ".htpasswd", ".cargo/credentials", "master.key", "kubeconfig",
    ".password-store",
    "etc/passwd", "etc/shadow", "etc/sudoers", "etc/hosts", "system32", "cookies.sqlite", "key4.db", "logins.json",
    ".local/share/keyrings", "library/keychains", "launchagents", "launchdaemons", ".config/autostart",
)  # fmt: skip
"""Files and folders that hold secrets, or are run at login. Counted wherever they stand in a path."""

WINDOWS_MARKS = ("%systemroot%", "%windir%", "%appdata%", "%userprofile%", "$env:", "//?/")
WINDOWS_FOLDERS = ("windows", "winnt", "program files", "programdata", "users/public", "boot")

SAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist", ".env.test")
"""Templates that are meant to be read."""

EDGES = frozenset("/ \t\r\n\"'`=:;,@<>()[]{}|&~?#!$\x00")
"""What may stand before or behind a path, or between its segments."""

ENDS = EDGES | {"."}
"""Behind a secret place a suffix may follow: `.env.production`."""


PARTS = {ord(edge): " " for edge in EDGES | {"."}}
"""Turns a path, or a text that holds paths, into its words."""

TRIGGERS = frozenset(place.translate(PARTS).split()[0] for place in (*SECRET_PLACES, *SYSTEM_ROOTS, *WINDOWS_FOLDERS))
"""A text without one of these words holds none of the paths."""


ROOT_NAMES = frozenset(root.split("/")[1] for root in SYSTEM_ROOTS) - {"usr", "var", "lib", "private", "library"}
"""First segments below which everything is the system's."""

SIGNS_OF_PATTERNS = frozenset("*?[{")

MAX_PATTERN_CHARS = 32
"""Of a pattern for one name; longer ones match none of the roots but by stars, which one is enough for."""


def occurrences(text: str, part: str) -> Iterator[int]:
    """Yield each place where `part` begins in `text`."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def looks_like_path(text: str) -> bool:
    """Return True where the whole value is likely one path."""
    return "\n" not in text and (text.startswith(("/", "~", "./", "../", "file:", "%", "$")) or text[1:3] == ":/")


def collapse(text: str) -> str:
    """Return text with one kind of slash, and without empty and `.` segments."""
    text = text.replace("\\", "/")
    while "/./" in text:
        text = text.replace("/./", "/")
    while "//" in text:
        text = text.replace("//", "/")
    return text


def system_path(text: str) -> str:
    """Say which kind of protected path the text holds, or return an empty string."""
    if text.isalnum() and text not in TRIGGERS:  # one word without a sign: the search below would split it (1.3 µs)
        return ""
    flat = collapse(text)
    marked = not SIGNS_OF_PATTERNS.isdisjoint(text) or "%" in text or "$" in text or "\\\\" in text or "//" in text
    if not marked and TRIGGERS.isdisjoint(flat.translate(PARTS).split()):
        return ""
    slashed = text.replace("\\", "/")
    device = slashed.startswith("//./")
    if device or any(mark in slashed for mark in WINDOWS_MARKS) or windows_folder(flat) or network_share(text):
        return "a path of the operating system"
    whole = looks_like_path(flat)
    path = flat.partition(":")[2] if flat.startswith("file:") else flat
    if whole and (below_root(path, SYSTEM_ROOTS) or pattern_over_root(path)) and path not in HARMLESS:
        return "a path of the operating system"
    if "/" in flat and embedded_root(flat):
        return "a path of the operating system"
    if secret_place(flat):
        return "a place where secrets lie"
    return ""


def below_root(path: str, roots: tuple[str, ...]) -> bool:
    """Return True where the path is one of the roots or below one."""
    return any(path.startswith(root) and path[len(root) : len(root) + 1] in ("", *ENDS) for root in roots)


def pattern_over_root(path: str) -> bool:
    """Return True where the first segment is a pattern that takes a system folder in: `/e*c`, `/{etc,tmp}`."""
    first = path[1:].partition("/")[0][:MAX_PATTERN_CHARS] if path.startswith("/") else ""
    if first.startswith("{") and "," in first:
        return not ROOT_NAMES.isdisjoint(first.strip("{}").split(","))
    if not first.strip("*") or SIGNS_OF_PATTERNS.isdisjoint(first):
        return False
    return any(fnmatchcase(root, first) for root in ROOT_NAMES)


def embedded_root(flat: str) -> bool:
    """Return True where a root stands inside the text as the beginning of a path: `cat /etc/passwd`."""
    for root in SYSTEM_ROOTS:
        if root in WHOLE_ONLY or root not in flat:
            continue
        for at in occurrences(flat, root):
            before, behind = flat[at - 1 : at], flat[at + len(root) : at + len(root) + 1]
            if at and before in EDGES and before != "/" and behind in ("", *EDGES):
                return True
    return False


def secret_place(flat: str) -> bool:
    """Return True where a path segment is one of the places that hold secrets."""
    for place in SECRET_PLACES:
        if place not in flat:
            continue
        for at in occurrences(flat, place):
            before, behind = flat[at - 1 : at] if at else "", flat[at + len(place) : at + len(place) + 1]
            if (not before or before in EDGES) and (not behind or behind in ENDS) and not sample(flat, at):
                return True
    return False


def sample(flat: str, at: int) -> bool:
    """Return True where the place is a template such as `.env.example`."""
    return flat.startswith(SAMPLES, at)


def windows_folder(flat: str) -> bool:
    """Return True for `c:/windows` and its like, anywhere in the text."""
    for folder in WINDOWS_FOLDERS:
        if folder not in flat:
            continue
        for at in occurrences(flat, ":/" + folder):
            if at and flat[at - 1].isalpha() and flat[at - 2 : at - 1] in ("", *EDGES):
                return True
    return False


def network_share(text: str) -> bool:
    r"""Return True for `\\host\share`, which makes a machine show its credentials to the host."""
    if text.startswith(("smb://", "cifs://")):
        return True
    return text.startswith("\\\\") and text[2:3].isalnum() and "\\" in text[3:] and " " not in text


def root_path(text: str) -> bool:
    """Return True where the value is a whole machine or home: `/`, `~`, `c:/`."""
    flat = collapse(text)
    return flat in ("/", "~", "~/", "$home", "/home", "/users", "file:/") or (
        flat[1:] in (":", ":/") and flat[0].isalpha()
    )


def traversal(text: str) -> bool:
    """Return True where a segment of a path is `..`."""
    if ".." not in text:
        return False
    flat = text.replace("\\", "/").replace("..;", "..")
    if flat.strip() == "..":
        return True
    for at in occurrences(flat, ".."):
        before, behind = flat[at - 1 : at] if at else "/", flat[at + 2 : at + 3]
        if before in EDGES and (behind in ("/", "\x00") or (not behind and before == "/")):
            return True
    return False
