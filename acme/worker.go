package acme

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// The life of one name: load what is stored and serve it; then, until the end, look
// at the store (another gateway may have renewed), ask the authority for its
// suggestion, and make a try when one is due. A failure waits by backoff.go; the
// certificate in use is never taken away.

// worker keeps the certificate of one name. Its goroutine owns the fields; what
// others see is published to the Manager.
type worker struct {
	m      *Manager
	domain string
	name   string

	served  *certificate
	state   nameState
	damaged string // what was last logged about the stored certificate
}

// nameState is stored for a name, so that a restart knows it.
type nameState struct {
	Failures  int        `json:"failures,omitempty"` // in a row
	LastError string     `json:"last_error,omitempty"`
	FailedAt  time.Time  `json:"failed_at,omitzero"`
	NextTry   time.Time  `json:"next_try,omitzero"` // not before
	Suggested suggestion `json:"suggested"`
}

// maxErrorText bounds what is stored and shown of an error: authorities write it.
const maxErrorText = 2000

func (w *worker) stateKey() string { return "names/" + certmagic.StorageKeys.Safe(w.name) }

// run works until ctx ends.
func (w *worker) run(ctx context.Context) {
	if _, err := getJSON(ctx, w.m.opts.Store, w.stateKey(), &w.state); err != nil {
		w.m.opts.Log.Warn("cannot read the record of earlier tries; starting without it", "name", w.name, "error", err)
		w.state = nameState{}
	}
	for {
		w.look(ctx)
		w.suggest(ctx)
		if due := w.due(time.Now()); !due.After(time.Now()) {
			w.try(ctx)
		}
		w.publish(ctx)
		wait := min(max(time.Until(w.due(time.Now())), 0), w.m.opts.Check)
		if sleep(ctx, wait) != nil {
			return
		}
	}
}

// due is when the next try is to be made.
func (w *worker) due(now time.Time) time.Time {
	next := boundedTry(w.state.NextTry, now)
	if w.served == nil || w.served.at == nil { // none, or of an authority that is not configured any more
		return next
	}
	if at := renewAt(w.served.leaf(), w.m.opts.RenewBefore, w.state.Suggested); at.After(next) {
		return at
	}
	return next
}

// look serves what the store has, if it is newer than what is served.
func (w *worker) look(ctx context.Context) {
	stored, err := w.m.load(ctx, w.name)
	if err != nil && ctx.Err() == nil && w.damaged != err.Error() {
		w.m.opts.Log.Warn("stored certificate cannot be used; a new one is obtained when there is no other", "name", w.name, "error", err)
		w.damaged = err.Error()
	}
	if stored == nil || stored.same(w.served) || !time.Now().Before(stored.leaf().NotAfter) ||
		w.served != nil && !stored.stored.After(w.served.stored) {
		return
	}
	w.serve(ctx, stored)
}

func (w *worker) serve(ctx context.Context, c *certificate) {
	w.served = c
	_ = w.m.showKeys(ctx, w.domain) // publish reads them again, and reports damaged ones
	leaf := c.leaf()
	w.m.opts.Log.Info("certificate is served", "name", w.name, "issuer", c.from, "serial", leaf.SerialNumber.Text(16), "not_after", leaf.NotAfter)
	w.m.opts.OnCertificate(w.domain, leaf.DNSNames, c.cert)
}

// suggest asks the authority when it wants the certificate to be renewed.
func (w *worker) suggest(ctx context.Context) {
	now := time.Now()
	if w.served == nil || w.served.at == nil || !w.state.Suggested.ask(w.served.leaf(), now) {
		return
	}
	leaf := w.served.leaf()
	info, err := w.served.at.client.GetRenewalInfo(ctx, leaf)
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, acme.ErrUnsupported): // the window alone, then
		w.state.Suggested = suggestion{Serial: leaf.SerialNumber.Text(16), AskAgain: now.Add(maxAsk)}
	case err != nil:
		w.state.Suggested.unanswered(leaf, now)
		w.m.opts.Log.Debug("authority suggests no time for renewal", "name", w.name, "error", err)
	default:
		before := w.state.Suggested.Chosen
		w.state.Suggested.update(leaf, info, now)
		if !before.Equal(w.state.Suggested.Chosen) {
			w.m.opts.Log.Info("authority suggests a time for renewal", "name", w.name, "renew_at", w.state.Suggested.Chosen, "explained", info.ExplanationURL)
		}
	}
	w.save(ctx)
}

// try makes one try and notes how it went.
func (w *worker) try(ctx context.Context) {
	c, err := w.m.obtain(ctx, w.domain, w.name, w.served, w.ended)
	if ctx.Err() != nil && c == nil {
		return // the end of the work is not a failure of the order
	}
	if err == nil && c.same(w.served) {
		err = fmt.Errorf("certificate of %s was issued, but the store still has the old one", w.name)
	}
	if c != nil && !c.same(w.served) {
		if err != nil { // what is left over is found by the next try
			w.m.opts.Log.Warn("certificate was issued, but its order could not be removed", "name", w.name, "error", err)
		}
		w.state = nameState{}
		w.serve(ctx, c)
		w.save(ctx)
		return
	}
	w.fail(err)
	w.save(ctx)
}

// fail notes a failure and logs it: as a warning when time runs out, or when
// there is nothing to serve.
func (w *worker) fail(err error) {
	now := time.Now()
	w.m.metrics.failures.Inc()
	w.state.Failures++
	w.state.LastError = bound(err.Error(), maxErrorText)
	w.state.FailedAt = now.UTC()
	w.state.NextTry = now.Add(pause(w.state.Failures, err)).UTC()
	args := []any{"name", w.name, "failures", w.state.Failures, "next_try", w.state.NextTry, "error", err}
	switch {
	case w.served == nil:
		w.m.opts.Log.Warn("no certificate: it could not be obtained", args...)
	case remains(w.served.leaf(), now) < w.m.opts.WarnBefore:
		w.m.opts.Log.Warn("certificate expires soon and could not be renewed", append(args, "not_after", w.served.leaf().NotAfter)...)
	default:
		w.m.opts.Log.Info("certificate could not be renewed yet", args...)
	}
}

// ended stores that an order has failed before it is forgotten: a gateway that
// is killed while it asks the next authority does not make another order at the first.
func (w *worker) ended(ctx context.Context, err error) {
	s := w.state
	s.Failures++
	s.LastError = bound(err.Error(), maxErrorText)
	s.NextTry = time.Now().Add(pause(s.Failures, err)).UTC()
	w.put(ctx, s)
}

func (w *worker) save(ctx context.Context) { w.put(ctx, w.state) }

func (w *worker) put(ctx context.Context, s nameState) {
	ctx, cancel := cleanUpContext(ctx)
	defer cancel()
	if err := putJSON(ctx, w.m.opts.Store, w.stateKey(), s); err != nil {
		w.m.opts.Log.Warn("cannot store the time of the next try; a restart may try too early", "name", w.name, "error", err)
	}
}

// bound cuts text to n bytes.
func bound(text string, n int) string {
	if len(text) > n {
		return text[:n] + "…"
	}
	return text
}
