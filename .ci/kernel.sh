#!/usr/bin/env bash
# Runs the tests of .ci/kernel-tests in virtual machines with a Debian kernel: on
# the kernel's own WireGuard, and on kernels that lack what most have. It needs
# neither root nor KVM (it
# uses none: a /dev/kvm that is there may not work); .ci/packages.sh has the packages that it uses.
#
#   .ci/kernel.sh          Debian's default kernel
#   .ci/kernel.sh 6.12     another that apt knows
#   MACHINES=noipv6 .ci/kernel.sh    only these of the machines
#
# A machine is one initramfs: busybox, kernel modules, compiled tests. It has no
# disk and no network, powers itself off, and is killed after BOOT_LIMIT seconds.
# A machine that does not come up, and a line that runs no test, are failures.
set -euo pipefail
cd "$(dirname "$0")/.."
BOOT_LIMIT=${BOOT_LIMIT:-900}

modules=(wireguard nf_tables nft_counter veth dummy tun tcp_diag sch_ingress cls_u32 act_gact) # nft_counter: of its own until Linux 5.17
memory=1536                                                                                   # MiB

die() { echo "kernel.sh: $*" >&2; exit 1; }
[ "$(uname -m)" = x86_64 ] || die "this machine is $(uname -m): the virtual machines are x86_64"
for p in qemu-system-x86_64 busybox cpio modprobe depmod apt-get dpkg-deb; do
	PATH=$PATH:/usr/sbin:/sbin command -v "$p" >/dev/null || die "$p is missing: .ci/packages.sh installs it"
done
export PATH=$PATH:/usr/sbin:/sbin

work=$PWD/bin/kernel
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$work"

# The kernel's package is only downloaded and unpacked, once.
newest() { apt-cache depends "linux-image-${1:+$1-}cloud-amd64" 2>/dev/null | awk '$1 == "Depends:" { print $2; exit }'; }
package=$(newest "${1:-}")
if [ -z "$package" ]; then
	apt-get -qq update
	package=$(newest "${1:-}")
	[ -n "$package" ] || die "apt knows no package linux-image-${1:+$1-}cloud-amd64"
fi
kernel=$work/$package
if [ ! -d "$kernel" ]; then
	fetch() { (cd "$tmp" && apt-get -qq -o APT::Sandbox::User=root download "$package"); }
	fetch || { apt-get -qq update && fetch; } || die "cannot download $package"
	dpkg-deb -x "$tmp/$package"_*.deb "$tmp/kernel"
	mv "$tmp/kernel" "$kernel"
fi
version=$(basename "$kernel"/lib/modules/*)

# The initramfs. Modules are unpacked: busybox loads no compressed ones.
root=$tmp/root
mkdir -p "$root"/{bin,dev,proc,sys,tmp,run,var,etc,root,programs,tests,lib/modules/"$version"}
ln -s /run "$root/var/run"
cp "$(command -v busybox)" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
cp .ci/kernel-init.sh "$root/init"
chmod +x "$root/init"
depmod -b "$kernel" "$version"
for m in "${modules[@]}"; do
	modprobe -d "$kernel" -S "$version" --show-depends "$m" 2>/dev/null || [ "$m" = nft_counter ] || die "$package has no module $m"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
	case $file in
	*.xz) xz -dc "$file" >"$root/lib/modules/$version/$(basename "$file" .xz)" ;;
	*) cp "$file" "$root/lib/modules/$version/" ;;
	esac
done
cp "$kernel/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$root/lib/modules/$version/"
depmod -b "$root" "$version"

# The tests, without the race detector: it needs dynamic linking.
export CGO_ENABLED=0
grep -vE '^(#|$)' .ci/kernel-tests >"$root/tests/plan"
while read -r dir; do
	go test -c -o "$root/tests/${dir//\//-}.test" "./$dir"
	mkdir -p "$root/src/$dir"
	[ ! -d "$dir/testdata" ] || cp -r "$dir/testdata" "$root/src/$dir/"
done < <(awk '{ print $2 }' "$root/tests/plan" | sort -u)
# What the end-to-end tests would build for themselves.
go build -o "$root/programs/gateway" ./cmd/gateway
go test -c -o "$root/programs/guest" ./internal/gwtest
(cd "$root" && find . | cpio -o -H newc --quiet) >"$tmp/initramfs"

# boot runs one machine. Its console and what its tests print go to files.
# Both its processors are one thread: with two, QEMU 7.2 lets them loop for ever in
# code that the kernel has just patched (a static key, switched by tc filters).
boot() {
	local name=$1
	shift
	timeout -k 5 "$BOOT_LIMIT" nice qemu-system-x86_64 -accel tcg,thread=single -cpu max -smp 2 -m $memory \
		-nodefaults -no-user-config -display none -monitor none -no-reboot -nic none \
		-kernel "$kernel/boot/vmlinuz-$version" -initrd "$tmp/initramfs" \
		-append "console=ttyS0 oops=panic panic=-1 loglevel=5 boot=$name $*" \
		-serial "file:$tmp/$name.console" -serial "file:$tmp/$name.tests" </dev/null 2>"$tmp/$name.qemu" || true
}

failed=0
for name in ${MACHINES:-$(awk '!seen[$1]++ { print $1 }' "$root/tests/plan")}; do
	case $name in
	plain | nofilter) boot "$name" ;;
	noipv6) boot "$name" ipv6.disable=1 ;;
	*) die ".ci/kernel-tests: unknown machine $name" ;;
	esac
	if ! tr -d '\r' <"$tmp/$name.tests" | awk -v name="$name" -v version="$version" -v lines="$(grep -c "^$name " "$root/tests/plan")" '
		/^=== TESTS / { what = $3; whole = skipped = ""; passed = 0; next }
		/^=== EXIT / {
			lines--
			if ($3 == 0 && passed > 0) printf "ok  \t%s on %s (%s)\t%d tests\n%s", what, version, name, passed, skipped
			else { printf "%sFAIL\t%s on %s (%s)\texit %d, %d tests passed\n", whole, what, version, name, $3, passed; bad = 1 }
			whole = ""
			next
		}
		/^=== END/ { ended = 1; next }
		/^ *--- SKIP/ { skipped = skipped $0 "\n" last "\n" }
		/^--- PASS/ { passed++ }
		!/^ *(=== RUN|--- PASS)/ { whole = whole $0 "\n" }
		{ last = $0 }
		END {
			if (!ended || lines != 0) { printf "%sFAIL\tmachine %s ended before its tests, with: %s\n", whole, name, last; bad = 1 }
			exit bad
		}'; then
		failed=1
		echo "the end of its console:"
		tail -qn 20 "$tmp/$name.console" "$tmp/$name.qemu" || true
	fi
done
exit $failed
