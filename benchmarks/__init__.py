"""Benchmark suites. Installed as `ssl_zoo.benchmarks`."""
