package repair

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"livego/internal/codec"
	"livego/internal/media"
)

// Parameter sets and a sequence header that x264, x265 and libaom made. avcOther is of another
// size.
const (
	avcSPS   = "6764000dacd94141fb011000000300100000030320f1429960"
	avcPPS   = "68ebe3cb22c0"
	avcC     = "0164000dffe10019" + avcSPS + "010006" + avcPPS + "fdf8f800"
	avcOther = "674d400ceca0a0cfcf80880000030008000003019078a14cb0"

	hevcVPS = "40010c01ffff0408000003009e0800000300003c959809"
	hevcSPS = "4201010408000003009e0800000300003c90014101e2cb2b349265780b7020200040000003004000000642"
	hevcPPS = "4401c172860c4624"
	hvcC    = "0104080000009e08000000003cf000fcfff8f800000f03200001 0017" + hevcVPS +
		"210001002b" + hevcSPS + "2200010008" + hevcPPS

	// The VVC sets are by the standard: 1280 x 720.
	vvcSPS = "0079000d02338000000a0200b447"
	vvcPPS = "00810080"

	av1Sequence = "0a0b000000043cffbc02f80040"
	av1C        = "81000c00" + av1Sequence
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// units puts a length of four bytes before each NAL unit; - is an empty one.
func units(all ...string) string {
	s := ""
	for _, u := range all {
		u = strings.Join(strings.Fields(strings.Trim(u, "-")), "")
		s += fmt.Sprintf("%08x%s", len(u)/2, u)
	}
	return s
}

// stream puts start codes of four bytes before NAL units.
func stream(all ...string) string { return "00000001" + strings.Join(all, "00000001") }

// message is a unit as a demuxer gives it.
type message struct {
	ms   int
	key  bool
	data string
}

// trackOf makes the track of a codec with a header, which may be "".
func trackOf(t testing.TB, c media.Codec, config string) *media.Track {
	kind := media.Video
	switch c {
	case media.AAC, media.Opus, media.MP3, media.AC3:
		kind = media.Audio
	}
	tr := &media.Track{Kind: kind, Codec: c, Err: "no sequence header yet"}
	if config != "" {
		codec.Configure(tr, unhex(t, config))
	}
	return tr
}

// prefix is what the bodies of these tests begin with.
var prefix = []byte("head")

// run is a session with what came out of it and what it reported.
type run struct {
	Session
	t      testing.TB
	out    []media.AccessUnit
	faults []string
}

func begin(t testing.TB) *run {
	r := &run{t: t}
	r.Report = func(f Fault) {
		if !slices.Contains(r.faults, f.What) {
			r.faults = append(r.faults, f.What)
		}
	}
	r.Body = func(like, u *media.AccessUnit) ([]byte, error) {
		if len(like.Body) < len(prefix) || !bytes.HasPrefix(like.Body, prefix) {
			t.Errorf("body like %x", like.Body)
		}
		if u.Header == media.SequenceHeader {
			return slices.Concat([]byte("made"), u.Track.Config), nil
		}
		return slices.Concat(prefix, u.Data), nil
	}
	return r
}

// header sends the sequence header of a track.
func (r *run) header(tr *media.Track) {
	r.out = r.Append(r.out, []media.AccessUnit{{Track: tr, Header: media.SequenceHeader, Body: slices.Concat(prefix, tr.Config)}})
}

// send sends samples of a track.
func (r *run) send(tr *media.Track, messages ...message) {
	for _, m := range messages {
		r.out = r.Append(r.out, []media.AccessUnit{sample(r.t, tr, m)})
	}
}

func sample(t testing.TB, tr *media.Track, m message) media.AccessUnit {
	body := slices.Concat(prefix, unhex(t, m.data))
	at := time.Duration(m.ms) * time.Millisecond
	return media.AccessUnit{
		Track: tr, RandomAccess: m.key || tr.Kind == media.Audio, DTS: at, PTS: at, Body: body, Data: body[len(prefix):],
	}
}

// result writes down what came out: headers as such, samples with time, * for key frames, and data.
func (r *run) result() string {
	var all []string
	for i := range r.out {
		u := &r.out[i]
		switch {
		case u.Header == media.SequenceHeader:
			all = append(all, fmt.Sprintf("header %x", u.Track.Config))
		case u.Header != media.Sample:
			all = append(all, fmt.Sprintf("unit of kind %d", u.Header))
		default:
			key := ""
			if u.RandomAccess && u.Track.Kind == media.Video {
				key = "*"
			}
			all = append(all, fmt.Sprintf("%d%s %x", u.DTS.Milliseconds(), key, u.Data))
		}
	}
	return strings.Join(all, "\n")
}

// check compares what came out, and looks whether the bodies fit.
func (r *run) check(name string, want ...string) {
	r.t.Helper()
	r.out = r.Flush(r.out)
	for i := range want {
		head, rest, ok := strings.Cut(want[i], " ")
		if ok {
			want[i] = head + " " + strings.Join(strings.Fields(rest), "")
		}
	}
	if got := r.result(); got != strings.Join(want, "\n") {
		r.t.Errorf("%s:\n%s\nwant\n%s", name, got, strings.Join(want, "\n"))
	}
	for i := range r.out {
		u := &r.out[i]
		if u.Header == media.Sample && !u.Multitrack && (len(u.Data) == 0 || &u.Body[len(u.Body)-1] != &u.Data[len(u.Data)-1]) {
			r.t.Errorf("%s: unit %d: data do not stand in the body", name, i)
		}
		if u.Header == media.Sample && u.Track.Parsed && u.Track.Kind == media.Video && u.Track.NALLengthSize != 4 && u.Track.NALLengthSize != 0 {
			r.t.Errorf("%s: unit %d: lengths of %d bytes", name, i, u.Track.NALLengthSize)
		}
	}
}

// reported wants these faults and no others.
func (r *run) reported(name string, want ...string) {
	r.t.Helper()
	slices.Sort(want)
	slices.Sort(r.faults)
	if !slices.Equal(r.faults, want) {
		r.t.Errorf("%s: reported %q, want %q", name, r.faults, want)
	}
}
