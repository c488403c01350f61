package playlist

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"testing"
)

func TestDeflateJoins(t *testing.T) {
	var c Compressor
	var want bytes.Buffer
	r := rendered{head: []byte("head\n"), tail: nil}
	for i := range 20 {
		text := bytes.Repeat([]byte(fmt.Sprintf("line %d\n", i%3)), i*100)
		deflated, err := c.deflate(text, false)
		if err != nil {
			t.Fatal(err)
		}
		r.runs = append(r.runs, &runText{plain: text, deflated: deflated})
		want.Write(text)
	}
	d, err := c.join(&r, r.document().sum(), r.document().Size())
	if err != nil {
		t.Fatal(err)
	}
	if got := unpacked(t, d); got != "head\n"+want.String() {
		t.Errorf("%d bytes came out, want %d", len(got), 5+want.Len())
	}
}

func unpacked(t *testing.T, d Document) string {
	t.Helper()
	z, err := gzip.NewReader(d.Reader())
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false) // as browsers read it
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
