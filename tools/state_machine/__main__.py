import sys

from tools.state_machine.walk import main

if __name__ == "__main__":
    sys.exit(main())
