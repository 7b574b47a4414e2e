package peers

// A Form is a proxy with one of its configurations.
type Form struct {
	Name    string
	Program string // as it is found in PATH, or Gateway
	Splice  bool   // of haproxy
	Pipe    int    // bytes of a pipe that is spliced through; 0 is the default
	Buffer  string // of nginx, for each direction of a connection
	// Exposed is as it faces strangers: with Site.Descriptors, the limits that it takes by
	// default for them, and a log of what fails. Of the gateway and haproxy.
	Exposed bool
	// Deaf has its log go to a pipe that nobody reads.
	Deaf bool
}

// Gateway is the name of our own form, and its program. Before is that of another binary
// of it, which a change is measured against.
const (
	Gateway = "gateway"
	Before  = "gateway-before"
)

// The names of the forms.
const (
	HAProxy       = "haproxy"
	HAProxySplice = "haproxy-splice"
	HAProxyPipes  = "haproxy-splice-1m"
	Nginx         = "nginx-64k"
	NginxBuffers  = "nginx-512k"
)

// Forms are all proxies. The gateway has one: its defaults.
func Forms() []Form {
	return []Form{
		{Name: Gateway, Program: Gateway},
		{Name: HAProxy, Program: "haproxy"},
		{Name: HAProxySplice, Program: "haproxy", Splice: true},
		{Name: HAProxyPipes, Program: "haproxy", Splice: true, Pipe: 1 << 20},
		{Name: Nginx, Program: "nginx", Buffer: "64k"},
		{Name: NginxBuffers, Program: "nginx", Buffer: "512k"},
	}
}

// template is the file with the form's configuration.
func (f Form) template() string {
	if f.ours() {
		return Gateway + ".cfg.tmpl"
	}
	return f.Program + ".cfg.tmpl"
}

func (f Form) ours() bool { return f.Program == Gateway || f.Program == Before }

// args are the program's arguments, with its configuration in file. It stays in
// the foreground.
func (f Form) args(file, dir string) []string {
	switch f.Program {
	case "haproxy":
		return []string{"-db", "-f", file}
	case "nginx":
		return []string{"-p", dir, "-c", file}
	default:
		return []string{"run", "--config", file}
	}
}
