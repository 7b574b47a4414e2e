#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME, one after the other: go test fuzzes one
# target of one package at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
grep -rhoE --include='*_test.go' --with-filename '^func Fuzz[A-Za-z0-9_]+' . | sort |
	while IFS=: read -r file target; do
		name=${target#func }
		echo "== $(dirname "$file") $name"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-30s}" "$(dirname "$file")"
	done
