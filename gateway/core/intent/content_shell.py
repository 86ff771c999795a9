"""Commands in text: which destroy, take over or fetch code to run, and which were slipped into other arguments.

Owns a reading of shells that errs on the grave side: quotes and backslashes are taken away, the text is split at
everything that begins a command, and the first word of each piece is looked at.
"""

import re
from collections.abc import Sequence

__all__ = ["dangerous_command", "injected_command"]

MAX_PIECES = 2000
"""Commands of one text that are read; more of them count as dangerous where a command is expected."""

PIECE_WORDS = 16
"""Words of one command that are looked at."""

SPLITS = {ord(sign): "\n" for sign in ";|&`(){}<>\r"}
"""What begins a command, or ends one."""

VANISHING = {ord(sign): None for sign in "'\"\\^"}
"""What a shell takes away before it looks for the command: `r\\m`, `r''m`."""

LEADERS = frozenset(
    {"sudo", "doas", "env", "nohup", "time", "exec", "command", "xargs", "nice", "then", "do", "else", "!", "$",
        "busybox",
     "timeout", "setsid", "builtin", "eval", "-c", "cmd", "cmd.exe", "/c", "cmd/c"}
)  # fmt: skip
"""Words that run the word behind them."""

MARKS = (
    ":(){", ":()", "/dev/tcp/", "/dev/udp/", "/dev/sd", "/dev/nvme", "/dev/disk", "of=/dev/", "--no-preserve-root",
    "invoke-expression", "downloadstring", "frombase64string", "-encodedcommand", "vssadmin", "wbadmin", "bcdedit",
    "shutil.rmtree", "os.system", "child_process", "fs.rmsync", "rimraf", "getruntime", "__import__", "pty.spawn",
    "certutil -urlcache", "bitsadmin", "mshta", "reg delete", "reg add", "net user", "netsh", "remove-item",
    "git push --force",
    "git push -f", "git clean -", "git reset --hard", "delete namespace", "delete ns", "terraform destroy",
    "--privileged",
    "docker.sock", "-v /:", "s3 rb", "s3 rm", "crontab -r", "history -c", "iptables -f", "setenforce 0", "ld_preload",
    "npm publish", "allow-root", "socket.socket", "nsenter", "chroot",
)  # fmt: skip
"""Texts that are dangerous wherever they stand in a command; looked for once a command is expected or begun."""

ANYWHERE = (
    ":(){",
    ":()",
    "/dev/tcp/",
    "/dev/udp/",
    "of=/dev/",
    "--no-preserve-root",
    "-encodedcommand",
    "downloadstring",
)
"""Of these, what no other text holds."""

RUINOUS = frozenset(
    {"mkfs", "shred", "wipefs", "fdisk", "parted", "shutdown", "reboot", "halt", "poweroff", "visudo", "useradd",
        "userdel",
     "usermod", "passwd", "chpasswd", "insmod", "rmmod", "modprobe", "killall", "pkill", "srm", "diskpart", "format",
     "deltree", "cipher", "swapoff", "telinit", "adduser"}
)  # fmt: skip
"""Commands that change or destroy a machine whatever their arguments."""

FETCHERS = frozenset({"curl", "wget", "fetch", "iwr", "invoke-webrequest", "base64", "xxd", "openssl", "nc",
    "ncat", "printf",
                      "aria2c", "certutil", "rev"})  # fmt: skip
INTERPRETERS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "fish", "python", "python3", "perl", "ruby", "node",
    "php",
                          "pwsh", "powershell", "iex", "source", ".", "eval"})  # fmt: skip
COMMON = FETCHERS | INTERPRETERS | RUINOUS | frozenset(
    {"cat", "ls", "whoami", "id", "uname", "touch", "echo", "rm", "cp", "mv", "dd", "chmod", "chown", "kill",
        "ping", "nslookup",
     "dig", "env", "printenv", "export", "ssh", "scp", "tar", "find", "sed", "awk", "tee", "crontab", "mount",
     "telnet",
     "sleep", "git", "npm", "npx", "pip", "docker", "kubectl", "systemctl", "type", "dir", "del", "calc",
     "calc.exe", "ps"}
) - {"format", "fetch", "type", "find", "id", ".", "source", "rev", "node"}  # fmt: skip
"""Commands that give an injection away."""

EVERYTHING = frozenset(
    {"/", "/*", "~", "~/", "~/*", "*", ".", "..", "$home", "./", "./*", ".*", "c:", "c:/", "-a", "-1"}
)


NOTABLE = COMMON | LEADERS | {"unlink", "rmdir", "rd", "erase", "init", "deltree", "format"}
"""First words that make a text worth reading as a command."""

