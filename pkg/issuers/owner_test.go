package issuers

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

// owned is a file of somebody.
type owned struct {
	fs.FileInfo
	uid  uint32
	mode fs.FileMode
}

func (o owned) Sys() any          { return &syscall.Stat_t{Uid: o.uid} }
func (o owned) Mode() fs.FileMode { return o.mode }

// foreign is a file of which the owner is not known.
type foreign struct{ fs.FileInfo }

func (foreign) Sys() any { return nil }

func TestWhoseSavedKeysAreUsed(t *testing.T) {
	const us = 1000
	for _, test := range []struct {
		name string
		info fs.FileInfo
		text string
	}{
		{"our own", owned{uid: us, mode: 0o600}, ""},
		{"root's", owned{uid: 0, mode: 0o644}, ""},
		{"our directory", owned{uid: us, mode: fs.ModeDir | 0o755}, ""},
		{"another's", owned{uid: 1001, mode: 0o600}, "it belongs to uid 1001, neither root nor this process"},
		{"ours, which the group can write", owned{uid: us, mode: 0o660}, "others can write it (mode 0660)"},
		{"ours, which anybody can write", owned{uid: us, mode: 0o602}, "others can write it (mode 0602)"},
		{"a directory where everybody has files", owned{uid: 0, mode: fs.ModeDir | fs.ModeSticky | 0o777}, "others can write it (mode 0777)"},
		{"one of which nobody knows", foreign{}, "its owner cannot be told"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := checkOwner("keys.json", test.info, us)
			if (err == nil) != (test.text == "") || err != nil && !strings.Contains(err.Error(), "keys.json: "+test.text) {
				t.Errorf("expected %q, got %v", test.text, err)
			}
		})
	}
}
