package hls

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strconv"
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

// rendered is a text in the order head, runs, tail. Runs are rendered and compressed once for many
// texts.
type rendered struct {
	head []byte
	runs []*runText
	tail []byte
	// tag is the entity tag without quotes if it is not to be a hash.
	tag string
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

// lazyText is a playlist that is rendered once, by the first who needs it, plain and compressed.
// The zero value is ready.
type lazyText struct {
	once              sync.Once
	plain, compressed file
	err               error
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
	plain := r.document()
	compressed, sum, err := gzip.pack(r, plain)
	if t.err = err; err != nil {
		return
	}
	tag := r.tag
	if tag == "" {
		tag = r.hash(sum)
	}
	t.plain, t.compressed = newFile(plain, tag), newFile(compressed, tag+"-gz")
}

// pack compresses a text. sum is the checksum of all of it, 0 if it has no runs.
func (c *compressor) pack(r *rendered, plain document) (d document, sum uint32, err error) {
	if len(r.runs) == 0 {
		b, err := c.compress(r.head)
		return document{{data: b}}, 0, err
	}
	sum = plain.sum()
	d, err = c.join(r, sum, plain.size())
	return d, sum, err
}

// hash makes an entity tag of a text: the same text may be rendered in another life. sum is that of
// pack.
func (r *rendered) hash(sum uint32) string {
	hash := fnv.New64a()
	_, _ = hash.Write(r.head) // never fails
	_, _ = hash.Write(r.tail)
	if len(r.runs) > 0 {
		_, _ = hash.Write(binary.BigEndian.AppendUint32(nil, sum))
	}
	return fmt.Sprintf("%016x", hash.Sum64())
}

// playlistForm is one of the texts of a media playlist.
type playlistForm uint8

// The forms of a media playlist: full or a delta update (RFC 8216bis 6.2.5.1), of all media or of
// I-frames only (4.4.3.6).
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

// file is bytes as they are sent, with the header values that depend on them.
type file struct {
	body        document
	tag, length []string
}

// newFile takes the entity tag without quotes.
func newFile(body document, tag string) file {
	return file{body: body, tag: []string{`"` + tag + `"`}, length: []string{strconv.Itoa(body.size())}}
}
