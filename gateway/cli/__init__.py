"""The command `intended`: one file per command group. Imports lazily, so that `--help` never loads the server."""
