package relay

import (
	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// A sender that is ahead of its receiver wakes the loop with each segment, for nothing:
// what it sent before has not been taken yet. Sixteen downloads at the client's pace made
// 13,000 such wake-ups a second, ten for each that moved something. So an end that was
// reported readable muteAfter times in a row, while it was known to be, is not watched for
// that any more until all of it was read.
//
// This is safe because a muted end is always marked readable: it is watched again before
// the loop relies on an event. EPOLL_CTL_MOD looks at the socket, so nothing is lost that
// came in between. FIN, errors and room to write are reported all the time.
const (
	muteAfter = 8
	muted     = muteAfter + 1
)

const watchedMuted = nonblock.Both &^ unix.EPOLLIN

// mute stops the events of an end that was reported readable too often.
func (l *loop) mute(e *end) {
	if e.known == muteAfter && e.readable {
		e.known = muted // once: epoll answers the change with the events it goes on to report
		l.poller.Change(e.fd, watchedMuted)
	}
}

// unmute watches e for bytes again if nothing is left to read in it.
func (l *loop) unmute(e *end) {
	if e.known == 0 || e.readable {
		return
	}
	if e.known == muted {
		l.poller.Change(e.fd, nonblock.Both)
	}
	e.known = 0
}
