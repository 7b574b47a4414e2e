package cli

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"sallyport/config"
)

func TestLevelMayChangeWhileTheLoggerIsUsed(t *testing.T) {
	var out bytes.Buffer
	log, level, flush := NewLogger(&out, config.Log{Level: slog.LevelInfo})
	log.Debug("before")
	ToggleDebug(log, level, slog.LevelInfo)
	log.Debug("while")
	ToggleDebug(log, level, slog.LevelInfo)
	log.Debug("after")
	flush()
	text := out.String()
	if !strings.Contains(text, "msg=while") || strings.Contains(text, "msg=before") || strings.Contains(text, "msg=after") {
		t.Errorf("log:\n%s", text)
	}
}

// Libraries' errors may have line breaks, and strangers choose parts of some texts.
func TestLogLineIsOneLine(t *testing.T) {
	several := errors.Join(errors.New("first"), errors.New("second\r\nlevel=ERROR"))
	for _, format := range []config.LogFormat{config.FormatText, config.FormatJSON} {
		var out bytes.Buffer
		log, _, flush := NewLogger(&out, config.Log{Format: format})
		log.Warn("a text\nof two lines", "error", several.Error(), "cause", several, "name", "a\v\f\nb")
		flush()
		if n := strings.Count(out.String(), "\n"); n != 1 || strings.ContainsAny(strings.TrimSuffix(out.String(), "\n"), "\r\v\f") {
			t.Errorf("format %s: %q", format, out.String())
		}
	}
}
