"""Run the command line as ``python -m affectlib.cli``."""

import sys

from affectlib.cli import main

sys.exit(main())
