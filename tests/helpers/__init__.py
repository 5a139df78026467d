"""What tests share, imported by name."""
