package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"syscall"
)

// ownerOnly is the mode of data_dir: the channel keys are in it.
const ownerOnly = 0o700

// makeDataDir makes data_dir for the owner only, or closes to others one that has nothing but files
// of ours in it. Others are left as they are, as they may be shared for a reason, and the log says
// so. On a full disk it cannot be made, which those who need it will find out.
func makeDataDir(dir string, log *slog.Logger) error {
	err := os.MkdirAll(dir, ownerOnly)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data_dir %q: %w", dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("data_dir %q: %w", dir, err)
	}
	if runtime.GOOS == "windows" || info.Mode().Perm()&^ownerOnly == 0 { // Windows has no such modes
		return nil
	}
	entries, err := os.ReadDir(dir)
	ours := err == nil && !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !slices.Contains(ourFiles, e.Name()) })
	if ours && os.Chmod(dir, ownerOnly) == nil {
		log.Info("data_dir was open to others and is closed now", "dir", dir, "mode", info.Mode().Perm().String())
		return nil
	}
	log.Warn("data_dir is open to other users of this machine: keep its files apart and close it (chmod 700)", "dir", dir, "mode", info.Mode().Perm().String())
	return nil
}

// ourFiles are the names in a data_dir that is of no other use.
var ourFiles = []string{"livego.db", "hls", "hls.ledger", "acme", nodeFile}
