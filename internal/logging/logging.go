// Package logging makes the one logger of the process.
package logging

import (
	"fmt"
	"io"
	"log/slog"

	"k8s.io/klog/v2"
)

// New returns a logger that writes to w in format "text" or "json", at level
// debug, info, warn or error and above. The Kubernetes libraries, which log
// through klog, write to it as well.
func New(w io.Writer, format, level string) (*slog.Logger, error) {
	var threshold slog.Level
	if err := threshold.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level: expected debug, info, warn or error, got %q", level)
	}
	options := &slog.HandlerOptions{Level: threshold}
	var logger *slog.Logger
	switch format {
	case "text":
		logger = slog.New(slog.NewTextHandler(w, options))
	case "json":
		logger = slog.New(slog.NewJSONHandler(w, options))
	default:
		return nil, fmt.Errorf("--log-format: expected text or json, got %q", format)
	}
	klog.SetSlogLogger(logger.With("component", "kubernetes"))
	return logger, nil
}
