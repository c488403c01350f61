package ladder

import (
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// FuzzPackager runs ladders of all shapes: tracks, headers, sessions, publications and times change
// at will, and units are malformed. Every view must hold the rules that rig checks, memory stays
// bounded, and every part can be read.
func FuzzPackager(f *testing.F) {
	f.Add([]byte{0, 0, 20, 0, 20, 0, 20, 0, 80, 0, 80})
	f.Add([]byte("video and audio of three encoders, in no order at all, with headers that change"))
	f.Add([]byte{1, 0, 17, 33, 49, 65, 2, 90, 3, 120, 4, 150, 5, 180, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 300 {
			t.Skip("long scripts find nothing more")
		}
		r := newRig(t, Options{SegmentDuration: time.Second, MaxStreamBytes: 1 << 20, MaxSegmentBytes: 256 << 10})
		r.leader.wanted = func() bool { return len(script)%2 == 0 }
		names := []string{"", "720p", "360p"}
		var at [3]time.Duration
		var epoch [3]uint32
		tracks := [3][]*media.Track{{hlstest.AVCTrack(0), hlstest.AAC(48000)}, {hlstest.AVCTrack(0), hlstest.AVCTrack(1), hlstest.AAC(44100)}, {hlstest.AVCTrack(0), hlstest.Opus48()}}
		jump := false
		unit := func(n int, track *media.Track, key bool, size int) media.AccessUnit {
			u := hlstest.Picture(track, 0, key, size)
			if track.Kind == media.Audio {
				u.Data = append([]byte{0xfc, 1}, make([]byte, size%500)...)
				u.RandomAccess = true
			}
			u.DTS, u.Epoch, u.Discontinuity, u.Arrived = at[n], epoch[n], jump, int64(at[n])+1
			u.PTS = u.DTS
			jump = false
			return u
		}
		for i, op := range script {
			n := int(op>>4) % 3
			switch op & 15 {
			case 0:
				at[n] += time.Duration(i%50) * time.Second
			case 1:
				tracks[n] = append(tracks[n], hlstest.AVCTrack(uint8(len(tracks[n]))))
			case 2:
				tracks[n][0] = hlstest.AVCTrack(0)
			case 3:
				epoch[n]++
				jump = true
			case 4:
				jump = true
			case 5:
				if p := r.pubs[names[n]]; p != nil {
					r.Suspend(p)
				}
			case 6:
				if p := r.pubs[names[n]]; p != nil && len(r.roster.pubs) > 1 {
					r.Exit(p)
					delete(r.pubs, names[n])
				}
			case 7:
				u := unit(n, tracks[n][0], true, 1)
				u.Data = u.Data[:len(u.Data)-int(op>>4)%len(u.Data)]
				u.DTS -= time.Duration(op) * time.Second
				r.feed(names[n], u)
			case 8:
				r.feed(names[n], unit(n, &media.Track{Kind: media.Video, ID: op >> 4, Codec: media.VP8}, true, 9))
			case 9:
				at[(n+1)%3] = at[n]
			default:
				for k := range 25 * (1 + int(op&7)) {
					for _, track := range tracks[n] {
						r.feed(names[n], unit(n, track, k%25 == 0, int(op)))
					}
					at[n] += 40 * time.Millisecond
				}
			}
			if r.output.bytes < 0 || r.output.bytes > 4<<20 {
				t.Fatalf("%d bytes are kept", r.output.bytes)
			}
		}
		r.finish()
		for _, rec := range r.seen {
			rec.samples(t, 90000)
			if rec.view != nil {
				<-rec.view.Replaced
			}
		}
	})
}
