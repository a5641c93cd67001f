"""The storm: thousands of clients over HTTP against the real servers while these are killed; see docs/storm.md."""
