package playlist

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
)

// gzipHead begins a gzip file without name and time (RFC 1952 2.3).
const gzipHead = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// deflate compresses a piece of a text so that it can be joined with others: it ends at a byte
// boundary and refers to nothing before it (RFC 1951 3.2.4). The last piece of a text ends the
// stream.
func (c *Compressor) deflate(b []byte, last bool) ([]byte, error) {
	var buf bytes.Buffer
	z, ok := c.raw.Get().(*flate.Writer)
	if ok {
		z.Reset(&buf)
	} else {
		var err error
		if z, err = flate.NewWriter(&buf, flate.DefaultCompression); err != nil {
			return nil, fmt.Errorf("compressing playlist: %w", err)
		}
	}
	defer c.raw.Put(z)
	_, err := z.Write(b)
	if err == nil {
		if last {
			err = z.Close()
		} else {
			err = z.Flush()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("compressing playlist: %w", err)
	}
	return buf.Bytes(), nil
}

// join makes a gzip file of a text whose runs are compressed already. Several gzip files in a row
// would do by the letter (RFC 1952 2.2), but browsers read the first one only. sum is the checksum
// of the text.
func (c *Compressor) join(r *rendered, sum uint32, size int) (Document, error) {
	head, err := c.deflate(r.head, false)
	if err != nil {
		return nil, err
	}
	tail, err := c.deflate(r.tail, true)
	if err != nil {
		return nil, err
	}
	tail = binary.LittleEndian.AppendUint32(tail, sum)
	tail = binary.LittleEndian.AppendUint32(tail, uint32(size))
	pieces := make([][]byte, 0, len(r.runs)+2)
	pieces = append(pieces, append([]byte(gzipHead), head...))
	for _, run := range r.runs {
		pieces = append(pieces, run.deflated)
	}
	return DocumentOf(append(pieces, tail)...), nil
}

// sum is the checksum of all pieces together.
func (d Document) sum() (sum uint32) {
	for i := range d {
		sum = crc32.Update(sum, crc32.IEEETable, d[i].Data.Bytes())
	}
	return sum
}

// Compressor makes gzip copies. Its writers are large and shared by all streams. The zero value is
// ready.
type Compressor struct{ idle, raw sync.Pool }

func (c *Compressor) compress(b []byte) ([]byte, error) {
	var buf bytes.Buffer
	z, ok := c.idle.Get().(*gzip.Writer)
	if ok {
		z.Reset(&buf)
	} else {
		z = gzip.NewWriter(&buf)
	}
	defer c.idle.Put(z)
	if _, err := z.Write(b); err != nil {
		return nil, fmt.Errorf("compressing playlist: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compressing playlist: %w", err)
	}
	return buf.Bytes(), nil
}
