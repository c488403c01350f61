package live

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// maxRenditionName bounds a rendition's name, in bytes: it is part of URLs and of names in
	// playlists.
	maxRenditionName = 32
	// maxRenditions bounds the publications of one stream. Ladders have three to six.
	maxRenditions = 8
)

// ErrBadRendition: a rendition has a name that it cannot have. It is wrapped with the rule.
var ErrBadRendition = errors.New("bad rendition name")

// Name identifies a publication: the app, the public stream name and, for a further rendition of
// that stream, the rendition's name.
type Name struct{ App, Stream, Rendition string }

// Key returns app/stream, which all renditions of a stream have in common.
func (n Name) Key() string { return n.App + "/" + n.Stream }

// String returns the key, and the rendition in the way in which it is published and played.
func (n Name) String() string {
	if n.Rendition == "" {
		return n.Key()
	}
	return n.Key() + "?rendition=" + n.Rendition
}

// whole is the name without the rendition.
func (n Name) whole() Name { return Name{App: n.App, Stream: n.Stream} }

// ValidateRendition reports whether name can be a rendition's: 1 to 32 letters, digits, "_" and "-"
// of ASCII. Errors wrap ErrBadRendition.
func ValidateRendition(name string) error {
	if name == "" || len(name) > maxRenditionName || strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return fmt.Errorf("%w: it has to be 1 to %d letters, digits, _ and -", ErrBadRendition, maxRenditionName)
	}
	return nil
}
