import sys

from demo.launcher import main

sys.exit(main(sys.argv[1:]))
