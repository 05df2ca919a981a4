# Everything here can be run again at any time: what is already done is left as it is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where rustup puts cargo on machines that have not opened a new shell since.
export PATH := $(HOME)/.cargo/bin:$(PATH)
export PYTHONPYCACHEPREFIX := $(CURDIR)/target/pycache

# One profile for the tool and its tests: nothing is compiled twice, and the tests drive the binary that people run.
CARGO_FLAGS := --release --locked

# The images that `make images` builds; `all` for the whole tree.
PROFILE := cloud

# Whose modules kolla-ansible's playbooks use: python (its own) or ours.
MODULE := python

# $(call shell_scripts,DIRECTORY...)
shell_scripts = $(shell grep -rlIE '^(.!/(usr/bin/env |bin/)(ba)?sh|. shellcheck shell=)' $(1))
PYTHON_SCRIPTS = $(shell find docker tests benches docs -name '*.py')
# Tests send signals, which nohup and shells have programs in the background ignore.
DEFAULT_SIGNALS := env --default-signal=HUP,INT
# What tests of the program call, beside what every Debian machine has.
TEST_TOOLS := git openssl bzip2 xz zstd

.PHONY: help build demo cloud kolla-ansible cloud-clean ironic ironic-clean worker demo-clean unit test parity paunch pipelines puppet tripleo bench bench-builds bench-pushes bench-sboms bench-bake measure lint lint-images dist dist-check refresh images images-aarch64 compiler python engine
# Preparing the host installs packages, which only one can do at a time.
.NOTPARALLEL:

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

build: compiler ## Build target/release/kolla-build
	cargo build $(CARGO_FLAGS)

demo: compiler python engine ## Build keystone and what it needs, run it, print a token
	tests/demo/build
	tests/demo/run

demo-clean: ## Remove the demo's containers, volumes and passwords
	tests/demo/clean

cloud: build python engine ## Run a whole cloud of images on this machine, and use it: a server boots, horizon is logged in to
	tests/host/tools chromium chromedriver
	tests/cloud/run

kolla-ansible: build python engine ## Deploy images with kolla-ansible's own playbooks; MODULE=ours: through kolla-run
	tests/kolla-ansible/run --module $(MODULE)

cloud-clean: ## Remove the cloud's containers, volumes and passwords
	tests/cloud/clean

ironic: build python engine ## Build ironic and a ramdisk, boot it in QEMU, have its deploy step write to a disk, run ironic itself
	tests/host/tools curl debugfs qemu-system-$$(uname -m)
	tests/ironic/run

ironic-clean: ## Remove ironic's containers, volumes and passwords
	tests/ironic/clean

worker: build python engine ## Compare kolla-run with kolla-ansible's own module, call by call, on Docker and Podman
	tests/host/with-engines tests/worker/compare

dist: build engine ## Make target/dist: a tarball, a Debian package and a container image of the tool
	tests/host/tools dpkg-shlibdeps xz
	tests/host/cargo-tool cargo-deb
	packaging/dist

dist-check: dist ## Install each of these where nothing is, and use it
	tests/host/tools man
	tests/dist/check

unit: compiler python ## Run the tests that need no Docker engine
	tests/host/tools $(TEST_TOOLS)
	$(DEFAULT_SIGNALS) cargo test $(CARGO_FLAGS)

test: build python engine ## Run every test (replaces a running demo)
	tests/host/tools $(TEST_TOOLS)
	tests/parity/run
	tests/demo/check
	tests/demo/build --sbom target/sbom
	tests/sbom/check target/sbom --compare keystone-$$(uname -m) kolla/keystone:demo
	tests/refresh/run
	for runner in tests/runtime/run_*.py; do $$runner --image kolla/base:demo; done
	tests/images/check_self kolla/base:demo
	tests/host/cosign
	tests/pipelines/check_self
	tests/host/with-registry tests/host/with-engines tests/pipelines/run
	tests/images/check $$(docker image ls --format '{{.Repository}}:{{.Tag}}' --filter 'reference=kolla/*:demo')
	REAL_DOCKER=1 $(DEFAULT_SIGNALS) tests/host/with-registry tests/host/with-engines tests/host/with-sshd tests/host/with-emulation cargo test $(CARGO_FLAGS) -- --include-ignored
	tests/host/tools qemu-system-$$(uname -m)
	tests/ironic/run --ramdisk

parity: build python ## Compare with Python Kolla: every combination, every override on every distro
	tests/parity/run --all

pipelines: build python engine ## Run exported pipelines for two platforms, as GitLab and GitHub would
	tests/host/cosign
	tests/pipelines/check_self
	tests/host/with-registry tests/host/with-engines tests/pipelines/run

puppet: build python engine ## Have Puppet configure keystone in one-shot containers, and ask it for a token
	tests/puppet/run

tripleo: build python engine ## Deploy glance as TripleO's templates have it, onto a host in a container
	tests/tripleo/run

paunch: build python engine ## Compare kolla-run paunch with TripleO's paunch on this machine's Docker
	tests/paunch/compare

bench: build python ## Measure rendering, planning and memory, beside Python Kolla and a plain copy
	benches/template_only
	benches/plan_10000
	cargo bench --locked --bench context_memory

bench-builds: build python engine ## Measure building 188 images, beside Python Kolla and a bare loop
	benches/builds

bench-sboms: build engine ## Measure what SBOMs cost, of 188 small images and of keystone
	benches/sboms

bench-pushes: build engine ## Measure pushing 188 images, one after another and 8 at a time
	benches/pushes

bench-bake: build engine ## Measure 188 images with nothing changed, beside docker buildx bake
	benches/bake

images: build python engine ## Build and check the images of PROFILE (cloud); write docker/IMAGES.md
	tests/images/build $$(uname -m) $(if $(filter all,$(PROFILE)),,--profile $(PROFILE))

images-aarch64: build python engine ## Build keystone, memcached and what they need for aarch64, under emulation elsewhere
	tests/host/emulation aarch64
	tests/host/base-image arm64v8/debian:trixie
	tests/images/build aarch64 --base-image arm64v8/debian --base-tag trixie '^keystone$$' '^memcached$$'

refresh: python ## Move pinned sources, constraints and uv to what the package index has (packaging/refresh --help)
	packaging/refresh

measure: python ## Count what can be counted of the sources: lengths, format!, circles, names of several types
	tests/measure.py

lint: compiler python ## Check formatting, lints and scripts
	tests/host/rust-lint
	tests/host/cargo-tool cargo-deny
	tests/host/tools python3 shellcheck
	cargo fmt --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	tests/dist/dependencies
	tests/dist/workflows
	shellcheck --external-sources --source-path=SCRIPTDIR $(call shell_scripts,tests packaging .ci)
# What runs in images splits words on purpose (SC2048) and shares variables with kolla_start (SC2034).
	shellcheck --severity=warning --exclude=SC2034,SC2048,SC2100 $(call shell_scripts,docker)
	python3 -m py_compile $(PYTHON_SCRIPTS)

lint-images: build python ## Have hadolint read every Dockerfile of the tree, of each distro and architecture
	tests/dockerfiles/lint

compiler:
	@tests/host/tools cc
	@tests/host/rust

python:
	@tests/host/python

engine:
	@tests/host/tools curl
	@tests/host/docker
	@tests/host/base-image
