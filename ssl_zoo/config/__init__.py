"""From overrides and YAML files to typed, checked dataclasses."""
