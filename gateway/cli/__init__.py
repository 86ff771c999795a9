"""The command `intended`: one file per command group.

Every module here imports only typer and what parses a command line; a command loads what it needs when it runs, so
that `--help` and `health` never load the server (design, section 2).
"""
