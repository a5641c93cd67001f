"""`make bench`: the hot paths beside their floors, measured in one run and read as ratios (docs/performance.md)."""
