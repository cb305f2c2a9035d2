# The front door; `make help` says what there is. The build itself is Meson's: see meson.build.

BUILD   ?= build
WERROR  ?= 0
PREFIX  ?= /usr/local
DESTDIR ?=
export WERROR SIZE

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

# Installs what is missing, then configures; both are done in a moment when there is nothing to do.
$(BUILD)/build.ninja: deps
	@scripts/configure $(BUILD)

deps:
	@scripts/setup build

help:
	@echo 'make                    build $(BUILD)/pqc and $(BUILD)/libpqc.so (installs what that needs)'
	@echo 'make demo  [SIZE=1G]    a transfer to look at: server, send, get, interruption and resume'
	@echo 'make test               everything that CI runs; WERROR=1 makes warnings errors'
	@echo 'make test-infra         against a real Prometheus, Alertmanager, OpenTelemetry collector'
	@echo 'make unit               only the unit tests'
	@echo 'make lint               format, layering, headers, sources, hygiene'
	@echo 'make format             rewrite the C sources with clang-format'
	@echo 'make bench [SIZE=2G]    compare with scp, HTTPS, age, gpg on this machine; Python with C'
	@echo 'make fuzz  [SECONDS=60] run each fuzzer that long'
	@echo 'make soak               the long-running tests'
	@echo 'make wheel              the Python package with the library, in dist/'
	@echo 'make install [PREFIX=/usr/local] [DESTDIR=]'
	@echo 'make clean              remove the build directories (distclean: .deps/ too)'

test:
	@scripts/setup test
	@scripts/run-tests

test-infra: all
	@scripts/setup infra
	@scripts/run-tests infra

unit: all
	@scripts/run-tests unit

lint:
	@scripts/setup test
	@scripts/run-tests lint

format:
	@scripts/setup test
	@scripts/format

demo: all
	@scripts/demo

bench: all
	@scripts/setup bench
	@bench/run
	@bench/scrape
	@bench/python

fuzz:
	@scripts/setup test
	@scripts/fuzz $(or $(SECONDS),60)

soak: all
	@scripts/setup test
	@scripts/run-tests soak

install: all
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --quiet

wheel: all
	@scripts/setup test
	@scripts/wheel $(BUILD)

clean:
	rm -rf build build-asan build-fuzz dist

distclean: clean
	rm -rf .deps

.PHONY: all deps help test test-infra unit lint format demo bench fuzz soak install wheel clean distclean
