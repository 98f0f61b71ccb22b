"""`python -m hnmine`."""

from hnmine.cli import main

main()
