"""Finds the packages of the distribution: ssl_zoo/, and the folders beside it that `package-dir` maps into it."""

from setuptools import find_namespace_packages, setup

BESIDE = ("methods", "configs", "benchmarks")

own = find_namespace_packages(include=["ssl_zoo", "ssl_zoo.*"])
beside = find_namespace_packages(include=[pattern for name in BESIDE for pattern in (name, f"{name}.*")])
setup(packages=[*own, *(f"ssl_zoo.{name}" for name in beside)])
