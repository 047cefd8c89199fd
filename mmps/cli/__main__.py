"""`python -m mmps.cli` is the command `mmps`."""

from . import main

main()
