# PG_CONFIG=/path/to/pg_config picks another PostgreSQL than Debian's 15.
PG_CONFIG ?= /usr/lib/postgresql/15/bin/pg_config
export PG_CONFIG
# DESTDIR=/dir installs below that directory, for packagers.
export DESTDIR
# The PostgreSQLs of test-all and package, from 15 to 18.
export MAJORS

.DEFAULT_GOAL := help
.PHONY: help all setup install package dist demo demo-stop mail-demo test test-mailer test-all lint model bench bench-full fuzz key clean

# What the library and its SQL are made of; they are built again only when one of these has changed, so that "make" as
# yourself and "sudo make install" do not build twice.
sources := Cargo.toml Cargo.lock backup_codes.control scripts/build scripts/make-key $(shell find src core/src sql -type f)
built := target/stage/$(subst /,_,$(PG_CONFIG)).built

help: ## Shows this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Installs what building and testing needs (Debian packages, cargo-pgrx)
	@scripts/setup

all: $(built) ## Builds the extension for the PostgreSQL of PG_CONFIG

$(built): $(sources)
	@scripts/setup build
	@scripts/build
	@touch $@

install: $(built) ## Installs it there, below DESTDIR if that is set
	@scripts/install --built

package: ## Makes Debian packages, and a directory for PostgreSQL 18's extension_control_path, in target/package
	@scripts/package $(MAJORS)

dist: ## Makes the PGXN distribution in target/dist
	@scripts/dist

demo: setup ## Tells the main story on a private PostgreSQL with 10,000 users
	@scripts/demo

demo-stop: ## Stops and removes the demo's PostgreSQL
	@scripts/demo stop

mail-demo: setup ## Runs a private PostgreSQL, a mailer and a mail server that shows each mail, until Ctrl-C
	@scripts/mail-demo

test: setup ## Runs every test on private clusters
	@scripts/test

test-mailer: setup ## Runs every test of the mailer, and the one that kills mailers, mail server and database at random
	@scripts/test mailer endurance

test-all: ## Runs every test on PostgreSQL 15, 16, 17 and 18 (or MAJORS), and prints one table
	@scripts/test-all

model: setup ## Checks the model of the throttle in full, in a quarter of an hour and 5 GB
	@formal/run --full

lint: setup ## Checks formatting, lints and dependencies; warnings are errors
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
