"""Speed of ssl-zoo compared with alternatives, and its effect on accuracy. See docs/speed.md."""
