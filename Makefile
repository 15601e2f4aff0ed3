# demo  the whole chain on a private Tor network, left in target/demo/
# test  every test, on the same kind of network
# soak  the store's faults and the log's Merkle tree in full numbers, about 20 minutes: a table of what was lost
# leak  500 runs in a watched network name space, about half an hour: 0 packets that are not Tor's
# endure two hours over 20 onion services that die, hang, move and return: memory flat, no round missed
# bench speed and memory, as ratios against peers in the same run
# setup Debian packages that the above need
.PHONY: demo test soak leak endure bench check setup
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

CARGO ?= cargo

setup:
	@scripts/setup

demo: setup
	$(CARGO) build --locked --release --bin vigie --bin vigie-witness --bin demo
	target/release/demo target/demo

test: setup
	$(CARGO) test --locked --workspace

leak: setup
	VIGIE_LEAK_RUNS=500 $(CARGO) test --locked --workspace --test e2e -- leak::

endure: setup
	VIGIE_ENDURE_MINUTES=120 $(CARGO) test --locked --workspace --test e2e -- endure:: --nocapture

# THEMES chooses: make bench THEMES='record verify'
bench: setup
	$(CARGO) build --locked --release --bin vigie
	$(CARGO) bench --locked -p vigie-tests --bench bench -- $(THEMES)

# The build of `make test`. One test at a time: each uses all cores.
soak: setup
	@mkdir -p target
	VIGIE_SOAK=1 $(CARGO) test --locked --workspace --test store --test differential -- --test-threads=1 --nocapture \
	  proof:: three_merkle | tee target/soak.log
	@echo; echo '| fault | runs | lost | unopenable | undetected |'; echo '|---|---|---|---|---|'; \
	  grep '^| ' target/soak.log

# What .ci/run adds to `make test`.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items
