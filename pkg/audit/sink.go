package audit

import (
	"bytes"
	"fmt"
	"io"
)

// sink is where lines go. One goroutine uses it.
type sink interface {
	io.Writer
	// check reports why nothing can be written, as far as that can be known before.
	check() error
	// close lets go of what is open; the next Write opens it again.
	close()
}

// stream is a sink that is always open, such as standard output.
type stream struct {
	to io.Writer
	// torn is whether the last line was not written to its end.
	torn bool
}

func (s *stream) Write(lines []byte) (int, error) {
	if s.torn {
		// Or the next line would go on after a piece, and neither could be read.
		if _, err := s.to.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		s.torn = false
	}
	n, err := s.to.Write(lines)
	s.torn = n > 0 && n <= len(lines) && lines[n-1] != '\n'
	return n, err
}

func (*stream) check() error { return nil }

func (*stream) close() {}

// toFile reports whether the lines go to a file.
func (c *Config) toFile() bool { return c.Path != "" && c.Path != "-" }

// sameSink reports whether lines go to the same place, in the same way.
func (c *Config) sameSink(o Config) bool {
	if !c.toFile() || !o.toFile() {
		return c.toFile() == o.toFile()
	}
	return c.Path == o.Path && c.MaxSizeMB == o.MaxSizeMB && c.MaxBackups == o.MaxBackups && c.MaxAgeDays == o.MaxAgeDays
}

// maxWrite is how many bytes go to a sink at a time. A file is not set aside within
// what is written at a time, and can be as small as a megabyte.
const maxWrite = 64 << 10

// writeLines writes lines, a whole number of them at a time, and says how many it has
// written.
func writeLines(to io.Writer, lines []byte) (written int, err error) {
	for len(lines) > 0 {
		end := len(lines)
		if end > maxWrite {
			end = bytes.LastIndexByte(lines[:maxWrite], '\n') + 1
			if end == 0 { // one line that is longer
				end = bytes.IndexByte(lines, '\n') + 1
			}
		}
		n, err := to.Write(lines[:end])
		written += bytes.Count(lines[:n], []byte{'\n'})
		if err == nil && n < end {
			err = io.ErrShortWrite
		}
		if err != nil {
			return written, fmt.Errorf("write audit log: %w", err)
		}
		lines = lines[end:]
	}
	return written, nil
}
