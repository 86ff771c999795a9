"""What the REST API is made on: the use cases that it translates for, given by the composition root."""

from dataclasses import dataclass

from gateway.ports import Clock
from gateway.services.accounts import Accounts
from gateway.services.agents import Agents
from gateway.services.approval_list import ApprovalList
from gateway.services.approval_view import ApprovalViews
from gateway.services.approvals import Approvals
from gateway.services.authentication import Authentication
from gateway.services.breaker import Breakers
from gateway.services.connectors import Connectors
from gateway.services.evidence import Evidence
from gateway.services.evidence_secret import EvidenceSecrets
from gateway.services.intents import Intents
from gateway.services.keys import Keys
from gateway.services.leases import Leases
from gateway.services.links import Links
from gateway.services.metering import Metering
from gateway.services.people import People
from gateway.services.readiness import Readiness
from gateway.services.refusals import Refusals
from gateway.services.stats import Stats
from gateway.services.switches import Switches
from gateway.services.thresholds import Thresholds
from gateway.services.tokens import Tokens
from gateway.services.trail import Trail
from gateway.services.trust_changes import TrustChanges
from gateway.services.trust_history import TrustHistory
from gateway.services.webhooks import Webhooks

__all__ = ["Services"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The use cases. `audit` are the reads of a tenant's own chain."""

    authentication: Authentication
    intents: Intents
    approvals: Approvals
    approval_list: ApprovalList
    approval_views: ApprovalViews
    leases: Leases
    agents: Agents
    accounts: Accounts
    thresholds: Thresholds
    switches: Switches
    breakers: Breakers
    trust: TrustChanges
    trust_history: TrustHistory
    keys: Keys
    people: People
    tokens: Tokens
    webhooks: Webhooks
    audit: Trail
    evidence: Evidence
    evidence_secrets: EvidenceSecrets
    connectors: Connectors
    stats: Stats
    readiness: Readiness
    metering: Metering
    refusals: Refusals
    links: Links
    clock: Clock
