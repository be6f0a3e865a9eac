"""Write the snapshots anew: ``python -m tests.snapshots``."""

from tests.snapshots import main

raise SystemExit(main())
