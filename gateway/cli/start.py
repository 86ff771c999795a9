"""What a start tells the operator: what is protected, where the agent goes, where data lies, which policy is in force.

Talk, so it goes to stderr; nothing follows until a call arrives. Where the log is set to JSON it is a line of JSON,
with the same facts.
"""

from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING, Any

from gateway import __version__
from gateway.cli.output import event, say, typed, warn

if TYPE_CHECKING:
    from gateway.app import StartReport
    from gateway.settings import Settings

__all__ = ["agent_lines", "announce"]


def announce(
    report: "StartReport", settings: "Settings", url: str, *, metrics: str = "", as_json: bool = False
) -> None:
    """Say what was started. `url` is the gateway's address without a path, `metrics` where Prometheus asks.

    `as_json` says it in one line, for whatever reads the log.
    """
    url = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")  # what reaches it from here
    if as_json:
        event("started", **_facts(report, settings, url, metrics))
        return
    say(f"Intended MCP gateway {__version__}", style="bold")
    for label, lines in (
        ("protects", [f"{name}  {what}" for name, what in report.upstreams.items()]),
        ("agent URL", agent_lines(report, url)),
        ("policy", [f"{_policies(report)}  (digest {report.policy_digest[:12]})"]),
        ("authority", [settings.authority.url] if settings.authority.url else []),
        ("data", [str(report.data)]),
        ("metrics", [metrics] if metrics else []),
    ):
        for number, line in enumerate(lines):
            say(f"  {label if number == 0 else '':<10} {line}")
    for title, text in _warnings(report, settings):
        warn(title, text)
    if report.keyless and not settings.reachable_from_elsewhere:
        say(f"  {'keyless':<10} every program of this machine that connects is agent `local`; other machines cannot")
    if not report.keyless:
        named = "1 key" if report.keys == 1 else f"{report.keys} keys"
        what = "every request needs one" if report.keys else "nobody is let in until there is one"
        say(f"  {'keys':<10} {named}: {what}; {typed()} keys create NAME{_data_flag(settings)}")
    header = "" if report.keyless else ' --header "Authorization: Bearer $INTENDED_AGENT_KEY"'
    say(f"  {'next':<10} claude mcp add --transport http intended {url}/mcp{header}")
    say(f"  {'':<10} {typed()} audit tail --follow{_data_flag(settings)}")


def _policies(report: "StartReport") -> str:
    return ", ".join(map(str, report.policies))


def _facts(report: "StartReport", settings: "Settings", url: str, metrics: str) -> dict[str, Any]:
    """Return what the greeting says, by name."""
    return {
        "version": __version__,
        "upstreams": dict(report.upstreams),
        "agentUrl": f"{url}/mcp",
        "policy": _policies(report),
        "policyDigest": report.policy_digest,
        "authority": settings.authority.url,
        "data": str(report.data),
        "metrics": metrics or None,
        "keyless": report.keyless,
        "keys": report.keys,
        "warnings": [{"title": title, "text": text} for title, text in _warnings(report, settings)],
    }


def agent_lines(report: "StartReport", url: str) -> list[str]:
    """Return the URLs for an agent: all upstreams, and where there are several each one under its own names."""
    if len(report.upstreams) < 2:
        return [f"{url}/mcp"]
    each = [f"{url}/mcp/{name}  only {name}, its own tool names" for name in report.upstreams]
    return [f"{url}/mcp  all of them, tools as UPSTREAM__TOOL", *each]


def _warnings(report: "StartReport", settings: "Settings") -> Iterator[tuple[str, str]]:
    """Yield (title, text) of what an operator must not miss."""
    for warning in report.policy_warnings:
        yield "policy", warning
    if report.keyless and settings.reachable_from_elsewhere:
        yield (
            "unauthenticated",
            f"anyone who reaches {settings.host} acts as agent `local` and may do what the policy allows it. Nothing"
            " but the network around this gateway keeps others away.",
        )
    elif settings.reachable_from_elsewhere and settings.tls_certificate is None and not settings.behind_tls_proxy:
        yield (
            "unencrypted",
            f"API keys come to {settings.host} in the clear: whoever can listen there can use them.",
        )
    if report.in_doubt:
        ids = ", ".join(call.intent_id for call in report.in_doubt[:5])
        more = "" if len(report.in_doubt) <= 5 else f" and {len(report.in_doubt) - 5} more"
        count = "1 call was" if len(report.in_doubt) == 1 else f"{len(report.in_doubt)} calls were"
        yield (
            "in doubt",
            f"{count} allowed before the last stop, with no outcome: {ids}{more}. They may"
            " have run. They are not sent again; look at their upstreams.",
        )


def _data_flag(settings: "Settings") -> str:
    return "" if settings.data is None else f" --data {quote(str(settings.data))}"
