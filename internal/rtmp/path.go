package rtmp

import (
	"strings"

	"livego/internal/amf"
)

// pathProperty is where connect, and the answer to play, say which servers a stream has passed, or
// a request for it. Other servers and clients do not look at it.
const pathProperty = "livegoPath"

// maxPath and maxPathName bound what is read of it.
const (
	maxPath     = 32
	maxPathName = 32
)

func joinPath(path []string) string { return strings.Join(path, ",") }

// SplitPath reads a path from a text, as far as it has the form of one.
func SplitPath(text string) []string {
	if text == "" || len(text) > maxPath*(maxPathName+1) {
		return nil
	}
	return strings.Split(text, ",")
}

func pathIn(o amf.Object) []string { return SplitPath(o.String(pathProperty)) }
