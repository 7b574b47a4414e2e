package logsink

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestHostileTextStaysInItsLine(t *testing.T) {
	hostile := []string{
		"a\nlevel=ERROR msg=forged", "a\r\nb", "a\x1b[2Jb", "\xff\n", "a\u2028b", "a\x00b", "a\u0085b", `a" msg="b`, "a\x9bb",
	}
	inJSON := func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }
	for name, f := range map[string]Format{"text": text, "json": inJSON} {
		t.Run(name, func(t *testing.T) {
			var p pipe
			s := New(&p, f)
			log := slog.New(s.Handler())
			for _, h := range hostile {
				log.Info("x", "name", h, "error", errors.New(h), "any", slog.AnyValue([]string{h}))
			}
			s.Close(time.Minute)
			lines := p.lines()
			if len(lines) != len(hostile) {
				t.Errorf("%d records are %d lines", len(hostile), len(lines))
			}
			for _, l := range lines {
				if name == "json" && !json.Valid([]byte(l)) {
					t.Errorf("not JSON: %q", l)
				}
				if strings.ContainsAny(l, "\r\x00\x1b") || name == "text" && strings.ContainsAny(l, "\u0085\u009b\u2028") {
					t.Errorf("a control character got into the log: %q", l)
				}
			}
		})
	}
}

func TestLongLineIsCut(t *testing.T) {
	var p pipe
	s, log := open(t, &p)
	log.Info("long", "x", strings.Repeat("x", 2*maxLine))
	log.Info("after")
	s.Close(time.Minute)
	lines := p.lines()
	if len(lines) != 2 || len(lines[0]) != maxLine-1 || !strings.HasSuffix(lines[0], "[cut]") || lines[1] != "level=INFO msg=after" {
		t.Errorf("%d lines, the first of %d bytes, the last %q", len(lines), len(lines[0]), lines[len(lines)-1])
	}
}

func TestAttributesAndGroupsAreKept(t *testing.T) {
	var p pipe
	s, log := open(t, &p)
	log.With("a", 1).WithGroup("g").With("b", 2).Info("x", "c", 3)
	log.Debug("no")
	s.Close(time.Minute)
	if got, want := p.text.String(), "level=INFO msg=x a=1 g.b=2 g.c=3\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if log.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("debug is enabled")
	}
}
