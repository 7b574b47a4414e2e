package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"sallyport/bench/peers"
)

// The chart: for each workload with a peer a group of bars, one per proxy, each as
// long as what the proxy spends in relation to the gateway. Shorter is better, and
// the gateway is 1.

// Sizes in SVG units.
const (
	chartWidth = 860
	labelWidth = 150
	barHeight  = 13
	barGap     = 3
	groupGap   = 30
	barsTop    = 64
	valueWidth = 150
	longest    = 4.0 // times the gateway; longer bars are cut, and say so
)

// WriteSVG writes the chart.
func (r *Results) WriteSVG(w io.Writer) {
	var body strings.Builder
	y := barsTop
	for _, wl := range r.Workloads {
		if m := charted(wl); r.comparable(wl, m) {
			y = r.drawGroup(&body, wl, m, y)
		}
	}
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="11">`+"\n", chartWidth, y+10)
	fmt.Fprintf(w, `<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n")
	drawText(w, 10, 22, 15, "#111111", "What a proxy spends, in relation to the gateway: shorter is better")
	drawText(w, 10, 40, 11, "#555555", fmt.Sprintf("One thread each, medians of %d rounds; %s, %d CPUs, Linux %s, %s.",
		r.Rounds(), r.Machine.CPU, r.Machine.CPUs, r.Machine.Kernel, r.Started.Format(time.DateOnly)))
	fmt.Fprint(w, body.String(), "</svg>\n")
}

// charted is the metric that a workload is shown by.
func charted(w Workload) Metric {
	switch {
	case w.Unit == Idle:
		return RSS
	case w.Name == PassPaced || w.Name == PassMixed:
		return P99
	}
	return CPUPerUnit
}

// comparable reports whether there is a peer to show beside the gateway.
func (r *Results) comparable(w Workload, m Metric) bool {
	own := r.Figure(w.Name, peers.Gateway, m)
	peer, _ := r.Best(w.Name, m)
	return own.Rounds > 0 && own.Median > 0 && peer != ""
}

func (r *Results) drawGroup(w io.Writer, wl Workload, m Metric, y int) int {
	drawText(w, 10, y, 12, "#111111", fmt.Sprintf("%s: %s", wl.Title, heading(m, wl.Unit)))
	y += 7
	own := r.Figure(wl.Name, peers.Gateway, m).Median
	for _, p := range r.Proxies(wl.Name) {
		f := r.Figure(wl.Name, p, m)
		if f.Rounds == 0 {
			continue
		}
		ratio := f.Median / own
		length := math.Max(math.Min(ratio, longest), 0) / longest * (chartWidth - labelWidth - valueWidth)
		fill := "#9aa5b1"
		if p == peers.Gateway {
			fill = "#0b6e4f"
		}
		drawText(w, 20, y+barHeight-3, 11, "#333333", p)
		fmt.Fprintf(w, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", labelWidth, y, length, barHeight, fill)
		value := fmt.Sprintf("%s (%.2f ×)", format(m, f.Median), ratio)
		if ratio > longest {
			value += " →"
		}
		drawText(w, labelWidth+int(length)+6, y+barHeight-3, 11, "#333333", value)
		y += barHeight + barGap
	}
	return y + groupGap - 7
}

func drawText(w io.Writer, x, y, size int, fill, text string) {
	fmt.Fprintf(w, `<text x="%d" y="%d" font-size="%d" fill="%s">`, x, y, size, fill)
	_ = xml.EscapeText(w, []byte(text))
	fmt.Fprint(w, "</text>\n")
}
