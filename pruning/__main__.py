"""`python -m pruning`: the same as `fewbits pruning`."""

import sys

from pruning.commands import main

if __name__ == "__main__":
    sys.exit(main())
