"""The reservation core: hold, confirm, cancel, move, check in, stop a session; the constraints that decide every race."""
