# `make demo`, `make run` and `make build` need Go only; with Node they build the pages too (scripts/build-pages.sh).
# `make test` installs the rest itself (scripts/install-test-tools.sh).

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 60s
# More flags of the comparisons: make bench ROUNDS=3 BENCHFLAGS='-only HTTP -v'
ROUNDS   ?= 7
BENCHFLAGS ?=
# TESTS picks end-to-end tests by name: make e2e TESTS=TestDefect
TESTS    ?= .
CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/livego
TRIXIE   := $(CACHE)/trixie-ffmpeg
# LONG are end-to-end tests that wait for players for minutes. CI runs them behind make test.
LONG     := TestCleanEnd|TestClusterHalts|TestCMAFPairs|TestFirstTransport|TestFormsInChromium|TestHoleInSound|TestJoined|TestLadderLeaves|TestLadderSilence|TestLadderSoundMoves|TestLLHLSRepublish|TestLLHLSRestart|TestLLHLSStartPart|TestOtherCodecInPages|TestPlayersRestart|TestPlayersWrap|TestRelease|TestSoundHeaderPlays|TestStampsPlay
SKIP     :=
# How long make soak lasts.
DURATION ?= 30m
E2E      := LIVEGO_E2E=1 LIVEGO_BIN=$(CURDIR)/bin/livego LIVEGO_RACE_BIN=$(CURDIR)/bin/livego-race FFMPEG7=$(TRIXIE)/ffmpeg PEBBLE=$(CACHE)/pebble/pebble

BENCHES  := bench bench-load bench-memory bench-tls bench-join bench-many bench-audio bench-ingest bench-streams bench-hls bench-llhls bench-stopped bench-relay bench-record bench-tokens bench-events bench-cluster bench-cluster-hls bench-cluster-registry

.PHONY: help demo cluster-demo run build pages release test tools lint unit race e2e e2e-long versitygw e2e-s3 soak soak-players latency players cluster-halts cluster-redis attack cross fuzz $(BENCHES) simulate bench-all bench-tools clean

help:   ; @sed -n 's|^\([a-z0-9-]*\):[^;]*## |\1\t|p' Makefile
demo: build ## server plus a looping test stream, with links to watch it
	@bin/livego demo
cluster-demo: build ## three servers as one on this machine, with redis-server and FFmpeg, and how to kill one
	@scripts/cluster-demo.sh
run: build ## server with ./livego.yaml
	@bin/livego
build: pages ## bin/livego, static
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/livego ./cmd/livego
pages: ## the web pages, where there is Node
	@scripts/build-pages.sh
test e2e-long: export GOTESTSUM := $(CACHE)/gotestsum/gotestsum
test: SKIP = ^($(LONG))$$
test: tools lint unit cross e2e ## all checks but the longest; up to three tests that fail are run again and named
e2e-long: TESTS = ^($(LONG))$$
e2e-long: e2e ## the end-to-end tests that make test leaves to CI
tools: ## programs that the end-to-end tests run
	scripts/install-test-tools.sh
	scripts/install-trixie-ffmpeg.sh $(TRIXIE)
	scripts/install-go-tool.sh $(CACHE)/pebble github.com/letsencrypt/pebble/v2 cmd/pebble v2.10.3 'the test of acme_domains needs it'
	scripts/install-go-tool.sh $(CACHE)/gotestsum gotest.tools/gotestsum '' v1.13.0 'make test runs tests by it'
lint: ## gofmt, vet, staticcheck, go.mod; types and style of web/
	scripts/lint.sh
unit: ## unit tests with the race detector
	scripts/test.sh -race -timeout 40m ./...
race: build
	go build -race -o bin/livego-race ./cmd/livego
e2e: race ## the built program against real clients, all tests
	$(E2E) scripts/test.sh -count=1 -timeout $(if $(LIVEGO_PLAYERS),120m,45m) -parallel 6 $(if $(LIVEGO_LATENCY)$(LIVEGO_HALTS)$(LIVEGO_PLAYERS),-v )-run '$(TESTS)' $(if $(SKIP),-skip '$(SKIP)' )./e2e
versitygw:
	@scripts/install-go-tool.sh $(CACHE)/versitygw github.com/versity/versitygw cmd/versitygw v1.8.0 'the tests against S3 need it'
e2e-s3: race versitygw ## recordings in S3, that of versitygw, whose first build takes minutes: away, full, slow, refusing; 3 minutes
	$(E2E) VERSITYGW=$(CACHE)/versitygw/versitygw go test -count=1 -timeout 10m -run '^TestS3' ./e2e
soak: build versitygw ## livego to livego to nginx-rtmp, and a recording in S3, both killed again and again, for DURATION (30m)
	$(E2E) VERSITYGW=$(CACHE)/versitygw/versitygw LIVEGO_SOAK=$(DURATION) go test -count=1 -v -timeout 0 -run '^TestSoak$$' ./e2e
soak-players: build ## players of HLS that come and go, and leave in the middle, for DURATION (30m)
	$(E2E) LIVEGO_COME_AND_GO=$(DURATION) go test -count=1 -v -timeout 0 -run '^TestComeAndGo$$' ./e2e
latency: export LIVEGO_LATENCY = 1
latency: ## hls.js, the page and the console on an idle machine: how far they are behind live, how levels change, what they cost; 6 minutes
	@$(MAKE) e2e TESTS='TestLLHLSLatency|TestLLHLSPictures|TestLadderThrottled|TestPageAtOnce|TestConsoleMany'
