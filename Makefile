# make build    bin/souk
# make page     the page in web/ui/dist, out of its sources; needs Node, which make build does not
# make deb      the Debian package, to bin
# make demo     four servers that trade, lose one, and go on
# make test     everything that must hold, about a quarter of an hour on two cores
# make lint     the linters
# make bench    the timed bars, to bin/bench.json
# make sim      SEEDS whole federations by seed; run it again to go on where it stopped
# make fuzz     every fuzz target for FUZZTIME
# make mutate   how many of the listed faults the tests catch; what was caught is remembered
#               until something that decides it changes, so it can be done in several runs
# make soak     the tests of real servers, twenty minutes of bots and streams, an hour of peers
#               that come and go, and the market's properties over FACTOR times as many random
#               books, at length

SEEDS    ?= 20000
FUZZTIME ?= 30s
# By what make soak multiplies the counts of the dearer properties, as the variable
# SOUK_FACTOR (internal/bulk): with 60 each holds over 60,000 random books.
FACTOR   ?= 60
# Further arguments of souk demo and of the measurement (-only one,four ...).
ARGS     ?=

.PHONY: all build page deb demo test lint bench sim fuzz mutate soak clean

all: build

build:
	@scripts/setup build
	CGO_ENABLED=0 go build -trimpath -o bin/souk ./cmd/souk

page:
	scripts/page

deb:
	@scripts/setup
	scripts/deb

demo: build
	bin/souk demo $(ARGS)

# Bulk properties run at full count in the first pass and at a tenth under the
# race detector in the second (internal/bulk).
test:
	@scripts/setup race
	@scripts/setup package
	go test ./internal/arch
	go vet ./...
	go mod tidy -diff
	@go build -o bin/tally ./internal/tally
	bin/tally -slowest 10 -- -timeout=30m ./... -- -timeout=30m -race -shuffle=on ./...

lint:
	@scripts/setup
	scripts/lint

bench: build
	go run ./internal/bench -out bin/bench.json $(ARGS)

sim:
	@scripts/setup
	SOUK_SEEDS=$(SEEDS) SOUK_SIM_STATE=$(CURDIR)/.cache/sim go test ./sim -run='^TestSeeds$$' -count=1 -timeout=0 -v

fuzz:
	@scripts/setup
	FUZZTIME=$(FUZZTIME) scripts/fuzz

mutate:
	@scripts/setup
	go run ./internal/mutate -memory $(CURDIR)/.cache/mutate

soak:
	@scripts/setup
	SOUK_FACTOR=$(FACTOR) go test ./exchange/market -count=1 -timeout=0 -v -skip='^TestScripts$$'
	go test ./internal/e2e -count=1 -timeout=0 -v -args -soak
	go test ./web/binance/conformance -run='^TestSoak$$' -count=1 -timeout=0 -v -args -soak
	go test ./transport/libp2p -run='^TestSoak$$' -count=1 -timeout=0 -v -args -soak

clean:
	rm -rf bin .cache
