package playlist

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"iter"
	"strconv"
	"sync"
)

// Document is the bytes of a response in pieces, which others may share.
type Document []Part

// DocumentOf makes a document of pieces.
func DocumentOf(pieces ...[]byte) Document {
	d, all := make(Document, len(pieces)), make([]Content, len(pieces))
	for i, p := range pieces {
		all[i].pieces, all[i].size = pieces[i:i+1], len(p)
		d[i].Data = &all[i]
	}
	return d
}

// Size is that of all pieces.
func (d Document) Size() (n int) {
	for i := range d {
		n += d[i].Data.Size()
	}
	return n
}

// Pieces returns the bytes as they are held.
func (d Document) Pieces() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range d {
			for _, p := range d[i].Data.Pieces() {
				if !yield(p) {
					return
				}
			}
		}
	}
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

func (r *rendered) document() Document {
	if len(r.runs) == 0 && len(r.tail) == 0 {
		return DocumentOf(r.head)
	}
	pieces := make([][]byte, 0, len(r.runs)+2)
	pieces = append(pieces, r.head)
	for _, run := range r.runs {
		pieces = append(pieces, run.plain)
	}
	return DocumentOf(append(pieces, r.tail)...)
}

// Text is a playlist that is rendered once, by the first who needs it, plain and compressed.
// The zero value is ready.
type Text struct {
	once              sync.Once
	Plain, Compressed File
	Err               error
}

// get returns the text after render has made it, once. It may be called at the same time.
func (t *Text) get(gzip *Compressor, render func() (rendered, error)) *Text {
	t.once.Do(func() {
		var r rendered
		if r, t.Err = render(); t.Err == nil {
			t.set(gzip, &r)
		}
	})
	return t
}

func (t *Text) set(gzip *Compressor, r *rendered) {
	plain := r.document()
	compressed, sum, err := gzip.pack(r, plain)
	if t.Err = err; err != nil {
		return
	}
	tag := r.tag
	if tag == "" {
		tag = r.hash(sum)
	}
	t.Plain, t.Compressed = NewFile(plain, tag), NewFile(compressed, tag+"-gz")
}

// pack compresses a text. sum is the checksum of all of it, 0 if it has no runs.
func (c *Compressor) pack(r *rendered, plain Document) (d Document, sum uint32, err error) {
	if len(r.runs) == 0 {
		b, err := c.compress(r.head)
		return DocumentOf(b), 0, err
	}
	sum = plain.sum()
	d, err = c.join(r, sum, plain.Size())
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

// Form is one of the texts of a media playlist.
type Form uint8

// The forms of a media playlist: full or a delta update (RFC 8216bis 6.2.5.1), of all media or of
// I-frames only (4.4.3.6).
const (
	Full Form = iota
	Delta
	Frames
	FramesDelta
	Forms
)

func (f Form) framesOnly() bool { return f == Frames || f == FramesDelta }

func (f Form) isDelta() bool { return f == Delta || f == FramesDelta }

// media is 0 for all media, 1 for I-frames only.
func (f Form) media() int {
	if f.framesOnly() {
		return 1
	}
	return 0
}

// File is bytes as they are sent, with the header values that depend on them.
type File struct {
	Body        Document
	Tag, Length []string
}

// NewFile takes the entity tag without quotes.
func NewFile(body Document, tag string) File {
	return File{Body: body, Tag: []string{`"` + tag + `"`}, Length: []string{strconv.Itoa(body.Size())}}
}
