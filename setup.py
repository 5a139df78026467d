"""Finds the packages of the distribution: ssl_zoo/, and the folders beside it that `package-dir` maps into it."""

from setuptools import find_namespace_packages, setup

engine = find_namespace_packages(include=["ssl_zoo", "ssl_zoo.*"])
mapped = find_namespace_packages(include=["methods*", "configs*", "benchmarks*"])
setup(packages=[*engine, *(f"ssl_zoo.{name}" for name in mapped)])
