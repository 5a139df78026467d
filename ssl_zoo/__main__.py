"""`python -m ssl_zoo`, the same as `ssl-zoo`."""

from ssl_zoo.cli import entry

if __name__ == "__main__":
    entry()
