"""`python -m stationary` is the command line."""

from stationary.cli import main

main()
