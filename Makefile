# demo  the whole chain on a private Tor network, left in target/demo/
# test  every test, on the same kind of network
# bench speed and memory, as ratios against peers in the same run
# soak  the log's Merkle tree against two others, over a million cases (a minute)
# setup Debian packages that the above need
.PHONY: demo test bench soak check setup
SHELL := /bin/bash

CARGO ?= cargo

setup:
	@scripts/setup

demo: setup
	$(CARGO) build --locked --release --bin vigie --bin vigie-witness --bin demo
	target/release/demo target/demo

test: setup
	$(CARGO) test --locked --workspace

# THEMES chooses: make bench THEMES='record verify'
bench: setup
	$(CARGO) build --locked --release --bin vigie
	$(CARGO) bench --locked -p vigie-tests --bench bench -- $(THEMES)

soak:
	VIGIE_SOAK=1 $(CARGO) test --locked --release -p vigie-log --test differential -- --nocapture

# What .ci/run adds to `make test`.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items
