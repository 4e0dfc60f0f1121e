"""`python -m bitalloc`: the same as `fewbits bitalloc`."""

import sys

from bitalloc.commands import main

if __name__ == "__main__":
    sys.exit(main())
