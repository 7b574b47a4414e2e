package cli

import (
	"bytes"
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
