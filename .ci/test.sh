#!/usr/bin/env bash
# go test, with the race detector where it can run, and a short report: one line for
# a package that passes and for each test that it skipped, with the reason; all output
# of a package that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -eq 0 ]; then
	if command -v apt-get >/dev/null; then
		bash .ci/packages.sh
	else
		echo "no apt-get here: install what .ci/packages.sh lists, or tests will fail for want of it"
	fi
else
	echo "not root: tests that need network namespaces are skipped, and named below"
fi

race=-race
export GORACE=atexit_sleep_ms=0  # a second for each gateway that a test starts
if ! command -v "$(go env CC)" >/dev/null; then
	race=
	echo "no C compiler: running without the race detector (as root, .ci/packages.sh installs one)"
fi

# -count=1: the end-to-end tests build what they start, of which the cache of results knows nothing.
go test $race -count=1 -v -shuffle=on -timeout 15m "$@" 2>&1 | awk '
	{ whole = whole $0 "\n" }
	/^ *--- SKIP/ { skipped = skipped $0 "\n" last "\n" }
	{ last = $0 }
	/^ok  \t/ { printf "%s\n%s", $0, skipped; whole = skipped = ""; fflush() }
	/^\?   \t/ || /no test files/ { whole = skipped = "" }
	/^FAIL\t/ { printf "%s", whole; whole = skipped = ""; fflush() }
	END { printf "%s", whole }
'
