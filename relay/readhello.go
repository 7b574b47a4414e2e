package relay

import (
	"errors"

	"sallyport/internal/hello"
)

// readHello reads until the ClientHello is complete. Memory grows with what
// arrived; the parser refuses what cannot become a hello at its first wrong
// byte and what is too large, so no more than hello.MaxStream is ever read.
func (s *setup) readHello() Reason {
	for {
		done, err := s.parser.Parse(s.in.Bytes())
		switch {
		case err != nil:
			return s.badHello(err)
		case done:
			return goOn
		}
		if r := s.more(); r != goOn {
			return r
		}
	}
}

// badHello turns the parser's error into a reason, and notes the alert it asks for.
func (s *setup) badHello(err error) Reason {
	var refused *hello.Error
	if errors.As(err, &refused) && refused.Alert != 0 {
		s.alert = int(refused.Alert)
	}
	switch {
	case errors.Is(err, hello.ErrNotTLS) && hello.LooksLikeHTTP(s.in.Bytes()):
		return PlainHTTP
	case errors.Is(err, hello.ErrNotTLS):
		return NotTLS
	case errors.Is(err, hello.ErrTooLarge):
		return HelloTooLarge
	}
	return BadHello
}
