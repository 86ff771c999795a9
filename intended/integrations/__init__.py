"""Guards for the tools of agent frameworks: a tool runs only after the service said ALLOW.

One module for each framework; each imports its framework, so that none needs another's.
"""
