package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine is what the numbers of a report are those of.
type machine struct {
	processor string
	cores     int
	// webhook is what `webhook version` prints: commit and Go version.
	webhook string
}

func describeMachine(ctx context.Context, webhook string) (machine, error) {
	said, err := exec.CommandContext(ctx, webhook, "version").Output()
	if err != nil {
		return machine{}, fmt.Errorf("%s version: %w", webhook, err)
	}
	return machine{processor: processor(), cores: runtime.NumCPU(), webhook: strings.TrimSpace(string(said))}, nil
}

// processor is the model that Linux knows, see proc_cpuinfo(5).
func processor() string {
	// Where there is no such file, nobody says.
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "an unknown processor, " + runtime.GOARCH
}
