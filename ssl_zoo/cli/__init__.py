"""The command line: one verb each, imported when it is called."""
