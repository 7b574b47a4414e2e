package relay

import (
	"errors"
	"fmt"
)

// errNoWay marks a dial that was given up before it began: Options.Bind says that
// there is no way to the backends.
var errNoWay = errors.New("no way to the instances")

// bind ties a socket that is to connect to a backend to the way there. Every
// socket that the engine makes for one comes through here.
func (e *Engine) bind(fd int) error {
	if e.opts.Bind == nil {
		return nil
	}
	if err := e.opts.Bind(fd); err != nil {
		return fmt.Errorf("%w: %w", errNoWay, err)
	}
	return nil
}
