"""The web application; `python wsgi.py` serves the embedded default: web, worker and beat in one process."""

from worker import checks

if __name__ == "__main__":
    checks.before_start()  # before the rest is imported: an old Python or a read-only folder gets a sentence

from worker import serve
from worker.app import flask_app as app

__all__ = ["app"]

if __name__ == "__main__":
    serve.main()
