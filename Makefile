# The commands of the house. Needs only make and Python 3.11 or newer; everything else is installed into .venv.
.DEFAULT_GOAL := help
.PHONY: help run test check mutants bench storm chaos rush bench-growth demo-clear lock screenshots tools
PY := .venv/bin/python
WORKERS ?= 2

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

run: ## serve everything on http://127.0.0.1:5000 (PORT, DATABASE_URL, REDIS_URL change where)
	@sh deploy/venv.sh requirements.txt
	@exec $(PY) wsgi.py

test: check ## check and everything else: both databases, worker, browser (under 15 minutes on 2 cores)
	@sh deploy/chromium.sh
	@exec $(PY) -m pytest -m "not rules" -n $(WORKERS) --dist loadgroup

check: tools ## format, lint, types, import contracts, rules' tests (under a minute)
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy booking worker config.py wsgi.py
	@$(PY) -c "from importlinter.cli import lint_imports_command as lint; lint()" --no-cache
	@$(PY) -m djlint templates --lint --quiet
	@$(PY) -m pytest -m rules -q

mutants: tools ## take each guard away in a copy and see its tests turn red (NAME=word runs some)
	@exec $(PY) -m tests.mutants $(NAME)

bench: tools ## measure the hot paths next to their floors, in one run
	@exec $(PY) -m bench

bench-growth: tools ## CPU of a booking and a page at 1 000, 100 000 and 10 000 000 places (10 GB of disk for a while)
	@exec $(PY) -m bench.growth

storm: tools ## prove under kill -9 and crashes that no place is sold twice (docs/storm.md; under 10 minutes)
	@exec $(PY) -m tests.storm

chaos: tools ## prove while everything breaks that no letter is lost, doubled or late for its visit (docs/chaos.md; ten minutes)
	@exec $(PY) -m tests.chaos

rush: tools ## a release with 5 000 machines beside 200 patients, on a real server (under two minutes)
	@MACHINES=$${MACHINES:-5000} PATIENTS=$${PATIENTS:-200} $(PY) -m pytest tests/races/test_machines.py -q -s

demo-clear: ## empty the database for a real hospital
	@sh deploy/venv.sh requirements.txt
	@exec $(PY) -m flask --app wsgi demo clear

screenshots: tools ## take the pictures of the README again
	@sh deploy/chromium.sh
	@exec $(PY) docs/screenshots.py

lock: tools ## pin requirements*.in again (UPGRADE=1 takes the newest versions)
	@for name in requirements requirements-dev; do \
	  $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade) $$name.in -o $$name.txt || exit 1; \
	done

tools:
	@sh deploy/venv.sh requirements.txt requirements-dev.txt
