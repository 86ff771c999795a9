"""The bundled demo: an upstream on the official SDK, and the script that shows three decisions."""
