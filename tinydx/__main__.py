"""`python -m tinydx` is the command `tinydx`."""

import sys

from tinydx.cli import main

if __name__ == "__main__":
    sys.exit(main())
