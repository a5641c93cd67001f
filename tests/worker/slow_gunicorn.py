"""gunicorn's settings for the slow application: the product's worker, two threads, short lanes."""

import os

worker_class = "worker.lanes.Worker"
threads = 2
control_socket_disable = True


def post_worker_init(worker):
    """Set the room of the lanes as the product's start does."""
    worker.lanes.most = int(os.environ.get("WAITING_AT_MOST", "5"))
    worker.lanes.seconds = float(os.environ.get("WAIT_SECONDS", "1"))
