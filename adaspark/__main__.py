"""`python -m adaspark`: the command line."""

from adaspark.cli import main

raise SystemExit(main())
