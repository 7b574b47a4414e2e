// Package report is what a comparison has measured, and what follows from it:
// medians, verdicts on the goals, a Markdown table and an SVG chart.
//
// Everything follows from [Results], which is the JSON file with each round of
// each proxy: a reader who doubts a figure can compute it again. It measures nothing
// and hides nothing: a run that failed is in the file and is reported.
//
// How to read it: results.go is the file; metric.go takes figures from it; goals.go
// is the list of goals, verdict.go judges; markdown.go and svg.go render.
package report
