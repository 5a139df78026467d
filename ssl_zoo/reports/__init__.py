"""Reports: pages about a run, several runs, a suite or several suites (`ssl-zoo report`), and the `bench` verb.

- `report` and `bench` are the verbs; `folder` chooses where a report is written.
- `run`, `runs`, `suite` and `suites` each make a page of the sections in the files that are named after them.
- `image_sample`, `encoded_images`, `structure`, `ranking`, `suites_diff` and `suites_changes` compute what is shown.
"""
