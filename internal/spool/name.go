package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	streamPrefix    = "s-"
	renditionPrefix = "r-"
	segmentSuffix   = ".m4s"
	initSuffix      = ".mp4"
	indexSuffix     = ".idx"
	probeFile       = "writable"
	lockFile        = "lock"
	reserveFile     = "reserved"
	// maxFolder is the longest written-out name of a folder: file systems allow 255 bytes.
	maxFolder = 200
)

// folder turns any name into that of a folder: different names get different folders, also where
// upper and lower case are the same. The prefix keeps names apart that a system gives a meaning of
// its own. Long names are replaced by their hash.
func folder(prefix, name string) string {
	var b strings.Builder
	b.WriteString(prefix)
	for i := range len(name) {
		if c := name[i]; c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	if b.Len() <= maxFolder {
		return b.String()
	}
	sum := sha256.Sum256([]byte(name))
	return prefix + "~" + hex.EncodeToString(sum[:])
}

// fileName is the path of a file in a folder, by its number.
func fileName(folder string, seq int64, suffix string) string {
	return filepath.Join(folder, strconv.FormatInt(seq, 10)+suffix)
}

// parseFile reads a file's name. It is false for foreign ones.
func parseFile(name string) (seq int64, suffix string, ok bool) {
	suffix = filepath.Ext(name)
	switch suffix {
	case segmentSuffix, initSuffix, indexSuffix:
	default:
		return 0, "", false
	}
	digits := strings.TrimSuffix(name, suffix)
	seq, err := strconv.ParseInt(digits, 10, 64)
	return seq, suffix, err == nil && seq >= 0 && strconv.FormatInt(seq, 10) == digits
}
