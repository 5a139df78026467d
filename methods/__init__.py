"""The methods, one file each, which registers the method by its own name when it is imported."""

if __name__ != "ssl_zoo.methods":  # the repository's root is on sys.path: a second copy would register too
    raise ImportError(f"this folder is installed as 'ssl_zoo.methods'; import that, not '{__name__}'")
