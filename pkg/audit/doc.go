// Package audit writes down what was decided: one JSON line for each decision, on
// standard output or in a file.
//
// A Record comes in at Log.Write and leaves as a line. Nobody who decides waits for
// that: lines go into a buffer of bounded size, and one goroutine writes them. What
// finds the buffer full, or cannot be written, is counted and lost. It knows
// nothing of tokens but their fingerprints.
//
// Read it in this order: record.go, log.go, refusals.go, sink.go, file.go,
// fingerprint.go.
package audit
