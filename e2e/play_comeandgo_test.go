package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"livego/internal/bench"
)

const (
	// crowds is how many groups of players come and go beside each other, maxCrowd how large one
	// is.
	crowds, maxCrowd = 3, 60
	rudeEvery        = 50 * time.Millisecond
)

// TestComeAndGo runs for as long as LIVEGO_COME_AND_GO says (make soak-players): players of HLS
// come and go at a stream, in crowds, and others leave in the middle of whatever they do. All who
// stay get what they ask for, and at the end the server has as many goroutines and descriptors as
// before the first one, and not much more memory than after the first minutes.
func TestComeAndGo(t *testing.T) {
	duration, err := time.ParseDuration(os.Getenv("LIVEGO_COME_AND_GO"))
	if err != nil {
		t.Skip("LIVEGO_COME_AND_GO is not set: make soak-players runs this test")
	}
	s := startShipped(t)
	addresses := []string{"--rtmp_addr", s.rtmp, "--httpflv_addr", s.flv, "--hls_addr", s.hls, "--api_addr", s.api}
	launch(t, setting(t, "LIVEGO_BIN"), slices.Concat([]string{"bench", "--players", "0", "--duration", (duration + 5*time.Minute).String()}, addresses)...)
	s.waitOnAir(t, "bench")
	before := s.usage(t)

	ctx, stop := context.WithTimeout(t.Context(), duration)
	defer stop()
	var all sync.WaitGroup
	players := make([]int, crowds)
	for i := range crowds {
		all.Go(func() { players[i] = crowd(ctx, t, s, i) })
	}
	rude := 0
	all.Go(func() { rude = rudeVisits(ctx, s.hls) })
	pause(t, duration/3)
	early := s.usage(t)
	all.Wait()
	// What is held for players that are gone goes with their streams' deadlines.
	var after usage
	eventually(t, 2*time.Minute, "the server has nothing of its players", func() bool {
		after = s.usage(t)
		return after.goroutines <= before.goroutines+20 && after.files <= before.files+10
	})
	t.Logf("%d players in %d crowds, %d visitors that leave in the middle; before %+v, after a third %+v, at the end %+v", sum(players), crowds, rude, before, early, after)
	if after.memory > early.memory+48<<20 {
		t.Errorf("memory grows: %d MB after a third, %d MB at the end", early.memory>>20, after.memory>>20)
	}
	if sum(players) == 0 || rude == 0 {
		t.Error("nobody came")
	}
}

func sum(all []int) (n int) {
	for _, v := range all {
		n += v
	}
	return n
}

// crowd has groups of players come one after the other, and counts them.
func crowd(ctx context.Context, t *testing.T, s *server, seed int) (came int) {
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	protocols := []string{"ll-hls", "ll-hls", "hls"}
	for ctx.Err() == nil && !t.Failed() {
		n := 1 + random.IntN(maxCrowd)
		r, err := runLoad(t.Context(), setting(t, "LIVEGO_BIN"), s, "--no_publish", "--protocol", protocols[random.IntN(len(protocols))],
			"--players", strconv.Itoa(n), "--sample", strconv.Itoa(min(n, 5)), "--warmup", "1s", "--duration", fmt.Sprintf("%ds", 2+random.IntN(8)))
		switch {
		case err != nil:
			t.Error(err)
		case r.Connected != n || r.Faults != (bench.Faults{}):
			t.Errorf("of %d players: %v", n, r)
		}
		came += n
	}
	return came
}

// rudeVisits has connections that end in the middle of a head, of a wait or of an answer, and
// counts them.
func rudeVisits(ctx context.Context, address string) (came int) {
	texts := []string{
		"", "GET /live/bench/ind", "GET /live/bench/index.m3u8 HTTP/1.1\r\nHost: h\r\n", "GET /live/bench/index-v0.m3u8 HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /live/bench/index-v0.m3u8?_HLS_msn=1&_HLS_part=0 HTTP/1.1\r\nHost: h\r\n\r\nGET /live/bench.m3u8 HTTP/1.1\r\n",
		"GET /live/bench.m3u8 HTTP/1.1\r\nHost: h\r\n\r\nGET /live/bench.m3u8 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "HEAD /live/bench.m3u8 HTTP/1.1\r\nHost: h\r\n\r\n", "\x16\x03\x01",
	}
	for tick := time.Tick(rudeEvery); ctx.Err() == nil; <-tick {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			continue
		}
		_, _ = io.WriteString(conn, texts[came%len(texts)])
		if came%3 == 0 {
			_ = conn.SetReadDeadline(time.Now().Add(rudeEvery)) // shows at the read
			_, _ = io.CopyN(io.Discard, conn, 100)              // or less
		}
		if came%2 == 0 {
			_ = conn.(*net.TCPConn).SetLinger(0) // a reset
		}
		conn.Close()
		came++
	}
	return came
}
