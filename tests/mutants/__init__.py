"""The guards taken away one by one, and the tests that must turn red for each: `make mutants`."""
