package playlist_test

import (
	"bytes"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"livego/internal/hls/playlist"
)

// TestContent: pieces are joined once for all who hold the bytes, and not kept for nobody.
func TestContent(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 1<<20)
	c := playlist.NewContent([]byte("head"), big, nil, []byte("tail"))
	want := "head" + string(big) + "tail"
	if c.Size() != len(want) {
		t.Errorf("size %d, want %d", c.Size(), len(want))
	}
	first := c.Bytes()
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			if b := c.Bytes(); string(b) != want || unsafe.SliceData(b) != unsafe.SliceData(first) {
				t.Error("who asks meanwhile gets other bytes")
			}
		})
	}
	asking.Wait()
	freed := make(chan struct{})
	runtime.AddCleanup(unsafe.SliceData(first), func(struct{}) { close(freed) }, struct{}{})
	first = nil
	for done := false; !done; {
		runtime.GC()
		select {
		case <-freed:
			done = true
		default:
		}
	}
	if string(c.Bytes()) != want {
		t.Error("the bytes are not there again")
	}
	one := []byte("one")
	if b := playlist.NewContent(one).Bytes(); &b[0] != &one[0] {
		t.Error("one piece is copied")
	}
	if none := (*playlist.Content)(nil); none.Size() != 0 || none.Bytes() != nil || none.Pieces() != nil {
		t.Error("no content has bytes")
	}
}
