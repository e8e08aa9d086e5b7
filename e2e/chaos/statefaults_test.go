package chaos

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
)

const (
	// readyFromState is how soon a process must be ready that has kept the keys.
	readyFromState = 2 * time.Second
	// foundAgain is how soon a process without keys must have those of an issuer that returns.
	foundAgain = 15 * time.Second
)

// stateFaults are about a start without network, and about the folder that is for that.
func stateFaults() []fault {
	return []fault{
		{name: "the webhook is replaced while every issuer is down", provoke: startingFromState},
		{name: "the webhook starts without --state-dir while every issuer is down", provoke: startingWithoutState},
		{name: "the state directory is full", provoke: full},
		{name: "the state directory is read-only, and then every issuer is down", provoke: readOnly},
		{
			name:    "the files in the state directory are garbage, truncated, empty and swapped",
			load:    "usual, and two workers for each of four more issuers",
			others:  []string{"truncated", "emptied", "swapped", "vice-versa"},
			provoke: corrupted,
		},
	}
}

func withState(dir string) []string { return []string{"--state-dir=" + dir} }

func startingFromState(t *testing.T, b *bench) {
	state := filepath.Join(t.TempDir(), "state")
	b.start(t, cluster.Launch{Flags: withState(state)})
	b.killIssuers()
	enough := b.askForKeys()
	over := time.After(*duration)
	for {
		took := b.replace(t, cluster.Launch{Flags: withState(state), Until: ready(t)})
		t.Logf("ready %s after its start", took.Round(time.Millisecond))
		if took > readyFromState {
			t.Errorf("/readyz is 200 %s after the start, want %s at most", took, readyFromState)
		}
		select {
		case <-over:
			enough()
			b.startIssuers(t)
			b.healed(t, healing)
			b.load.carriesOn(t, 0)
			return
		default:
		}
	}
}

// replace has another process take over, and returns how long after its start that was as far
// as it is waited for.
func (b *bench) replace(t *testing.T, launch cluster.Launch) (took time.Duration) {
	t.Helper()
	old := b.running
	b.running = b.webhook.Launch(t, launch)
	took = time.Since(b.running.Started())
	if err := old.Stop(time.Minute); err != nil {
		t.Error(err)
	}
	b.load.carriesOn(t, 0)
	return took
}

func startingWithoutState(t *testing.T, b *bench) {
	b.expect(unavailable)
	b.running = b.webhook.Launch(t, cluster.Launch{Until: listening(t)})
	b.ask(t)
	enough := b.askForKeys()
	b.load.carriesOn(t, *duration)
	enough()
	code, checks, err := b.running.Health(t.Context(), "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range b.issuers {
		if code != http.StatusServiceUnavailable || !strings.Contains(checks, "[-]issuer/"+i.name+" failed") {
			t.Errorf("/readyz answers %d, want 503 and a line for %s:\n%s", code, i.name, checks)
		}
	}
	b.returnOfTheIssuers(t)
}

// returnOfTheIssuers ends a time without keys, for all tokens alike.
func (b *bench) returnOfTheIssuers(t *testing.T) {
	t.Helper()
	b.expect(unsettled)
	b.startIssuers(t)
	b.healed(t, foundAgain)
	b.expect(sure)
	b.load.carriesOn(t, 0)
}

// full gives the webhook a state directory of two pages, and leaves nothing of them.
func full(t *testing.T, b *bench) {
	state := t.TempDir()
	b.start(t, cluster.Launch{
		Flags:  withState(state),
		Mounts: fmt.Sprintf("mount -t tmpfs -o size=8k,mode=0700 tmpfs %[1]s\ncat /dev/zero > %[1]s/full 2>/dev/null || true", state),
		Until:  ready(t),
	})
	enough := b.askForKeys()
	b.load.carriesOn(t, *duration)
	enough()
	b.keepsNothing(t)
}

// readOnly has the webhook take over with what another process has kept, and keep nothing
// itself.
func readOnly(t *testing.T, b *bench) {
	state := filepath.Join(t.TempDir(), "state")
	b.start(t, cluster.Launch{Flags: withState(state)})
	launch := cluster.Launch{
		Flags:  withState(state),
		Mounts: fmt.Sprintf("mount --bind %[1]s %[1]s\nmount -o remount,bind,ro %[1]s", state),
		Until:  ready(t),
	}
	b.replace(t, launch)
	enough := b.askForKeys()
	b.load.carriesOn(t, *duration)
	enough()
	b.keepsNothing(t)
	b.killIssuers()
	b.replace(t, launch)
}

// keepsNothing checks that the webhook says that it cannot save keys, and that this makes it no
// less ready.
func (b *bench) keepsNothing(t *testing.T) {
	t.Helper()
	cluster.Eventually(t, "/readyz?verbose says that keys are not saved, and is 200", noticing, func() error {
		code, checks, err := b.running.Health(t.Context(), "/readyz?verbose")
		if err == nil && (code != http.StatusOK || !strings.Contains(checks, "[-]state")) {
			err = fmt.Errorf("%d:\n%s", code, checks)
		}
		return err
	})
	b.load.carriesOn(t, 0)
}

// corrupted damages the files of all issuers but the steady one's, and starts the webhook
// while only they could tell it the keys.
func corrupted(t *testing.T, b *bench) {
	state := filepath.Join(t.TempDir(), "state")
	b.startIssuers(t)
	first := b.webhook.Launch(t, cluster.Launch{Flags: withState(state)})
	if err := first.Stop(time.Minute); err != nil {
		t.Fatal(err)
	}
	b.killIssuers()

	kept := make(map[*issuer]savedFile)
	for _, i := range b.issuers {
		kept[i] = savedFileOf(t, state, i)
	}
	garbled, truncated, emptied, swapped, viceVersa := b.issuers[1], b.issuers[2], b.issuers[3], b.issuers[4], b.issuers[5]
	replace := func(of *issuer, content []byte) {
		if err := os.WriteFile(kept[of].path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replace(garbled, []byte("\x00\xff}{ not what was written here"))
	replace(truncated, kept[truncated].content[:len(kept[truncated].content)/2])
	replace(emptied, nil)
	replace(swapped, kept[viceVersa].content)
	replace(viceVersa, kept[swapped].content)

	b.expect(unavailable)
	b.valid[0].expect(sure)
	b.running = b.webhook.Launch(t, cluster.Launch{Flags: withState(state), Until: ready(t)})
	b.ask(t)
	enough := b.askForKeys()
	b.load.carriesOn(t, *duration)
	enough()
	b.returnOfTheIssuers(t)
}

// savedFile is the file in the state directory that has an issuer's keys.
type savedFile struct {
	path    string
	content []byte
}

// savedFileOf finds it by what is in it.
func savedFileOf(t *testing.T, state string, i *issuer) savedFile {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(state, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(strconv.Quote(i.URL))) {
			return savedFile{path: path, content: content}
		}
	}
	t.Fatalf("no file of %v has the keys of %s", paths, i.name)
	return savedFile{}
}
