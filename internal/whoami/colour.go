package whoami

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Coloured reports whether what is written to w may have colours: it is a terminal that
// knows them, and nobody has set NO_COLOR (https://no-color.org).
func Coloured(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
