"""The only code that leaves the building: the providers of every channel, each told addresses, letters and references."""
