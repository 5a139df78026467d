"""Lists of runs: the folders themselves are the registry, and nothing else is kept.

- `table` is what `ssl_zoo.runs()` returns; `names` and `conditions` read what is asked of it, `cells` writes it;
- `changes` compares configurations, `text` and `html` lay a table out, `remove` deletes run directories.

Nothing here imports torch: a list of a thousand runs takes less time than that.
"""
