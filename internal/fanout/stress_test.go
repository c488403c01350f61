package fanout

import (
	"bufio"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"livego/internal/live"
)

// stress is some seconds of many players on some streams, each of which parses all that it gets.
type stress struct {
	t       *testing.T
	f       *Fanout
	sources []*source
	stop    chan struct{}
	viewers sync.WaitGroup

	jumped                         atomic.Bool // somebody, while others play
	messages, gaps, jumps, players atomic.Int64
}

// TestStress: whatever others do, no player's time goes back, all begin and go on at key frames
// after headers, and nothing is missing that was not counted as a jump.
func TestStress(t *testing.T) {
	for _, tc := range []struct {
		name                      string
		streams                   int
		steady, leaving, stalling int // players of each stream
		opt                       Options
		every                     time.Duration // between two pictures
	}{
		{name: "few streams", streams: 2, steady: 10, leaving: 6, stalling: 4, every: 4 * time.Millisecond,
			opt: Options{GOPs: 2, MaxShards: 3, MaxBatch: 20 * time.Millisecond}},
		{name: "many streams", streams: 40, steady: 1, leaving: 1, stalling: 1, every: 20 * time.Millisecond,
			opt: Options{GOPs: 1, MaxBatch: 20 * time.Millisecond}},
		{name: "forced batching", streams: 3, steady: 4, leaving: 2, every: 5 * time.Millisecond,
			opt: Options{GOPs: 1, MinBatch: 20 * time.Millisecond, MaxBatch: 20 * time.Millisecond}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.opt.PlayerLag, tc.opt.PlayerBytes = 300*time.Millisecond, 300_000
			s := &stress{t: t, f: newFanout(tc.opt), stop: make(chan struct{})}
			var publishers sync.WaitGroup
			for i := range tc.streams {
				src := newSource(t, live.Options{})
				src.size = 8000
				src.headers()
				src.steps(30)
				s.sources = append(s.sources, src)
				publishers.Go(func() { s.publish(src, tc.every) })
				for j := range tc.steady + tc.leaving + tc.stalling {
					rnd := rand.New(rand.NewPCG(uint64(i), uint64(j)))
					s.viewers.Go(func() {
						switch {
						case j < tc.steady:
							s.watch(src, rnd, s.stay)
						case j < tc.steady+tc.leaving:
							s.repeat(src, rnd, s.leave)
						default:
							s.watch(src, rnd, s.stall)
						}
					})
				}
			}
			<-time.After(time.Second)
			if tc.stalling > 0 {
				eventually(t, "a player jumps", s.jumped.Load)
			}
			close(s.stop)
			publishers.Wait()
			s.viewers.Wait()
			s.f.Wait()
			t.Logf("%d players, %d messages, %d gaps, %d jumps", s.players.Load(), s.messages.Load(), s.gaps.Load(), s.jumps.Load())
		})
	}
}

func (s *stress) publish(src *source, every time.Duration) {
	defer src.pub.Unpublish()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			src.step()
		}
	}
}

func (s *stress) repeat(src *source, rnd *rand.Rand, behave func(*viewer) bool) {
	for {
		select {
		case <-s.stop:
			return
		default:
			s.watch(src, rnd, behave)
		}
	}
}

// viewer is a player's other end.
type viewer struct {
	p   *Player
	rnd *rand.Rand
	checker
}

// watch plays until the stream ends or behave, which is asked after each message, wants no more.
func (s *stress) watch(src *source, rnd *rand.Rand, behave func(*viewer) bool) {
	server, client := heldPair(s.t)
	_ = client.(*net.TCPConn).SetReadBuffer(128 << 10)
	defer client.Close()
	v := &viewer{rnd: rnd}
	v.p = play(s.f, src.stream, PlayerOptions{
		Conn: server, Format: plainFormat{rnd.IntN(2)}, Trailer: plainFormat{}.AppendMessage(nil, control, 0, []byte("bye")),
	})
	go func() {
		<-v.p.Done()
		server.Close()
	}()
	if err := v.read(bufio.NewReaderSize(client, 16<<10), behave); err != nil {
		s.t.Errorf("%v; the player ended: %v", err, v.p.Err())
	}
	v.p.Close(errors.New("left"))
	_ = wait(s.t, v.p)
	jumps := int(v.p.Stats().Jumps)
	if v.gaps > jumps {
		s.t.Errorf("%d gaps, %d jumps", v.gaps, jumps)
	}
	s.players.Add(1)
	s.messages.Add(int64(v.messages))
	s.gaps.Add(int64(v.gaps))
	s.jumps.Add(int64(jumps))
}

// read checks everything up to the trailer.
func (v *viewer) read(r *bufio.Reader, behave func(*viewer) bool) error {
	for {
		m, err := readMessage(r)
		if err != nil {
			return err
		}
		if m.typ == control {
			return nil
		}
		if err := v.check(m); err != nil {
			return err
		}
		if !behave(v) {
			return nil
		}
	}
}

func (s *stress) stay(*viewer) bool { return true }

func (s *stress) leave(v *viewer) bool { return v.rnd.IntN(60) > 0 }

// stall reads nothing now and then until the player has jumped.
func (s *stress) stall(v *viewer) bool {
	if v.rnd.IntN(50) > 0 {
		return true
	}
	before := v.p.Stats().Jumps
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		select {
		case <-s.stop:
			return true
		case <-tick.C:
		}
		if v.p.Stats().Jumps > before {
			s.jumped.Store(true)
			return true
		}
	}
	return true
}
