package peers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"time"

	"sallyport/internal/oneline"
)

// packages are what Debian calls the peers.
var packages = map[string][]string{
	"haproxy": {"haproxy"},
	"nginx":   {"nginx-light", "libnginx-mod-stream"},
}

const (
	installTime = 3 * time.Minute
	versionTime = 5 * time.Second
)

// Install installs the peers that are missing, from Debian's packages, and starts no
// service. It needs root and apt, and says what it lacks.
func Install(ctx context.Context) error {
	var want []string
	for _, name := range Missing() {
		want = append(want, packages[name]...)
	}
	if len(want) == 0 {
		return nil
	}
	slices.Sort(want)
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("install %v to compare with them: that needs root and apt-get", want)
	}
	ctx, cancel := context.WithTimeout(ctx, installTime)
	defer cancel()
	allow, err := refuseServices()
	if err != nil {
		return err
	}
	defer allow()
	args := append([]string{"-qq", "-y", "--no-install-recommends", "install"}, want...)
	run := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, apt, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		return cmd.CombinedOutput()
	}
	if _, err := run(args...); err == nil {
		return nil
	}
	// The list of packages may be missing or old.
	_, _ = run("-qq", "update")
	if out, err := run(args...); err != nil {
		return fmt.Errorf("install %v: %w: %.500s", want, err, out)
	}
	return nil
}

// policy is asked by maintainer scripts before they start a service; 101 means no
// (invoke-rc.d(8)).
const policy = "/usr/sbin/policy-rc.d"

// refuseServices keeps packages from starting their services until allow is called. A
// policy that is there already is the machine owner's and stays.
func refuseServices() (allow func(), err error) {
	f, err := os.OpenFile(policy, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString("#!/bin/sh\nexit 101\n")
	if err = oneline.Join(err, f.Close()); err != nil {
		return nil, oneline.Join(err, os.Remove(policy))
	}
	return func() { _ = os.Remove(policy) }, nil
}

// Missing names the peers' programs that are not on this machine.
func Missing() []string {
	var missing []string
	for name := range packages {
		if _, err := exec.LookPath(name); err != nil || name == "nginx" && !hasStream() {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return missing
}

// version finds the number in what a program says of itself.
var version = regexp.MustCompile(`\d+\.\d+[^\s]*`)

// Version asks a peer's program for its version; "" is unknown.
func Version(ctx context.Context, program string) string {
	ctx, cancel := context.WithTimeout(ctx, versionTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "-v").CombinedOutput()
	if err != nil {
		return ""
	}
	return version.FindString(string(out))
}

// debianStream is where Debian has nginx's stream module.
const debianStream = "/usr/lib/nginx/modules/ngx_stream_module.so"

// streamModule is the file to load for nginx's stream module; "" if it is built in.
func streamModule() string {
	if _, err := os.Stat(debianStream); err != nil {
		return ""
	}
	return debianStream
}

// hasStream reports whether nginx has the module, as a file or built in.
func hasStream() bool {
	if streamModule() != "" {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), versionTime)
	defer cancel()
	out, _ := exec.CommandContext(ctx, "nginx", "-V").CombinedOutput()
	return regexp.MustCompile(`--with-stream(\s|$)`).Match(out)
}
