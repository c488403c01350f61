package hls

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"livego/internal/hls/playlist"
)

// pieceWriter notes how much it is given at once. gatherer is one that takes many pieces.
type pieceWriter struct {
	bytes.Buffer
	sizes []int
}

func (w *pieceWriter) Write(b []byte) (int, error) {
	w.sizes = append(w.sizes, len(b))
	return w.Buffer.Write(b)
}

type gatherer struct{ pieceWriter }

func (w *gatherer) ReadFrom(r io.Reader) (int64, error) {
	b, err := io.ReadAll(r)
	w.sizes = append(w.sizes, len(b))
	w.Buffer.Write(b)
	return int64(len(b)), err
}

// TestWriteSizes: no file goes to a connection in larger pieces than maxWrite, or in more than
// needed where the connection takes several at once.
func TestWriteSizes(t *testing.T) {
	for _, sizes := range [][]int{{}, {0}, {1}, {maxWrite}, {3*maxWrite + 1}, {1, 2, 3}, {5, 0}, {0, 5}, {maxWrite, 0, 1}, {maxWrite - 1, 2 * maxWrite, 7}, {maxWrite, maxWrite}} {
		var d playlist.Document
		var want []byte
		for i, n := range sizes {
			b := bytes.Repeat([]byte{byte('a' + i)}, n)
			d, want = append(d, playlist.Part{Data: playlist.NewContent(b)}), append(want, b...)
		}
		plain, many := &pieceWriter{}, &gatherer{}
		writePieces(plain, d)
		writePieces(many, d)
		if !bytes.Equal(plain.Bytes(), want) || !bytes.Equal(many.Bytes(), want) {
			t.Errorf("%v: %d and %d bytes written, want %d", sizes, plain.Len(), many.Len(), len(want))
		}
		if got := slices.Max(slices.Concat([]int{0}, plain.sizes, many.sizes)); got > maxWrite {
			t.Errorf("%v: %d bytes at once", sizes, got)
		}
		if least := (len(want) + maxWrite - 1) / maxWrite; len(sizes) > 1 && len(many.sizes) > least+1 {
			t.Errorf("%v: %d writes, %v", sizes, len(many.sizes), many.sizes)
		}
	}
}
