"""How fast ssl-zoo is, beside other ways to do the same, and that speed costs no accuracy. See docs/speed.md."""
