package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"
)

func newStateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Prepare the folder of serve --state-dir",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newStateInitCommand())
	return cmd
}

// newStateInitCommand is what a static pod's init container runs: kubelet makes the
// folder of a hostPath volume for root, and an image without a shell has no chown.
func newStateInitCommand() *cobra.Command {
	var dir string
	var owner int
	cmd := &cobra.Command{
		Use:   "init --dir DIR --owner UID",
		Short: "Make the folder, with mode 0700 and for the user that serves",
		Long: `Make the folder of serve --state-dir, with mode 0700 and for the user that serves. It is for
root, who needs CAP_CHOWN alone. A folder that is the user's already is left as it is.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return initState(dir, owner) },
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the folder, created if missing")
	cmd.Flags().IntVar(&owner, "owner", 0, "numeric id of the user that serves")
	for _, required := range []string{"dir", "owner"} {
		_ = cmd.MarkFlagRequired(required)
	}
	return cmd
}

func initState(path string, owner int) error {
	if owner < 1 {
		return fmt.Errorf("owner: expected the id of a user that is not root, got %d", owner)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	// What was looked at is what is changed, and no symbolic link leads elsewhere.
	dir, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, os.ErrPermission):
		// Without CAP_DAC_OVERRIDE root cannot open what is closed to all but its owner,
		// such as the folder of the last time.
		return checkState(path, owner)
	case err != nil:
		return err
	}
	defer dir.Close()
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	if ownerOf(info) == owner {
		return checkState(path, owner)
	}
	// The mode first: afterwards it is the user's to change.
	if err := dir.Chmod(0o700); err != nil {
		return err
	}
	return dir.Chown(owner, -1)
}

// checkState says whether the folder is the user's and nobody else's.
func checkState(path string, owner int) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if have := ownerOf(info); have != owner {
		return fmt.Errorf("%s belongs to user %d and not to %d: chown it, or remove it", path, have, owner)
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("%s has mode %04o, others could replace saved keys: chmod it to 0700", path, perm)
	}
	return nil
}

func ownerOf(info os.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
