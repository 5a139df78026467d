"""`python -m ssl_zoo.training.further_process`: a further process of a training, started by the first."""

import sys

from ssl_zoo.training.launch import follow

if __name__ == "__main__":
    follow(int(sys.argv[1]))
