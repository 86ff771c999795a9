"""Does everything that a gateway needs work? Loads it all for real and serves nothing (`intended check`).

Owns what is looked at and how a finding is told. Takes no lock and writes nothing, so it may run beside a gateway.
Each part is looked at even where another one fails: an operator wants all problems at once.
"""

import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.pinning import pin_tool
from gateway.core.policy.bundle import Bundle
from gateway.core.wire import invalid_x_mcp_header
from gateway.errors import (
    CanonicalError,
    ConfigurationError,
    Problem,
    StoreError,
    StoreRefused,
    UpstreamBroken,
    UpstreamError,
)
from gateway.parts import (
    data_folder,
    describe,
    make_authority,
    make_upstream,
    policy_places,
    require_tracing,
    state_folder,
)
from gateway.policyfiles.files import load_bundle
from gateway.ports import Outbound, Upstream, UpstreamSupport
from gateway.ports.silence import SilentRelay
from gateway.records import database_path, reading, verify_chains
from gateway.services.keys import any_key
from gateway.services.policy_check import explain_bundle, warn_of_unfit
from gateway.settings import Settings, UpstreamSettings
from gateway.telemetry.clock import SystemClock
from gateway.upstream.probing import discover, initialize_params

__all__ = ["Findings", "check"]

UPSTREAM_S = 20.0
"""For one upstream, from connecting to its last list. `npx` may have to fetch a server first."""

PAGES = 20
"""Pages of one list that are looked at; a server with more than that has other problems."""

Found = tuple[UpstreamSupport, list[dict[str, Any]], list[str]]
"""What one upstream told: the versions it speaks, its tools, the URIs of its resources."""


@dataclass(slots=True)
class Findings:
    """What was found: `problems` to mend, `unreachable` upstreams, and `notes` on what is sound."""

    problems: list[Problem] = field(default_factory=list)
    unreachable: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def check(settings: Settings) -> Findings:
    """Look at settings, policies, tracing, store, upstreams, authority, in this order. A finding is never raised."""
    findings = Findings()
    await _check_address(settings, findings)
    bundle = _check_policies(settings, findings)
    _check_tracing(settings, findings)
    await _check_store(settings, findings)
    listed = await _check_upstreams(settings.upstreams, findings)
    await _check_authority(settings, findings)
    if bundle is not None and listed is not None:
        findings.notes.extend(warn_of_unfit(bundle, listed))
    return findings


async def _check_address(settings: Settings, findings: Findings) -> None:
    try:
        settings.require_safe_address(keyed=await _keyed(settings))
    except ConfigurationError as error:
        findings.problems.extend(error.problems)
    if settings.tls_certificate is None or settings.tls_key is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as error:
        findings.problems.append(
            Problem(
                source=str(settings.tls_certificate),
                field="tls_certificate",
                message=f"the certificate and its key cannot be used: {error.strerror or type(error).__name__}",
                remedy="name PEM files that fit together and that the gateway's user may read",
            )
        )


async def _keyed(settings: Settings) -> bool:
    """Return whether the store has, or had, an API key; False where it cannot be read: a finding of its own."""
    try:
        async with reading(settings) as reader:
            return await any_key(reader, reader)
    except StoreError:
        return False


def _check_policies(settings: Settings, findings: Findings) -> Bundle | None:
    try:
        bundle = load_bundle(*policy_places(settings), taxonomy=TAXONOMY)
    except ConfigurationError as error:
        findings.problems.extend(error.problems)
        return None
    findings.notes.extend(explain_bundle(bundle))
    return bundle


def _check_tracing(settings: Settings, findings: Findings) -> None:
    try:
        if settings.tracing.exporter != "none":
            require_tracing()
    except ConfigurationError as error:
        findings.problems.extend(error.problems)


async def _check_store(settings: Settings, findings: Findings) -> None:
    """Verify the chains where there are some; else see that a store could be made."""
    data, state = data_folder(settings), state_folder(settings)
    if state.resolve().is_relative_to(data.resolve()):
        findings.problems.append(
            Problem(
                source=str(state),
                field="state",
                message="the state folder lies inside the data folder",
                remedy="choose another: who replaces the data folder must not replace the copy of the heads with it",
            )
        )
    for name, folder in (("data", data), ("state", state)):
        existing = next((one for one in (folder, *folder.parents) if one.exists()), folder)
        if not os.access(existing, os.W_OK | os.X_OK):
            message, remedy = f"{existing} cannot be written by this user", f"choose another folder with --{name}"
            findings.problems.append(Problem(source=str(folder), field=name, message=message, remedy=remedy))
    if not database_path(settings).exists():
        findings.notes.append(f"store {data}: none yet, it is made at the first start")
        return
    try:
        reports = await verify_chains(settings)
    except StoreError as error:
        remedy = error.remedy if isinstance(error, StoreRefused) else "restore the data folder from a backup"
        findings.problems.append(Problem(source=str(data), field="data", message=str(error), remedy=remedy))
        return
    for report in reports:
        if report.valid:
            findings.notes.append(f"store {data}: chain of {report.tenant} verified, {report.count} entries")
            continue
        first = report.breaks[0]
        findings.problems.append(
            Problem(
                source=str(data),
                field=report.tenant,
                message=f"the audit chain is broken at entry {first.seq} ({first.kind}), {report.broken} breaks in all",
                remedy="see `intended audit verify`; keep this folder as it is and restore a backup beside it",
            )
        )


