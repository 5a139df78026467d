"""A page about a run, or one that compares several: `report(["run=DIR"])`, `report(["A", "B"])`.

`images`, `encode`, `structure` and `ranking` compute, `history`, `figures` and `evaluations` read what the run wrote,
`charts`, `legend`, `strips` and `drawing` draw, `page` and `page.html` make HTML, `folder` writes; `one` and `several`
put them together.
"""
