# PG_CONFIG=/path/to/pg_config picks another PostgreSQL than Debian's 15.
PG_CONFIG ?= /usr/lib/postgresql/15/bin/pg_config
export PG_CONFIG

.DEFAULT_GOAL := help
.PHONY: help setup install demo demo-stop test lint bench bench-full fuzz key clean

help: ## Shows this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Installs what building and testing needs (Debian packages, cargo-pgrx)
	@scripts/setup

install: setup ## Builds the extension and installs it into the PostgreSQL of PG_CONFIG
	@scripts/install

demo: setup ## Tells the main story on a private PostgreSQL with 10,000 users
	@scripts/demo

demo-stop: ## Stops and removes the demo's PostgreSQL
	@scripts/demo stop

test: setup ## Runs every test on private clusters
	@scripts/test

lint: setup ## Checks formatting and lints; warnings are errors
	@scripts/lint

bench: setup ## Measures against bare SQL and what one would write by hand, in 10 minutes; writes docs/performance.md
	@bench/run

bench-full: setup ## The same with the curves by clients, stored codes and enrolled users, half an hour more
	@bench/run --full

fuzz: setup ## Fuzzes the parsers of codes and key files, FUZZ_SECONDS each
	@fuzz/run

key: ## Makes a key file or adds a key: make key FILE=/etc/backup_codes/keys [OWNER=postgres] [ID=n]
	@scripts/make-key $(if $(OWNER),--owner "$(OWNER)") "$(FILE)" $(ID)

clean: demo-stop ## Removes what was built and the private copies of PostgreSQL
	@scripts/clean
