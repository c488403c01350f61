package fanout

import (
	"errors"
	"io"
	"testing"
	"time"

	"livego/internal/live"
	"livego/internal/media"
)

func TestBudget(t *testing.T) {
	for _, tc := range []struct {
		name                      string
		feeds, bytes              [2]int64 // ordinary, picked
		own                       int64    // of a feed of each class
		wantOrdinary, wantPicked  int64
		admitsOrdinary, admitsOne bool
	}{
		{"one feed has all", [2]int64{1, 0}, [2]int64{60 << 20, 0}, 60 << 20, 64 << 20, 64 << 20, true, true},
		{"what others leave", [2]int64{2, 0}, [2]int64{50 << 20, 0}, 40 << 20, 54 << 20, 54 << 20, true, true},
		{"an equal share at least", [2]int64{2, 0}, [2]int64{70 << 20, 0}, 10 << 20, 32 << 20, 10 << 20, true, true},
		{"picked ones have what is left", [2]int64{1, 2}, [2]int64{24 << 20, 40 << 20}, 20 << 20, 64 << 20, 20 << 20, true, true},
		{"and take nothing away", [2]int64{1, 8}, [2]int64{64 << 20, 64 << 20}, 64 << 20, 64 << 20, 0, true, false},
		{"some are made in any case", [2]int64{1, minViews - 1}, [2]int64{64 << 20, 0}, 0, 0, 0, true, true},
		{"as many as are of use", [2]int64{1, 31}, [2]int64{32 << 20, 0}, 0, 32 << 20, 32 << 20, true, true},
		{"and no more", [2]int64{1, 32}, [2]int64{32 << 20, 0}, 0, 32 << 20, 32 << 20, true, false},
	} {
		b := &budget{memory: 64 << 20}
		for c := range b.feeds {
			b.feeds[c].Store(tc.feeds[c])
			b.bytes[c].Store(tc.bytes[c])
		}
		if tc.own > 0 {
			if got := b.allowance(ordinary, tc.own); got != tc.wantOrdinary {
				t.Errorf("%s: an ordinary feed may use %d, want %d", tc.name, got, tc.wantOrdinary)
			}
		}
		if tc.feeds[picked] > 1 && tc.own > 0 {
			if got := b.allowance(picked, tc.own); got != tc.wantPicked {
				t.Errorf("%s: a picked one may use %d, want %d", tc.name, got, tc.wantPicked)
			}
		}
		if b.admits(ordinary) != tc.admitsOrdinary || b.admits(picked) != tc.admitsOne {
			t.Errorf("%s: admits %v, %v", tc.name, b.admits(ordinary), b.admits(picked))
		}
	}
}

// newest is when the last unit arrived, if not in real time.
func (s *source) newest() int64 { return s.arrived + int64(s.at-40*time.Millisecond) }

// TestFeedsOfAStreamShareMemory: whatever players pick, the logs together stay within the stream's
// memory, those who pick nothing lose nothing, and the memory is free again afterwards.
func TestFeedsOfAStreamShareMemory(t *testing.T) {
	const memory = 12 << 20
	src := newSource(t, live.Options{GOPs: 1})
	src.size, src.arrived, src.endless = 40_000, 1e9, true // 8 Mbit/s, one GOP
	src.headers()
	src.write(media.AccessUnit{Track: src.video, DTS: src.at, MessageType: 9, Body: []byte{1}, Data: []byte{1}, Multitrack: true})
	src.steps(1)
	f := newFanout(Options{GOPs: 1, Memory: memory, MaxShards: 1, Body: cutBody})
	join := func(v View) *Player {
		server, client := pair(t)
		go func() { _, _ = io.Copy(io.Discard, client) }()
		return play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}, View: v})
	}
	players := []*Player{join(View{})}
	refused := 0
	for id := range uint8(30) {
		server, client := pair(t)
		p, err := f.Play(src.stream, PlayerOptions{Conn: server, Format: plainFormat{}, View: View{Audio: Track(id)}})
		if errors.Is(err, ErrTooManyViews) {
			refused++
			continue
		}
		go func() { _, _ = io.Copy(io.Discard, client) }()
		p.Start(nil)
		players = append(players, p)
	}
	if want := 30 - memory/minViewMemory; refused < want || refused > want+1 {
		t.Errorf("%d views were refused, want about %d", refused, want)
	}
	most := int64(memory + len(players)*minBlocks*maxBlock)
	for range 20 {
		src.steps(10) // 0.4 MB
		for _, p := range players {
			eventually(t, "everybody has it", func() bool { return p.feed.log.newest.Load() == src.newest() })
		}
		if st := f.Stats(); st.LogBytes > most {
			t.Fatalf("the logs hold %d bytes, want at most %d", st.LogBytes, most)
		}
	}
	if ordinary := players[0].feed.log.bytes.Load(); ordinary < 200*40_000 {
		t.Errorf("the ordinary view keeps %d bytes of its GOP of 8 MB", ordinary)
	}
	if joins := players[0].feed.log.index.Load().joins; len(joins) != 1 {
		t.Errorf("the ordinary view has %d places to join", len(joins))
	}
	src.pub.Unpublish()
	for _, p := range players {
		_ = wait(t, p)
	}
	f.Wait()
	if len(f.budgets) != 0 {
		t.Errorf("%d budgets are left", len(f.budgets))
	}
}