cluster-halts: export LIVEGO_HALTS = $(ROUNDS)
cluster-halts: ## for how long players stand still when a stream's home is killed, or ended; ROUNDS=10
	@$(MAKE) e2e TESTS=TestClusterHalts
cluster-redis: export LIVEGO_REDIS_AWAY ?= 60s
cluster-redis: ## two nodes under load without Redis, killed and mute, for LIVEGO_REDIS_AWAY (60s)
	@$(MAKE) e2e TESTS=TestClusterRedisAway
players: export LIVEGO_PLAYERS ?= all
players: ## players of all kinds over restarts and wraps, and of streams that have just begun (ROUNDS=1 times), 40 minutes; LIVEGO_PLAYERS=Shaka,CMAF picks some
	@$(MAKE) e2e TESTS='TestPlayers(Restart|Wrap|First)|TestCleanEndPlayers'
attack: build ## what strangers do to servers, done to one on this machine; ATTACKS=ranges picks some
	@LIVEGO_BIN=$(CURDIR)/bin/livego go run ./scripts/attack $(ATTACKS)
release: ## archives for all systems, packages for Debian and checksums, in dist/; TARGETS='linux/amd64' makes some
	scripts/release.sh
cross: ## builds for the other systems
	scripts/cross.sh
fuzz: ## every fuzz target for FUZZTIME
	scripts/fuzz.sh $(FUZZTIME)
bench: build bench-tools ## comparison with the floor and nginx-rtmp, 1,000 players, 9 minutes
	@go run ./scripts/bench -rounds $(ROUNDS) $(BENCHFLAGS) fanout
bench-load: build bench-tools ## more and more players, up to saturation
	@go run ./scripts/bench -rounds $(ROUNDS) $(BENCHFLAGS) load
bench-memory: build bench-tools ## memory with 3,000 players
	@go run ./scripts/bench -rounds $(ROUNDS) $(BENCHFLAGS) memory
bench-tls: build bench-tools ## players over TLS, against a loop around crypto/tls
	@go run ./scripts/bench -rounds $(ROUNDS) $(BENCHFLAGS) tls
bench-join: build bench-tools ## 1,000 players join within a second while 500 watch
	@go run ./scripts/bench -rounds $(ROUNDS) -duration 6s $(BENCHFLAGS) join
bench-many: build bench-tools ## 300 streams with 10 players each
	@go run ./scripts/bench -rounds $(ROUNDS) $(BENCHFLAGS) many
bench-audio: build bench-tools ## 10,000 players of an audio stream
	@go run ./scripts/bench -rounds $(ROUNDS) $(BENCHFLAGS) audio
bench-ingest: build bench-tools ## 40 publishers, HLS on and off, against nginx-rtmp, 25 minutes
	@go run ./scripts/bench -rounds $(ROUNDS) -duration 15s $(BENCHFLAGS) ingest
bench-streams: build bench-tools ## streams that nobody watches, or few, against nginx-rtmp
	@go run ./scripts/bench -rounds $(ROUNDS) -duration 15s $(BENCHFLAGS) streams
bench-hls: build bench-tools ## requests for HLS files, against nginx
	@go run ./scripts/bench -rounds $(ROUNDS) $(BENCHFLAGS) hls
bench-llhls: build bench-tools ## players of Low-Latency HLS
	@go run ./scripts/bench -rounds $(ROUNDS) -duration 10s $(BENCHFLAGS) llhls
bench-stopped: build bench-tools ## players that stop reading, 11 minutes
	@go run ./scripts/bench -rounds $(ROUNDS) $(BENCHFLAGS) stopped
bench-cluster: build bench-tools bench-cluster-hls bench-cluster-registry ## nodes that serve the streams of others, against their home, nginx and Varnish
	@go run ./scripts/bench -rounds $(ROUNDS) $(BENCHFLAGS) cluster
bench-cluster-hls: build bench-tools
	@go run ./scripts/bench -rounds $(ROUNDS) -duration 10s $(BENCHFLAGS) cluster-hls
bench-cluster-registry: build bench-tools
	@go run ./scripts/bench -rounds $(ROUNDS) $(BENCHFLAGS) cluster-registry
simulate: ## many nodes, streams and joins of viewers on one registry, without media, 11 minutes
	@go run ./scripts/simulate
bench-relay: build bench-tools ## 100 pushes of a stream, against 100 players
	@go run ./scripts/bench -rounds $(ROUNDS) -duration 10s $(BENCHFLAGS) relay
bench-record: build bench-tools ## recordings of 40 streams, against packaging them, 10 minutes
	@go run ./scripts/bench -rounds $(ROUNDS) -duration 15s $(BENCHFLAGS) record
bench-tokens: build bench-tools ## viewers with tokens, against viewers without
	@go test -run '^$$' -bench 'Known|New' ./internal/ticket
	@go run ./scripts/bench -rounds $(ROUNDS) $(BENCHFLAGS) tokens
bench-events: build bench-tools ## players of a server that is observed by 64 clients, against one that is not
	@go run ./scripts/bench -rounds $(ROUNDS) $(BENCHFLAGS) events
bench-all: $(BENCHES) ## all of them, two hours on a quiet machine
bench-tools: ## programs that the comparisons run
	@scripts/install-test-tools.sh
clean: ## removes what was built
	rm -rf bin dist web/node_modules
	git clean -fdXq internal/pages/dist
