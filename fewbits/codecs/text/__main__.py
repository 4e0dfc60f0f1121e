"""`python -m fewbits.codecs.text`: the same as `fewbits text`."""

import sys

from fewbits.codecs.text.commands import main

if __name__ == "__main__":
    sys.exit(main())
