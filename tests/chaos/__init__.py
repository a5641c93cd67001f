"""The chaos: letters under load while everything around them breaks, judged by what the far ends received (docs/chaos.md)."""
