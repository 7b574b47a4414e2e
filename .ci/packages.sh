#!/usr/bin/env bash
# Installs the Debian packages that the tests use and that are missing: a C
# compiler for the race detector, and the real software of the end-to-end tests.
# No service is started by it: the tests run their own, in their own namespaces.
set -euo pipefail

packages=(
	gcc libc6-dev                     # go test -race
	ca-certificates curl openssl      # clients
	openssh-client openssh-server
	postgresql postgresql-client
	iproute2 nftables procps util-linux
	bind9 bind9-dnsutils              # a DNS server that takes updates, and dig
	haproxy                           # what bench/cmd/measure compares with
	nginx-light libnginx-mod-stream
	qemu-system-x86 busybox-static cpio kmod xz-utils # make test-kernel
)

missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "installing ${missing[*]}"
# Maintainer scripts ask policy-rc.d before they start a service; 101 means no.
# One that is there already is the machine owner's and stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
	trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
install=(apt-get -qq -y --no-install-recommends install "${missing[@]}")
# The list of packages may be missing or old: fetch it only if it has to be.
"${install[@]}" >/dev/null 2>&1 || { apt-get -qq update && "${install[@]}" >/dev/null; }
