package server

import (
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"livego/internal/flv"
	"livego/internal/rtmp"
)

// rawPublisher publishes clips without allocating anything, again and again on one timeline.
type rawPublisher struct {
	*peer
	tags   []flv.Tag
	length uint32 // of the clip, in ms
	base   uint32
	buf    []byte
	next   int
	sent   int64 // bytes that a player has to get for what was sent
}

func newRawPublisher(t testing.TB, s *testServer, room string) *rawPublisher {
	t.Helper()
	p := &rawPublisher{peer: newPeer(t, s), tags: clip(t)}
	p.connect("live")
	p.command(0, "createStream", 2.0, nil)
	p.expect("_result")
	p.command(1, "publish", 0.0, nil, s.key(room), "live")
	p.expectStatus("NetStream.Publish.Start")
	p.length = p.tags[len(p.tags)-1].TimestampMS + 40
	return p
}

// step sends the next message; headers only the first time.
func (p *rawPublisher) step() {
	tag := &p.tags[p.next]
	for p.base > 0 && isHeader(*tag) {
		p.next++
		tag = &p.tags[p.next]
	}
	p.buf = appendChunk(p.buf[:0], 6, tag.Type, 1, p.base+tag.TimestampMS, tag.Body)
	p.write(p.buf)
	p.sent += int64(12 + len(tag.Body) + (len(tag.Body)-1)/rtmp.ChunkSize)
	if p.next++; p.next == len(p.tags) {
		p.next, p.base = 0, p.base+p.length
	}
}

// at is the time of the next message.
func (p *rawPublisher) at() time.Duration {
	return time.Duration(p.base+p.tags[p.next].TimestampMS) * time.Millisecond
}

// discard plays a stream and counts what comes after the answer to play.
func discard(t testing.TB, s *testServer, stream string) *atomic.Int64 {
	t.Helper()
	p := newPeer(t, s)
	p.connect("live")
	p.command(0, "createStream", 2.0, nil)
	p.expect("_result")
	p.command(1, "play", 0.0, nil, stream)
	p.expectMedia(9)
	var n atomic.Int64
	go func() {
		buf := make([]byte, 64<<10)
		for {
			k, err := p.nc.Read(buf)
			n.Add(int64(k))
			if err != nil {
				return
			}
		}
	}()
	return &n
}

// TestPathDoesNotAllocate follows messages from the publisher's socket through chunk streams, FLV,
// the ring and the log to the sockets of 20 players. What may be allocated is slabs and blocks: per
// time, not per message. The clip has 25 pictures a second and more frames of sound: one for each
// of them would be above what is allowed, whatever the slabs and blocks take, 13 to 19 a second.
func TestPathDoesNotAllocate(t *testing.T) {
	const players, messages, mostPerSecond = 20, 3000, 32
	s := start(t, func(o *Options) { o.HLSAddr = "" })
	pub := newRawPublisher(t, s, "movie")
	for range 2 * len(pub.tags) {
		pub.step()
	}
	var counts [players]*atomic.Int64
	for i := range counts {
		counts[i] = discard(t, s, "movie")
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	run := func(n int) {
		for i := range n {
			pub.step()
			if i%25 > 0 && i < n-1 {
				continue
			}
			// Players that keep up are what is measured. The last messages may be waiting for a
			// picture.
			for deadline := time.Now().Add(patience); counts[0].Load() < pub.sent-200_000; <-tick.C {
				if time.Now().After(deadline) {
					t.Fatal("the players do not get what was sent")
				}
			}
		}
	}
	pub.sent = 0
	run(messages / 2) // slabs and blocks find their sizes
	least := math.Inf(1)
	for range 5 { // players that fall behind on a busy machine can only add
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		from := pub.at()
		run(messages)
		runtime.ReadMemStats(&after)
		if least = min(least, float64(after.Mallocs-before.Mallocs)/(pub.at()-from).Seconds()); least <= mostPerSecond {
			t.Logf("%.1f allocations per second of media", least)
			return
		}
	}
	t.Errorf("%.1f allocations per second of media", least)
}
