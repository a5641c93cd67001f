"""The demo: invented hospitals, people and answers, and the clock that may be moved."""
