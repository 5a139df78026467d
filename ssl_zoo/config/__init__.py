"""Composition of overrides and YAML files into typed, checked dataclasses."""
