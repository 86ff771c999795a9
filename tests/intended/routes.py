"""Every method of the clients: what it is called with, what it sends, what it may be answered, what it returns.

`test_client.py` and `test_aio.py` both go through this table, so that the two clients cannot drift apart.
"""

from tests.intended.routes_of_agents import AGENT_ROUTES
from tests.intended.routes_of_intents import INTENT_ROUTES
from tests.intended.routes_of_service import SERVICE_ROUTES

ROUTES = (*INTENT_ROUTES, *AGENT_ROUTES, *SERVICE_ROUTES)
