"""`python -m tailgate`: the same as the command `tailgate`."""

import sys

from tailgate.cli import main

if __name__ == "__main__":
    sys.exit(main())