async def _check_authority(settings: Settings, findings: Findings) -> None:
    """See that the remote authority answers, and takes the key for its tenant and for intents."""
    try:
        authority = make_authority(settings, SystemClock())
    except ConfigurationError as error:
        findings.problems.extend(error.problems)
        return
    if authority is None:
        return
    async with authority:
        problem = await authority.examine()
    chosen = settings.authority
    if not problem:
        findings.notes.append(f"authority {chosen.url}: takes the key for tenant {chosen.tenant}")
        return
    findings.unreachable.append(
        Problem(
            source=f"authority {chosen.url}",
            field="authority",
            message=problem,
            remedy="start it, or correct authority.url; the key must be of the tenant in authority.tenant"
            f" ({chosen.tenant}), with the scopes intents:write and intents:read. Until then every call is denied",
        )
    )


# --- upstreams --------------------------------------------------------------------------------------------------------


async def _check_upstreams(
    upstreams: Mapping[str, UpstreamSettings], findings: Findings
) -> Mapping[str, Sequence[str]] | None:
    """Ask every upstream what it has, all at the same time; tell it in the order of configuration.

    Returns the names of their tools; None where not all are known.
    """
    found: dict[str, Found | Problem] = {}

    async def ask(name: str, settings: UpstreamSettings) -> None:
        found[name] = await _ask(name, settings)

    async with anyio.create_task_group() as group:
        for name, settings in upstreams.items():
            group.start_soon(ask, name, settings)
    owners: dict[str, str] = {}
    listed: dict[str, Sequence[str]] = {}
    for name in upstreams:
        told = found[name]
        if isinstance(told, Problem):
            findings.unreachable.append(told)
            continue
        support, tools, uris = told
        versions = ", ".join((*support.handshake, *support.modern))
        findings.notes.append(f"upstream {name}: {len(tools)} tools, {len(uris)} resources, speaks {versions}")
        findings.problems.extend(_tool_problems(name, tools))
        listed[name] = [tool["name"] for tool in tools if isinstance(tool.get("name"), str)]
        for uri in uris:
            owner = owners.setdefault(uri, name)
            if owner != name:
                findings.notes.append(f"upstream {name}: {uri} is hidden on /mcp by the same URI of {owner}")
    if not upstreams:
        findings.notes.append("no upstream is configured: nothing would be protected")
    return listed if upstreams and len(listed) == len(upstreams) else None


async def _ask(name: str, settings: UpstreamSettings) -> Found | Problem:
    upstream = make_upstream(name, settings)
    try:
        with anyio.fail_after(UPSTREAM_S):
            support = await upstream.support()
            tools = await _listed(upstream, support, "tools")
            resources = await _listed(upstream, support, "resources")
    except (UpstreamError, TimeoutError) as error:
        return Problem(
            source=f"upstream {name}",
            message=_in_full(error).removeprefix(f"upstream {name}").lstrip(": ")
            or f"did not answer within {UPSTREAM_S:.0f} s",
            remedy=f"start it, or correct upstreams.{name}: {describe(settings)}",
        )
    finally:
        with anyio.CancelScope(shield=True):
            await upstream.aclose()
    return support, tools, [item["uri"] for item in resources if isinstance(item.get("uri"), str)]


def _in_full(error: Exception) -> str:
    """Return the error's text with its notes, which only an operator may see, on one line."""
    return " ".join("; ".join((str(error), *getattr(error, "__notes__", ()))).split())


async def _listed(upstream: Upstream, support: UpstreamSupport, member: str) -> list[dict[str, Any]]:
    """Return a whole list in whichever era the upstream has; a server without the capability has an empty one."""
    method = f"{member}/list"
    if support.modern:
        meta = discover(UPSTREAM_S).params["_meta"]
        version = support.modern[-1]

        async def ask(params: dict[str, Any]) -> dict[str, Any]:
            own = {**params, "_meta": {**meta, "io.modelcontextprotocol/protocolVersion": version}}
            return await upstream.request(
                Outbound(method=method, params=own, version=version, timeout_s=UPSTREAM_S), SilentRelay()
            )

        return await _pages(ask, member)
    version = support.handshake[-1]
    session = await upstream.connect(version=version, params=initialize_params(), relay=SilentRelay())
    try:
        return await _pages(
            lambda params: session.request(
                Outbound(method=method, params=params, version=version, timeout_s=UPSTREAM_S), SilentRelay()
            ),
            member,
        )
    finally:
        with anyio.CancelScope(shield=True):
            await session.aclose()


async def _pages(ask: Any, member: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    params: dict[str, Any] = {}
    for _ in range(PAGES):
        result = (await ask(params)).get("result")
        if result is None:
            return items  # an error: the server has no such list
        if not isinstance(result, dict) or not isinstance(result.get(member), list):
            msg = f"answered {member}/list without `{member}`"
            raise UpstreamBroken(msg, may_have_run=False)
        items.extend(item for item in result[member] if isinstance(item, dict))
        cursor = result.get("nextCursor")
        if not isinstance(cursor, str) or not cursor:
            return items
        params = {"cursor": cursor}
    return items


def _tool_problems(upstream: str, tools: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Return why tools are withheld: agents do not see them, and calling them is refused."""
    problems = []
    for tool in tools:
        name = tool.get("name")
        reason = _withheld(upstream, dict(tool)) if isinstance(name, str) else "it has no name"
        if reason:
            problems.append(
                Problem(
                    source=f"upstream {upstream}",
                    field=name if isinstance(name, str) else "",
                    message=f"this tool is withheld from agents: {reason}",
                    remedy="have the server's tool definition corrected; its other tools are not affected",
                )
            )
    return problems


def _withheld(upstream: str, tool: dict[str, Any]) -> str:
    try:
        pinned = pin_tool(upstream, tool)
    except CanonicalError as error:
        return f"its definition has no canonical form ({error})"
    return pinned.schema_problem or invalid_x_mcp_header(tool)
