from gateway.embedded import create_intended_gateway as create_intended_gateway

__version__: str
