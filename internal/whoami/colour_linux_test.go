package whoami_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tokenreview.dev/webhook/internal/whoami"
	"tokenreview.dev/webhook/pkg/trace"
)

// openTerminal returns a terminal's end for programs, and its other end.
func openTerminal(t *testing.T) (program, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return program, screen
}

func TestColoursAreForTerminals(t *testing.T) {
	terminal, _ := openTerminal(t)
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, test := range []struct {
		name, noColor, term string
		file                *os.File
		coloured            bool
	}{
		{"a terminal", "", "xterm-256color", terminal, true},
		{"a file", "", "xterm-256color", file, false},
		{"a terminal, and nobody wants colours", "1", "xterm-256color", terminal, false},
		{"a terminal that has none", "", "dumb", terminal, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", test.noColor)
			t.Setenv("TERM", test.term)
			if got := whoami.Coloured(test.file); got != test.coloured {
				t.Errorf("expected %v, got %v", test.coloured, got)
			}
		})
	}
	if whoami.Coloured(&strings.Builder{}) {
		t.Error("expected no colours in memory")
	}
}

func TestWhatATerminalShows(t *testing.T) {
	terminal, screen := openTerminal(t)
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	steps := []trace.Step{
		{Check: "signature", Outcome: trace.Passed, Detail: "a"},
		{Check: "entra.tenantIDs", Outcome: trace.WouldFail, Detail: "b"},
		{Check: "groups", Outcome: trace.Failed, Detail: "c"},
		{Check: "made up by a server\x1b[2J", Outcome: "\x1b[2J"},
	}
	if err := whoami.PrintSteps(terminal, steps, whoami.Coloured(terminal)); err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for buffer := make([]byte, 1<<10); strings.Count(shown.String(), "\n") < 5; {
		n, err := screen.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(buffer[:n])
	}
	coloured := strings.ReplaceAll(shown.String(), "\r\n", "\n")
	const expected = "" +
		"CHECK                          \x1b[39mOUTCOME\x1b[0m      DETAIL\n" +
		"signature                      \x1b[32mpassed\x1b[0m       a\n" +
		"entra.tenantIDs                \x1b[33mwould fail\x1b[0m   b\n" +
		"groups                         \x1b[31mfailed\x1b[0m       c\n" +
		`"made up by a server\x1b[2J"   ` + "\x1b[39m" + `"\x1b[2J"` + "\x1b[0m    -\n"
	if coloured != expected {
		t.Errorf("expected\n%q\ngot\n%q", expected, coloured)
	}
	// Without colours it is the same table.
	var plain strings.Builder
	if err := whoami.PrintSteps(&plain, steps, false); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"\x1b[39m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"} {
		coloured = strings.ReplaceAll(coloured, code, "")
	}
	if coloured != plain.String() {
		t.Errorf("expected\n%s\ngot\n%s", plain.String(), coloured)
	}
}
