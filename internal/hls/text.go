package hls

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"sync"
)

// document is the bytes of a response in pieces, which others may share.
type document []part

func (d document) size() (n int) {
	for i := range d {
		n += len(d[i].data)
	}
	return n
}

// rendered is a text in the order head, runs, tail. Runs are rendered and compressed once for many texts.
type rendered struct {
	head []byte
	runs []*runText
	tail []byte
}

func (r *rendered) document() document {
	if len(r.runs) == 0 && len(r.tail) == 0 {
		return document{{data: r.head}}
	}
	d := make(document, 0, len(r.runs)+2)
	d = append(d, part{data: r.head})
	for _, run := range r.runs {
		d = append(d, part{data: run.plain})
	}
	return append(d, part{data: r.tail})
}

// lazyText is a playlist that is rendered once, by the first who needs it, plain and compressed. The zero value is ready.
type lazyText struct {
	once              sync.Once
	plain, compressed document
	// tag is the entity tag of the plain form without quotes: a hash, for the same text may be rendered in another life.
	tag string
	err error
}

// get returns the text after render has made it, once. It may be called at the same time.
func (t *lazyText) get(gzip *compressor, render func() (rendered, error)) *lazyText {
	t.once.Do(func() {
		var r rendered
		if r, t.err = render(); t.err == nil {
			t.set(gzip, &r)
		}
	})
	return t
}

func (t *lazyText) set(gzip *compressor, r *rendered) {
	t.plain = r.document()
	hash := fnv.New64a()
	_, _ = hash.Write(r.head) // never fails
	_, _ = hash.Write(r.tail)
	if len(r.runs) == 0 {
		var b []byte
		b, t.err = gzip.compress(r.head)
		t.compressed = document{{data: b}}
	} else {
		sum := t.plain.sum()
		_, _ = hash.Write(binary.BigEndian.AppendUint32(nil, sum))
		t.compressed, t.err = gzip.join(r, sum, t.plain.size())
	}
	t.tag = fmt.Sprintf("%016x", hash.Sum64())
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

func (f playlistForm) framesOnly() bool { return f == framesForm || f == framesDeltaForm }

func (f playlistForm) isDelta() bool { return f == deltaForm || f == framesDeltaForm }

// media is 0 for all media, 1 for I-frames only.
func (f playlistForm) media() int {
	if f.framesOnly() {
		return 1
	}
	return 0
}
