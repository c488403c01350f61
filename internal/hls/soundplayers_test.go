package hls

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlstest"
)

// TestPlayersKeepTheSound: what players get while the publication with the sound goes, by the rules
// of the standard: nobody asks for another multivariant playlist than the first, even if there is
// no other sound.
func TestPlayersKeepTheSound(t *testing.T) {
	const within = 16300 * time.Millisecond
	for name, at := range map[string]time.Duration{"within a segment": within, "where one ends": 16 * time.Second, "just before": 15980 * time.Millisecond, "alone": within} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, all := newServer(Options{SegmentDuration: 2 * time.Second}), hlstest.Encoders(25, 50)
				if name == "alone" {
					all[1].Audio = nil
				}
				feedA, endA := onAirAs(t, s, "", all[0])
				feedB, endB := onAirAs(t, s, "720p", all[1])
				v, gone := newViewer(t), false
				var segments []int64
				for now := time.Duration(0); now < 40*time.Second; now += 200 * time.Millisecond {
					if gone = gone || now > at; !gone {
						feedA(min(now, at))
					} else if endA != nil {
						feedA(at)
						if err := endA(io.EOF); err != nil {
							t.Error(err)
						}
						endA = nil
					}
					feedB(now)
					time.Sleep(200 * time.Millisecond)
					synctest.Wait()
					switch {
					case now < 5*time.Second:
					case gone:
						segments = v.look(s, "a0", "720p.v0")
					default:
						segments = v.look(s, "a0", "720p.v0", "v0")
					}
				}
				consecutive(t, segments)
				if n := len(v.fetched); n < 50 {
					t.Errorf("%d files were fetched", n)
				}
				if err := endB(io.EOF); err != nil {
					t.Error(err)
				}
				v.look(s, "a0", "720p.v0")
				time.Sleep(time.Minute)
			})
		})
	}
}
