"""The adapter of a remote authority: another gateway's REST API, asked about each call that this one would not deny."""
