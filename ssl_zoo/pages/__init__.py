"""Pages of blocks, tables and charts, as HTML and as Markdown. Nothing here knows of runs or suites."""
