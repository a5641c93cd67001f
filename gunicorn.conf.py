"""Settings that plain `gunicorn wsgi:app` reads by itself; DATABASE_URL and REDIS_URL say where it runs.

`WEB_CONCURRENCY` or `-w` sets the number of processes; more than one needs Redis. With one process and no Redis the
worker and the beat run inside it, as with `python wsgi.py`.
"""

from worker import checks, serve

worker_class = "worker.lanes.Worker"  # gthread with lanes to wait in
threads = serve.THREADS
preload_app = True  # a process that was killed is replaced in a moment, because the program is loaded already
graceful_timeout = serve.GRACE_SECONDS
control_socket_disable = True
post_worker_init = serve.start_engine_room
worker_exit = serve.stop_engine_room


def on_starting(server):
    """Refuse several processes around a queue that lives in the memory of one."""
    checks.one_process_for_memory_broker(server.cfg.workers)
