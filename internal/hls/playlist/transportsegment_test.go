package playlist

import (
	"bytes"
	"runtime"
	"sync"
	"testing"
	"unsafe"
)

// TestOldSegmentsAreMadeAgain: only the newest segments are held. An older one is made once for all
// who ask at the same moment, and again for who asks later.
func TestOldSegmentsAreMadeAgain(t *testing.T) {
	w := newTestWindow()
	var mu sync.Mutex
	made := make(map[int64]int)
	content := func(seq int64) []byte { return bytes.Repeat([]byte{byte(seq)}, 100_000) }
	for seq := range int64(6) {
		s := seg(seq, w.Target)
		s.Data = NewTSMedia(content(seq), func() []byte {
			mu.Lock()
			defer mu.Unlock()
			made[seq]++
			return content(seq)
		})
		w.Add(s)
	}
	for round := range 3 {
		runtime.GC()
		for _, s := range w.Segments {
			first := s.Data.Bytes()
			var asking sync.WaitGroup
			for range 8 {
				asking.Go(func() {
					if b := s.Data.Bytes(); !bytes.Equal(b, content(s.Seq)) || unsafe.SliceData(b) != unsafe.SliceData(first) {
						t.Errorf("who asks for segment %d meanwhile gets other bytes", s.Seq)
					}
				})
			}
			asking.Wait()
			want := round + 1
			if s.Seq >= 6-heldSegments {
				want = 0
			}
			if made[s.Seq] != want {
				t.Errorf("round %d: segment %d was made %d times, want %d", round, s.Seq, made[s.Seq], want)
			}
			runtime.KeepAlive(first)
		}
	}
}
