import sys

from tools.simulation.run import main

sys.exit(main())