// TestPausedPlayerHoldsNothing: neither a block of the log nor a place in it, once the log has
// moved on.
func TestPausedPlayerHoldsNothing(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			src := newSource(t, live.Options{})
			src.size, src.arrived = 40_000, 1e9
			f := newFanout(Options{GOPs: 1})
			src.headers()
			src.steps(1)
			server, client := tr.pair(t)
			watched := watching(t, client)
			p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
			eventually(t, "the player joins", func() bool { return p.Stats().Audio == 100 })
			p.Pause(true)
			before := p.Stats().Sent
			if err := p.Post(plainFormat{}.AppendMessage(nil, control, 0, nil)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the pause has begun", func() bool { return p.Stats().Sent > before })
			for range 50 {
				src.steps(10)
			}
			eventually(t, "its block is given up", func() bool { return p.atBlock.Load() == nil })
			eventually(t, "the log has all", func() bool { return p.feed.log.newest.Load() == src.newest() })
			if st := p.Stats(); st.Audio != 100 {
				t.Errorf("a paused player got media: %+v", st)
			}
			p.Pause(false)
			eventually(t, "the player resumes", func() bool { return p.Stats().Audio > 100 })
			src.pub.Unpublish()
			_ = wait(t, p)
			server.Close()
			if c := <-watched; c.gaps != 1 || p.Stats().Jumps != 1 {
				t.Errorf("%d gaps, %d jumps, want one", c.gaps, p.Stats().Jumps)
			}
			f.Wait()
		})
	}
}

// TestTricklingReaderIsClosed: a player inside a message whose block the log has let go gets the
// write timeout for the rest of it.
func TestTricklingReaderIsClosed(t *testing.T) {
	src := newSource(t, live.Options{})
	src.size, src.arrived = 400_000, 1e9
	f := newFanout(Options{GOPs: 1, PlayerBytes: 50_000, PlayerLag: time.Second})
	src.headers()
	src.steps(1)
	server, _ := pair(t)
	p := joining(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	p.slow = true // not started: the test is the owner of the writes
	trickle := func() error {
		b, err := p.next()
		if err == nil {
			p.wrote(b, min(len(b), 1))
		}
		return err
	}
	eventually(t, "it begins a message", func() bool { return trickle() == nil && p.partial && p.block != nil && p.pos > 0 })
	for range 10 {
		src.steps(10)
	}
	eventually(t, "the log moves on", func() bool { return p.isLost() })
	for range 3 {
		if err := trickle(); err != nil || p.lostSince.IsZero() {
			t.Fatalf("its time is over at once: %v", err)
		}
	}
	p.lostSince = p.lostSince.Add(-f.writeTimeout())
	if err := trickle(); !errors.Is(err, ErrStalled) {
		t.Errorf("%v after the write timeout", err)
	}
	p.Pause(true)
	if err := trickle(); !errors.Is(err, ErrStalled) {
		t.Errorf("%v for one that pauses inside the message", err)
	}
	p.Close(io.EOF)
	p.Start(nil)
	_ = wait(t, p)
	f.Wait()
}
