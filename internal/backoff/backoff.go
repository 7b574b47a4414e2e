// Package backoff computes how long to wait before something that failed is tried again.
package backoff

import "time"

// Double returns the pause after so many failures in a row: first after one failure,
// twice as long after each further one, and at most last. For less than one failure it
// returns first, which must be positive.
func Double(first, last time.Duration, failures int) time.Duration {
	pause := first
	for range failures - 1 {
		if pause >= last/2 {
			return last
		}
		pause *= 2
	}
	return min(pause, last)
}
