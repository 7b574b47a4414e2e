#!/bin/sh
# The first process of the machines of .ci/kernel.sh: it loads modules, runs what
# /tests/plan has for this boot, and powers the machine off.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
exec >/dev/ttyS1 2>&1 </dev/null # ttyS0 is the kernel's
boot=$(tr ' ' '\n' </proc/cmdline | sed -n 's/^boot=//p')

# All that is there, or for nofilter all but nf_tables: there the kernel speaks
# nfnetlink and knows no tables, as one that was built without them does.
for file in /lib/modules/*/*.ko; do
	module=$(basename "$file" .ko)
	case $boot/$module in
	nofilter/nf_tables | nofilter/nft_*) ;;
	*) modprobe "$module" || echo "module $module does not load" ;;
	esac
done
[ -e /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }
ip link set lo up

export HOME=/root TMPDIR=/tmp PATH=/bin GATEWAY_TEST_TUNNEL=kernel GATEWAY_TEST_PROGRAMS=/programs
while read -r name dir run skip; do
	[ "$name" = "$boot" ] || continue
	echo "=== TESTS $dir"
	cd "/src/$dir" || exit
	"/tests/$(echo "$dir" | tr / -).test" -test.v -test.timeout 10m -test.run "$run" -test.skip "${skip:-^$}" </dev/null
	echo "=== EXIT $?"
done </tests/plan
echo "=== END"
sync
poweroff -f
