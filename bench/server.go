package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// server is a process that answers TokenReviews.
type server struct {
	*process
	// url is where.
	url string
}

// resident is how much memory a process takes up, in bytes.
type resident struct{ bytes, peak int64 }

// memory asks the kernel, see proc_pid_status(5).
func (s *server) memory() (resident, error) {
	file := fmt.Sprintf("/proc/%d/status", s.command.Process.Pid)
	status, err := os.ReadFile(file)
	if err != nil {
		return resident{}, s.notOnLinux(err)
	}
	var r resident
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		if len(fields) != 3 {
			continue
		}
		kibibytes, err := strconv.ParseInt(string(fields[1]), 10, 64)
		if err != nil {
			continue
		}
		switch string(fields[0]) {
		case "VmRSS:":
			r.bytes = kibibytes << 10
		case "VmHWM:":
			r.peak = kibibytes << 10
		}
	}
	if r.bytes == 0 || r.peak == 0 {
		return r, s.failed(fmt.Errorf("%s: expected VmRSS and VmHWM in it: has the process ended?", file))
	}
	return r, nil
}

// tick is the unit of times in /proc, whatever the kernel itself counts in.
const tick = time.Second / 100

// processorTime is how much it has had since it began, see proc_pid_stat(5).
func (s *server) processorTime() (time.Duration, error) {
	file := fmt.Sprintf("/proc/%d/stat", s.command.Process.Pid)
	stat, err := os.ReadFile(file)
	if err != nil {
		return 0, s.notOnLinux(err)
	}
	// The second of its fields is the program's name in brackets, with anything in it. The
	// times are the 14th and the 15th.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, fmt.Errorf("%s: expected times in it, got %q", file, stat)
	}
	var ticks int64
	for _, field := range [][]byte{fields[user], fields[system]} {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

func (s *server) notOnLinux(err error) error {
	return s.failed(fmt.Errorf("what a process takes up can be looked up only on Linux, while it runs: %w", err))
}
