"""`python -m gateway` is the command `intended`."""

from gateway.cli.main import run

if __name__ == "__main__":
    run()
