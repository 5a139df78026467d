"""`python -m ssl_zoo.training.follower`: a further process of a training, started by the first."""

import sys

from ssl_zoo.training.processes import follow

if __name__ == "__main__":
    follow(int(sys.argv[1]))
