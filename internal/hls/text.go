package hls

import (
	"fmt"
	"hash/fnv"
	"sync"
)

// lazyText is a playlist that is rendered once, by the first who needs it, plain and compressed. The zero value is ready.
type lazyText struct {
	once              sync.Once
	plain, compressed []byte
	// tag is the entity tag of the plain form without quotes: a hash, for the same text may be rendered in another life.
	tag string
	err error
}

// get returns the text after render has made it, once. It may be called at the same time.
func (t *lazyText) get(gzip *compressor, render func() []byte) *lazyText {
	t.once.Do(func() {
		t.plain = render()
		hash := fnv.New64a()
		_, _ = hash.Write(t.plain) // never fails
		t.tag = fmt.Sprintf("%016x", hash.Sum64())
		t.compressed, t.err = gzip.compress(t.plain)
	})
	return t
}

// playlistForm is one of the texts of a media playlist.
type playlistForm uint8

// The forms of a media playlist: full or a delta update (RFC 8216bis 6.2.5.1), of all media or of I-frames only (4.4.3.6).
const (
	fullForm playlistForm = iota
	deltaForm
	framesForm
	framesDeltaForm
	playlistForms
)
