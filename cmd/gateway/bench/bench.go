// Package bench is the command bench: it puts load on a gateway, or attacks it. What
// it does there is of packages bench/load, bench/attack and bench/backend. The
// comparison with other proxies is a program of its own, bench/cmd/measure.
package bench

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
)

// New returns the command.
func New() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "bench",
		Short: "Put load on a gateway, or attack it",
		Long: `bench puts load on a gateway and measures it: this one, or any other that routes
TLS by server name. It sends only to the given address.

	gateway bench backend --listen 127.0.0.1:9000 &
	gateway bench load --target 127.0.0.1:443 --sni app-9000s.gw.example.com --connections 50`,
	}, newLoad(), newBackend())
}

// maxCPUs is what the kernel's masks have room for.
const maxCPUs = 1024

// parseCPUs reads a list such as "0,2,3"; "" is none.
func parseCPUs(list string) ([]int, error) {
	if list == "" {
		return nil, nil
	}
	var cpus []int
	for field := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 0 || n >= maxCPUs {
			return nil, fmt.Errorf("cpu %q: want numbers from 0 to %d, separated by commas", field, maxCPUs-1)
		}
		cpus = append(cpus, n)
	}
	return cpus, nil
}
