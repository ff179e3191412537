"""`python -m regard` runs the command line."""

from regard.cli.main import run

if __name__ == "__main__":
    run()
