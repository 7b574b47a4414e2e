package bench

import (
	"encoding/json"
	"strings"
	"testing"

	"sallyport/bench/attack"
	"sallyport/cmd/gateway/cli"
)

func TestBenchAttacksAGateway(t *testing.T) {
	address, port, _ := benchGateway(t)
	for _, form := range attack.Forms {
		t.Run(string(form), func(t *testing.T) {
			args := "load --json --duration 300ms --connections 5 --rate 100 --workload " + string(form) + " --target " + address
			args += " --source 127.0.0.2 --sni app-" + port
			switch form {
			case attack.KeyUpdate, attack.TinyRecords:
				args += ".gw.test --bulk-rate 0.02"
			case attack.SlowHello:
				args += ".gw.test --bulk-rate 0.001"
			case attack.Hold:
				args += ".gw.test --tls 1.3"
			default:
				args += "s.gw.test"
			}
			ends := form == attack.Refused || form == attack.Churn
			var r attack.Result
			for range 5 { // a busy machine may leave the attack without a turn
				code, stdout, stderr := outcome(t, strings.Fields(args)...)
				if err := json.Unmarshal([]byte(stdout), &r); code != cli.ExitDone && code != cli.ExitFailed || err != nil || r.Failed > 0 {
					t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
				}
				if r.Opened > 0 && ends == (r.Done > 0) {
					break
				}
			}
			if r.Opened == 0 || ends != (r.Done > 0) || form != attack.Linger && r.Cut > 0 || form != attack.Silent && form != attack.Hold && r.Bytes == 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestAttackIsNotForOthersNorWithoutEnd(t *testing.T) {
	for args, says := range map[string]string{
		"--target 192.0.2.1:443 --rate 1":              "an address of this machine",
		"--target example.com:443 --rate 1":            "want IP:port",
		"--target 127.0.0.1:443":                       "needs one",
		"--target 127.0.0.1:443 --rate 1 --threads 2":  "no use for it",
		"--target 127.0.0.1:443 --rate 1 --source x":   "source",
		"--target 127.0.0.1:443 --rate 1 --tls 1.2":    "speaks 1.3",
		"--target 127.0.0.1:443 --rate 1 --tls 1.3":    "speaks no TLS",
		"--target 127.0.0.1:1 --rate 9 --duration 24h": "want up to",
	} {
		code, stdout, stderr := outcome(t, append([]string{"load", "--workload", "silent", "--sni", "app.gw.test"}, strings.Fields(args)...)...)
		if code != cli.ExitUsage || !strings.Contains(stderr, says) {
			t.Errorf("%s: exit code %d: %s%s", args, code, stdout, stderr)
		}
	}
	if code, _, stderr := outcome(t, "load", "--target", "127.0.0.1:1", "--source", "127.0.0.2"); code != cli.ExitUsage || !strings.Contains(stderr, "source") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := outcome(t, strings.Fields("load --workload silent --sni a.b --target 127.0.0.1:1 --rate 9 --duration 50ms")...); code != cli.ExitFailed || !strings.Contains(stderr, "connection refused") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
