import sys

from tools.state_machine.walk import main

sys.exit(main())