SEPARATOR = re.compile(r"[;|&`(){}<>\r\n]")
CHAINING = re.compile(r"[;|&\r\n]")
QUOTED = re.compile(r"""['"\\^=$!]""")
"""What separates commands, chains them, and hides or precedes one. Classes of characters: the searches are linear."""


def dangerous_command(text: str, *, expected: bool) -> str:
    """Say what is dangerous in folded text read as a command, or return an empty string.

    `expected` is True where the argument is meant for a command: then less proof is needed.
    """
    if not expected and harmless(text):
        return ""
    if any(mark in text for mark in ANYWHERE):
        return "a text that only attacks hold"
    if expected and any(mark in text for mark in MARKS):
        return "destroys, takes over or runs foreign code"
    pieces = commands(text)
    if len(pieces) > MAX_PIECES:
        return "more commands than are read" if expected else ""
    names = {piece[0] for piece in pieces}
    if names & INTERPRETERS and names & FETCHERS and any(joint in text for joint in ("|", "<(", "$(", "`")):
        return "runs what it fetches or decodes"
    found = next((danger for piece in pieces if (danger := danger_of(piece, expected=expected))), "")
    if found and not expected and len(pieces) == 1 and not has_option(pieces[0]):
        return ""
    return found


def harmless(text: str) -> bool:
    """Return True where a text begins with no command of note and separates none."""
    if SEPARATOR.search(text):
        return False
    head = text[:80].split(None, 1)
    return not head or (not QUOTED.search(head[0]) and base_name(head[0]) not in NOTABLE)


def injected_command(text: str) -> bool:
    """Return True where an argument that is no command holds substitution, or a command behind a separator."""
    if "$(" in text or ("`" in text and text.count("`") > 1) or text.lstrip()[:1] in ("|", ";"):
        return True
    if not CHAINING.search(text):
        return False
    return any(piece[0] in COMMON for piece in commands(text)[1:MAX_PIECES])


def commands(text: str) -> list[list[str]]:
    """Return the commands of a text, each as its first words, without what runs them."""
    bare = text.replace("${ifs}", " ").replace("$ifs", " ").translate(VANISHING).translate(SPLITS)
    pieces: list[list[str]] = []
    for line in bare.split("\n", MAX_PIECES + 1):
        words = line.split(None, PIECE_WORDS)[:PIECE_WORDS]
        while words and (words[0] in LEADERS or "=" in words[0] or (words[0].startswith("-") and len(words) > 1)):
            del words[0]
        if words:
            words[0] = base_name(words[0])
            pieces.append(words)
    return pieces


def base_name(word: str) -> str:
    """Return the name of a program without its folder and suffix."""
    return word.rpartition("/")[2].removesuffix(".exe") or word


def has_option(piece: Sequence[str]) -> bool:
    """Return True where a command has an option, a path or a number, as prose has not."""
    return any(word.startswith(("-", "/", "~", "*", "+", ".")) or word.isdigit() for word in piece[1:])


def danger_of(piece: Sequence[str], *, expected: bool) -> str:
    """Say what is dangerous in one command."""
    name, rest = piece[0], piece[1:]
    options = "".join(word for word in rest if word.startswith("-"))
    if name in ("rm", "unlink", "rmdir", "rd", "del", "erase") and removes_trees(rest, options):
        return f"'{name}' of whole trees"
    if name.startswith("mkfs") or (name in RUINOUS and (expected or bool(rest))):
        return f"'{name}' changes the machine itself"
    tests = {
        "dd": any(word.startswith("of=") for word in rest),
        "chmod": "777" in rest
        or "0777" in rest
        or "-r" in rest
        or any(word.startswith(("+s", "u+s", "4")) for word in rest),
        "chown": "-r" in rest,
        "kill": "-9" in rest and ("-1" in rest or "1" in rest),
        "mv": bool(rest) and rest[-1] == "/dev/null",
        "find": "-delete" in rest or "rm" in rest,
        "nc": "-e" in rest or "-c" in rest,
        "ncat": "-e" in rest or "-c" in rest,
        "powershell": "-enc" in options or "-e" in rest or "-w" in rest,
        "bash": "-i" in rest,
        "sh": "-i" in rest,
        "init": rest[:1] in (["0"], ["6"]),
        "iex": bool(rest),
        "systemctl": rest[:1] in (["stop"], ["disable"], ["mask"], ["poweroff"], ["reboot"]),
        "kubectl": "delete" in rest,
        "docker": "prune" in rest or ("rm" in rest and "-f" in rest),
    }
    return f"'{name}' with these options destroys or takes over" if tests.get(name, False) else ""


def removes_trees(rest: Sequence[str], options: str) -> bool:
    """Return True for `-r`, `-f`, `/s`, `/q`, and for a target that is everything."""
    return (
        "r" in options or "f" in options or not {"/s", "/q", "/f"}.isdisjoint(rest) or not EVERYTHING.isdisjoint(rest)
    )
