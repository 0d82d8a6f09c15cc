"""`python -m microgpt_ref.cli`, the same as `microgpt`."""

import sys

from microgpt_ref.cli import main

if __name__ == "__main__":
    sys.exit(main())
