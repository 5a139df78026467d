"""`python -m ssl_zoo`, the same as `ssl-zoo`."""

from ssl_zoo.cli.main import entry

if __name__ == "__main__":
    entry()
