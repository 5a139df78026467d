"""The methods, one file each. Importing this package registers them."""

if __name__ != "ssl_zoo.methods":  # the repository's root is on sys.path: a second copy would register too
    raise ImportError(f"this folder is installed as 'ssl_zoo.methods'; import that, not '{__name__}'")

from . import byol, moco, simclr, simsiam, swav

__all__ = ["byol", "moco", "simclr", "simsiam", "swav"]
