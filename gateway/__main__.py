"""`python -m gateway` is the command `intended`."""

from gateway.cli.main import main

if __name__ == "__main__":
    main()
